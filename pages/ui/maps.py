"""Maps over the pendulum's states, angle across and angular velocity up: the axes and the heat map all pages share."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ddpg_core.environment import MAX_SPEED_RAD_S, Array
from pages.ui.live import Figure, packed
from pages.ui.theme import layout

ANGLE_TICKS: Final = {
    "tickmode": "array",
    "tickvals": [-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi],
    "ticktext": ["−π", "−π/2", "0", "π/2", "π"],
}


def state_layout(title: str, height: int, **details: Any) -> dict[str, Any]:
    """The layout of a map: angle −π … π rad across (0 = upright), angular velocity ±8 rad/s up."""
    base = layout(
        title,
        "angle θ in rad (0 = upright)",
        "angular velocity in rad/s",
        height=height,
        hovermode="closest",
        xaxis={"range": [-np.pi, np.pi], **ANGLE_TICKS, "showgrid": False},
        yaxis={"range": [-MAX_SPEED_RAD_S, MAX_SPEED_RAD_S], "showgrid": False},
    )
    for name, value in details.items():
        base[name] = {**base[name], **value} if isinstance(base.get(name), dict) else value
    return base


def heat_map(
    z: Array, title: str, scale: Any, bounds: tuple[float, float], height: int = 300, unit: str = "", **details: Any
) -> Figure:
    """A heat map of values on a regular grid of states.

    Args:
        z: [V, P], a row a velocity from −8 to 8 rad/s, a column an angle from −π to π.
        title: Above the map.
        scale: A colour scale of the theme.
        bounds: Values at the ends of the scale; maps that are compared share them.
        height: In pixels.
        unit: After the value when hovering.
        details: Go over the trace's own.
    """
    rows, columns = z.shape
    trace = {
        "type": "heatmap",
        "z": {**packed(z), "shape": f"{rows}, {columns}"},
        "x0": -np.pi,
        "dx": 2 * np.pi / (columns - 1),
        "y0": -MAX_SPEED_RAD_S,
        "dy": 2 * MAX_SPEED_RAD_S / (rows - 1),
        "zmin": bounds[0],
        "zmax": bounds[1],
        "colorscale": scale,
        "zsmooth": "best",
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 10}},
        "hovertemplate": f"θ %{{x:.2f}}, θ̇ %{{y:.1f}}: %{{z:.3g}} {unit}<extra></extra>",
    }
    return {"data": [trace | details], "layout": state_layout(title, height)}


def path_on_map(angles: Array, velocities: Array, colour: str, name: str = "") -> Figure:
    """A trajectory [N] as a line on a map, broken where the angle wraps around."""
    jumps = np.flatnonzero(np.abs(np.diff(angles)) > np.pi) + 1
    x, y = np.insert(angles, jumps, np.nan), np.insert(velocities, jumps, np.nan)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x),
        "y": packed(y),
        "name": name,
        "line": {"color": colour, "width": 2},
        "hoverinfo": "skip",
        "showlegend": bool(name),
    }
