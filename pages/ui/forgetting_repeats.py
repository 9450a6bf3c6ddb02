"""The Forgetting page's experiment over several seeds as it is drawn: its settings, progress, and F of every seed."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pages.ui import live
from pages.ui.comparing import Comparing, Presence
from pages.ui.forgetting_seeds import comparison_of, forgot, in_words, seeds_chart
from pages.ui.kernel import KERNEL

_REPEATS = "forgetting-repeats"
_SEEDS, _FIRST, _WINDOWS = "forgetting-seeds", "forgetting-first-seed", "forgetting-windows"


def seeds_every_s() -> float | None:
    """Seconds between looks at the repeats; None while none are computed."""
    repeats: Comparing | None = st.session_state.get(_REPEATS)
    return 0.5 if repeats and repeats.working else None


def draw_seeds(ticking: bool) -> None:
    """The same experiment over several seeds: its settings, progress, and F of every seed.

    Args:
        ticking: Whether this is drawn again and again.
    """
    state = st.session_state
    if ticking != (seeds_every_s() is not None):
        st.rerun()
    repeats: Comparing | None = state.get(_REPEATS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.setdefault(_SEEDS, 5)
        state.setdefault(_FIRST, 0)
        common: dict[str, Any] = {"disabled": ticking, "persist_state": "session", "width": 130}
        st.number_input("seeds", 3, 8, key=_SEEDS, **common)
        st.number_input("first seed", 0, 10_000, key=_FIRST, help="Pick any.", **common)
        st.toggle("windows too", key=_WINDOWS, disabled=ticking, persist_state="session", help="All six conditions.")

        def start() -> None:
            seeds = range(state[_FIRST], state[_FIRST] + state[_SEEDS])
            state[_REPEATS] = Comparing(comparison_of(seeds, windows=state[_WINDOWS]), Presence(), state.get(_REPEATS))

        if ticking and repeats:
            st.button("Stop", key="stop-seeds", icon=":material/stop:", on_click=repeats.stop)
        else:
            st.button(f"Run over {state[_SEEDS]} seeds", key="run-seeds", icon=":material/repeat:", on_click=start)
    if repeats:
        _draw_repeats(repeats)


def _draw_repeats(repeats: Comparing) -> None:
    total, done = repeats.total, len(repeats.results)
    if repeats.working:
        slow = "" if KERNEL.state == "ready" else " PyTorch computes them, which takes minutes."
        st.progress(repeats.share, f"{done} of {total} runs finished, on one thread behind the pages.{slow}")
    elif repeats.problem:
        st.error(f"{repeats.problem}.", icon=":material/error:")
    elif done < total:
        st.caption(f"Stopped after {done} of {total} runs: run it again to compute the others.")
    found = forgot(repeats.comparison, dict(repeats.results))
    live.charts([seeds_chart(found)], key="seeds")
    if words := in_words(found, repeats.comparison):
        st.markdown(words)
    st.caption(repeats.comparison.note)
