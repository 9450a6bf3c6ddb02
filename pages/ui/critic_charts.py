"""The Critic page's figures: maps of values, differences and torques, a surface, and Q against torque in one state."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ddpg_core.environment import MAX_TORQUE_NM, Array
from pages.ui.critic import GRID, Cut, Question
from pages.ui.critic_study import Look
from pages.ui.live import Figure, packed
from pages.ui.maps import ANGLE_TICKS, heat_map, path_on_map, state_layout
from pages.ui.scales import Bounds, roomy
from pages.ui.theme import DIFFERENCES, ROLES, TORQUES, VALUES, layout

MAP_PX: Final = 318
SMALL_PX: Final = 286
SURFACE_PX: Final = 460
CUT_PX: Final = 330
_DIMMED: Final = 0.35
_ROOM: Final = 1.3
"""An action at its limit is still pushed on: the arrow wants room there."""
_GRID_LINE: Final = "#9aa0ad"
"""Opaque: in 3-D Plotly takes no other."""
_TARGET: Final = "critic_target"


def sketch() -> Figure:
    """The empty map of a pendulum's states: what there is before there is a run."""
    return {"data": [], "layout": state_layout("Learned: what the critic says", MAP_PX)}


def learned_map(seen: Look) -> Figure:
    """What the critic says, with the episode on screen and the state looked at."""
    figure = _map(seen.learned, "Learned: what the critic says", VALUES, seen.values, MAP_PX)
    angle, velocity = seen.belief.path
    for width, colour in ((4.0, "rgba(20, 22, 30, .55)"), (1.8, "#ffffff")):
        line = path_on_map(angle, velocity, colour)
        figure["data"].append(line | {"line": {"color": colour, "width": width}})
    return _marked(figure, seen.question)


def compared_maps(seen: Look) -> list[Figure]:
    """True and optimal values on the scale of the learned ones, and under them the two differences."""
    found, gap, loss = seen.survey, seen.overestimate, seen.shortfall
    rolling = "rolling out the policy …"
    solving = f"solving for the best policy … {seen.share:.0%}"
    earlier = f" at update {found.stamp[1]:,}" if found and found.stamp != seen.belief.stamp else ""
    true = f"True{earlier}: what its policy will earn"
    figures = [
        _map(
            found.true if found else None,
            true,
            VALUES,
            seen.values,
            MAP_PX,
            rolling,
        ),
        _map(seen.optimal, "Optimal: the best that can be earned", VALUES, seen.values, MAP_PX, solving),
        _map(gap, "Learned − true: red is too optimistic", DIFFERENCES, seen.differences, SMALL_PX, rolling),
        _map(
            loss,
            "True − optimal: blue is lost by the policy",
            DIFFERENCES,
            seen.differences,
            SMALL_PX,
            solving if found else rolling,
        ),
    ]
    if found and not seen.fresh:
        for figure in (figures[0], *figures[2:]):
            _dim(figure, rolling)
    return [_marked(figure, seen.question) for figure in figures]


def torque_map(torque: Array | None, title: str, note: str = "") -> Figure:
    """The torque that a policy chooses in every state."""
    return _map(torque, title, TORQUES, (-MAX_TORQUE_NM, MAX_TORQUE_NM), SMALL_PX, note, "N·m")


def lag_map(ahead: Array, bounds: Bounds) -> Figure:
    """How far the critic is above its target network."""
    return _map(ahead, "Online − target: what the target lags behind", DIFFERENCES, bounds, SMALL_PX)


def surface(seen: Look) -> Figure:
    """The learned values as a surface, on the scale of the maps."""
    x, y, height = GRID.angles, GRID.velocities, roomy(seen.values)
    skin = {
        "type": "surface",
        "x": packed(x),
        "y": packed(y),
        "z": _packed_map(np.clip(seen.learned, *height)),
        "cmin": seen.values[0],
        "cmax": seen.values[1],
        "colorscale": VALUES,
        "colorbar": {"thickness": 12, "outlinewidth": 0, "len": 0.8, "title": {"text": "Q"}},
        "hovertemplate": "θ %{x:.2f}, θ̇ %{y:.1f}: %{z:.3g}<extra></extra>",
    }
    axis = {"gridcolor": _GRID_LINE, "showbackground": False, "zeroline": False}
    scene = {
        "xaxis": {**axis, **ANGLE_TICKS, "range": [-np.pi, np.pi], "title": {"text": "θ (rad)"}},
        "yaxis": {**axis, "range": [-8, 8], "title": {"text": "θ̇ (rad/s)"}},
        "zaxis": {**axis, "range": list(height), "title": {"text": "Q"}},
        "aspectmode": "manual",
        "aspectratio": {"x": 1.35, "y": 1.35, "z": 0.7},
        "camera": {"eye": {"x": -1.5, "y": -1.7, "z": 1.05}, "center": {"x": 0, "y": 0, "z": -0.22}},
    }
    details = layout("", "", "", height=SURFACE_PX, margin={"l": 0, "r": 0, "t": 6, "b": 0}, scene=scene)
    for name in ("xaxis", "yaxis", "title"):
        del details[name]
    return {"data": [skin], "layout": details}


# --- one state --------------------------------------------------------------------------------------------------------


