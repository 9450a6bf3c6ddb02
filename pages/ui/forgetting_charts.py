"""The Forgetting page's figures: curves that part, the forgetting index, returns by start angle, maps of changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ddpg_core.environment import MAX_TORQUE_NM, Array
from pages.ui.charts import return_chart
from pages.ui.curves import Curve
from pages.ui.forgetting import MORE, SCRATCH
from pages.ui.forgetting_probe import Change, Path
from pages.ui.live import Figure, packed
from pages.ui.maps import ANGLE_TICKS, heat_map, path_on_map, state_layout
from pages.ui.scales import largest
from pages.ui.theme import DIFFERENCES, ROLES, TORQUES, grown, layout, nice

INDEX_PX: Final = 330
MAP_PX: Final = 300
BEFORE: Final = 20
"""Episodes before the branch that the curves show."""
BINS: Final = 12
_PATH: Final = ("rgba(20, 22, 30, .75)", 1.6)


def parting_chart(trunk: Curve, branches: Sequence[Curve], origin: int, cursor: int | None) -> Figure:
    """Returns of a trained run up to where its branches begin, and theirs from there on.

    Args:
        trunk: The run that was branched.
        branches: Those that left it at `origin`, and any from scratch, which are shown from their first episode.
        origin: Episodes finished at the branch.
        cursor: The moment on screen.
    """
    later = [_since(branch, origin) if branch.label != SCRATCH else branch for branch in branches]
    figure = return_chart([_before(trunk, origin) if branches else trunk, *later], cursor)
    scratch = any(branch.label == SCRATCH for branch in branches)
    ends = [branch.first_episode + len(branch.returns) for branch in later]
    last = grown(max([origin + MORE, *ends]) - origin, MORE) + origin
    if not branches:
        return figure
    details = figure["layout"]
    details["xaxis"]["range"] = [0 if scratch else max(0, origin - BEFORE), last + 1]
    line = {"color": ROLES["reference"], "width": 2.5}
    details.setdefault("shapes", []).append(
        {"type": "line", "yref": "paper", "x0": origin + 0.5, "x1": origin + 0.5, "y0": 0, "y1": 1, "line": line}
    )
    details.setdefault("annotations", []).append(
        {"yref": "paper", "x": origin + 0.5, "y": 1, "text": f"branch after episode {origin}", "showarrow": False}
        | {"xanchor": "right", "xshift": -4, "yanchor": "top"}
    )
    return figure


def _since(curve: Curve, origin: int) -> Curve:
    first = max(origin - curve.first_episode, 0)
    return replace(curve, returns=curve.returns[first:], first_episode=curve.first_episode + first, marks=[])


def _before(curve: Curve, origin: int) -> Curve:
    return replace(curve, returns=curve.returns[: max(origin - curve.first_episode, 0)], marks=[])


def index_chart(paths: Sequence[Path]) -> Figure:
    """The forgetting index of every branch against the episodes since it left."""
    last = max((int(path.episodes[-1]) - path.origin for path in paths), default=0)
    values = np.concatenate([path.index[np.isfinite(path.index)] for path in paths] or [np.empty(0)])
    low, high = float(values.min(initial=0.0)), float(values.max(initial=1.0))
    details = layout(
        "Forgetting index F",
        "episodes since the branch",
        "F",
        height=INDEX_PX,
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 11}},
        margin={"t": 66},
        xaxis={"range": [0, grown(max(last, MORE), MORE)]},
        yaxis={"range": [-grown(0.08 - low, 0.1), grown(high + 0.05, 0.1)]},
    )
    for level, words in ((0, "nothing forgotten"), (1, "as bad as random actions")):
        _level(details, level, words)
    data = [
        {
            "type": "scatter",
            "uid": f"{path.id}-index",
            "mode": "lines+markers",
            "x": packed(path.episodes - path.origin),
            "y": packed(path.index),
            "name": path.name,
            "line": {"color": path.colour, "width": 2.5},
            "marker": {"size": 5},
            "hovertemplate": "%{y:.2f}",
        }
        for path in paths
    ]
    return {"data": data, "layout": details}


def angle_chart(paths: Sequence[Path], angles: Array) -> Figure:
    """Return against the angle of the start, before (grey) and now: a dot a start, a line through neighbours' means."""
    details = layout(
        "Return by start angle, dotted: before",
        "start angle θ in rad (0 = upright)",
        "return without noise",
        height=INDEX_PX,
        hovermode="closest",
        xaxis={"range": [-np.pi, np.pi], **ANGLE_TICKS},
    )
    lowest = min((float(path.returns[[0, -1]].min()) for path in paths), default=-1000.0)
    details["yaxis"]["range"] = [-grown(max(50 - lowest, 500.0), 250), 50]
    data = []
    for path in paths:
        data += _by_angle(f"{path.id}", path.name, path.colour, angles, path.returns[-1])
    for path in paths[:1]:
        data += _by_angle("before", "before", ROLES["reference"], angles, path.returns[0], "dot")
    return {"data": data, "layout": details}


