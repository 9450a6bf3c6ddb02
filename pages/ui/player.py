"""Player: a run on the stage of a Lab, and how it is trained slice by slice at the speed asked for."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ddpg_core.config import PRESETS, SETTINGS, Config, format_value
from ddpg_core.recipe import MAX_STEP, preset_of
from ddpg_core.run import Run

SLICE_S: Final = 0.02
SPEEDS: Final[dict[str, float | None]] = {
    "1 step/s": 1.0,
    "5 steps/s": 5.0,
    "real time": 20.0,
    "100 steps/s": 100.0,
    "flat out": None,
}


@dataclass
class Player:
    """A run on the stage: what the Lab knows of it besides the run itself.

    Attributes:
        id: Unique in the Lab, also of runs removed since.
        run: The run; read it under the Lab's lock.
        colour: The run's colour on every page.
        playing: Whether the worker trains it.
        stop_at: Episode at which it pauses by itself, or None.
        origin: The episode at which it left another run, or None.
        copy: Which it is of the runs on the stage that would have the same label, from 1.
    """

    id: int
    run: Run
    colour: str
    playing: bool = False
    stop_at: int | None = None
    origin: int | None = None
    copy: int = 1
    _credit: float = 0.0
    _progress: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))

    @property
    def over(self) -> bool:
        """Whether the run can take no further step."""
        return self.run.divergence is not None or self.run.env_steps >= MAX_STEP

    @property
    def returning(self) -> bool:
        """Whether it is still on its way to where it leaves another run, and does what that one did."""
        return self.origin is not None and self.run.episode < self.origin

    @property
    def label(self) -> str:
        """Preset and seed, where it left another run, and which of several it is: `fast #0`, `fast #0 from 12 (2)`."""
        return self.named(self.copy)

    def named(self, copy: int) -> str:
        """The label it would have as the `copy`-th of several alike."""
        name = f"{preset_of(self.run.recipe.config)[0]} #{self.run.recipe.seed}"
        left = "" if self.origin is None else f" from {self.origin}"
        return name + left + (f" ({copy})" if copy > 1 else "")

    @property
    def difference(self) -> str:
        """How the settings in force differ from the preset's, in words; "" if they don't."""
        return self.differs(self.run.config)

    def differs(self, config: Config) -> str:
        """How settings of this run, now or in the past, differ from the preset's, in words; "" if they don't."""
        changed = config.difference(PRESETS[preset_of(self.run.recipe.config)[0]])
        changed.pop("engine", None)
        return ", ".join(f"{SETTINGS[name].label.lower()} {format_value(value)}" for name, value in changed.items())

    @property
    def steps_per_second(self) -> float:
        """Env steps a second over the last two and a half seconds; 0 while paused."""
        if not self.playing or len(self._progress) < 2:
            return 0.0
        (began, first), (ended, last) = self._progress[0], self._progress[-1]
        return (last - first) / max(ended - began, 1e-9)

    def train_slice(self, speed: float | None, elapsed_s: float) -> None:
        """Train for about 20 ms, or the steps that `speed` allows for the time elapsed. Mutates the run.

        What it shares with another run is not watched again: it is trained at full speed.
        """
        deadline, returning = time.perf_counter() + SLICE_S, self.returning
        steps = None
        if speed is not None and not returning:
            self._credit = min(self._credit + elapsed_s * speed, max(1.0, speed / 4))
            steps = int(self._credit)
            self._credit -= steps
        self.run.advance(
            steps=steps,
            stop=lambda: time.perf_counter() > deadline or self._arrived() or (returning and not self.returning),
        )
        if self._arrived() or self.over:
            self.playing, self.stop_at = False, None
        now = time.perf_counter()
        if not self._progress or now - self._progress[-1][0] > 0.05:
            self._progress.append((now, self.run.env_steps))
        while now - self._progress[0][0] > 2.5:
            self._progress.popleft()

    def _arrived(self) -> bool:
        return self.stop_at is not None and self.run.episode >= self.stop_at

    def rest(self) -> None:
        """Forget the pace kept so far."""
        self._progress.clear()
        self._credit = 0.0
