"""The Forgetting page's experiment over several seeds as it is drawn: its settings, progress, and F of every seed."""

from __future__ import annotations

import time
from typing import Any, Final

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.ui import live
from pages.ui.forgetting_seeds import Repeats, comparison_of, forgot, in_words, seeds_chart
from pages.ui.kernel import KERNEL

GONE_S: Final = 3.0
"""A browser that has been away for so long won't come back to what it asked for."""
_REPEATS = "forgetting-repeats"
_SEEDS, _FIRST, _WINDOWS = "forgetting-seeds", "forgetting-first-seed", "forgetting-windows"


class Presence:
    """Whether the browser of a session is still there; one that drops out for a moment counts as there."""

    def __init__(self) -> None:
        context = get_script_run_ctx()
        self._session, self._seen = context.session_id if context else "", time.monotonic()

    def __call__(self) -> bool:
        """Look again."""
        if not runtime.exists() or runtime.get_instance().is_active_session(self._session):
            self._seen = time.monotonic()
        return time.monotonic() - self._seen < GONE_S


def seeds_every_s() -> float | None:
    """Seconds between looks at the repeats; None while none are computed."""
    repeats: Repeats | None = st.session_state.get(_REPEATS)
    return 0.5 if repeats and repeats.working else None


def draw_seeds(ticking: bool) -> None:
    """The same experiment over several seeds: its settings, progress, and F of every seed.

    Args:
        ticking: Whether this is drawn again and again.
    """
    state = st.session_state
    if ticking != (seeds_every_s() is not None):
        st.rerun()
    repeats: Repeats | None = state.get(_REPEATS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.setdefault(_SEEDS, 5)
        state.setdefault(_FIRST, 0)
        common: dict[str, Any] = {"disabled": ticking, "persist_state": "session", "width": 130}
        st.number_input("seeds", 3, 8, key=_SEEDS, **common)
        st.number_input("first seed", 0, 10_000, key=_FIRST, help="Pick any.", **common)
        st.toggle("windows too", key=_WINDOWS, disabled=ticking, persist_state="session", help="All six conditions.")

        def start() -> None:
            seeds = range(state[_FIRST], state[_FIRST] + state[_SEEDS])
            state[_REPEATS] = Repeats(comparison_of(seeds, windows=state[_WINDOWS]), Presence())

        if ticking and repeats:
            st.button("Stop", key="stop-seeds", icon=":material/stop:", on_click=repeats.stop)
        else:
            st.button(f"Run over {state[_SEEDS]} seeds", key="run-seeds", icon=":material/repeat:", on_click=start)
    if repeats:
        _draw_repeats(repeats)


def _draw_repeats(repeats: Repeats) -> None:
    total = len(repeats.comparison.conditions) * len(repeats.comparison.seeds)
    done = len(repeats.results)
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
