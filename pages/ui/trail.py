"""The trail of a run: noise, policy and executed action of its newest steps, copied out of its log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.config import NOISE, SETTINGS
from ddpg_core.environment import Array
from ddpg_core.moments import Moment
from ddpg_core.noise import noise_amplitude, theory_of
from ddpg_core.noise_bench import root_mean_square
from ddpg_core.run import Run
from pages.ui.curves import in_episodes
from pages.ui.player import Player
from pages.ui.theme import grown

BLOCK: Final = 200
"""Steps by which the time axis moves on: it shows one whole block and the one going on."""
MEASURED_STEPS: Final = 2000
"""Steps over which the noise is measured, at most."""
_NOISE_SETTINGS: Final = {name for name, setting in SETTINGS.items() if setting.group == NOISE} | {"noise_range"}


class Spread(NamedTuple):
    """Standard deviation of a run's noise, in action units: measured, its theory, and how far chance takes it off."""

    measured: float
    expected: float
    chance: float
    steps: int


@dataclass(frozen=True)
class Trail:
    """The newest steps of a run at a moment.

    Attributes:
        first, begin: Env step of the first row, and of the left end of the time axis.
        noise, policy, action: Of each step [T], in action units; `action` is what was executed.
        limit: Of the actuator.
        unit: Of actions.
        amplitude: What the noise is multiplied by now.
        starts: (env step, number) of the episodes that begin here.
        marks: Env steps of the interventions in between.
        colour: The run's.
        spread: Of the noise since its settings last changed.
    """

    first: int
    begin: int
    noise: Array
    policy: Array
    action: Array
    limit: float
    unit: str
    amplitude: float
    starts: tuple[tuple[int, int], ...]
    marks: tuple[int, ...]
    colour: str
    spread: Spread

    @property
    def asked(self) -> Array:
        """Policy plus noise, before it was cut [T]."""
        return self.policy + self.noise

    @property
    def clipped(self) -> Array:
        """Whether the actuator's limit cut a step's action [T]."""
        return np.abs(self.asked) > self.limit

    @property
    def reach(self) -> float:
        """Half the height of the three axes: it grows in steps."""
        values = np.concatenate([self.noise, self.policy])
        largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
        return min(max(1.5 * self.limit, grown(largest, self.limit / 2)), 8 * self.limit)


def trail_of(player: Player, moment: Moment) -> Trail:
    """Copy the last steps up to a moment out of a run's log; call it while `Lab.reading()`."""
    run, stop = player.run, moment.env_steps
    begin = max((stop - 1) // BLOCK - 1, 0) * BLOCK
    columns = {name: run.logs.steps.read(name, begin, stop) for name in ("noise", "policy_action", "action")}
    number = run.logs.episodes.first + 1
    return Trail(
        max(begin, run.logs.steps.first),
        begin,
        columns["noise"],
        columns["policy_action"],
        columns["action"],
        float(run.env.action_high[0]),
        " N·m" if run.config.env_id == "Pendulum-v1" else "",
        _amplitude(player, moment),
        tuple((int(step), number + index) for index, step in enumerate(_begins(run, moment)) if begin <= step < stop),
        tuple(item.step for item in run.recipe.interventions if begin < item.step < stop),
        player.colour,
        spread_of(player, moment),
    )


def spread_of(player: Player, moment: Moment) -> Spread:
    """Measure the noise that the settings in force made, each step at the scale of now; while `Lab.reading()`."""
    run, config, stop = player.run, moment.config, moment.env_steps
    noise = run.logs.steps.read("noise", max(stop - MEASURED_STEPS, _settled(run, moment)), stop).astype(float)
    numbers = np.floor(in_episodes(run, np.arange(stop - len(noise), stop)))
    theory, amplitude = theory_of(config), _amplitude(player, moment)
    deviations = noise * config.noise_decay ** (moment.episode - numbers) - amplitude * theory.mean
    std = theory.std
    if config.noise_reset and theory.settles:
        std = root_mean_square(theory.spread(run.env.max_episode_steps))
    expected = amplitude * std if amplitude else 0.0
    memory = theory.memory**2
    chance = math.sqrt((1 + memory) / (1 - memory) / (2 * len(noise))) if memory < 1 and len(noise) else math.inf
    return Spread(root_mean_square(deviations) if len(noise) else 0.0, expected, expected * chance, len(noise))


def _settled(run: Run, moment: Moment) -> int:
    """The env step from which the noise owes nothing to earlier settings of it."""
    changed = [
        item.step
        for item in run.recipe.interventions
        if item.step <= moment.env_steps and not _NOISE_SETTINGS.isdisjoint(item.changes)
    ]
    if not changed:
        return 0
    if not moment.config.noise_reset:
        return changed[-1] + math.ceil(min(5 * theory_of(moment.config).correlation_steps, moment.env_steps))
    later = [int(step) for step in _begins(run, moment) if step >= changed[-1]]
    return later[0] if later else moment.env_steps


def _begins(run: Run, moment: Moment) -> Array:
    """Env steps at which the episodes in the log began, up to the one going on at a moment."""
    first, length = (run.logs.episodes.read(name, 0, moment.episode).astype(int) for name in ("first_step", "length"))
    return np.append(first, first[-1] + length[-1] if len(first) else 0)


def _amplitude(player: Player, moment: Moment) -> float:
    env = player.run.env
    return float(noise_amplitude(moment.config, moment.episode, env.action_low, env.action_high)[0])
