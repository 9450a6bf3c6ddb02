"""Ends of colour scales and axes that change seldom: what is on a chart moves, not the chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from ddpg_core.environment import Array

Bounds = tuple[float, float]
SLACK: Final = 0.6
"""A scale stays while values fill more than this share of it."""
TAIL: Final = 0.02
"""Share of the largest differences that may lie beyond their scale, so that a few states don't bleach the rest."""
BEYOND: Final = 0.01
FLAT: Final = 1e-6
"""Values that differ by less get a scale of 1."""


def ends(maps: Sequence[Array]) -> Bounds:
    """The smallest and the largest finite value of some maps; (−1, 0) where there is none."""
    values = np.concatenate([each.ravel() for each in maps])
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if len(values) else (-1.0, 0.0)


def largest(gaps: Sequence[Array]) -> float:
    """The size that all but `TAIL` of some differences stay below; 1 where there is none."""
    sizes = [np.abs(gap[np.isfinite(gap)]) for gap in gaps]
    return max((float(np.quantile(size, 1 - TAIL)) for size in sizes if len(size)), default=1.0)


def steady(held: Bounds | None, low: float, high: float) -> Bounds:
    """Ends of a scale for values from `low` to `high`, rounded outwards: the ones held as long as they fit well.

    A hundredth of the values' range may lie beyond an end: else a critic that says 0.1 somewhere would move it far.
    """
    if high - low < FLAT:
        low, high = low - 0.5, high + 0.5
    span = high - low
    low, high = low + BEYOND * span, high - BEYOND * span
    if held and held[0] <= low and high <= held[1] and span > SLACK * (held[1] - held[0]):
        return held
    decade = 10.0 ** math.floor(math.log10(span / 5))
    step = max(decade * digit for digit in (1, 2, 5) if decade * digit <= span / 5)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def roomy(bounds: Bounds) -> Bounds:
    """The same with some room at both ends."""
    room = max(0.06 * (bounds[1] - bounds[0]), 1e-3)
    return bounds[0] - room, bounds[1] + room
