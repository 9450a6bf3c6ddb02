"""The quantities drawn under the film: values of an episode's steps with their scale, unit and colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ddpg_core.environment import MAX_SPEED_RAD_S, MAX_TORQUE_NM, Array, pendulum_angles
from pages.ui.live import floats
from pages.ui.theme import ROLES, minus

_ENVIRONMENT: Final = "environment"


@dataclass(frozen=True)
class Trace:
    """One quantity over the steps of a clip.

    Attributes:
        key: What the film draws from it (angle, torque, …).
        name, unit: In words.
        values: One a step [T].
        low, high: Ends of its axis.
        role: Whose colour it has where no run's colour is needed.
        ticks: Numbers beside the axis, and how they are written.
        digits: Decimals of the number shown.
        around: Whether it is an angle that wraps.
        main: Whether it is drawn large.
    """

    key: str
    name: str
    unit: str
    values: Array
    low: float
    high: float
    role: str
    ticks: tuple[tuple[float, str], ...]
    digits: int = 2
    around: bool = False
    main: bool = False

    def packed(self) -> dict[str, Any]:
        """As the film component reads it."""
        return {
            "key": self.key,
            "name": self.name,
            "unit": self.unit,
            "values": floats(self.values),
            "length": len(self.values),
            "low": self.low,
            "high": self.high,
            "colour": ROLES[self.role],
            "ticks": [list(tick) for tick in self.ticks],
            "digits": self.digits,
            "around": self.around,
            "main": self.main,
        }


def pendulum_traces(columns: dict[str, Array]) -> list[Trace]:
    """Traces of pendulum steps: obs [T, 3], action [T] in N·m and reward [T]."""
    angles, (speed, torque) = pendulum_angles(columns["obs"]), (MAX_SPEED_RAD_S, MAX_TORQUE_NM)
    return [
        Trace(
            "angle",
            "angle θ (0 = upright)",
            "rad",
            angles,
            -np.pi,
            np.pi,
            _ENVIRONMENT,
            ((-np.pi, "−π"), (0, "0"), (np.pi, "π")),
            around=True,
            main=True,
        ),
        Trace("torque", "torque u", "N·m", columns["action"], -torque, torque, "actor", _ticks(torque), main=True),
        Trace(
            "velocity", "angular velocity", "rad/s", columns["obs"][:, 2], -speed, speed, _ENVIRONMENT, _ticks(speed)
        ),
        Trace(
            "reward",
            "reward",
            "per step",
            columns["reward"],
            -16.5,
            0.5,
            _ENVIRONMENT,
            ((-16, "−16"), (0, "0")),
            digits=1,
        ),
    ]


def car_traces(columns: dict[str, Array]) -> list[Trace]:
    """Traces of mountain car steps: obs [T, 2], action [T] and reward [T]."""
    place, speed = columns["obs"][:, 0], columns["obs"][:, 1]
    places = ((-1.2, "−1.2"), (0.45, "flag"))
    return [
        Trace("position", "position", "", place, -1.2, 0.6, _ENVIRONMENT, places, main=True),
        Trace("force", "force", "", columns["action"], -1.0, 1.0, "actor", _ticks(1), main=True),
        Trace("velocity", "velocity", "per step", speed, -0.07, 0.07, _ENVIRONMENT, _ticks(0.07), digits=3),
        Trace("reward", "reward", "per step", columns["reward"], -0.1, 0.1, _ENVIRONMENT, _ticks(0.1), digits=3),
    ]


def _ticks(limit: float) -> tuple[tuple[float, str], ...]:
    """Both ends of an axis and its middle."""
    return tuple((value, minus(f"{value:g}")) for value in (-limit, 0, limit))
