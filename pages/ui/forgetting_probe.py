"""What branches have forgotten, in arrays: evaluations from fixed starts, the index, maps of what changed.

Dimension letters: E evaluations, N starts, V velocities, P angles, T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array, Physics, pendulum_angles, start_states
from ddpg_core.experiment import STARTS_SEED, random_return
from ddpg_core.metrics import forgetting_index
from ddpg_core.moments import Moment
from ddpg_core.networks import MLP
from ddpg_core.probes import policy_map, policy_returns, q_map, state_grid
from pages.ui.clips import on_screen
from pages.ui.forgetting import name_of
from pages.ui.lab import Lab
from pages.ui.player import Player

STARTS: Final = 64
MOST_EVALUATIONS: Final = 40
"""Of a branch; of a longer one every second episode is evaluated, every fourth, …"""
AT_ONCE: Final = 24
"""Policies evaluated before the page is told: about a quarter of a second's work."""
GRID: Final = state_grid(41)

Key = tuple[int, int]
"""A run's serial number, and after how many episodes."""


class Pause(NamedTuple):
    """The policy of a branch after so many episodes, to be evaluated."""

    key: Key
    net: MLP
    actor: Array
    action_scale: Array
    config: Config


@dataclass(frozen=True)
class Known:
    """Evaluations so far.

    Attributes:
        random: Mean return of random actions from the same starts.
        returns: Of each policy evaluated [N].
    """

    random: float
    returns: dict[Key, Array]


@dataclass(frozen=True)
class Path:
    """How a branch does since it left, as far as it has been evaluated.

    Attributes:
        id, name, colour: Of the player, and what it does differently.
        origin: Episode at which it left.
        episodes: At which it was evaluated [E], the first `origin`, the last the moment on screen.
        returns: Without noise, from each start [E, N].
        random: Mean return of random actions from those starts.
    """

    id: int
    name: str
    colour: str
    origin: int
    episodes: Array
    returns: Array
    random: float

    @cached_property
    def index(self) -> Array:
        """The forgetting index since the branch [E]; NaN where there was nothing to forget."""
        means = self.returns.mean(axis=1)
        return forgetting_index(np.full(len(means), means[0]), means, self.random)


def evaluated(known: Known | None, pauses: Sequence[Pause], runs: frozenset[int]) -> Known:
    """What is known of `runs`, by serial number, with some more policies evaluated; pure."""
    config = pauses[0].config
    starts = start_states(config, STARTS, STARTS_SEED)
    returns = {key: values for key, values in known.returns.items() if key[0] in runs} if known else {}
    for each in pauses[:AT_ONCE]:
        returns[each.key] = policy_returns(each.net, each.actor, each.action_scale, Physics.of(each.config), starts)
    return Known(random_return(config, STARTS), returns)


def start_angles(config: Config) -> Array:
    """Angles of the fixed starts [N] in rad."""
    return start_states(config, STARTS, STARTS_SEED)[:, 0]


def episodes_of(branch: Player, now: int) -> list[int]:
    """Episodes at which a branch is evaluated up to `now`: those whose weights were kept, thinned, and both ends."""
    origin = branch.origin or 0
    kept = [each.episode for each in branch.run.snapshots if origin <= each.episode <= now]
    every = 1
    while len(kept) > MOST_EVALUATIONS * every:
        every *= 2
    return sorted({origin, *kept[::every], *kept[-1:]})


def pauses_of(lab: Lab, branches: Sequence[Player], known: Known | None) -> list[Pause]:
    """Policies that are still to be evaluated, the first and the last of every branch before the others."""
    missing: list[tuple[bool, Pause]] = []
    with lab.reading():
        for branch in branches:
            run, numbers = branch.run, episodes_of(branch, lab.moment(branch).episode)
            for number in numbers:
                if known and (run.serial, number) in known.returns:
                    continue
                moment, between = run.at(number), number not in (numbers[0], numbers[-1])
                pause = Pause(
                    (run.serial, number), run.learner.actor_net, moment.actor, moment.action_scale, moment.config
                )
                missing.append((between, pause))
    return [pause for _, pause in sorted(missing, key=lambda item: item[0])]


def paths_of(lab: Lab, branches: Sequence[Player], known: Known | None) -> list[Path]:
    """The branches with the evaluations there are, those without any left out."""
    paths = []
    for branch in branches:
        with lab.reading():
            serial, name, numbers = branch.run.serial, name_of(branch), episodes_of(branch, lab.moment(branch).episode)
        there = [number for number in numbers if known and (serial, number) in known.returns]
        if known and there and there[0] == numbers[0]:
            returns = np.array([known.returns[serial, number] for number in there])
            episodes = np.array(there)
            paths.append(Path(branch.id, name, branch.colour, numbers[0], episodes, returns, known.random))
    return paths


class Change(NamedTuple):
    """What changed in a branch since it left, over the states of the pendulum.

    Attributes:
        id, name: Of the branch.
        value: The critic's value, now minus before, of the torque the policy applied before [V, P].
        torque: What the policy applies, now minus before, in N·m [V, P].
        angles, velocities: Of the episode on screen [T]; none before the branch has made one.
    """

    id: int
    name: str
    value: Array
    torque: Array
    angles: Array
    velocities: Array


def change_of(lab: Lab, branch: Player) -> Change:
    """Ask a branch's networks of then and of the moment on screen about every state; takes the Lab's lock."""
    with lab.reading():
        before, now, learner = branch.run.at(branch.origin), lab.moment(branch), branch.run.learner
        episode, name = on_screen(lab, branch), name_of(branch)
    if now.env_steps <= before.env_steps or episode is None:
        episode, now = None, before
    obs = episode.columns["obs"] if episode else np.empty((0, 3), np.float32)

    def torque(moment: Moment) -> Array:
        return policy_map(learner.actor_net, moment.actor, moment.action_scale, GRID.obs)

    then = torque(before)
    values = [q_map(learner.critic_net, moment.critic, GRID.obs, then) for moment in (before, now)]
    return Change(branch.id, name, values[1] - values[0], torque(now) - then, pendulum_angles(obs), obs[:, -1])
