"""Arrays to charts: plain data in Plotly's schema. Every time axis counts episodes and carries the interventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import ENVIRONMENTS, Array, reference_returns
from ddpg_core.metrics import moving_average
from pages.ui.curves import Curve
from pages.ui.live import Figure, packed
from pages.ui.theme import HERO_HEIGHT_PX, ROLES, grown, layout, minus

FIRST_TIME_SHOWN: Final = 40
"""Episodes that a time axis shows from the start."""


def return_chart(curves: Sequence[Curve]) -> Figure:
    """Returns of all runs: episodes as points, their 10-episode mean as a line, references and interventions."""
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
        "marker": {"color": curve.colour, "size": 6, "opacity": 0.5},
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


def inside_charts(curve: Curve) -> list[Figure]:
    """What goes on inside one run: losses, Q against realised return, TD error, gradients, noise, saturation."""
    updates, times = curve.updates, curve.update_times
    ends = curve.first_episode + 1 + np.arange(len(curve.returns))
    episodes = curve.episodes

    def of_updates(column: str, role: str, name: str) -> Figure:
        return _line(times, updates.get(column, times), role, name)

    def of_episodes(column: str, role: str, name: str) -> Figure:
        return _line(ends, episodes[column], role, name)

    charts: list[tuple[str, str, list[Figure], dict[str, Any]]] = [
        (
            "Critic loss",
            "(y − Q)² + λ·½Σw²",
            [of_updates("critic_loss", "critic", "critic loss")],
            {"yaxis": {"type": "log", "exponentformat": "power", "nticks": 5}},
        ),
        (
            "Actor loss",
            "−Q(s, μ(s)) + λ·½Σw²",
            [of_updates("actor_loss", "actor", "actor loss")],
            {},
        ),
        (
            "Q against realised return",
            "discounted return",
            [
                of_updates("q_mean", "critic_target", "mean Q"),
                of_episodes("first_q", "critic", "Q at start"),
                of_episodes("discounted_return", "environment", "realised Σγᵗr"),
            ],
            {},
        ),
        (
            "Mean Q and its target",
            "Q",
            [
                of_updates("q_mean", "critic", "Q of the batch"),
                of_updates("target_mean", "critic_target", "target y"),
            ],
            {},
        ),
        (
            "TD error",
            "mean |y − Q|",
            [of_updates("td_error_abs", "critic", "mean |TD error|")],
            {"yaxis": {"rangemode": "tozero"}},
        ),
        (
            "Gradient norms",
            "‖∇‖",
            [
                of_updates("critic_grad_norm", "critic", "critic"),
                of_updates("actor_grad_norm", "actor", "actor"),
            ],
            {"yaxis": {"type": "log", "exponentformat": "power", "nticks": 5}},
        ),
        (
            "Noise scale",
            "× range of the noise",
            [of_episodes("noise_scale", "noise", "noise scale")],
            {"yaxis": {"rangemode": "tozero"}},
        ),
        (
            "Actor saturation",
            "share of the batch",
            [of_updates("saturation", "actor", "outputs beyond ±0.99")],
            {"yaxis": {"range": [0, 1], "tickformat": ".0%"}},
        ),
    ]
    return [_small(title, y_title, data, details, curve) for title, y_title, data, details in charts]


def _small(title: str, y_title: str, data: list[Figure], details: dict[str, Any], curve: Curve) -> Figure:
    figure_layout = layout(title, "episode", y_title, xaxis={"range": [0, _time_shown(curve)]}, **details)
    if len(data) > 1:
        figure_layout["showlegend"] = True
        figure_layout["legend"] = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"}
        figure_layout["legend"]["font"] = {"size": 11}
    _mark(figure_layout, curve, with_text=False)
    return {"data": data, "layout": figure_layout}


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
