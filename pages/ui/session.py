"""From a browser session to its Lab, and how often its pages refresh."""

from __future__ import annotations

import threading
import time

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ddpg_core.config import PRESETS
from ddpg_core.recipe import Recipe
from pages.ui import assets
from pages.ui.lab import Lab
from pages.ui.registry import Registry, ServerFullError

HERO_S = 0.2
"""Seconds between refreshes of what a page is about; the rest of it refreshes more slowly."""
FIRST_PAINT_S = 0.7
"""Warming up waits this long, so that it does not hold up the first page."""
_TOKEN = "lab"


def current_lab() -> Lab:
    """The Lab of this browser session; its token stands in the URL, so that a reload finds it again."""
    state, session = st.session_state, _session_id()
    if "lab" not in state or not registry().keep(state["token"], state["lab"], session):
        try:
            state["token"], state["lab"] = registry().attach(st.query_params.get(_TOKEN), session)
        except ServerFullError as error:
            st.error(f"{error}. Close a tab that nobody uses, or come back in a while.", icon=":material/group:")
            st.stop()
    if st.query_params.get(_TOKEN) != state["token"]:
        st.query_params[_TOKEN] = state["token"]
    lab: Lab = state["lab"]
    return lab


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """The one registry of this process."""
    return Registry(lambda session: runtime.exists() and runtime.get_instance().is_active_session(session))


def refresh_s(lab: Lab, alone_s: float = 0.5) -> float | None:
    """Seconds between refreshes of live charts: `alone_s` with few Labs training, more with many.

    None when nothing moves: this Lab rests, or its cursor stands in the past.
    """
    if not lab.playing or lab.cursor is not None:
        return None
    busy = registry().playing()
    return alone_s * (1 if busy <= 3 else 2 if busy <= 10 else 4)


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Import torch, make its first update and prepare what browsers load, once, in the background."""

    def work() -> None:
        time.sleep(FIRST_PAINT_S)
        assets.plotly()
        from ddpg_core.run import Run

        Run(Recipe(PRESETS["fast"].changed({"warmup_steps": 1}))).advance(steps=3)
        assets.sheet()

    threading.Thread(target=work, name="warm-up", daemon=True).start()


def _session_id() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""
