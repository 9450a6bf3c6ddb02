"""The learner: what every engine is given and must do, and the state that all engines share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.networks import MLP

STATISTICS: Final = (
    "critic_loss",
    "actor_loss",
    "q_mean",
    "target_mean",
    "td_error_abs",
    "critic_grad_norm",
    "actor_grad_norm",
    "saturation",
)
ADAM_BETAS: Final = (0.9, 0.999)
ADAM_EPSILON: Final = 1e-8
"""Kingma & Ba 2015's own values, in every engine."""
SATURATED: Final = 0.99
"""An actor output beyond ± this counts as saturated: tanh passes almost no gradient there."""


class Batch(NamedTuple):
    """B transitions, float32: obs [B, O], action [B, A], reward [B], next_obs [B, O], terminal [B] (0 or 1)."""

    obs: Array
    action: Array
    reward: Array
    next_obs: Array
    terminal: Array


class LearnerState:
    """All numbers that learning changes, in one flat float32 vector, with named views into it.

    `vector` is actor | critic | actor_target | critic_target | first and second Adam moments of actor and critic.
    Engines read and write the views in place, so a copy of `vector` and `updates` is a complete snapshot.

    Args:
        actor, critic: The shapes of the networks.
    """

    def __init__(self, actor: MLP, critic: MLP) -> None:
        a, c = actor.parameter_count, critic.parameter_count
        self.actor_net, self.critic_net = actor, critic
        self.vector: Array = np.zeros(4 * (a + c), dtype=np.float32)
        self.online, self.target, self.moment1, self.moment2 = np.split(self.vector, 4)
        self.actor, self.critic = np.split(self.online, [a])
        self.actor_target, self.critic_target = np.split(self.target, [a])
        self.updates = 0

    def initialise(self, rng: np.random.Generator, config: Config) -> None:
        """Draw actor and critic, and start the targets as `target_init` says. Mutates `vector` and `rng`."""
        nets = (self.actor_net, self.critic_net)
        self.online[:] = np.concatenate([net.initial(rng, config.kernel_init) for net in nets])
        if config.target_init == "copy":
            self.target[:] = self.online
        else:
            self.target[:] = np.concatenate([net.initial(rng, config.kernel_init) for net in nets])


class Engine(Protocol):
    """Does one DDPG update on the `LearnerState` it was made with."""

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """One critic step, one actor step, one step of both targets, in place.

        Args:
            batch: The transitions.
            config: `gamma`, `tau`, `l2` and `target_action_scaled` are read.
            actor_lr, critic_lr: Learning rates after decay.
            action_scale: What the actor's outputs are multiplied by [A] float32.

        Returns:
            `STATISTICS` [8] float64.
        """
        ...


def make_engine(name: str, state: LearnerState) -> Engine:
    """The engine called `name`, working on `state`.

    Raises:
        ValueError: There is no such engine.
    """
    return _ENGINES[resolve_engine(name)](state)


def resolve_engine(name: str) -> str:
    """The engine that `auto` stands for, or `name` itself."""
    resolved = "torch" if name == "auto" else name
    if resolved not in _ENGINES:
        raise ValueError(f"engine must be one of auto, {', '.join(_ENGINES)}, got {name!r}")
    return resolved


def _torch_engine(state: LearnerState) -> Engine:
    from ddpg_core.learner.torch_engine import TorchEngine

    return TorchEngine(state)


def _fused_engine(state: LearnerState) -> Engine:
    from ddpg_core.learner.fused_engine import FusedEngine

    return FusedEngine(state)


_ENGINES: Final[dict[str, Callable[[LearnerState], Engine]]] = {"torch": _torch_engine, "fused": _fused_engine}
