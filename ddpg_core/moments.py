"""Moments of a run: snapshots of all its state, kept in bounded memory, what one shows, and why a run stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array

SNAPSHOT_BYTES: Final = 16 << 20
"""What the snapshots of past episodes may take; when they would take more, every second one is dropped."""


@dataclass(frozen=True)
class Divergence:
    """Why a run stopped: the env step (0-based) at which a number stopped being finite, and the likely cause."""

    step: int
    cause: str


@dataclass(frozen=True)
class Snapshot:
    """All mutable state of a run at the start of an episode, besides its logs.

    Attributes:
        episode: Episodes finished by then; the one about to start has this number.
        totals: Rows in the logs: steps, updates, episodes.
        learner: A copy of `LearnerState.vector`.
        counters: JSON-ready rest: updates, env, noise, generators, episode sums.
    """

    episode: int
    totals: tuple[int, int, int]
    learner: Array
    counters: dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """A run as it was when `episode` episodes were finished: everything shown is a function of this and the logs.

    Attributes:
        episode: Episodes finished by then.
        env_steps, updates: Rows of the step and update logs by then.
        window_first: The step row at which the replay window begins.
        config: The settings in force.
        weights_of: The episode at whose start the parameters were kept: `episode`, or the nearest kept one before.
        actor, critic, actor_target, critic_target: Flat parameter vectors, copies.
        action_scale: What the actor's outputs are multiplied by [A] float32, in the environment's units.
    """

    episode: int
    env_steps: int
    updates: int
    window_first: int
    config: Config
    weights_of: int
    actor: Array
    critic: Array
    actor_target: Array
    critic_target: Array
    action_scale: Array


class Snapshots:
    """Snapshots of past episodes, evenly spaced: of every one, then every second, fourth, … within `SNAPSHOT_BYTES`.

    Args:
        kept: What is kept already, oldest first.
    """

    def __init__(self, kept: Iterable[Snapshot] = ()) -> None:
        self._kept = {snapshot.episode: snapshot for snapshot in kept}
        episodes = list(self._kept)
        self._stride = episodes[1] - episodes[0] if len(episodes) > 1 else 1

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._kept.values())

    def wants(self, episode: int) -> bool:
        """Whether a snapshot of this episode would be kept."""
        return episode % self._stride == 0

    def keep(self, snapshot: Snapshot) -> None:
        """Add the newest snapshot, and thin them where they take too much."""
        self._kept[snapshot.episode] = snapshot
        if len(self._kept) > 1 and len(self._kept) * snapshot.learner.nbytes > SNAPSHOT_BYTES:
            self._stride *= 2
            self._kept = {episode: kept for episode, kept in self._kept.items() if self.wants(episode)}

    def before(self, episode: int) -> Snapshot:
        """The snapshot of `episode`, or of the nearest earlier one that is kept."""
        return self._kept[max(kept for kept in self._kept if kept <= episode)]


def likely_cause(config: Config, losses: Array) -> str:
    """What most probably blew up, from the settings and the newest critic losses [N]."""
    finite = losses[np.isfinite(losses)]
    grown = f"the critic's loss had grown to {finite[-1]:.2g}" if finite.size else "no loss was ever finite"
    rate = config.actor_lr if config.shared_lr else config.critic_lr
    if max(rate, config.actor_lr) > 3e-3:
        return f"{grown}; the learning rate {max(rate, config.actor_lr):g} is very high: try 0.001"
    if config.gamma == 1:
        return f"{grown}; with a discount of 1 values have no bound: try 0.99"
    if config.tau > 0.1:
        return f"{grown}; targets follow almost at once at a target rate of {config.tau:g}: try 0.01"
    return f"{grown}; try lower learning rates or a larger batch"
