"""How a run explores: its trail as a picture of three rows on one time axis, and as three numbers with a word each."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array
from pages.ui.live import Figure, packed
from pages.ui.theme import ROLES, layout, minus
from pages.ui.trail import BLOCK, Trail
from pages.ui.words import raised

HEIGHT_PX: Final = 500
CLIPPED: Final = "#d9603b"
_GRID: Final = "rgba(138, 143, 156, 0.25)"
_ROWS: Final = (
    ("noise", "noise", "Noise"),
    ("policy", "actor", "What the policy wants"),
    ("executed", "environment", "Executed: policy + noise, cut at the limits"),
)
_DOMAINS: Final = ((0.67, 0.91), (0.335, 0.575), (0.0, 0.24))


def trail_chart(trail: Trail) -> Figure:
    """Noise, policy and executed action under one another, on one time axis and one scale."""
    axis = {"range": [-trail.reach, trail.reach], "zeroline": True, "zerolinecolor": _GRID, "gridcolor": _GRID}
    axis |= {"title": {"text": trail.unit.strip(), "standoff": 4}, "tickfont": {"size": 11}, "nticks": 5}
    details = layout(
        "",
        "env step",
        "",
        height=HEIGHT_PX,
        hoversubplots="axis",
        margin={"t": 8, "r": 20},
        xaxis={"range": [trail.begin, trail.begin + 2 * BLOCK], "anchor": "y3", "tickformat": ",d"},
        annotations=[_heading(top, text) for (_, top), (_, _, text) in zip(_DOMAINS, _ROWS, strict=True)],
        shapes=[_limit(trail, sign) for sign in (-1, 1)],
    )
    for row, domain in enumerate(_DOMAINS):
        details[f"yaxis{row + 1}" if row else "yaxis"] = {**axis, "domain": domain}
    for step, number in trail.starts:
        details["shapes"].append(_upright(step, ROLES["reference"], "solid"))
        details["annotations"].append(_beginning(step, number))
    details["shapes"] += [_upright(step, trail.colour, "dot") for step in trail.marks]
    return {"data": _traces(trail), "layout": details}


def _traces(trail: Trail) -> list[Figure]:
    steps = trail.first + np.arange(len(trail.noise))
    rows = (trail.noise, trail.policy, trail.action)
    filled = {"fill": "tozeroy", "fillcolor": f"{ROLES['noise']}30"}
    lines = [
        _line(row, steps, values, name, {"color": ROLES[role], "width": 2}) | ({} if row else filled)
        for row, (values, (name, role, _)) in enumerate(zip(rows, _ROWS, strict=True))
    ]
    beyond = np.where(trail.clipped, trail.asked, np.nan)
    asked = _line(2, steps, beyond, "asked for", {"color": CLIPPED, "width": 1.5, "dash": "dot"})
    cut = _line(2, steps[trail.clipped], trail.action[trail.clipped], "clipped", {})
    marks = {"mode": "markers", "marker": {"color": CLIPPED, "size": 5}, "hoverinfo": "skip"}
    return [*lines, asked, cut | marks]


def _line(row: int, x: Array, y: Array, name: str, line: dict[str, Any]) -> Figure:
    drawn = {"type": "scatter", "mode": "lines", "x": packed(x), "y": packed(y), "name": name, "line": line}
    return drawn | {"yaxis": f"y{row + 1}" if row else "y", "hovertemplate": "%{y:.2f}"}


def _heading(top: float, text: str) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "y": top, "yanchor": "bottom"}
    return place | {"text": f"<b>{text}</b>", "showarrow": False, "font": {"size": 12}}


def _limit(trail: Trail, sign: int) -> dict[str, Any]:
    level = sign * trail.limit
    line = {"color": ROLES["reference"], "width": 1.5, "dash": "dash"}
    return {"type": "line", "xref": "paper", "yref": "y3", "x0": 0, "x1": 1, "y0": level, "y1": level, "line": line}


def _upright(step: int, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.5, "dash": dash}
    return {"type": "line", "yref": "paper", "x0": step, "x1": step, "y0": 0, "y1": 1, "line": line}


def _beginning(step: int, number: int) -> dict[str, Any]:
    place = {"yref": "paper", "x": step, "xanchor": "left", "xshift": 3, "y": 1, "yanchor": "top"}
    return place | {"text": f"episode {number:,}", "showarrow": False, "font": {"size": 11}}


# --- in words ---------------------------------------------------------------------------------------------------------


def clipped_words(trail: Trail) -> tuple[str, str]:
    """The share of clipped steps, large, and what it means."""
    if not len(trail.clipped):
        return "…", "No step to look at yet."
    share = float(trail.clipped.mean())
    if share > 0.6:
        meaning = "The actuator is at its limit most of the time: noise can hardly change what happens."
    elif share > 0.1:
        meaning = "Here the actuator's limit swallows noise: less is tried than the top row shows."
    else:
        meaning = "Nearly all of the noise reaches the actuator."
    return f"{share:.0%}", meaning


def scale_words(trail: Trail, config: Config, episode: int) -> tuple[str, str]:
    """The noise scale of now, large, and where it comes from."""
    if config.noise == "none":
        return "none", "Noise is off: the policy alone acts."
    scale = config.noise_scale * config.noise_decay**episode
    unit = trail.unit or " action units"
    formula = f"{config.noise_scale:g} × {config.noise_decay:g}{raised(episode)}"
    return f"{scale:.2f}", f"= {formula}. It multiplies noise by {trail.amplitude:.2f}{unit}."


def spread_words(trail: Trail) -> tuple[str, str]:
    """The measured standard deviation, large, and whether it is what theory says."""
    measured, expected, chance, steps = trail.spread
    if not steps:
        return "…", "Nothing to measure yet: noise of these settings begins with the next episode."
    value = f"{measured:.2f}{trail.unit}" if measured < 1000 else "beyond 1,000"
    if not math.isfinite(expected):
        return value, "Theory: with these settings noise never settles, it swings ever further."
    if not math.isfinite(chance) or chance > expected / 2:
        return value, f"Theory {expected:.2f}. So few independent draws (of {steps:,} steps) say little yet."
    fits = abs(measured - expected) <= 3 * chance + 0.005
    verdict = "As theory says" if fits else "Not what theory says"
    return value, minus(f"{verdict}: {expected:.2f} ± {chance:.2f} over {steps:,} steps.")
