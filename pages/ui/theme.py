"""Every decision of style: the colours of runs and roles, chart layout, words for a return."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from ddpg_core.config import Config
from ddpg_core.environment import reference_returns

RUN_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, told apart by colour-blind readers; a run has one of these everywhere."""

ROLES: Final = {
    "environment": "#5f7d95",
    "replay": "#8a63d2",
    "critic": "#d1477a",
    "critic_target": "#e39ab6",
    "actor": "#1d9a9a",
    "actor_target": "#83c8c8",
    "noise": "#a98132",
    "reference": "#8a8f9c",
}
"""One colour a part of the algorithm, in words, pictures and charts; targets are tints of what they follow."""

VALUES: Final = "Viridis"
"""The colour scale of Q and other values: perceptually uniform, readable in grey."""
DIFFERENCES: Final = [[0.0, "#2166ac"], [0.25, "#92c5de"], [0.5, "#f7f7f7"], [0.75, "#f4a582"], [1.0, "#b2182b"]]
"""The colour scale of differences, centred on zero: too low is blue, too high is red."""
TORQUES: Final = [[0.0, "#8c510a"], [0.25, "#d8b365"], [0.5, "#f5f5f5"], [0.75, "#5ab4ac"], [1.0, "#01665e"]]
"""The colour scale of torques, centred on zero: clockwise is brown, counter-clockwise is green."""

CHART_HEIGHT_PX: Final = 210
HERO_HEIGHT_PX: Final = 430


def layout(title: str, x_title: str, y_title: str, **details: Any) -> dict[str, Any]:
    """The layout that all charts share, as Plotly's schema has it; colours of text and grid follow the page's theme."""
    base: dict[str, Any] = {
        "title": {
            "text": title,
            "x": 0,
            "xref": "paper",
            "font": {"size": 14},
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 10},
        },
        "margin": {"l": 62, "r": 14, "t": 40, "b": 42},
        "height": CHART_HEIGHT_PX,
        "hovermode": "x unified",
        "showlegend": False,
        "xaxis": {"title": {"text": x_title, "standoff": 6}, "zeroline": False},
        "yaxis": {"title": {"text": y_title, "standoff": 8}, "zeroline": False},
    }
    for name, value in details.items():
        base[name] = {**base[name], **value} if isinstance(base.get(name), dict) else value
    return base


def grown(value: float, step: float) -> float:
    """`value` rounded up to a multiple of `step`: an axis that grows in steps does not jitter."""
    return step * -(-value // step)


def nice(value: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `value`; 1 for what is not positive."""
    if not 0 < value < math.inf:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (1, 2, 5, 10) if step * decade >= value * (1 - 1e-9))


def minus(text: str) -> str:
    """`text` with real minus signs."""
    return re.sub(r"-(?=\d)", "−", text)


def verdict(mean_return: float, config: Config) -> str:
    """A word on whether a 10-episode mean return is good; "" where no reference is known."""
    if config.env_id == "MountainCarContinuous-v0":
        return "solved" if mean_return > 90 else "not solved yet"
    if reference_returns(config) is None:
        return ""
    for threshold, words in (
        (-200, "near optimal"),
        (-400, "swings up"),
        (-900, "learning to swing"),
    ):
        if mean_return >= threshold:
            return words
    return "like random"
