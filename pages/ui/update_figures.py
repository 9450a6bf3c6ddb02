"""What each sub-step of an update did to its batch, as two figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ddpg_core.environment import Array, pendulum_angles
from ddpg_core.microscope import UpdateView
from pages.ui.live import Figure, packed
from pages.ui.maps import state_layout
from pages.ui.microscope import CAR_AXES, is_pendulum, number
from pages.ui.theme import ROLES, VALUES, nice
from pages.ui.update_parts import (
    STEP_HEIGHT_PX,
    bars,
    chart,
    diagonal,
    drawn,
    points,
    pushed,
    ring,
    span,
)

_BINS: Final = 30


def step_figures(name: str, view: UpdateView, row: int) -> list[Figure]:
    """The two figures that show what a sub-step did; `row` is the row of the batch that is ringed.

    Points of rows carry the row's number as customdata.
    """
    return _FIGURES[name](view, row)


# --- sample -----------------------------------------------------------------------------------------------------------


def _sample(view: UpdateView, row: int) -> list[Figure]:
    return [_where(view, row), _when(view)]


def _where(view: UpdateView, row: int) -> Figure:
    """The states in which the batch's transitions began, coloured by their rewards."""
    x, y, axes = _states(view)
    rows = drawn(view, row)
    low, high = span(view.reward)
    marker = {
        "color": packed(view.reward[rows]),
        "colorscale": VALUES,
        "cmin": low,
        "cmax": high,
        "colorbar": {"title": {"text": "reward r", "side": "right"}, "thickness": 10, "outlinewidth": 0},
    }
    data = [points(x, y, rows, "reward %{marker.color:.3g}", marker), ring(x, y, row, "replay")]
    return chart(data, "Where they began", **axes)


def _states(view: UpdateView) -> tuple[Array, Array, dict[str, Any]]:
    """The two coordinates of each state [B], [B], and titles and ranges of their axes."""
    if is_pendulum(view):
        x, y, base = pendulum_angles(view.obs), view.obs[:, 2], state_layout("", STEP_HEIGHT_PX)
        axes = {name: base[name] for name in ("xaxis", "yaxis")}
        return x, y, {"x_title": base["xaxis"]["title"]["text"], "y_title": base["yaxis"]["title"]["text"], **axes}
    (x_title, x_range), (y_title, y_range) = CAR_AXES
    axes = {"xaxis": {"range": list(x_range)}, "yaxis": {"range": list(y_range)}}
    return view.obs[:, 0], view.obs[:, 1], {"x_title": x_title, "y_title": y_title, **axes}


def _when(view: UpdateView) -> Figure:
    """From which env steps of the replay window the batch was drawn."""
    newest, window = view.env_step + 1, view.settings.replay_window
    counts, edges = np.histogram(view.rows, _BINS, (newest - window, newest))
    columns = {
        "type": "bar",
        "x": packed((edges[1:] + edges[:-1]) / 2),
        "y": packed(counts),
        "width": window / _BINS,
        "marker": {"color": ROLES["replay"]},
        "hovertemplate": "%{y} from around env step %{x:.0f}<extra></extra>",
    }
    axes = {"xaxis": {"range": [newest - window, newest]}, "yaxis": {"range": [0, nice(float(counts.max()))]}}
    return chart([columns], "When they happened", "env step", "transitions drawn", bargap=0, **axes)


# --- targets ----------------------------------------------------------------------------------------------------------


def _targets(view: UpdateView, row: int) -> list[Figure]:
    ahead = view.settings.gamma * (1 - view.terminal) * view.next_q
    ends, tint = span(ahead, view.target), {"color": ROLES["critic_target"]}
    data = [
        diagonal(ends),
        points(ahead, view.target, drawn(view, row), "γQ′ %{x:.4g}, y %{y:.4g}", tint),
        ring(ahead, view.target, row, "critic"),
    ]
    axes = {"xaxis": {"range": ends}, "yaxis": {"range": ends}}
    below = chart(data, "Off the line by the reward", "γ·(1 − d)·Q′(s′, μ′(s′))", "target y", **axes)
    parts = np.array([view.reward[row], ahead[row], view.target[row], view.q[row]], np.float64)
    colours = {"color": [ROLES[role] for role in ("environment", "critic_target", "reference", "critic")]}
    names = ["r", "γ(1 − d)Q′", "target y", "Q so far"]
    sums = bars(names, parts, [number(float(part)) for part in parts], colours)
    room = {"range": span(1.15 * parts, np.zeros(1)), "zeroline": True}
    return [below, chart([sums], "The chosen row: r + γ(1 − d)Q′ = y", "", "value", yaxis=room)]


# --- critic -----------------------------------------------------------------------------------------------------------


def _critic(view: UpdateView, row: int) -> list[Figure]:
    ends, rows = span(view.target, view.q, view.q_after), drawn(view, row)
    open_circle = {"color": ROLES["critic_target"], "symbol": "circle-open", "size": 9}
    data = [
        diagonal(ends),
        points(view.target, view.q, rows, "y %{x:.4g}, Q before %{y:.4g}", open_circle, "before"),
        points(
            view.target,
            view.q_after,
            rows,
            "y %{x:.4g}, Q after %{y:.4g}",
            {"color": ROLES["critic"], "size": 5},
            "after",
        ),
        ring(view.target, view.q_after, row, "critic"),
    ]
    axes = {"xaxis": {"range": ends}, "yaxis": {"range": ends}}
    values = chart(data, "Q(s, a) against its target", "target y", "Q(s, a)", named=True, **axes)
    words = ("critic", "towards y", "away from y")
    moves = ("TD error δ = y − Q(s, a)", "change of Q(s, a)")
    return [values, pushed(view, view.td_error, view.q_after - view.q, row, words, moves)]


