"""What the Replay page says of the window, in words."""

from __future__ import annotations

from typing import Final

from pages.ui.buffer import Draws, Memory

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
