"""The stream of updates that the page One update picks one from: the newest of them, as they are made."""

from __future__ import annotations

from typing import Final

import numpy as np

from ddpg_core.environment import Array
from pages.ui import live
from pages.ui.lab import Lab
from pages.ui.live import Figure, packed
from pages.ui.player import Player
from pages.ui.theme import ROLES, grown, layout, nice

SHOWN: Final = 1_200
"""Updates that the chart holds."""
_HEIGHT_PX: Final = 150
_STEP: Final = SHOWN // 3
"""Updates by which the time axis moves on at a time."""


def stream_chart(errors: Array, first: int, looked_at: int | None) -> Figure:
    """Mean |δ| of updates `first`, `first` + 1, … [N], with a line at the one that is looked at."""
    numbers = first + 1 + np.arange(len(errors))
    end = max(int(grown(first + len(errors), _STEP)), SHOWN)
    shapes: list[Figure] = []
    if looked_at is not None and end - SHOWN <= looked_at + 1 <= end:
        line = {"color": ROLES["reference"], "width": 2}
        place = {"yref": "paper", "x0": looked_at + 1, "x1": looked_at + 1, "y0": 0, "y1": 1}
        shapes = [place | {"type": "line", "line": line}]
    finite = errors[np.isfinite(errors)]
    details = layout(
        "Surprise of the newest updates; the line is the one above",
        "update",
        "mean |δ|",
        height=_HEIGHT_PX,
        xaxis={"range": [end - SHOWN, end], "tickformat": ",d"},
        yaxis={"range": [0, nice(float(finite.max())) if len(finite) else 1], "nticks": 3},
        shapes=shapes,
    )
    trace = {
        "type": "scatter",
        "mode": "lines",
        "x": packed(numbers),
        "y": packed(errors),
        "line": {"color": ROLES["critic"], "width": 1.5},
        "hovertemplate": "%{y:.4g}",
    }
    return {"data": [trace], "layout": details}


def draw_stream(lab: Lab, player: Player, looked_at: int | None) -> None:
    """The newest updates, or the newest ones at the cursor."""
    with lab.reading():
        table = player.run.logs.updates
        end = table.total if lab.cursor is None else lab.moment(player).updates  # a moment copies all weights
        first = min(max(end - SHOWN, table.first), end)
        errors = table.read("td_error_abs", first, end)
    live.charts([stream_chart(errors, first, looked_at)], key="update-stream")
