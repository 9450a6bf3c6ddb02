"""The Compare page's figures: learning curves with their bands, and the grid of runs that fills."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ddpg_core.conditions import Comparison, Condition
from ddpg_core.environment import ENVIRONMENTS, Array
from ddpg_core.experiment import Results
from ddpg_core.summary import mean_return
from pages.ui.charts import return_chart
from pages.ui.curves import Curve
from pages.ui.live import Figure, packed
from pages.ui.theme import RUN_COLOURS, VALUES, layout, minus

TOGETHER: Final = len(RUN_COLOURS)
"""So many conditions share one chart; more have one each, beside the first."""
SMALL_PX: Final = 190
_ROW_PX: Final = 27
_LONGEST: Final = 26
_FIRST_COLOUR: Final = "#8a8f9c"


def colour_of(place: int, count: int) -> str:
    """The colour of a condition: its own where all share a chart; where each has one, the first is grey."""
    if count <= TOGETHER:
        return RUN_COLOURS[place]
    return RUN_COLOURS[0] if place else _FIRST_COLOUR


def curve_charts(comparison: Comparison, summaries: Sequence[dict[str, Any]]) -> list[Figure]:
    """Learning curves: the interquartile mean over the seeds, in a band that is its 95 % bootstrap interval.

    Args:
        comparison: What is compared.
        summaries: Of each condition, as `summarise` gives them; none before there are any.
    """
    curves = [each.get("curve") for each in summaries] or [None] * len(comparison.conditions)
    if len(curves) <= TOGETHER:
        figure = _axes(comparison, curves)
        for place, curve in enumerate(curves):
            figure["data"] += _traces(comparison.conditions[place], place, curve, RUN_COLOURS[place])
        return [figure]
    first, *others = curves
    return [_beside(comparison, curves, first, place, curve) for place, curve in enumerate(others, 1)]


def _beside(comparison: Comparison, curves: Sequence[Any], first: Any, place: int, curve: Any) -> Figure:
    """One condition and the first, on axes that all these charts share."""
    figure, conditions = _axes(comparison, curves), comparison.conditions
    figure["data"] += _traces(conditions[0], 0, first, _FIRST_COLOUR)
    figure["data"] += _traces(conditions[place], place, curve, RUN_COLOURS[0])
    title = {"text": html.escape(shortened(conditions[place].name, 40)), "font": {"size": 13}}
    details = figure["layout"]
    details |= {"height": SMALL_PX, "showlegend": False, "annotations": []}
    details["title"] = details["title"] | title
    details["margin"] = details["margin"] | {"t": 32, "b": 34, "l": 50, "r": 8}
    details["yaxis"] = details["yaxis"] | {"title": {"text": "return", "standoff": 2}, "nticks": 4}
    return figure


def _axes(comparison: Comparison, curves: Sequence[Any]) -> Figure:
    """A return chart without traces, as long as the training, with what changes on the way marked."""
    lows = [float(min(curve["low"])) for curve in curves if curve]
    blank = [
        Curve(place, "", "", np.array([min(lows)] if lows else []), 0, {}, {}, np.empty(0), [], condition.config)
        for place, condition in enumerate(comparison.conditions)
    ]
    figure = return_chart(blank)
    details = figure["layout"]
    details["xaxis"] |= {"range": [0, comparison.episodes + 1], "tickformat": "d"}
    if comparison.episodes < 10:
        details["xaxis"]["dtick"] = 1
    details["yaxis"]["title"] = {"text": "return while learning", "standoff": 8}
    changes = {item.episode for condition in comparison.conditions for item in condition.changes if item.episode}
    for episode in sorted(changes):
        line = {"color": _FIRST_COLOUR, "width": 1.5, "dash": "dot"}
        details.setdefault("shapes", []).append(
            {"type": "line", "yref": "paper", "x0": episode + 0.5, "x1": episode + 0.5, "y0": 0, "y1": 1, "line": line}
        )
    return {"data": [], "layout": details}


def _traces(condition: Condition, place: int, curve: Any, colour: str) -> list[Figure]:
    """Band and line of one condition; their uid stays as runs come."""
    if not curve:
        return []
    numbers = np.arange(1, len(curve["iqm"]) + 1)
    shared = {"type": "scatter", "mode": "lines", "legendgroup": str(place), "name": html.escape(condition.name)}
    outline = [*curve["high"], *reversed(curve["low"])]
    band = {
        "uid": f"{place}-band",
        "x": packed(np.concatenate([numbers, numbers[::-1]])),
        "y": packed(np.array(outline)),
        "fill": "toself",
        "fillcolor": _tint(colour),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    line = {
        "uid": f"{place}-iqm",
        "x": packed(numbers),
        "y": packed(np.array(curve["iqm"])),
        "line": {"color": colour, "width": 3},
        "hovertemplate": "episode %{x}: %{y:.0f}",
    }
    return [shared | band, shared | line]


def _tint(colour: str, opacity: float = 0.18) -> str:
    red, green, blue = (int(colour[first : first + 2], 16) for first in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def grid_chart(
    comparison: Comparison, results: Results, episodes: dict[tuple[str, int], int], chosen: tuple[str, int] | None
) -> Figure:
    """A cell a run, a row a condition and a column a seed, coloured with the return after training.

    Args:
        comparison: What is compared.
        results: Of the cells that are finished.
        episodes: How many the others have finished.
        chosen: The cell to be framed.
    """
    names, seeds = [condition.name for condition in comparison.conditions], comparison.seeds
    values = np.full((len(names), len(seeds)), np.nan)
    notes = []
    for row, name in enumerate(names):
        for column, seed in enumerate(seeds):
            result = results.get((name, seed))
            if result:
                values[row, column] = mean_return(result, comparison.episodes)
            elif (name, seed) in episodes:
                notes.append(_note(column, row, f"ep. {episodes[name, seed]}"))
    details = layout(
        "",
        "seed",
        "",
        height=_ROW_PX * len(names) + 60,
        hovermode="closest",
        margin={"l": 8, "r": 10, "t": 8, "b": 40},
        xaxis={"tickvals": list(range(len(seeds))), "ticktext": [str(seed) for seed in seeds], "showgrid": False},
        yaxis={
            "tickvals": list(range(len(names))),
            "ticktext": [html.escape(shortened(name)) for name in names],
            "range": [len(names) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "fixedrange": True,
        },
        annotations=notes,
        shapes=_frame(names, seeds, chosen),
    )
    details["xaxis"] |= {"range": [-0.5, len(seeds) - 0.5], "fixedrange": True}
    return {"data": [_heat(values, names, _bounds(comparison))], "layout": details}


def _heat(values: Array, names: Sequence[str], bounds: tuple[float, float]) -> Figure:
    words = [["" if np.isnan(value) else minus(f"{value:.0f}") for value in row] for row in values]
    hints = [[html.escape(name)] * values.shape[1] for name in names]
    return {
        "type": "heatmap",
        "z": {**packed(values), "shape": f"{values.shape[0]}, {values.shape[1]}"},
        "text": words,
        "texttemplate": "%{text}",
        "customdata": hints,
        "hovertemplate": "%{customdata}<br>return %{text}: click, then open it<extra></extra>",
        "hoverongaps": False,
        "zmin": bounds[0],
        "zmax": bounds[1],
        "colorscale": VALUES,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }


def _bounds(comparison: Comparison) -> tuple[float, float]:
    ranges = [ENVIRONMENTS[condition.config.env_id].return_range for condition in comparison.conditions]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _note(column: int, row: int, text: str) -> Figure:
    return {"x": column, "y": row, "text": text, "showarrow": False}


def _frame(names: Sequence[str], seeds: Sequence[int], chosen: tuple[str, int] | None) -> list[Figure]:
    if chosen is None or chosen[0] not in names or chosen[1] not in seeds:
        return []
    column, row = seeds.index(chosen[1]), names.index(chosen[0])
    place = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    return [{"type": "rect", **place, "line": {"color": RUN_COLOURS[1], "width": 2.5}}]


def shortened(text: str, longest: int = _LONGEST) -> str:
    """`text`, cut to a length where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
