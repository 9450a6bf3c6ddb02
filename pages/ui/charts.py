"""Arrays to charts: plain data in Plotly's schema. Every time axis counts episodes and carries the interventions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import ENVIRONMENTS, Array, reference_returns
from ddpg_core.metrics import moving_average
from pages.ui.curves import Curve
from pages.ui.live import Figure, packed
from pages.ui.theme import HERO_HEIGHT_PX, ROLES, grown, layout, minus

FIRST_TIME_SHOWN: Final = 40
"""Episodes that a time axis shows from the start."""


def return_chart(curves: Sequence[Curve], cursor: int | None = None) -> Figure:
    """Returns of all runs: episodes as points, their 10-episode mean as a line, references and interventions.

    What came after the episode at the `cursor` is shaded.
    """
    configs = [curve.config for curve in curves] or [Config()]
    ranges = [ENVIRONMENTS[config.env_id].return_range for config in configs]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    lowest = min((float(curve.returns.min()) for curve in curves if len(curve.returns)), default=low)
    details = layout(
        "",
        "episode",
        "return of an episode",
        height=HERO_HEIGHT_PX,
        xaxis={"range": [0, max(map(_time_shown, curves), default=FIRST_TIME_SHOWN)]},
        yaxis={"range": [min(low, -grown(-lowest, (high - low) / 8)), high]},
        margin={"t": 44},
        showlegend=True,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "font": {"size": 13}},
    )
    references = {reference_returns(config) for config in configs}
    if len(references) == 1 and (levels := references.pop()):
        _reference(details, levels[1], minus(f"near-optimal policy {levels[1]:.0f}"))
        _reference(details, levels[0], minus(f"random actions {levels[0]:.0f}"))
    for curve in curves:
        _mark(details, curve, with_text=True)
    _shade(details, curves, cursor)
    return {"data": [trace for curve in curves for trace in _return_traces(curve)], "layout": details}


def _return_traces(curve: Curve) -> list[Figure]:
    """Points and mean line of one run; their uid and legend group stay with the run when others come and go."""
    numbers = curve.first_episode + 1 + np.arange(len(curve.returns))
    every = 1 + len(numbers) // 1000
    shared = {"type": "scatter", "legendgroup": str(curve.id), "name": curve.label, "x": packed(numbers[::every])}
    points = {
        "uid": f"{curve.id}-points",
        "y": packed(curve.returns[::every]),
        "mode": "markers",
        "marker": {"color": curve.colour, "size": 6, "opacity": 0.7},
        "showlegend": False,
        "hovertemplate": "%{y:.0f}",
    }
    mean = {
        "uid": f"{curve.id}-mean",
        "y": packed(moving_average(curve.returns, 10)[::every]),
        "mode": "lines",
        "line": {"color": curve.colour, "width": 3.5},
        "hovertemplate": "mean %{y:.0f}",
    }
    return [shared | points, shared | mean]


def _time_shown(curve: Curve) -> float:
    """Where the time axis of a run ends, in episodes: it grows in steps."""
    return grown(max(curve.first_episode + len(curve.returns) + 1, FIRST_TIME_SHOWN), 20)


class Line(NamedTuple):
    """One line of a panel: a column of the update or the episode log, in the colour of its role."""

    column: str
    role: str
    name: str


class Panel(NamedTuple):
    """One of the small charts of what goes on inside a run; `axis` refines its y axis."""

    title: str
    y_title: str
    lines: tuple[Line, ...]
    axis: Mapping[str, Any] = {}


_LOG_AXIS: Final = {"type": "log", "exponentformat": "power", "nticks": 5}
_FROM_ZERO: Final = {"rangemode": "tozero"}
PANELS: Final = (
    Panel("Critic loss", "(y − Q)² + λ·½Σw²", (Line("critic_loss", "critic", "critic loss"),), _LOG_AXIS),
    Panel("Actor loss", "−Q(s, μ(s)) + λ·½Σw²", (Line("actor_loss", "actor", "actor loss"),)),
    Panel(
        "Q against realised return",
        "discounted return",
        (
            Line("q_mean", "critic_target", "mean Q"),
            Line("first_q", "critic", "Q at start"),
            Line("discounted_return", "environment", "realised Σγᵗr"),
        ),
    ),
    Panel(
        "Mean Q and its target",
        "Q",
        (Line("q_mean", "critic", "Q of the batch"), Line("target_mean", "critic_target", "target y")),
    ),
    Panel("TD error", "mean |y − Q|", (Line("td_error_abs", "critic", "mean |TD error|"),), _FROM_ZERO),
    Panel(
        "Gradient norms",
        "‖∇‖",
        (Line("critic_grad_norm", "critic", "critic"), Line("actor_grad_norm", "actor", "actor")),
        _LOG_AXIS,
    ),
    Panel("Noise scale", "× range of the noise", (Line("noise_scale", "noise", "noise scale"),), _FROM_ZERO),
    Panel(
        "Actor saturation",
        "share of the batch",
        (Line("saturation", "actor", "outputs beyond ±0.99"),),
        {"range": [0, 1], "tickformat": ".0%"},
    ),
)


def inside_charts(curve: Curve, cursor: int | None = None) -> list[Figure]:
    """What goes on inside one run, a chart a panel: of updates as they were made, of episodes at their end."""
    return [_small(panel, curve, cursor) for panel in PANELS]


def _small(panel: Panel, curve: Curve, cursor: int | None) -> Figure:
    details = layout(
        panel.title, "episode", panel.y_title, xaxis={"range": [0, _time_shown(curve)]}, yaxis=dict(panel.axis)
    )
    if len(panel.lines) > 1:
        details["showlegend"] = True
        details["legend"] = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 11}}
        details["margin"] = details["margin"] | {"t": 56}
        details["height"] += 16
    _mark(details, curve, with_text=False)
    _shade(details, [curve], cursor)
    ends = curve.first_episode + 1 + np.arange(len(curve.returns))
    data = []
    for column, role, name in panel.lines:
        if column in curve.episodes:
            data.append(_line(ends, curve.episodes[column], role, name))
        else:
            data.append(_line(curve.update_times, curve.updates.get(column, curve.update_times), role, name))
    return {"data": data, "layout": details}


def _line(x: Array, y: Array, role: str, name: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x),
        "y": packed(y),
        "name": name,
        "line": {"color": ROLES[role], "width": 2},
        "hovertemplate": "%{y:.4g}",
    }


def _reference(details: dict[str, Any], level: float, text: str) -> None:
    line = {"color": ROLES["reference"], "width": 1.5, "dash": "dash"}
    details.setdefault("shapes", []).append(
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level, "line": line}
    )
    details.setdefault("annotations", []).append(
        {"xref": "paper", "x": 0.995, "xanchor": "right", "y": level, "yanchor": "bottom", "text": text}
        | {"showarrow": False}
    )


def _shade(details: dict[str, Any], curves: Sequence[Curve], cursor: int | None) -> None:
    """A line at the cursor, and a shade over what came later."""
    if cursor is None:
        return
    end = max(cursor, *(curve.first_episode + len(curve.returns) + 1 for curve in curves), 0)
    band = {"yref": "paper", "x0": cursor, "y0": 0, "y1": 1}
    details.setdefault("shapes", []).extend(
        [
            band | {"type": "rect", "x1": end, "fillcolor": ROLES["reference"], "opacity": 0.3, "line": {"width": 0}},
            band | {"type": "line", "x1": cursor, "line": {"color": ROLES["reference"], "width": 2.5}},
        ]
    )


def _mark(details: dict[str, Any], curve: Curve, *, with_text: bool) -> None:
    """Add the run's interventions to a time axis: a dotted line in the run's colour, in words on the large chart."""
    for number, (when, text) in enumerate(curve.marks):
        line = {"color": curve.colour, "width": 1.5, "dash": "dot"}
        details.setdefault("shapes", []).append(
            {"type": "line", "yref": "paper", "x0": when, "x1": when, "y0": 0, "y1": 1, "line": line}
        )
        if with_text and number >= len(curve.marks) - 6:
            details.setdefault("annotations", []).append(
                {"yref": "paper", "x": when, "y": 0.02 + 0.06 * (number % 6), "text": text, "showarrow": False}
                | {"xanchor": "left", "xshift": 3, "yanchor": "bottom", "font": {"size": 11}}
            )
