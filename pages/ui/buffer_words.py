"""What the Replay page says of the window, in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from ddpg_core.environment import ENVIRONMENTS, Array
from pages.ui.buffer import Draws, Memory, states
from pages.ui.theme import minus

WHY: Final = (
    "##### Why draw at random?\nNeighbouring steps look alike, so a batch of them shows the critic one corner and "
    "pulls it there. A batch drawn at random is a small picture of everything."
)

_COVER: Final = ((0.15, "a small corner"), (0.4, "less than half"), (0.75, "a good part"), (0.95, "nearly everything"))


def cover_word(share: float) -> str:
    """A word on how much of the reachable state space is covered."""
    if not share:
        return "nothing yet"
    return next((word for limit, word in _COVER if share < limit), "everything within reach")


def held(memory: Memory) -> str:
    """How many transitions the window holds, and whether it is full."""
    moment = memory.moment
    size, capacity = moment.env_steps - moment.window_first, moment.config.capacity
    full = "full: each new one pushes out the oldest" if size >= capacity else f"room for {capacity - size:,} more"
    return f"{size:,} transition{'' if size == 1 else 's'} in the buffer; {full}."


def map_caption(memory: Memory, draws: Draws, reading: str, every: int) -> str:
    """How to read the map as it is drawn now."""
    pendulum = memory.moment.config.env_id == "Pendulum-v1"
    parts = [reading, f"Light grey: never seen{'; dark grey: out of reach' if pendulum else ''}."]
    parts.append(f"1 in {every:,} shown; click one to see it." if every > 1 else "Click a point to see it.")
    if memory.first > memory.moment.window_first:
        parts.append(f"The log no longer holds the oldest {memory.first - memory.moment.window_first:,}.")
    if draws.share < 1:
        parts.append(f"Counting the draws: {draws.share:.0%}.")
    return " ".join(parts)


def next_step(memory: Memory) -> str:
    """What to do where the map has no points or no batch; "" where it has both."""
    moment, warmup = memory.moment, memory.moment.config.warmup_steps
    if not moment.env_steps:
        return "Nothing is remembered yet at this moment. Press Play, or Update for a single step, or move the cursor."
    if memory.first == memory.stop:
        return "The log no longer holds the steps of this moment: move the cursor to a later episode."
    if not moment.config.updates_per_step and not moment.updates:
        return "No batch is drawn while updates per step is 0: raise it on the Train page."
    if not moment.updates:
        return f"No batch has been drawn yet: learning starts once {warmup:,} steps are seen. Press Play."
    return ""


def in_words(memory: Memory, number: int, row: Array) -> str:
    """A transition [1, widths] in two sentences."""
    part = memory.columns
    (across, up), (after, speed) = states(row, part)[0], states(row, part, "next_obs")[0]
    action, reward = float(row[0, part["action"].start]), float(row[0, part["reward"].start])
    if memory.moment.config.env_id == "Pendulum-v1":
        place, then = (f"{_where(angle)}, {_turning(velocity)}" for angle, velocity in ((across, up), (after, speed)))
        push = f"a torque of {abs(action):.2f} N·m {_way(action)}"
    else:
        place, then = (f"at {x:.2f}, moving {'right' if v > 0 else 'left'}" for x, v in ((across, up), (after, speed)))
        push = f"a force of {abs(action):.2f} to the {'right' if action > 0 else 'left'}"
    end = " The episode ended here." if row[0, [part["terminated"].start, part["truncated"].start]].any() else ""
    per_second = ENVIRONMENTS[memory.moment.config.env_id].steps_per_second
    return minus(
        f"**Episode {int(memory.episodes(np.array([number]))[0]):,}.** {place.capitalize()}; {push}; 1/{per_second} s "
        f"later {then}. Reward **{reward:.3g}**.{end}"
    )


def _where(angle_rad: float) -> str:
    degrees = abs(np.degrees(angle_rad))
    if degrees < 12:
        return "upright"
    return "hanging" if degrees > 168 else f"{degrees:.0f}° to the {'left' if angle_rad > 0 else 'right'} of upright"


def _turning(velocity_rad_s: float) -> str:
    return (
        "at rest" if abs(velocity_rad_s) < 0.1 else f"turning {_way(velocity_rad_s)} at {abs(velocity_rad_s):.1f} rad/s"
    )


def _way(value: float) -> str:
    return "counter-clockwise" if value > 0 else "clockwise"
