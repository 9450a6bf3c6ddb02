"""The Export page's pictures: the policy as a card, its files row by row, and its maps."""

from __future__ import annotations

from typing import Final

import numpy as np
import streamlit as st

from ddpg_core.environment import pendulum_angles
from ddpg_core.export import FORMATS, Exported
from pages.ui import live
from pages.ui.clips import at_rest, clip_of, film_settings
from pages.ui.critic_charts import SMALL_PX, torque_map
from pages.ui.export import AT_ONCE, EPISODES, LOOK, Desk, Shelf, subject_of
from pages.ui.export_look import Look, Subject
from pages.ui.export_words import (
    CHECK_WORDS,
    again_words,
    claim_words,
    facts,
    missing_words,
    recipe_words,
    row_words,
    score_words,
    title_words,
)
from pages.ui.lab import Lab
from pages.ui.live import Figure
from pages.ui.maps import heat_map, path_on_map
from pages.ui.session import shared_s
from pages.ui.theme import VALUES
from pages.ui.words import plain

EPISODE: Final = "export-episode"
BUTTON_PX: Final = 112
_MIME: Final = {
    ".json": "application/json",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".html": "text/html",
    ".zip": "application/zip",
    ".py": "text/x-python",
}


def asked(lab: Lab, desk: Desk) -> Subject | str:
    """The policy that the page's controls ask for, or in a sentence why there is none."""
    return subject_of(lab, desk, st.session_state.get(EPISODE, next(iter(EPISODES))))


def busy(lab: Lab, desk: Desk) -> bool:
    """Whether anything on the page will change by itself; has the next thing made."""
    subject = asked(lab, desk)
    return lab.playing if isinstance(subject, str) else desk.tend(lab, subject)


def every_s(waiting: bool) -> float | None:
    """Seconds between redraws while something is to come."""
    return shared_s(0.4) if waiting else None


# --- the card ---------------------------------------------------------------------------------------------------------


def draw_card(lab: Lab, desk: Desk, waiting: bool) -> None:
    """The hero: the film of the policy, how good it is, and its recipe in words."""
    if busy(lab, desk) != waiting:
        st.rerun()
    subject = asked(lab, desk)
    if isinstance(subject, str):
        st.info(subject)
        _draw_rest()
        return
    look, problem = desk.look(subject), desk.shelf(subject).problems.get(LOOK)
    if problem:
        st.info(f"{plain(subject.label)}: {plain(problem)}.")
    if look is None or problem:
        if not problem:
            st.markdown("##### Evaluating the policy …")
        _draw_rest()
        return
    st.markdown(f"##### {title_words(look)}")
    env_id = look.film.env_id
    live.film(clip_of(look.film), film_settings(env_id), live=subject.moving, key=f"export-film-{env_id}")
    numbers = facts(look)
    for column, (label, value, word) in zip(st.columns(len(numbers)), numbers, strict=True):
        column.metric(label, value, word, delta_color="off", delta_arrow="off")
    st.caption(" ".join(filter(None, [recipe_words(look.policy.card), score_words(look), claim_words(look)])))
    if look.again is not None:
        st.caption(f":material/replay: {again_words(look.again)}")


def _draw_rest() -> None:
    """The film while there is no policy."""
    env_id = "Pendulum-v1"
    live.film(clip_of(at_rest(env_id)), film_settings(env_id), live=False, key=f"export-film-{env_id}")


# --- its files --------------------------------------------------------------------------------------------------------


def draw_files(lab: Lab, desk: Desk, waiting: bool) -> None:
    """A row a format, with a button once its file was made and held to the policy."""
    if busy(lab, desk) != waiting:
        st.rerun()
    subject = asked(lab, desk)
    there = None if isinstance(subject, str) else subject
    shelf = desk.shelf(there) if there else Shelf()
    st.markdown("##### Take it with you")
    st.caption(_progress(there, shelf))
    with st.container(gap="xsmall", key="export-rows"):
        for name in FORMATS:
            with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
                _draw_row(there, shelf, name)


