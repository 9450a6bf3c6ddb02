"""The learner: what every engine is given and must do, and the state that all engines share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.networks import MLP

if TYPE_CHECKING:  # `logs` has a column for each of the statistics
    from ddpg_core.logs import Table

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


class Stretch(NamedTuple):
    """Env steps of the pendulum by the actor with noise, each followed by updates, under one config.

    Attributes:
        config: In force all the while.
        actor_lr, critic_lr: Learning rates after decay.
        action_scale: What the actor's outputs are multiplied by [1] float32.
        noise_amplitude: What the noise is multiplied by, in N·m.
        normals: Standard normals for the noise of each step [steps].
        windows: Rows in the replay window at each update; as many updates follow each step.
        sampling_rng: Draws from these, as `replay.sample_rows` does; mutated.
        state: Angle in rad, velocity in rad/s and noise [3] float64; mutated.
        ends: Whether time runs out with the last step.
    """

    config: Config
    actor_lr: float
    critic_lr: float
    action_scale: Array
    noise_amplitude: float
    normals: Array
    windows: Sequence[int]
    sampling_rng: np.random.Generator
    state: Array
    ends: bool


class Outcome(NamedTuple):
    """What came of a stretch: the rewards of the steps taken [steps], `STATISTICS` [N, 8] of the updates made."""

    rewards: Array
    statistics: Array


class Loop(Protocol):
    """Takes env steps, too, with the `LearnerState` it was made with."""

    def take(self, log: Table, stretch: Stretch) -> Outcome:
        """See `Run._step`, whose steps these are; adds rows to the step log, and mutates what `Stretch` says.

        It ends early where a reward or a statistic is not a finite number.
        """
        ...


class Engines:
    """The engines of one learner; each update is made by the one that its `config` names.

    So a run changes its engine by changing its config, and nothing else has to know.

    Args:
        state: What all of them work on.
        names: Those to be made at once; others are made when they are first asked for.
    """

    def __init__(self, state: LearnerState, names: Iterable[str] = ()) -> None:
        self._state = state
        self._made = {name: make_engine(name, state) for name in names}

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """See `Engine.update`."""
        return self._engine(config.engine).update(batch, config, actor_lr, critic_lr, action_scale)

    def loop(self, config: Config) -> Loop | None:
        """What takes env steps under this config; None where `Run` has to."""
        if config.engine != "fused" or config.env_id != "Pendulum-v1":
            return None
        return cast(Loop, self._engine("fused"))

    def _engine(self, name: str) -> Engine:
        if name not in self._made:
            self._made[name] = make_engine(name, self._state)
        return self._made[name]


def make_engine(name: str, state: LearnerState) -> Engine:
    """The engine called `name`, working on `state`.

    Raises:
        ValueError: There is no such engine, or this machine cannot have it.
    """
    if name not in _ENGINES:
        raise ValueError(f"engine must be one of {', '.join(_ENGINES)}, got {name!r}")
    return _ENGINES[name](state)


def resolved(config: Config) -> Config:
    """`config` with the name of an engine in place of `auto`: `fused`, whatever the networks and the batch.

    As measured it is the faster one up to the largest that `Config` allows. Time of an update by torch over that by
    fused (`python -m ddpg_core bench`, AVX-512): 21 at 8-8-8/1024, 10 at 64-64/128, 1.9 at 256-256/256, 1.8 at
    400-300/256, 1.4 at 512-512/256 and 1.1 at 512-512-512-512/4096, where both do little but matrix products.
    """
    return config.changed({"engine": "fused"}) if config.engine == "auto" else config


def _torch_engine(state: LearnerState) -> Engine:
    from ddpg_core.learner.torch_engine import TorchEngine

    return TorchEngine(state)


def _fused_engine(state: LearnerState) -> Engine:
    from ddpg_core.learner.fused_engine import FusedEngine

    return FusedEngine(state)


_ENGINES: Final[dict[str, Callable[[LearnerState], Engine]]] = {"torch": _torch_engine, "fused": _fused_engine}
