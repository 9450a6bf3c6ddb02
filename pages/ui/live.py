"""Our browser components: live charts, the film, the loop, the list of runs, the status line."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st

from ddpg_core.environment import Array
from pages.ui import assets

Figure = dict[str, Any]
"""A chart as plain data in Plotly's schema: what `go.Figure.to_dict` gives, without the cost of building one."""

_LOADER = """
const script = import(new URL("%s", document.baseURI).href)
export default component => {
  const element = component.parentElement
  element.newest = component
  let cleanup = null
  script.then(({default: draw}) => { if (element.newest === component) cleanup = draw(component) })
  return () => cleanup?.()
}
"""


@functools.cache
def _component(name: str) -> Callable[..., Any]:
    return st.components.v2.component(f"ddpg_{name}", js=_LOADER % assets.script(name), isolate_styles=name != "charts")


def packed(values: Array) -> dict[str, str]:
    """An array as Plotly reads it without parsing numbers: base64 of little-endian float32, shape [N]."""
    return {"dtype": "f4", "bdata": floats(values)}


def floats(values: Array) -> str:
    """Base64 of an array as little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def charts(figures: Sequence[Figure], *, key: str, min_width: int = 300) -> None:
    """A grid of live charts, as many columns as fit at `min_width` pixels each; zoom and legend survive updates."""
    data = {"figures": list(figures), "min_width": min_width, "plotly": assets.plotly()}
    _component("charts")(key=key, data=data)


def status(items: Sequence[dict[str, str]], *, key: str) -> None:
    """The status line: `value` over `label`, optionally with a dot of a `colour`."""
    _component("status")(key=key, data={"items": list(items)})


def run_list(runs: Sequence[dict[str, Any]], *, key: str) -> dict[str, Any] | None:
    """The sidebar's runs; what was clicked: kind (select, play, pause, remove) and id of the run, or None."""
    return _component("runs")(key=key, data={"runs": list(runs)}, on_action_change=_ignore).action


def loop(parts: Sequence[dict[str, Any]], *, live: bool, key: str) -> str | None:
    """The DDPG loop; the page whose box was clicked, or None."""
    return _component("loop")(key=key, data={"parts": list(parts), "live": live}, on_page_change=_ignore).page


def film(clip: dict[str, Any], settings: dict[str, Any], *, live: bool, key: str) -> None:
    """The film of an episode (see `pages.ui.clips`); `live` goes on to the newest clip when one has played."""
    _component("film")(key=key, data={"clip": clip, "film": settings, "live": live})


def dismiss_page_not_found() -> None:
    """Close the "Page not found" box: until the first `st.navigation` Streamlit takes pages/ for its own."""
    _component("dismiss")(key="dismiss")


def _ignore() -> None:
    """A component's trigger is read from its result; Streamlit wants a callback to exist."""
