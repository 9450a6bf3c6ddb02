"""What the Export page shows of a policy: its evaluation here, its film, and what it does in every state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ddpg_core.environment import Array, pendulum_obs
from ddpg_core.export.film import played
from ddpg_core.imports import difference
from ddpg_core.policy import Policy, evaluated
from ddpg_core.probes import policy_map
from ddpg_core.run import Run
from pages.ui.clips import Episode
from pages.ui.critic import GRID, Belief

Key = tuple[Any, ...]


class Taken(NamedTuple):
    """A policy, and the networks beside it where they are known."""

    policy: Policy
    belief: Belief | None = None


@dataclass(frozen=True)
class Subject:
    """The policy that is asked for.

    Attributes:
        key: Tells it from every other one of this session.
        label, colour: Of the run, or what else it is called.
        take: Gives it; slow, so for the background.
        run: That trained it, if it is on the stage.
        episode: Of the run.
        moving: Whether the run trains on, so that this is another policy in a moment.
    """

    key: Key
    label: str
    colour: str
    take: Callable[[], Taken]
    run: Run | None = None
    episode: int = 0
    moving: bool = False


@dataclass(frozen=True)
class Look:
    """What is known of a policy.

    Attributes:
        key, label: Of the subject.
        policy: With an evaluation made here.
        claimed: The evaluation that the file itself names; None for a run's policy.
        film: The policy without noise, of the pendulum from hanging.
        torque: What it applies in all states on the grid [V, P]; None where there is no pendulum.
        values: What the critic expects of it [V, P]; None where none is known.
        again: Largest difference from the file that this run was trained after; None without one.
    """

    key: Key
    label: str
    policy: Policy
    claimed: Mapping[str, Any] | None
    film: Episode
    torque: Array | None
    values: Array | None
    again: float | None


def look_at(subject: Subject, again: tuple[Policy, int] | None = None) -> Look:
    """Evaluate a policy on the fixed starts, film it, and ask it about all states.

    Raises:
        ValueError: Its weights are not finite.
    """
    policy, belief = subject.take()
    claimed = None
    if belief is None:
        claimed, policy = policy.card.evaluation, evaluated(policy)
    pendulum = policy.card.config.env_id == "Pendulum-v1"
    torque = values = None
    if pendulum:
        torque = policy_map(policy.net, policy.parameters, policy.action_scale, GRID.obs)
        values = belief.learned(None) if belief else None
    apart = None
    if again and subject.run and again[1] == subject.run.serial and again[0].card.env_steps == policy.card.env_steps:
        apart = difference(again[0], policy)
    return Look(subject.key, subject.label, policy, claimed, _film(subject, policy), torque, values, apart)


def _film(subject: Subject, policy: Policy) -> Episode:
    """An episode without noise, as the film component takes it."""
    take = played(policy)
    pendulum = take.env_id == "Pendulum-v1"
    obs = pendulum_obs(take.states[:, 0], take.states[:, 1]) if pendulum else take.states.astype(np.float32)
    columns = {"obs": obs, "action": take.actions, "reward": take.rewards}
    return Episode(
        ":".join(map(str, subject.key)),
        "from hanging, no noise" if pendulum else "from the valley, no noise",
        f"return {take.rewards.sum():.0f}".replace("-", "−"),
        -1,
        subject.colour,
        take.env_id,
        True,
        len(take.rewards),
        columns,
    )
