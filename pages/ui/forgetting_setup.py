"""The Forgetting page's setup: a trained run, where it is branched and how, and what to do while there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from pages.ui import live
from pages.ui.charts import return_chart
from pages.ui.curves import curve_of
from pages.ui.forgetting import (
    ENV_ID,
    KINDS,
    LEAST,
    MORE,
    PREPARED,
    SCRATCH,
    SUGGESTED,
    branch_out,
    branch_points,
    branches_of,
    choices,
    is_scratch,
    play_on,
    prepare,
    room,
    trunk_of,
)
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.player import Player
from pages.ui.session import refresh_s

PROMISE: Final = (
    "Here a trained agent goes on in two ways from the same moment: one keeps its replay buffer, the other learns from "
    "the newest transition alone. You will see their returns part, and both pendulums side by side."
)
_RUN, _EPISODE, _KINDS = "forgetting-run", "forgetting-episode", "forgetting-kinds"


@dataclass(frozen=True)
class Cast:
    """The runs that the page is about: one that was trained, its branches, and those from scratch without replay."""

    trunk: Player
    branches: list[Player]
    scratch: list[Player]

    @property
    def origin(self) -> int:
        """Episodes finished where the branches begin; 0 without any."""
        return (self.branches[0].origin or 0) if self.branches else 0


def need_trained(lab: Lab) -> Cast:
    """The runs in question; without a trained one, says what to do, offers it, and ends the page."""
    with lab.reading():
        trunk = trunk_of(lab)
        branches = branches_of(lab, trunk) if trunk else []
        points = branch_points(trunk) if trunk else []
        scratch = [each for each in choices(lab) if is_scratch(each)]
    if trunk is None:
        st.markdown(PROMISE)
        _prepare_button(lab, key="start")
        live.charts([return_chart([])], key="sketch")
        st.stop()
    if trunk.run.config.env_id != ENV_ID:
        st.info(
            f"{trunk.label} drives a car: the page's fixed starts, maps and reference returns are the pendulum's. "
            "Select a run on the pendulum in the sidebar, or prepare one."
        )
        _prepare_button(lab)
        st.stop()
    if not branches and (_unready(trunk) or not points):
        _draw_untrained(lab, trunk)
        st.stop()
    return Cast(trunk, branches, scratch)


def _unready(trunk: Player) -> bool:
    """Whether a run has nothing to forget yet, or is just being prepared."""
    preparing = trunk.playing and trunk.stop_at == PREPARED
    return preparing or trunk.run.episode < LEAST or is_scratch(trunk)


def _draw_untrained(lab: Lab, trunk: Player) -> None:
    """A run that has nothing to forget yet: its progress, and what to do."""
    if is_scratch(trunk):
        st.info(
            f"{trunk.label} never had replay: it is *never learning*, not forgetting. Prepare a run that has learned, "
            "then take its replay away."
        )
    elif trunk.playing:
        st.markdown(f"{trunk.label} is learning. Once it has something to forget, its replay can be taken away here.")
    else:
        state = "stopped" if trunk.over else "has finished"
        st.info(
            f"{trunk.label} {state} {'after ' if trunk.over else ''}{trunk.run.episode} of the {LEAST} episodes that "
            f"it takes to have something to forget. {'Prepare' if trunk.over else 'Train it on, or prepare'} one."
        )
    with st.container(horizontal=True):
        if not trunk.playing and not trunk.over and not is_scratch(trunk):
            number = trunk.id
            st.button(
                f"Train it to episode {PREPARED}",
                key="train-on",
                icon=":material/play_arrow:",
                on_click=lambda: lab.play(number, PREPARED),
            )
        if not trunk.playing:
            _prepare_button(lab)

    def draw() -> None:
        if not _unready(trunk):
            st.rerun()
        progress(trunk)
        with lab.reading():
            curve = curve_of(trunk, with_updates=False)
        live.charts([return_chart([curve], lab.cursor)], key="preparing")

    st.fragment(draw, run_every=refresh_s(lab, 0.3))()


def progress(player: Player) -> None:
    """How far a run is that is being prepared."""
    if player.playing and player.stop_at:
        share = min(player.run.episode / player.stop_at, 1.0)
        st.progress(share, f"{player.label}: episode {player.run.episode} of {player.stop_at}")


def _prepare_button(lab: Lab, key: str = "prepare") -> None:
    st.button(
        "Prepare one",
        key=key,
        icon=":material/play_arrow:",
        type="primary",
        on_click=lambda: prepare(lab),
        disabled=room(lab) < 1,
        help=f"Trains preset fast for {PREPARED} episodes: a few seconds with the compiled engine.",
    )


def draw_setup(lab: Lab, cast: Cast) -> None:
    """Which run is branched where, and in which ways; after that, how its branches go on."""
    state = st.session_state
    runs = {each.id: each.label for each in choices(lab) if each not in cast.branches}
    state[_RUN] = cast.trunk.id
    columns = st.columns([1.1, 1.5, 2.6], gap="medium", vertical_alignment="bottom")
    columns[0].selectbox(
        "Trained run", list(runs), format_func=runs.__getitem__, key=_RUN, on_change=lambda: lab.select(state[_RUN])
    )
    if cast.branches:
        with columns[1]:
            st.markdown(f"{len(cast.branches)} branches after episode **{cast.origin}**")
        with columns[2].container(horizontal=True, vertical_alignment="bottom"):
            _going_on(lab, cast)
        return
    with lab.reading():
        points = branch_points(cast.trunk)
    key = f"{_EPISODE}-{cast.trunk.id}"
    if state.get(key) not in points:
        state[key] = points[-1]
    columns[1].select_slider("Branch after episode", points, key=key, help="Where their common past ends.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _start(lab, cast.trunk, key)
    if room(lab) < 2:
        st.info(f"A lab holds {MAX_RUNS} runs and has room for {room(lab)}: remove runs in the sidebar to branch.")


def _start(lab: Lab, trunk: Player, episode_key: str) -> None:
    """The ways to go on, and the button that begins them."""
    state = st.session_state
    state.setdefault(_KINDS, list(SUGGESTED))
    names = {name: kind.name for name, kind in KINDS.items()} | {"scratch": SCRATCH}
    st.pills(
        "Branches",
        list(names),
        format_func=names.__getitem__,
        selection_mode="multi",
        key=_KINDS,
        persist_state="session",
        wrap=True,
        help="A window of 32 replays the 32 newest transitions only. *From scratch, no replay* is a new run that never "
        "had any: never learning, not forgetting.",
    )
    chosen = [name for name in names if name in state[_KINDS]]
    branches = [name for name in chosen if name != "scratch"]

    def start() -> None:
        branch_out(lab, trunk, state[episode_key], branches, scratch="scratch" in chosen)

    short = len(chosen) - room(lab)
    words = f"{MORE} more episodes each, in step."
    if len(branches) < 2:
        words = "Choose two branches or more."
    elif short > 0:
        words = f"A lab holds {MAX_RUNS} runs: choose {short} fewer, or remove runs in the sidebar."
    st.button(
        "Branch and play",
        key="branch-out",
        type="primary",
        icon=":material/call_split:",
        on_click=start,
        disabled=len(branches) < 2 or short > 0,
        help=words,
    )
    if short > 0:
        st.caption(words)


def _going_on(lab: Lab, cast: Cast) -> None:
    """Pause, train on, or begin again."""
    playing = [each for each in cast.branches if each.playing]

    def pause() -> None:
        for each in playing:
            lab.pause(each.id)

    def clear() -> None:
        for each in (*cast.branches, *cast.scratch):
            lab.remove(each.id)
        lab.select(cast.trunk.id)

    least = min(each.run.episode for each in cast.branches)
    until = cast.origin + MORE if least < cast.origin + MORE else least + MORE
    if playing:
        st.button("Pause branches", key="pause-branches", icon=":material/pause:", on_click=pause)
    else:
        st.button(
            f"Train on to episode {until}",
            key="play-branches",
            icon=":material/play_arrow:",
            type="primary",
            on_click=lambda: play_on(lab, cast.branches, until),
        )
    st.button("Remove branches", key="remove-branches", icon=":material/delete:", on_click=clear)
