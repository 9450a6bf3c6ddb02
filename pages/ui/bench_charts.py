"""Pictures of the noise bench: kinds of noise side by side on shared axes, and how far each swings a pendulum."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.noise_bench import EPISODES, LAGS, STEPS, Contender, bench_of, episode_density, normal_density
from pages.ui.live import Figure, packed
from pages.ui.theme import ROLES, grown, layout

FAR: Final = 1e6
"""Values of noise that never settles are drawn no larger than this."""
NAMES: Final = {
    "ou": "Textbook OU",
    "ou_notebook": "Notebook's OU",
    "gaussian": "Gaussian",
}
_COLOURS: Final = {"ou": ROLES["noise"], "ou_notebook": "#c4573a", "gaussian": "#7d828f"}
_BINS: Final = 48
_HEIGHT_PX: Final = 190


def swing_charts(bench: tuple[Contender, ...]) -> list[list[Figure]]:
    """Of each contender: three episodes of noise, and what it does to pendulums."""
    limit = max(map(_extent, bench))
    return [[_traces(each, limit), _dial(each)] for each in bench]


def sketches(config: Config) -> list[Figure]:
    """The same of some settings as one grid, row by row."""
    return [figure for row in zip(*swing_charts(bench_of(config)), strict=True) for figure in row]


def number_charts(bench: tuple[Contender, ...]) -> list[list[Figure]]:
    """Histogram and autocorrelation of each contender, drawn and in theory."""
    limit = max(map(_extent, bench))
    edges = np.linspace(-limit, limit, _BINS + 1)
    shares = [np.histogram(each.paths, edges)[0] / each.paths.size / np.diff(edges) for each in bench]
    top = grown(1.15 * max(float(share.max()) for share in shares), 0.5)
    low = -1.08 if min(each.theory.memory for each in bench) < -0.35 else -0.4
    return [
        [_histogram(each, edges, share, top), _correlogram(each, low)]
        for each, share in zip(bench, shares, strict=True)
    ]


def in_steps(value: float) -> str:
    """A correlation time in words."""
    if value == 0 or math.isinf(value):
        return "no time" if value == 0 else "for ever"
    return f"{value:,.0f} steps" if value >= 100 else f"{value:.1f} steps"


def _extent(contender: Contender) -> float:
    """Half the width of the axis that a contender needs; one that never settles takes what the others need."""
    theory = contender.theory
    return grown(max(abs(theory.mean) + 3.2 * theory.std, 0.25), 0.25) if theory.settles else 0.25


def _traces(contender: Contender, limit: float) -> Figure:
    """Three episodes, one of them in full colour."""
    colour, steps = _COLOURS[contender.config.noise], np.arange(1, STEPS + 1)
    looks: tuple[dict[str, Any], ...] = ({"opacity": 0.35}, {"opacity": 0.35}, {"line": {"color": colour, "width": 2}})
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": packed(steps),
            "y": packed(np.clip(contender.paths[:, number], -FAR, FAR)),
            "line": {"color": colour, "width": 1.2},
            "name": f"episode {number + 1}",
            "hovertemplate": "%{y:.2f}",
            **look,
        }
        for number, look in zip((1, 2, 0), looks, strict=True)
    ]
    details = layout(
        f"{NAMES[contender.config.noise]}: three episodes",
        "step",
        "noise x",
        height=_HEIGHT_PX,
        xaxis={"range": [0, STEPS]},
        yaxis={"range": [-limit, limit]},
    )
    return {"data": data, "layout": details}


def _histogram(contender: Contender, edges: Array, shares: Array, top: float) -> Figure:
    colour, config, theory = _COLOURS[contender.config.noise], contender.config, contender.theory
    bars = {
        "type": "bar",
        "x": packed((edges[1:] + edges[:-1]) / 2),
        "y": packed(shares),
        "marker": {"color": colour, "opacity": 0.4},
        "name": "drawn",
        "hovertemplate": "%{y:.2f}",
    }
    data: list[Figure] = [bars]
    values = np.linspace(edges[0], edges[-1], 161)
    if theory.kick > 0 and theory.settles and abs(contender.expected_std / theory.std - 1) > 0.03:
        settled = normal_density(values, theory.mean, theory.std)
        data.append(_curve(values, settled, ROLES["reference"], "theory, long run", dash="dash"))
    if theory.kick > 0:
        data.append(_curve(values, episode_density(config, values), colour, "theory, an episode"))
    details = layout(
        f"How often each value occurs in {STEPS} steps",
        "noise x",
        "density",
        height=_HEIGHT_PX,
        bargap=0,
        xaxis={"range": [edges[0], edges[-1]]},
        yaxis={"range": [0, top]},
    )
    return {"data": data, "layout": details}


def _correlogram(contender: Contender, low: float) -> Figure:
    colour, lags, steps = _COLOURS[contender.config.noise], np.arange(LAGS + 1), contender.theory.correlation_steps
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": packed(lags),
        "y": packed(np.clip(contender.left, -FAR, FAR)),
        "marker": {"color": colour, "size": 5, "opacity": 0.6},
        "name": "drawn",
        "hovertemplate": "%{y:.2f}",
    }
    theory = np.clip(contender.theory.autocorrelation(lags.astype(float)), -FAR, FAR)
    details = layout(
        "How much is left of a push",
        "steps later",
        "autocorrelation",
        height=_HEIGHT_PX,
        xaxis={"range": [-1, LAGS]},
        yaxis={"range": [low, 1.08]},
        shapes=[_level(1 / math.e)],
        annotations=[{"x": 1, "xref": "paper", "xanchor": "right", "y": 1 / math.e, "yanchor": "bottom"}],
    )
    details["annotations"][0] |= {"text": f"down to 1/e: {in_steps(steps)}", "showarrow": False}
    return {"data": [dots, _curve(lags, theory, colour, "theory ρᵏ", width=1.5)], "layout": details}


def _dial(contender: Contender) -> Figure:
    """A dot an episode, at the furthest angle from hanging that the pendulum got to; equal angles pile up inwards."""
    colour = _COLOURS[contender.config.noise]
    bins = np.round(np.degrees(contender.swings) / 4).astype(int)
    order = np.argsort(bins, kind="stable")
    pile = np.arange(len(bins)) - np.searchsorted(bins[order], bins[order])
    radius = np.maximum(1 - 0.026 * pile, 0.1)
    angle = np.radians(4 * bins[order])
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": packed(radius * np.sin(angle)),
        "y": packed(-radius * np.cos(angle)),
        "marker": {"color": colour, "size": 4.5, "opacity": 0.8},
        "hoverinfo": "skip",
    }
    rod = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [0, 0],
        "y": [0, -1],
        "line": {"color": ROLES["environment"], "width": 6},
        "marker": {"color": ROLES["environment"], "size": [8, 14]},
        "opacity": 0.35,
        "hoverinfo": "skip",
    }
    hidden = {"visible": False, "fixedrange": True}
    details = layout(
        f"Furthest swing of {EPISODES} pendulums without a policy",
        "",
        "",
        height=270,
        hovermode=False,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        xaxis={"range": [-1.7, 1.7], **hidden},
        yaxis={"range": [-1.12, 1.2], "scaleanchor": "x", **hidden},
        shapes=[
            {"type": "circle", "x0": -1, "x1": 1, "y0": -1, "y1": 1, "line": {"color": ROLES["reference"], "width": 1}},
            {"type": "line", "x0": -1.25, "x1": 1.25, "y0": 0, "y1": 0}
            | {"line": {"color": ROLES["reference"], "width": 1.2, "dash": "dash"}},
        ],
        annotations=[
            {"x": 0, "y": 0.36, "text": f"<b>{contender.above:.0%}</b>", "showarrow": False, "font": {"size": 26}},
            {"x": 0, "y": 0.14, "text": "get above horizontal", "showarrow": False},
            {"x": 0, "y": 1.1, "text": "upright", "showarrow": False},
        ],
    )
    return {"data": [rod, dots], "layout": details}


def _curve(x: Array, y: Array, colour: str, name: str, *, width: float = 2.5, dash: str = "solid") -> Figure:
    line = {"color": colour, "width": width, "dash": dash}
    drawn = {"type": "scatter", "mode": "lines", "x": packed(x), "y": packed(y), "line": line, "name": name}
    return drawn | {"hovertemplate": "%{y:.2f}"}


def _level(value: float) -> dict[str, Any]:
    line = {"color": ROLES["reference"], "width": 1.2, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}
