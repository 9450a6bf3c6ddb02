"""Our browser components: live charts, the film, the loop, the list of runs, the status line."""

from __future__ import annotations

import base64
import functools
import math
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


def charts(figures: Sequence[Figure], *, key: str, min_width: int = 300, clicks: bool = False) -> dict[str, Any] | None:
    """A grid of live charts, as many columns as fit at `min_width` pixels each; zoom, camera and legend stay.

    Returns:
        With `clicks`, the point just clicked: chart (its place in `figures`), x, y, trace, point and data (its
        customdata); otherwise None.
    """
    data = {"figures": list(figures), "min_width": min_width, "plotly": assets.plotly(), "name": key, "clicks": clicks}
    data["presenter"] = st.session_state.get("presenter", False)
    return _component("charts")(key=key, data=data, on_click_change=_ignore).click


def status(items: Sequence[dict[str, str]], *, key: str) -> None:
    """The status line: `value` over `label`, optionally with a dot of a `colour`."""
    _component("status")(key=key, data={"items": list(items)})


def run_list(runs: Sequence[dict[str, Any]], *, key: str) -> dict[str, Any] | None:
    """The sidebar's runs; what was clicked: kind (select, play, pause, remove) and id of the run, or None."""
    return _component("runs")(key=key, data={"runs": list(runs)}, on_action_change=_ignore).action


def cursor(data: dict[str, Any], *, key: str) -> dict[str, Any] | None:
    """The time machine: what was asked for, kind (move, branch) and episode (None: live), or None.

    `data` holds first, last (the episodes to choose from) and episode (shown now, None: live).
    """
    return _component("cursor")(key=key, data=data, on_action_change=_ignore).action


def loop(parts: Sequence[dict[str, Any]], *, live: bool, key: str) -> str | None:
    """The DDPG loop; the part whose box was clicked, or None."""
    return _component("loop")(key=key, data={"parts": list(parts), "live": live}, on_part_change=_ignore).part


def film(
    clips: dict[str, Any] | Sequence[dict[str, Any]],
    settings: dict[str, Any],
    *,
    live: bool,
    pace: float | None = None,
    key: str,
) -> None:
    """The film of one episode, or of two of the same environment on one clock (see `pages.ui.clips`).

    Args:
        clips: What `clip_of` gave, or a list of one or two.
        settings: What `film_settings` gave for their environment.
        live: Go on to the newest clips when these have played.
        pace: Steps a second of a run that the film follows while live; None plays at the environment's own pace.
        key: The component's key.

    Raises:
        ValueError: Neither one nor two clips, or two of different environments.
    """
    first, *beside = [clips] if isinstance(clips, dict) else clips or [{}]
    if not first or len(beside) > 1:
        raise ValueError(f"clips must be one or two, got {len(clips)}")
    if any(clip["env_id"] != first["env_id"] for clip in beside):
        raise ValueError(f"clips must be of one environment, got {first['env_id']} and {beside[0]['env_id']}")
    data = {"clip": first, "beside": beside, "film": settings, "live": live, "pace": pace}
    _component("film")(key=key, data=data)


def drive(data: dict[str, Any], *, key: str) -> float | None:
    """The pendulum in the reader's hands (see `pages.ui.drive`); the return of a drive just ended, or None."""
    total = _component("drive")(key=key, data=data, on_total_change=_ignore).total
    return float(total) if isinstance(total, int | float) and math.isfinite(total) else None


def usher(page: str, *, first_visit: bool) -> None:
    """Open the way to `page`: close a phone's sidebar, and on a server's first visit the "Page not found" box.

    Until the first `st.navigation` Streamlit takes pages/ for its own.
    """
    _component("usher")(key="usher", data={"page": page, "first_visit": first_visit})


def _ignore() -> None:
    """A component's trigger is read from its result; Streamlit wants a callback to exist."""
