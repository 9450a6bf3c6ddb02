"""One update under the microscope: the next update of a run with every number in it, without changing the run.

A twin of the run makes the update by the run's own engine. Beside it, on a copy of the same weights, the reference
engine makes it sub-step by sub-step, and everything in between is noted: of a run on `torch` these are its very
numbers, of one on `fused` they are the same but for rounding. `ddpg_core.substeps` puts them into the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import STATISTICS, Batch, Engines, LearnerState, Loop, Outcome, Stretch
from ddpg_core.logs import Table
from ddpg_core.moments import Divergence
from ddpg_core.networks import MLP
from ddpg_core.recipe import MAX_STEP
from ddpg_core.replay import sample_rows, transitions
from ddpg_core.run import Run

if TYPE_CHECKING:
    from torch import Tensor

MAX_STEPS_AHEAD: Final = 20
"""Env steps a twin may take to reach its next update: one second of the pendulum's time."""


class NoUpdateError(ValueError):
    """There is no next update to look at; the message says why.

    Attributes:
        missing_steps: Env steps until there would be one; None if the run as it is makes none at all.
    """

    def __init__(self, message: str, missing_steps: int | None = None) -> None:
        super().__init__(message)
        self.missing_steps = missing_steps


@dataclass(frozen=True)
class UpdateSettings:
    """The settings an update was made with.

    Attributes:
        gamma, tau, l2: γ, τ and λ.
        actor_lr, critic_lr: Learning rates after decay.
        adam_step: Adam's t, which is 1 in the first update.
        action_scale: What the actor's outputs are multiplied by [A], in the environment's units.
        target_action_scaled: Whether the target actor's outputs were multiplied too.
        replay, replay_window: How the batch was drawn, and from how many of the newest transitions.
        engine: Who makes the run's updates.
    """

    gamma: float
    tau: float
    l2: float
    actor_lr: float
    critic_lr: float
    adam_step: int
    action_scale: Array
    target_action_scaled: bool
    replay: str
    replay_window: int
    engine: str


@dataclass(frozen=True)
class LayerStep:
    """What a gradient step did to one layer, kernel and bias together.

    Attributes:
        inputs, units: Its shape.
        grad_norm: ‖gradient of the loss, penalty included‖.
        weight_norm: ‖weights‖ before the step.
        change_norm: ‖weights after − before‖.
        adam_ratio: Mean |change of a weight| in units of the learning rate. Near 1 where gradients keep their sign
            (and in Adam's first step), near 0 where they come and go.
    """

    inputs: int
    units: int
    grad_norm: float
    weight_norm: float
    change_norm: float
    adam_ratio: float


@dataclass(frozen=True)
class TargetStep:
    """How far a target network lags, and one of its weights as an example.

    Attributes:
        lag_before, lag_after: ‖θ − θ′‖/‖θ‖ before and after the Polyak step, θ being the weights just updated.
        online, target_before, target_after: θ, θ′ and the new θ′ of the weight whose target is furthest behind.
    """

    lag_before: float
    lag_after: float
    online: float
    target_before: float
    target_after: float


@dataclass(frozen=True)
class UpdateView:
    """Every number of one update; all arrays are copies (B batch, O observation, A action).

    Attributes:
        episode: Episodes finished before it.
        env_step: Row in the step log of the env step it follows.
        update: Row it has, or will have, in the update log.
        steps_ahead: Env steps from where the run was looked at to there; 1 is its very next step.
        settings: What it was made with.
        ages, rows: The batch as ages (0 = newest) and as rows of the step log [B] int64.
        obs, action, reward, next_obs, terminal: The batch [B, O], [B, A], [B], [B, O], [B], float32 as all below.
        next_action: a′ = μ′(s′) as it enters the target critic [B, A].
        next_q, target: Q′(s′, a′) and y [B].
        q, td_error: Q(s, a) before the critic's step, and δ = y − Q(s, a) [B].
        q_after: Q(s, a) after it [B].
        critic_loss, critic_penalty: The critic's loss before its step, and the weight penalty's part in it.
        policy_action, policy_action_after: μ(s) before and after the actor's step [B, A], in the environment's units.
        policy_q, policy_q_after: Q(s, μ(s)) by the updated critic before and after the actor's step [B].
        action_gradient: ∂Q/∂a of the updated critic at (s, μ(s)), before the actor's step [B, A].
        actor_loss, actor_penalty: The actor's loss before its step, and the weight penalty's part in it.
        critic_layers, actor_layers: What the two steps did to each layer, inputs first.
        critic_target, actor_target: What the Polyak step did to the targets.
        statistics: `STATISTICS` [8] float64 by the run's own engine, as the update log holds them.
        divergence: Set if the run stops at this update because a number in it isn't finite.
    """

    episode: int
    env_step: int
    update: int
    steps_ahead: int
    settings: UpdateSettings
    ages: Array
    rows: Array
    obs: Array
    action: Array
    reward: Array
    next_obs: Array
    terminal: Array
    next_action: Array
    next_q: Array
    target: Array
    q: Array
    td_error: Array
    q_after: Array
    critic_loss: float
    critic_penalty: float
    policy_action: Array
    policy_action_after: Array
    policy_q: Array
    policy_q_after: Array
    action_gradient: Array
    actor_loss: float
    actor_penalty: float
    critic_layers: tuple[LayerStep, ...]
    actor_layers: tuple[LayerStep, ...]
    critic_target: TargetStep
    actor_target: TargetStep
    statistics: Array
    divergence: Divergence | None = None