# --- actor ------------------------------------------------------------------------------------------------------------


def _actor(view: UpdateView, row: int) -> list[Figure]:
    move = view.policy_action_after[:, 0] - view.policy_action[:, 0]
    slope = view.action_gradient[:, 0]
    words = ("actor", "uphill", "downhill")
    axes = ("slope ∂Q/∂a at μ(s)", "change of the action μ(s)")
    return [_arrows(view, slope, move, row), pushed(view, slope, move, row, words, axes)]


def _arrows(view: UpdateView, slope: Array, move: Array, row: int) -> Figure:
    """The policy's action in each state and, enlarged to be seen, where the actor's step moved it."""
    scale, before, rows = float(view.settings.action_scale[0]), view.policy_action[:, 0], drawn(view, row)
    known = np.abs(move[np.isfinite(move)])
    large = float(np.quantile(known, 0.9)) if known.size else 0.0
    times = max(nice(0.12 * scale / large), 1.0) if large else 1.0
    x, _, axes = _states(view)
    still = np.abs(times * move) < 0.03 * scale
    uphill = slope * move > 0
    dot = {"color": ROLES["reference"], "size": 4, "opacity": 0.6}
    data = [
        _moved(x, before, times * move, rows[(~still & uphill)[rows]], "actor", "uphill"),
        _moved(x, before, times * move, rows[(~still & ~uphill)[rows]], "reference", "downhill"),
        points(x, before, rows[still[rows]], "μ(s) %{y:.3g}, hardly moved", dot),
        ring(x, before, row, "actor"),
    ]
    title = "Moves of the actions" + (f", {times:g} times as far" if times > 1 else "")
    room = {"range": [-1.25 * scale, 1.25 * scale]}
    return chart(data, title, axes["x_title"], "action μ(s)", named=True, xaxis=axes["xaxis"], yaxis=room)


def _moved(x: Array, before: Array, move: Array, rows: Array, role: str, name: str) -> Figure:
    """An arrow for each of these rows from `before` to `before + move`."""
    ends = np.stack([before[rows], before[rows] + move[rows], np.full(len(rows), np.nan)], axis=1)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": packed(np.repeat(x[rows], 3)),
        "y": packed(ends.ravel()),
        "customdata": np.repeat(rows, 3).tolist(),
        "line": {"color": ROLES[role], "width": 2},
        "marker": {
            "symbol": "arrow",
            "angleref": "previous",
            "size": [0, 11, 0] * len(rows),
            "color": ROLES[role],
            "line": {"width": 0},
        },
        "hovertemplate": "%{y:.3g}<extra></extra>",
    }


# --- polyak -----------------------------------------------------------------------------------------------------------


def _polyak(view: UpdateView, row: int) -> list[Figure]:
    """The same whichever `row` is chosen."""
    steps = {"critic": view.critic_target, "actor": view.actor_target}
    lags = np.array([[step.lag_before, step.lag_after] for step in steps.values()])
    data = [
        bars(
            list(steps),
            lags[:, side],
            [f"{100 * lag:.3g} %" if np.isfinite(lag) else "" for lag in lags[:, side]],
            {"color": [ROLES[role + kind] for role in steps]},
            name,
        )
        for side, (name, kind) in enumerate((("before", "_target"), ("after", "")))
    ]
    room = {"range": [0, span(1.15 * lags, np.zeros(1))[1]], "tickformat": ".2~%"}
    behind = chart(data, "How far the targets lag", "before and after", "‖θ − θ′‖ / ‖θ‖", yaxis=room)
    return [behind, _way(view)]


def _way(view: UpdateView) -> Figure:
    """The weight whose target is furthest behind, in both networks, on its way from the old target to θ."""
    data = []
    for place, (role, step) in enumerate((("actor", view.actor_target), ("critic", view.critic_target))):
        tint = ROLES[f"{role}_target"]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers+text",
                "x": [0, view.settings.tau, 1],
                "y": [place] * 3,
                "text": [
                    f"θ′ {number(step.target_before)}",
                    f"new θ′ {number(step.target_after)}",
                    f"θ {number(step.online)}",
                ],
                "textposition": ["top right", f"bottom {'right' if view.settings.tau < 0.5 else 'left'}", "top left"],
                "textfont": {"size": 12},
                "line": {"color": tint, "width": 2, "dash": "dot"},
                "marker": {
                    "color": [tint, ROLES[role], ROLES[role]],
                    "symbol": ["circle-open", "circle", "circle"],
                    "size": [16, 8, 14],
                    "line": {"width": 2},
                },
                "hoverinfo": "skip",
                "cliponaxis": False,
            }
        )
    places = {"range": [-0.7, 1.6], "tickvals": [0, 1], "ticktext": ["actor", "critic"], "showgrid": False}
    way = {"range": [-0.04, 1.04], "tickformat": ".0%"}
    return chart(data, "The weight furthest behind", "share of the way to θ", "", xaxis=way, yaxis=places)


_FIGURES: Final[dict[str, Callable[[UpdateView, int], list[Figure]]]] = {
    "sample": _sample,
    "targets": _targets,
    "critic": _critic,
    "actor": _actor,
    "polyak": _polyak,
}