def _progress(subject: Subject | None, shelf: Shelf) -> str:
    """How far the files are."""
    if subject is None:
        return "What can be made of a policy, and where it works."
    if subject.moving:
        return "It trains on, and every episode makes another policy: press *Pause*, and its files are made here."
    there = [name for name in AT_ONCE if FORMATS[name].missing() is None]
    done = sum(name in shelf.files or name in shelf.problems for name in there)
    return CHECK_WORDS if done == len(there) else f"Making and checking files: {done} of {len(there)} …"


def _draw_row(subject: Subject | None, shelf: Shelf, name: str) -> None:
    kind, made = FORMATS[name], shelf.files.get(name)
    problem = plain(shelf.problems.get(name, ""))
    if subject and kind.needs_run and subject.run is None:
        problem = "It needs the run: press *Train it again* first."
    if missing := kind.missing():
        st.markdown(missing_words(kind, missing))
    elif problem:
        st.markdown(f"**{kind.label}**  \n:small[{problem}]")
    else:
        pendulum = shelf.look is None or shelf.look.film.env_id == "Pendulum-v1"
        words = row_words(kind, made, " N·m" if pendulum else "")
        if name == "recipe" and subject and subject.run:
            words += "  \n:small[:material/link: its link: *Share* in the sidebar]"
        st.markdown(words, width="stretch")
        _draw_button(subject, shelf, name, made)


def _draw_button(subject: Subject | None, shelf: Shelf, name: str, made: Exported | None) -> None:
    """Download what is there, wait for what comes by itself, make what takes longer when asked."""
    kind, key = FORMATS[name], f"export-{name}"
    label = f".{kind.suffix.rpartition('.')[2]}"
    if made:
        # Not as a callable: a row drawn anew while such a button is pressed would lose the download.
        st.download_button(
            label, made.data, made.name, _MIME.get(label, "application/octet-stream"), key=f"{key}-file",
            on_click="ignore", icon=":material/download:", width=BUTTON_PX, help=made.name,
        )  # fmt: skip
    elif subject is None or name in AT_ONCE or name in shelf.wanted:
        st.button("…", key=f"{key}-waits", disabled=True, width=BUTTON_PX)
    else:
        icon = ":material/movie:" if kind.module == "film" else ":material/description:"
        st.button(
            "Make", key=f"{key}-make", icon=icon, on_click=lambda: shelf.wanted.append(name),
            disabled=subject.moving, width=BUTTON_PX, help="Takes a few seconds.",
        )  # fmt: skip


# --- its maps ---------------------------------------------------------------------------------------------------------


def draw_maps(lab: Lab, desk: Desk, waiting: bool) -> None:
    """What the policy does in every state, and what its critic expects where one is known."""
    if busy(lab, desk) != waiting:
        st.rerun()
    subject = asked(lab, desk)
    look = None if isinstance(subject, str) else desk.look(subject)
    if look is None:
        return
    st.markdown("##### What it does in every state")
    if look.torque is None:
        st.caption("Maps are of the pendulum's states; this policy drives a car.")
        return
    live.charts(map_figures(look), key="export-maps", min_width=280)
    if look.values is None:
        st.caption(
            "A file brings the actor alone, so what its critic expected is unknown: *Train it again*, and the run has "
            "both. The line is the film's episode."
        )
    else:
        st.caption("The line is the film's episode; the *Critic* page holds these values to the true ones.")


def map_figures(look: Look) -> list[Figure]:
    """The torque of every state, and the critic's value where one is known, with the film's episode."""
    figures = [torque_map(look.torque, "Policy: the torque it applies")]
    if look.values is not None and np.isfinite(look.values).all():
        bounds = (float(look.values.min()), float(look.values.max()))
        expected = heat_map(look.values, "Critic: the return it expects (Q)", VALUES, bounds, SMALL_PX)
        expected["layout"] = figures[0]["layout"] | {"title": expected["layout"]["title"]}
        figures.append(expected)
    obs = look.film.columns["obs"]
    for figure in figures:
        for width, colour in ((4.0, "rgba(20, 22, 30, .55)"), (1.8, "#ffffff")):
            line = path_on_map(pendulum_angles(obs), obs[:, -1], colour)
            figure["data"].append(line | {"line": {"color": colour, "width": width}})
    return figures