def look(run: Run, episode: int | None = None) -> UpdateView:
    """The next update of `run`, or the first one from the start of a past `episode` on; `run` stays as it is.

    Where several updates follow an env step it is the first of them.

    Raises:
        NoUpdateError: No update comes within `MAX_STEPS_AHEAD` env steps.
        ValueError: `episode` is not in the log, or too old to be gone back to.
    """
    twin = run.fork(episode)
    if episode is not None:
        twin.advance(episodes=episode - twin.episode)
    return next_update(twin)


def next_update(run: Run) -> UpdateView:
    """Step `run`, a twin, until it has made its next update, and show this; mutates `run`.

    Raises:
        NoUpdateError: No update came within `MAX_STEPS_AHEAD` env steps.
    """
    recorder = _Recorder(run)
    run._engine = recorder  # a twin is thrown away after the look, so nobody meets the changed engine
    for _ in range(MAX_STEPS_AHEAD):
        if run.divergence or run.env_steps >= MAX_STEP:
            break
        run.step()
        if recorder.view:
            finite = np.isfinite(recorder.view.statistics).all()
            return recorder.view if finite else replace(recorder.view, divergence=run.divergence)
    raise _no_update(run, recorder.first_step)


def _no_update(run: Run, first_step: int) -> NoUpdateError:
    """Why no update followed in `run`, looked at when it had taken `first_step` env steps."""
    if run.divergence:
        return NoUpdateError(f"the run stopped at step {run.divergence.step}: {run.divergence.cause}")
    if run.env_steps >= MAX_STEP:
        return NoUpdateError(f"a run ends at {MAX_STEP} steps")
    if not run.config.updates_per_step:
        return NoUpdateError("learning is switched off: updates per step is 0")
    missing = run.config.warmup_steps - first_step
    return NoUpdateError(f"learning starts after {run.config.warmup_steps} env steps, {missing} from here", missing)


