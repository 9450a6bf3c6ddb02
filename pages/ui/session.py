"""From a browser session to its Lab, and how often its pages refresh."""

from __future__ import annotations

import atexit
import gc
import threading
from urllib.parse import urlencode

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ddpg_core.config import PRESETS
from ddpg_core.recipe import Recipe
from pages.ui import assets
from pages.ui.kernel import KERNEL
from pages.ui.lab import Lab
from pages.ui.registry import Registry, ServerFullError

HERO_S = 0.2
"""Seconds between refreshes of what a page is about; the rest of it refreshes more slowly."""
LABS_AT_FULL_RATE = 3
SLOWEST = 4
FIRST_PAINT_S = 0.7
"""Warming up waits this long, so that it does not hold up the first page."""
CLOSING_S = 4.0
"""How long the process waits at its end for what is being warmed up."""
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


def query() -> str:
    """What the address asks for, besides this session's Lab."""
    names = [name for name in st.query_params if name != _TOKEN]
    return urlencode([(name, value) for name in names for value in st.query_params.get_all(name)], safe=":,")


def forget_query() -> None:
    """Take out of the address what it asks for, so that a reload does not ask again."""
    st.query_params.from_dict({_TOKEN: st.session_state["token"]})


@st.cache_resource(show_spinner=False)
def registry() -> Registry:
    """The one registry of this process."""
    return Registry(lambda session: runtime.exists() and runtime.get_instance().is_active_session(session))


def refresh_s(lab: Lab, alone_s: float = 0.5) -> float | None:
    """Seconds between refreshes of live charts; None when nothing moves: this Lab rests, or shows the past."""
    return shared_s(alone_s) if lab.playing and lab.cursor is None else None


def shared_s(alone_s: float) -> float:
    """`alone_s` with few Labs training, up to `SLOWEST` times that with many.

    All sessions share one interpreter: what they redraw must leave it time to train and to answer a slider at once.
    """
    return alone_s * min(max(registry().playing() / LABS_AT_FULL_RATE, 1), SLOWEST)


@st.cache_resource(show_spinner=False)
def warm_up() -> None:
    """Make the compiled engine ready, import torch and prepare what browsers load, once, in the background."""
    closed = threading.Event()

    def work() -> None:
        # The engine comes first: if it is on disk, runs can start with it at once.
        for step in (
            lambda: closed.wait(FIRST_PAINT_S),
            assets.plotly,
            KERNEL.ready,
            _first_update,
            assets.sheet,
            gc.freeze,
        ):
            if not closed.is_set():
                step()

    threads = [
        threading.Thread(target=KERNEL.fetch, args=(FIRST_PAINT_S,), name="kernel", daemon=True),
        threading.Thread(target=work, name="warm-up", daemon=True),
    ]

    def close() -> None:
        closed.set()
        KERNEL.close()
        for thread in threads:
            thread.join(CLOSING_S)

    # Cut off by the interpreter's end, a thread inside a compiled library would crash the process.
    atexit.register(close)
    for thread in threads:
        thread.start()


def _first_update() -> None:
    """Import torch and let it make an update: the first one takes seconds."""
    from ddpg_core.run import Run

    Run(Recipe(PRESETS["fast"].changed({"warmup_steps": 1, "engine": "torch"}))).advance(steps=3)


def _session_id() -> str:
    context = get_script_run_ctx()
    return context.session_id if context else ""
