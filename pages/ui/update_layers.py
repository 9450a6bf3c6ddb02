"""What the two gradient steps of an update did to each layer of both networks, as figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ddpg_core.microscope import LayerStep, UpdateView
from pages.ui.live import Figure, packed
from pages.ui.theme import ROLES, layout, nice

LAYERS_HEIGHT_PX: Final = 230
_MOST_TICKS: Final = 6


def layer_figures(view: UpdateView) -> list[Figure]:
    """Gradient, weight change and Adam's pace, a bar a layer of both networks."""
    return [
        _layers(view, "Gradient of each layer", "‖∇L‖", lambda layer: layer.grad_norm, logarithmic=True),
        _layers(view, "How far its weights moved", "‖Δw‖ / ‖w‖", _relative_change),
        _layers(view, "Adam's pace, in learning rates", "mean |Δw| / α", lambda layer: layer.adam_ratio),
    ]


def _relative_change(layer: LayerStep) -> float:
    return layer.change_norm / layer.weight_norm if layer.weight_norm else float("nan")


def _layers(
    view: UpdateView, title: str, y_title: str, of: Callable[[LayerStep], float], *, logarithmic: bool = False
) -> Figure:
    networks = {"critic": view.critic_layers, "actor": view.actor_layers}
    heights = {role: np.array([of(layer) for layer in layers]) for role, layers in networks.items()}
    known = np.concatenate(list(heights.values()))
    known = known[np.isfinite(known) & (known > 0)]
    ends = (float(known.min()), float(known.max())) if known.size else (1.0, 1.0)
    axis: dict[str, Any] = {"range": [0, nice(ends[1])], "tickformat": ".2~%" if "/ ‖w‖" in y_title else "~g"}
    if logarithmic:
        low, high = math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1]) + 0.01)
        ticks = _ticks(low, high)
        axis = {
            "type": "log",
            "range": [low, high],
            "tickvals": ticks,
            "ticktext": [f"{t:g}" for t in ticks],
        }
    data = [
        {
            "type": "bar",
            "x": [f"{role} {place + 1}" for place in range(len(layers))],
            "y": packed(heights[role]),
            "customdata": [f"{layer.inputs} → {layer.units}" for layer in layers],
            "marker": {"color": ROLES[role]},
            "hovertemplate": "%{y:.3g}, layer %{customdata}<extra></extra>",
        }
        for role, layers in networks.items()
    ]
    return {
        "data": data,
        "layout": layout(title, "layer", y_title, height=LAYERS_HEIGHT_PX, hovermode="closest", yaxis=axis),
    }


def _ticks(low: int, high: int) -> list[float]:
    """At most six round numbers from 10^`low` to 10^`high`: 1, 3, 10, 30, … or, over many decades, powers of ten."""
    if 2 * (high - low) + 1 <= _MOST_TICKS:
        return [digit * 10.0**power for power in range(low, high) for digit in (1, 3)] + [10.0**high]
    step = math.ceil((high - low + 1) / _MOST_TICKS)
    return [10.0**power for power in range(low, high + 1, step)]