def _by_angle(uid: str, name: str, colour: str, angles: Array, returns: Array, dash: str = "solid") -> list[Figure]:
    edges = np.linspace(-np.pi, np.pi, BINS + 1)
    places = np.clip(np.digitize(angles, edges) - 1, 0, BINS - 1)
    filled = [place for place in range(BINS) if (places == place).any()]
    x = np.array([angles[places == place].mean() for place in filled])
    y = np.array([returns[places == place].mean() for place in filled])
    shared: Figure = {"type": "scatter", "legendgroup": uid, "name": name}
    dots = {"uid": f"{uid}-starts", "mode": "markers", "x": packed(angles), "y": packed(returns), "showlegend": False}
    dots |= {"marker": {"color": colour, "size": 5, "opacity": 0.55}, "hovertemplate": "%{x:.2f} rad: %{y:.0f}"}
    line = {"uid": f"{uid}-means", "mode": "lines", "x": packed(x), "y": packed(y), "hoverinfo": "skip"}
    return [shared | dots, shared | line | {"line": {"color": colour, "width": 2.5, "dash": dash}}]


def change_maps(changes: Sequence[Change]) -> list[Figure]:
    """For each branch the change of its critic and of its policy, on common scales, under its newest episode."""
    far = nice(largest([change.value for change in changes]))
    figures = []
    for change in changes:
        for values, symbol, scale, bound, unit in (
            (change.value, "ΔQ", DIFFERENCES, far, ""),
            (change.torque, "Δπ", TORQUES, 2 * MAX_TORQUE_NM, "N·m"),
        ):
            title = f"{symbol}{f' in {unit}' if unit else ''}, {change.name}"
            figures.append(_map(values, title, scale, bound, unit, change))
    return figures


def _map(values: Array, title: str, scale: object, bound: float, unit: str, change: Change) -> Figure:
    if not np.isfinite(values).all():
        return {"data": [], "layout": state_layout(f"{title}: no finite numbers", MAP_PX)}
    figure = heat_map(values, title, scale, (-bound, bound), MAP_PX, unit)
    figure["layout"]["margin"] = figure["layout"]["margin"] | {"l": 46, "r": 6, "b": 45}
    figure["layout"]["yaxis"]["title"] = {"text": "velocity θ̇ in rad/s", "standoff": 2}
    line = path_on_map(change.angles, change.velocities, _PATH[0])
    figure["data"].append(line | {"line": {"color": _PATH[0], "width": _PATH[1]}})
    return figure


def _level(details: Figure, level: float, words: str) -> None:
    line = {"color": ROLES["reference"], "width": 1.5, "dash": "dash"}
    details.setdefault("shapes", []).append(
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level, "line": line}
    )
    details.setdefault("annotations", []).append(
        {"xref": "paper", "x": 0.995, "xanchor": "right", "y": level, "yanchor": "bottom", "text": words}
        | {"showarrow": False}
    )