def cut_charts(cut: Cut, bounds: Bounds, gains: Bounds, action: str = "torque in N·m") -> list[Figure]:
    """Q against the action, with the push on the actor, and what each action would gain over the policy's own.

    Args:
        cut: The values.
        bounds, gains: Ends of the two vertical axes.
        action: What the action is.
    """
    lines = {
        "optimal": (cut.optimal, ROLES["reference"], "dash"),
        "true": (cut.true, ROLES["environment"], "solid"),
        "target": (cut.target, ROLES[_TARGET], "solid"),
        "learned": (cut.learned, ROLES["critic"], "solid"),
    }
    absolute = _cut_chart(f"Q against {action.split(' in ')[0]}", cut, action, "Q", bounds)
    relative = _cut_chart("Gain over what the policy does", cut, action, "Q(s, a) − Q(s, μ(s))", gains)
    for name, (values, colour, dash) in lines.items():
        if values is None:
            continue
        absolute["data"].append(_cut_line(cut.torques, values, name, colour, dash))
        relative["data"].append(_cut_line(cut.torques, cut.gain(values), name, colour, dash))
    if not np.isfinite([cut.policy, cut.value, cut.slope]).all():
        return [absolute, relative]
    for figure, level in ((absolute, cut.value), (relative, 0.0)):
        figure["data"].append(_policy_point(cut.policy, level))
        figure["layout"]["annotations"] = [_push(cut, level, figure["layout"]["yaxis"]["range"])]
    return [absolute, relative]


def _cut_chart(title: str, cut: Cut, x_title: str, y_title: str, bounds: Bounds) -> Figure:
    details = layout(
        title,
        x_title,
        y_title,
        height=CUT_PX,
        showlegend=True,
        legend={"orientation": "h", "x": -0.1, "y": 1, "yanchor": "bottom", "font": {"size": 11}},
        margin={"t": 72, "b": 46},
        xaxis={"range": [_ROOM * float(cut.torques[0]), _ROOM * float(cut.torques[-1])]},
        yaxis={"range": list(bounds)},
    )
    return {"data": [], "layout": details}


def _cut_line(x: Array, y: Array, name: str, colour: str, dash: str) -> Figure:
    return {
        "uid": name,
        "type": "scatter",
        "mode": "lines",
        "x": packed(x),
        "y": packed(y),
        "name": name,
        "line": {"color": colour, "width": 3 if name == "learned" else 2, "dash": dash},
        "hovertemplate": "%{y:.4~g}",
    }


def _policy_point(torque: float, level: float) -> Figure:
    return {
        "uid": "policy",
        "type": "scatter",
        "mode": "markers",
        "x": packed(np.array([torque])),
        "y": packed(np.array([level])),
        "name": "the policy's action",
        "marker": {"color": ROLES["actor"], "size": 13, "line": {"color": "#ffffff", "width": 1.5}},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _push(cut: Cut, level: float, y_range: list[float]) -> dict[str, Any]:
    """The tangent ∂Q/∂a at the policy's action as an arrow uphill: where the actor is being pushed."""
    width, height = cut.torques[-1] - cut.torques[0], y_range[1] - y_range[0]
    steepness = cut.slope * width / height
    run = 0.24 / np.hypot(1, steepness) * np.sign(cut.slope)
    return {
        "x": cut.policy + float(run) * width,
        "y": level + float(run * steepness) * height,
        "ax": cut.policy,
        "ay": level,
        "axref": "x",
        "ayref": "y",
        "xref": "x",
        "yref": "y",
        "showarrow": True,
        "arrowhead": 2,
        "arrowsize": 1.1,
        "arrowwidth": 3,
        "arrowcolor": ROLES["actor"],
        "text": "",
    }


# --- inside -----------------------------------------------------------------------------------------------------------


def _map(
    z: Array | None, title: str, scale: Any, bounds: Bounds, height: int, note: str = "", unit: str = ""
) -> Figure:
    """A map of states, or while there is none its empty axes with a note."""
    if z is None or not np.isfinite(z).any():
        figure: Figure = {"data": [], "layout": state_layout(title, height)}
        _note(figure, note if z is None else "no finite numbers here")
    else:
        figure = heat_map(z, title, scale, bounds, height, unit)
    figure["layout"]["margin"] = figure["layout"]["margin"] | {"l": 46, "r": 6, "b": 45}
    figure["layout"]["yaxis"]["title"] = {"text": "velocity θ̇ in rad/s", "standoff": 2}
    return figure


def _packed_map(z: Array) -> dict[str, str]:
    return {**packed(z), "shape": f"{z.shape[0]}, {z.shape[1]}"}


def _note(figure: Figure, text: str) -> None:
    place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.75, "showarrow": False, "font": {"size": 13}}
    figure["layout"].setdefault("annotations", []).append(place | {"text": text})


def _dim(figure: Figure, text: str) -> None:
    """Show that a map is of another moment or torque: the one asked for is on its way."""
    for trace in figure["data"]:
        trace["opacity"] = _DIMMED
    if figure["data"]:
        _note(figure, text)


def _marked(figure: Figure, question: Question) -> Figure:
    """A ring around the state looked at below."""
    ring = {
        "type": "scatter",
        "mode": "markers",
        "x": packed(np.array([question.angle])),
        "y": packed(np.array([question.velocity])),
        "marker": {"size": 11, "color": "#ffffff", "line": {"color": "#14161e", "width": 2.5}},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }
    figure["data"].append(ring)
    return figure
