"""What the figures of one update are put together from: round axes, points of a batch, a chosen row's ring, pushes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.microscope import UpdateView
from pages.ui.live import Figure, packed
from pages.ui.microscope import along
from pages.ui.theme import ROLES, layout, nice

STEP_HEIGHT_PX: Final = 330
DRAWN: Final = 300
"""Rows of a batch that a figure draws at most, evenly thinned; the chosen one always."""
LEGEND: Final = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 11}}


def chart(data: list[Figure], title: str, x_title: str, y_title: str, **details: Any) -> Figure:
    """A figure of a sub-step; with a legend, that stands in a line of its own under the title."""
    named = {"showlegend": True, "legend": LEGEND, "margin": {"t": 62}} if details.pop("named", False) else {}
    shared = {"height": STEP_HEIGHT_PX, "hovermode": "closest", **named}
    return {"data": data, "layout": layout(title, x_title, y_title, **shared, **details)}


# --- axes -------------------------------------------------------------------------------------------------------------


def span(*values: Array) -> list[float]:
    """An axis from and to round numbers that holds all finite `values`."""
    known = np.concatenate([np.ravel(part) for part in values]).astype(np.float64)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    step = nice((high - low) / 5 if high > low else abs(high))
    return [float(step * np.floor(low / step)), float(step * max(np.ceil(high / step), np.floor(low / step) + 1))]


def reach(values: Array) -> list[float]:
    """An axis around zero that holds all finite `values`, with room at both ends."""
    known = np.abs(values[np.isfinite(values)])
    end = nice(1.05 * float(known.max()) if known.size else 1.0)
    return [-end, end]


# --- traces -----------------------------------------------------------------------------------------------------------


def thinning(view: UpdateView) -> int:
    """Of how many rows of the batch one is drawn."""
    return 1 + (len(view.rows) - 1) // DRAWN


def drawn(view: UpdateView, row: int) -> Array:
    """The rows of the batch that are drawn, in order [≤ DRAWN + 1]."""
    return np.union1d(np.arange(0, len(view.rows), thinning(view)), [row])


def points(x: Array, y: Array, rows: Array, hover: str, marker: dict[str, Any], name: str = "") -> Figure:
    """A point for each of these rows of the batch; x and y are those of all rows [B]."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": packed(x[rows]),
        "y": packed(y[rows]),
        "customdata": rows.tolist(),
        "marker": {"size": 7, **marker},
        "hovertemplate": f"{hover}<extra></extra>",
        "cliponaxis": False,
        "showlegend": bool(name),
    }


def ring(x: Array, y: Array, row: int, role: str) -> Figure:
    """A ring around the chosen row's point."""
    marker = {"symbol": "circle-open", "size": 17, "line": {"width": 3}, "color": ROLES[role]}
    return points(x, y, np.array([row]), "the chosen row", marker) | {"hoverinfo": "skip", "hovertemplate": None}


def diagonal(ends: list[float]) -> Figure:
    """The line on which y equals x."""
    line = {"color": ROLES["reference"], "width": 1.5, "dash": "dash"}
    return {"type": "scatter", "mode": "lines", "x": ends, "y": ends, "line": line} | {
        "hoverinfo": "skip",
        "showlegend": False,
    }


def bars(x: list[str], heights: Array, text: list[str], marker: dict[str, Any], name: str = "") -> Figure:
    """Bars with what they stand for written at their ends."""
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": packed(heights),
        "text": text,
        "textposition": "outside",
        "cliponaxis": False,
        "marker": marker,
        "hoverinfo": "skip",
    }


def pushed(
    view: UpdateView, push: Array, move: Array, row: int, words: tuple[str, str, str], axes: tuple[str, str]
) -> Figure:
    """How each row of the batch moved against how it was pushed: shaded where the two agree.

    Args:
        view: The update.
        push, move: A number a row [B].
        row: The ringed one.
        words: Role, and what it is to move with and against the push.
        axes: Names of push and move.
    """
    (role, with_it, against), rows = words, drawn(view, row)
    agrees = (np.sign(push) * np.sign(move) > 0)[rows]
    hover = "push %{x:.3g}, move %{y:.3g}"
    x, y = reach(push), reach(move)
    quarter = {"type": "rect", "x0": 0, "y0": 0, "layer": "below", "line": {"width": 0}}
    quarter |= {"fillcolor": ROLES[role], "opacity": 0.1}
    corner = {"xref": "paper", "yref": "paper", "x": 0.98, "showarrow": False, "xanchor": "right"}
    moved, other, _ = along(push, move)
    return chart(
        [
            points(push, move, rows[agrees], hover, {"color": ROLES[role]}),
            points(push, move, rows[~agrees], hover, {"color": ROLES["reference"], "symbol": "x-thin-open"}),
            ring(push, move, row, role),
        ],
        f"{moved:,} moved {with_it}, {other:,} {against}",
        *axes,
        xaxis={"range": x, "zeroline": True},
        yaxis={"range": y, "zeroline": True},
        shapes=[quarter | {"x1": x[end], "y1": y[end]} for end in (0, 1)],
        annotations=[
            {**corner, "y": 0.98, "yanchor": "top", "text": with_it},
            {**corner, "y": 0.02, "yanchor": "bottom", "text": against},
        ],
    )
