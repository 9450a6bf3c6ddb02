"""The Forgetting page's pictures: curves that part, both films, the index, returns by start angle, maps of changes."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import streamlit as st

from pages.ui import live
from pages.ui.clips import at_rest, clip_of, film_settings, on_screen
from pages.ui.curves import curve_of
from pages.ui.forgetting import ENV_ID, SCRATCH, name_of
from pages.ui.forgetting_charts import angle_chart, change_maps, index_chart, parting_chart
from pages.ui.forgetting_probe import Known, Path, change_of, evaluated, paths_of, pauses_of, start_angles
from pages.ui.forgetting_setup import Cast, progress
from pages.ui.jobs import Latest
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.session import refresh_s
from pages.ui.theme import minus

_WORDS: Final = ((0.5, "most of it forgotten"), (0.2, "partly forgotten"), (0.05, "a little forgotten"))
_STUDY, _WATCHED = "forgetting-study", "forgetting-watched"


@dataclass
class Study:
    """What a session's page keeps between refreshes: evaluations in the background, and the newest of them."""

    answers: Latest[Known] = field(default_factory=Latest)
    known: Known | None = None


# --- live -------------------------------------------------------------------------------------------------------------


def draw_returns(lab: Lab, cast: Cast) -> None:
    """The hero: the curve of the trained run, and those of its branches from where they part."""
    progress(cast.trunk)
    with lab.reading():
        trunk = curve_of(cast.trunk, with_updates=False)
        others = [
            replace(curve_of(each, with_updates=False), label=name_of(each)) for each in (*cast.branches, *cast.scratch)
        ]
    live.charts([parting_chart(trunk, others, cast.origin, lab.cursor)], key="parting")
    if cast.scratch:
        st.caption(
            f"*{SCRATCH}* has learned from the newest transition alone from its first step on: it is never learning, "
            "not forgetting, since it had nothing to forget."
        )


def pair_of(cast: Cast) -> list[Player]:
    """The two runs that are watched: the first branch and the one chosen; before there are any, the trained run."""
    if not cast.branches:
        return [cast.trunk]
    chosen = [each for each in cast.branches[1:] if each.id == st.session_state.get(_WATCHED)]
    return [cast.branches[0], *(chosen or cast.branches[1:2])]


def choose_watched(lab: Lab, cast: Cast) -> None:
    """Which branch is watched beside the first, where there are several."""
    if len(cast.branches) < 3:
        return
    with lab.reading():
        names = {each.id: name_of(each) for each in cast.branches}
    others = list(names)[1:]
    if st.session_state.get(_WATCHED) not in others:
        st.session_state[_WATCHED] = others[0]
    st.selectbox(f"Beside {names[cast.branches[0].id]}", others, format_func=names.__getitem__, key=_WATCHED)


def draw_films(lab: Lab, cast: Cast) -> None:
    """Both pendulums, on one clock."""
    pair = pair_of(cast)
    with lab.reading():
        episodes = [on_screen(lab, each) for each in pair]
        names = [name_of(each) if cast.branches else each.label for each in pair]
    clips = []
    for name, episode in zip(names, episodes, strict=True):
        shown = episode or at_rest(ENV_ID)
        clips.append(
            clip_of(replace(shown, title=f"{name}, {shown.title.rpartition('· ')[2].replace('episode', 'ep.')}"))
        )
    live.film(clips, film_settings(ENV_ID), live=lab.cursor is None, key=f"forgetting-film-{len(pair)}")


# --- what was forgotten -----------------------------------------------------------------------------------------------


def renewed(lab: Lab, cast: Cast) -> tuple[list[Path], bool]:
    """The branches as far as they are evaluated, and whether more is on its way; asks for what is missing."""
    study: Study = st.session_state.setdefault(_STUDY, Study())
    study.known = study.answers.answer
    missing = pauses_of(lab, cast.branches, study.known)
    if missing:
        runs = frozenset(each.run.serial for each in cast.branches)
        study.answers.ask(functools.partial(evaluated, study.known, missing, runs), urgent=not lab.playing)
    return paths_of(lab, cast.branches, study.known), bool(missing)


def draw_index(lab: Lab, cast: Cast, waited: bool) -> None:
    """F of every branch in numbers and over time, and returns by start angle."""
    paths, waiting = renewed(lab, cast)
    if waited and not waiting and refresh_s(lab) is None:
        st.rerun()
    there = {path.id: path for path in paths}
    with lab.reading():
        names = {each.id: name_of(each) for each in cast.branches}
    for column, (number, name) in zip(st.columns(len(names)), names.items(), strict=True):
        with column, st.container(gap=None):
            st.metric(name, *_index_words(there.get(number)), delta_color="off", delta_arrow="off")
            st.caption(_return_words(there.get(number)))
    live.charts(
        [index_chart(paths), angle_chart(paths, start_angles(cast.trunk.run.config))], key="forgotten", min_width=330
    )


def _index_words(path: Path | None) -> tuple[str, str]:
    """F as a number, and in words."""
    if path is None:
        return "F = …", "evaluating"
    value = float(path.index[-1])
    if not np.isfinite(value):
        return "F = –", "nothing learned before, nothing to forget"
    words = next((word for least, word in _WORDS if value >= least), "nothing forgotten")
    if value < -0.05:
        words = "better than before"
    return minus(f"F = {round(value, 2) + 0.0:.2f}"), words


def _return_words(path: Path | None) -> str:
    if path is None:
        return "return without noise …"
    before, now = path.returns[[0, -1]].mean(axis=1)
    return minus(f"return {before:.0f} → {now:.0f}, episode {path.episodes[-1]}")


def draw_maps(lab: Lab, cast: Cast) -> None:
    """How critic and policy of the two runs watched changed since the branch, with their newest episodes."""
    live.charts(change_maps([change_of(lab, each) for each in pair_of(cast)]), key="changes", min_width=240)
