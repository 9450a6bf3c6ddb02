"""The Replay page's figures: the map of what is remembered, and histograms of what is drawn from it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from ddpg_core.environment import MAX_TORQUE_NM, Array, Physics, pendulum_step, wrap_angle
from ddpg_core.oracle import EPISODE_STEPS
from ddpg_core.replay_stats import CELLS
from pages.ui.buffer import SPACES, Draws, Memory, Seen, Space, states, surprise, thinning
from pages.ui.live import Figure, packed
from pages.ui.maps import ANGLE_TICKS
from pages.ui.theme import HERO_HEIGHT_PX, ROLES, grown, layout, nice

POINTS: Final = 1_200
BATCH_POINTS: Final = 400
AGE_BINS: Final = 25
_AGE: Final = "age in env steps (0 = newest)"
_BRIGHT: Final = [[0.0, "#414487"], [0.25, "#2a788e"], [0.5, "#22a884"], [0.75, "#7ad151"], [1.0, "#fde725"]]
"""Viridis without its darkest fifth, in which a point could not be seen on a dark page."""
_NOT_SEEN: Final = [[0.0, "rgba(138,143,156,0)"], [0.5, "rgba(138,143,156,.16)"], [1.0, "rgba(138,143,156,.42)"]]


class Colour(NamedTuple):
    """What the points can be coloured by: a name, and what one reads from it."""

    name: str
    reading: str


COLOURS: Final = {
    "age": Colour("age", "Bright points are the newest: what the agent does now."),
    "reward": Colour("reward", "Bright points are where the reward is: the critic must see some."),
    "surprise": Colour("|TD error|", "Bright points surprise the critic: |y − Q(s, a)| is large."),
    "episode": Colour("episode", "Each episode is a path."),
    "times": Colour("times drawn", "Counted exactly: old points had more chances to be drawn."),
}


def colour_name(key: str) -> str:
    """The name of one of `COLOURS`."""
    return COLOURS[key].name


def map_chart(memory: Memory, draws: Draws, cover: Seen, colour: str, picked: Array | None = None) -> Figure:
    """The window as points on the map of states, the last batch ringed, cells not visited in grey.

    Args:
        memory: The window.
        draws: Which rows were drawn.
        cover: Which cells are visited.
        colour: One of `COLOURS`.
        picked: The row of the step log that is looked at [1, widths], or None.
    """
    every = thinning(len(memory.numbers), POINTS)
    shown = memory.numbers % (every * memory.every) == 0
    numbers, rows = memory.numbers[shown], memory.rows[shown]
    values, bounds = _coloured(memory, draws, colour, numbers, rows)
    reverse = colour == "age"
    points = _points(states(rows, memory.columns), "remembered", 5) | {
        "customdata": packed(numbers),
        "hovertemplate": f"%{{x:.2f}}, %{{y:.3g}}<br>step %{{customdata:,}}<br>{COLOURS[colour].name} "
        "%{marker.color:.3~g}<extra></extra>",
    }
    bar = {"title": {"text": COLOURS[colour].name, "side": "right"}, "thickness": 10, "outlinewidth": 0}
    points["marker"] |= {
        "color": packed(values),
        "colorscale": _BRIGHT,
        "reversescale": reverse,
        "cmin": bounds[0],
        "cmax": bounds[1],
        "colorbar": bar | {"tickfont": {"size": 10}},
        "line": {"width": 0.6, "color": "rgba(138,143,156,.75)"},
    }
    here = memory.rows[:0] if picked is None else picked
    mark = _rings(states(here, memory.columns), "looked at below", 17, "critic", 3.5)
    return {
        "data": [_unvisited(memory, cover), points, _batch(memory, draws), mark],
        "layout": _map_layout(memory.space),
    }


def _batch(memory: Memory, draws: Draws) -> Figure:
    """The last batch as rings, thinned where it is large."""
    every = thinning(len(draws.rows), BATCH_POINTS)
    name = f"last batch ({len(draws.rows):,} drawn{f', 1 in {every} ringed' if every > 1 else ''})"
    return _rings(states(draws.rows[::every], memory.columns), name, 9, "replay", 1.5) | {"opacity": 0.7}


def _rings(places: Array, name: str, size: float, role: str, width: float) -> Figure:
    rings = _points(places, name, size, role) | {"hoverinfo": "skip"}
    rings["marker"] |= {"symbol": "circle-open", "line": {"width": width}}
    return rings


def sketch() -> Figure:
    """The map before there is a run: a pendulum that is swung up by full torque, as one episode would leave it."""
    angle, velocity, path = np.array([np.pi - 0.1]), np.array([0.0]), []
    for _ in range(EPISODE_STEPS // 2):
        path.append([float(wrap_angle(angle)[0]), float(velocity[0])])
        angle, velocity, _ = pendulum_step(angle, velocity, MAX_TORQUE_NM * np.sign(velocity + 1e-9), Physics())
    return {
        "data": [_points(np.array(path), "steps of an episode", 6, "replay")],
        "layout": _map_layout(SPACES["Pendulum-v1"]),
    }


def points_shown(memory: Memory) -> int:
    """One in how many transitions is drawn as a point."""
    return memory.every * thinning(len(memory.numbers), POINTS)


def _coloured(
    memory: Memory, draws: Draws, colour: str, numbers: Array, rows: Array
) -> tuple[Array, tuple[float, float]]:
    """What points are coloured by [N] and the ends of the scale, which grow in steps."""
    size = memory.stop - memory.first
    if colour == "age":
        return memory.stop - 1 - numbers, (0, stepped(size))
    if colour == "reward":
        return rows[:, memory.columns["reward"].start], memory.space.rewards
    if colour == "episode":
        first, last = memory.episodes(np.array([memory.first, max(memory.stop - 1, memory.first)]))
        return memory.episodes(numbers), (float(first), float(max(grown(float(last), 10), first + 1)))
    values = surprise(memory, rows) if colour == "surprise" else draws.recount.counts(numbers)
    finite = values[np.isfinite(values)]
    return values, (0, nice(float(np.quantile(finite, 0.98)) if len(finite) else 1.0))


def stepped(value: float) -> float:
    """`value` rounded up to a round number, which changes seldom as it grows."""
    return grown(max(value, 1), max(nice(value) / 10, 1))


def _points(places: Array, name: str, size: float, role: str = "reference") -> dict[str, Any]:
    return {
        "uid": name.split(" (")[0],
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": packed(places[:, 0]),
        "y": packed(places[:, 1]),
        "marker": {"size": size, "color": ROLES[role]},
    }


def _unvisited(memory: Memory, cover: Seen) -> Figure:
    """Cells without a transition as grey tiles, darker where none can be."""
    (left, bottom), (right, top) = memory.space.low, memory.space.high
    wide, high = (right - left) / CELLS[1], (top - bottom) / CELLS[0]
    shade = np.where(cover.visited, 0, np.where(cover.reachable, 1, 2))
    return {
        "type": "heatmap",
        "z": {**packed(shade.astype(np.float32)), "shape": f"{CELLS[0]}, {CELLS[1]}"},
        "x0": left + wide / 2,
        "dx": wide,
        "y0": bottom + high / 2,
        "dy": high,
        "zmin": 0,
        "zmax": 2,
        "colorscale": _NOT_SEEN,
        "showscale": False,
        "hoverinfo": "skip",
    }


def _map_layout(space: Space) -> dict[str, Any]:
    ticks = ANGLE_TICKS if space is SPACES["Pendulum-v1"] else {}
    return layout(
        "",
        space.across,
        space.up,
        height=HERO_HEIGHT_PX,
        hovermode="closest",
        margin={"t": 34},
        xaxis={"range": [space.low[0], space.high[0]], "showgrid": False, **ticks},
        yaxis={"range": [space.low[1], space.high[1]], "showgrid": False},
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "itemsizing": "constant"},
    )


# --- what is in it, and what was drawn --------------------------------------------------------------------------------


def content_charts(memory: Memory, draws: Draws) -> list[Figure]:
    """Ages and rewards, of the window and of the last batch, and how often rows were drawn by their age."""
    size = memory.stop - memory.first
    ages, drawn = memory.stop - 1 - memory.numbers, memory.stop - 1 - draws.batch
    end = stepped(size)
    reward = memory.columns["reward"].start
    rewards, batch_rewards = memory.rows[:, reward], draws.rows[:, reward]
    low, high = memory.space.rewards
    return [
        _shares("Age of what is drawn", _AGE, ages, drawn, np.linspace(0, end, AGE_BINS + 1)),
        _shares("Reward of what is drawn", "reward of a step", rewards, batch_rewards, np.linspace(low, high, 34)),
        _times_by_age(memory, draws, ages, end),
    ]


def _shares(title: str, x_title: str, window: Array, batch: Array, edges: Array) -> Figure:
    """Histograms of the window, a line, and of the last batch, bars, as shares; what lies beyond counts to the ends."""
    middles = (edges[:-1] + edges[1:]) / 2
    heights = []
    for values in (batch, window):
        finite = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
        heights.append(np.histogram(finite, edges)[0] / max(len(finite), 1))
    top = nice(float(max(heights[0].max(), heights[1].max())))
    details = titled(title, x_title, "share")
    details["xaxis"]["range"] = [edges[0], edges[-1]]
    details["yaxis"] |= {"range": [0, min(top, 1.0)], "tickformat": ".0~%"}
    shared: Figure = {"x": packed(middles), "hovertemplate": "%{y:.1%}"}
    bars: Figure = {"type": "bar", "name": "last batch", "marker": {"color": ROLES["replay"], "line": {"width": 0}}}
    line: Figure = {"type": "scatter", "mode": "lines", "name": "whole window"}
    line |= {"line": {"color": ROLES["environment"], "width": 2, "shape": "hvh"}}
    data = [shared | bars | {"y": packed(heights[0])}, shared | line | {"y": packed(heights[1])}]
    return {"data": data, "layout": details | {"bargap": 0.08}}


def _times_by_age(memory: Memory, draws: Draws, ages: Array, end: float) -> Figure:
    """The mean number of times that transitions of an age were drawn."""
    edges = np.linspace(0, end, AGE_BINS + 1)
    places = np.clip(np.digitize(ages, edges) - 1, 0, AGE_BINS - 1)
    held = np.bincount(places, minlength=AGE_BINS)
    total = np.bincount(places, draws.recount.counts(memory.numbers), minlength=AGE_BINS)
    means = np.where(held > 0, total / np.maximum(held, 1), np.nan)
    details = titled("Times drawn so far", _AGE, "times, on average", legend=False)
    details["xaxis"]["range"] = [0, end]
    details["yaxis"]["range"] = [0, nice(float(np.nanmax(means)) if len(ages) else 1.0)]
    bars: Figure = {"type": "bar", "x": packed((edges[:-1] + edges[1:]) / 2), "y": packed(means)}
    bars |= {"marker": {"color": ROLES["replay"], "line": {"width": 0}}, "hovertemplate": "%{y:.3~g}<extra></extra>"}
    return {"data": [bars], "layout": details | {"bargap": 0.08}}


def titled(title: str, x_title: str, y_title: str, *, legend: bool = True) -> dict[str, Any]:
    """The layout of a small chart with its legend above, at the right."""
    place = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom", "font": {"size": 11}}
    return layout(title, x_title, y_title, showlegend=legend, legend=place, height=230, margin={"t": 62})