class _Recorder(Engines):
    """Makes updates by the run's own engine, one by one, and notes all sub-steps of the first by the reference.

    Args:
        run: Whose engine it stands in for.

    Attributes:
        first_step: Env steps the run had taken when the recorder was made.
        view: What it saw.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run.learner)
        self._run = run
        self._loop: Loop | None = None
        self.first_step = run.env_steps
        self._sampling = run.snapshot().counters["sampling_rng"]
        self.view: UpdateView | None = None

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """See `Engine.update`."""
        if self.view:
            return super().update(batch, config, actor_lr, critic_lr, action_scale)
        with np.errstate(all="ignore"):  # an update that isn't finite is to be seen, too
            view = self._record(batch, config, actor_lr, critic_lr, action_scale)
            statistics = super().update(batch, config, actor_lr, critic_lr, action_scale)
        self.view = replace(view, statistics=statistics.copy())
        return statistics

    def loop(self, config: Config) -> Loop | None:
        """See `Engines.loop`."""
        self._loop = super().loop(config)
        return self if self._loop else None

    def take(self, log: Table, stretch: Stretch) -> Outcome:
        """See `Loop.take`: a step by the run's own loop, and the updates after it one by one."""
        assert self._loop
        rewards, _ = self._loop.take(log, stretch._replace(windows=()))
        config, statistics = stretch.config, np.empty((0, len(STATISTICS)))
        for window in stretch.windows:
            rows = log.gather(sample_rows(window, config, stretch.sampling_rng))
            batch, rates = transitions(rows, log.slices, config), (stretch.actor_lr, stretch.critic_lr)
            statistics = np.vstack([statistics, self.update(batch, config, *rates, stretch.action_scale)])
            if not np.isfinite(statistics).all():
                break
        return Outcome(rewards, statistics)

    def _record(
        self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array
    ) -> UpdateView:
        from ddpg_core.learner.torch_engine import TorchEngine

        run, state = self._run, _copy(self._run.learner)
        engine = TorchEngine(state)
        online_critic, online_actor, target_critic, target_actor = (
            weights.copy() for weights in (state.critic, state.actor, state.critic_target, state.actor_target)
        )
        transitions, scale = engine.begin(batch, action_scale)
        targets = engine.targets(transitions, scale, config)
        critic = engine.critic_step(transitions, targets.y, critic_lr, config.l2)
        q_after, policy = engine.q(transitions), engine.policy(transitions, scale)
        (action_gradient,) = _gradient(policy.q, policy.action)
        actor = engine.actor_step(transitions, scale, actor_lr, config.l2)
        policy_after = engine.policy(transitions, scale)
        engine.polyak_step(config.tau)

        ages = self._ages(config)
        critic_grad, actor_grad = _numpy(critic.objective.grad), _numpy(actor.objective.grad)
        return UpdateView(
            episode=run.episode,
            env_step=run.env_steps - 1,
            update=run.updates,
            steps_ahead=run.env_steps - self.first_step,
            settings=UpdateSettings(
                config.gamma,
                config.tau,
                config.l2,
                actor_lr,
                critic_lr,
                state.updates,
                action_scale.copy(),
                config.target_action_scaled,
                config.replay,
                self._window(config),
                config.engine,
            ),
            ages=ages,
            rows=run.env_steps - 1 - ages,
            **{name: part.copy() for name, part in batch._asdict().items()},
            next_action=_numpy(targets.next_action),
            next_q=_numpy(targets.next_q),
            target=_numpy(targets.y),
            q=_numpy(critic.q),
            td_error=_numpy(critic.td_error),
            q_after=_numpy(q_after),
            critic_loss=critic.objective.loss.item(),
            critic_penalty=critic.objective.penalty.item(),
            policy_action=_numpy(policy.action),
            policy_action_after=_numpy(policy_after.action),
            policy_q=_numpy(policy.q),
            policy_q_after=_numpy(policy_after.q),
            action_gradient=_numpy(action_gradient),
            actor_loss=actor.objective.loss.item(),
            actor_penalty=actor.objective.penalty.item(),
            critic_layers=_layer_steps(state.critic_net, online_critic, state.critic, critic_grad, critic_lr),
            actor_layers=_layer_steps(state.actor_net, online_actor, state.actor, actor_grad, actor_lr),
            critic_target=_target_step(state.critic, target_critic, state.critic_target),
            actor_target=_target_step(state.actor, target_actor, state.actor_target),
            statistics=engine.statistics(targets, critic, actor),
        )

    def _ages(self, config: Config) -> Array:
        """The ages the run drew for its batch, drawn once more: nothing but a batch is drawn from this generator."""
        rng = np.random.default_rng()
        rng.bit_generator.state = self._sampling
        return sample_rows(self._window(config), config, rng).copy()

    def _window(self, config: Config) -> int:
        """What the run draws from: in a loop the oldest row of a full window leaves it only after the update."""
        return min(self._run.replay_window, config.capacity)


def _copy(learner: LearnerState) -> LearnerState:
    state = LearnerState(learner.actor_net, learner.critic_net)
    state.vector[:], state.updates = learner.vector, learner.updates
    return state


def _gradient(q: Tensor, action: Tensor) -> tuple[Tensor, ...]:
    """∂Q/∂a [A, B] of values q [B] of actions [A, B]: a transition's value depends on its own action only."""
    import torch

    return torch.autograd.grad(q.sum(), action)


def _numpy(tensor: Tensor) -> Array:
    """A copy with the batch first: [B] or [B, …]."""
    return np.array(tensor.detach().numpy().T, order="C")


def _layer_steps(net: MLP, before: Array, after: Array, grad: Array, lr: float) -> tuple[LayerStep, ...]:
    ends = np.cumsum(net.split_sizes)[1::2]  # a layer's kernel and bias lie side by side

    def by_layer(parameters: Array) -> list[Array]:
        return np.split(parameters.astype(np.float64), ends[:-1])

    change = after.astype(np.float64) - before
    return tuple(
        LayerStep(inputs, units, _norm(slope), _norm(weights), _norm(moved), float(np.abs(moved).mean()) / (lr or 1.0))
        for (units, inputs), slope, weights, moved in zip(
            net.shapes, by_layer(grad), by_layer(before), by_layer(change), strict=True
        )
    )


def _target_step(online: Array, before: Array, after: Array) -> TargetStep:
    gap = online.astype(np.float64) - before
    size, furthest = np.float64(_norm(online)), int(np.abs(gap).argmax())
    return TargetStep(
        float(_norm(gap) / size),
        float(_norm(online.astype(np.float64) - after) / size),
        float(online[furthest]),
        float(before[furthest]),
        float(after[furthest]),
    )


def _norm(vector: Array) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))
