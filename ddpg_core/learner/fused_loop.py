"""The fused engine's one compiled function: env steps of the pendulum and the updates after them, many in one call.

What each step means stands in `ddpg_core.run.Run._step`, in `noise.next_noise` and in Gymnasium's Pendulum-v1, with
which this computes the same numbers, bit for bit as far as the machine's sine and cosine agree with NumPy's; acting
alone may differ by rounding. An update is `fused_kernel.update`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple

from ddpg_core.environment import DT_S, MAX_SPEED_RAD_S, MAX_TORQUE_NM, Array
from ddpg_core.learner.fused_kernel import update
from ddpg_core.learner.fused_layers import COMPILED, ONE, ZERO, compiled, squash
from ddpg_core.learner.fused_plan import NOISES, Call, Learning, Plan, Settings, World

_as_tuple: Final[Callable[..., Any]] = to_fixed_tuple
_PLAN_LENGTH: Final = len(Plan._fields)
_CALL_LENGTH: Final = len(Call._fields)
_LEARNING_LENGTH: Final = len(Learning._fields)
_WORLD_LENGTH: Final = len(World._fields)
_OU, _OU_NOTEBOOK, _GAUSSIAN = (NOISES.index(noise) for noise in ("ou", "ou_notebook", "gaussian"))
_TORQUE_COST: Final = np.float32(0.001)

_float32: Final[Callable[[float], float]] = cast(Any, np.float32)

# What has an original to agree with bit for bit: sums keep their order, and products are rounded.
exactly: Callable[[Callable[..., Any]], Any] = njit(**{**COMPILED, "fastmath": False})


@compiled
def fused_steps(
    vector: Array,
    layout: Array,
    work: Array,
    call: Array,
    learning: Array,
    world: Array,
    scale: Array,
    log: Array,
    windows: Array,
    sampling_rng: np.random.Generator,
    ages: Array,
    normals: Array,
    batch: Array,
    state: Array,
    rewards: Array,
    statistics: Array,
) -> tuple[int, int]:
    """Env steps and updates as `call` says; how many of each were made, fewer where a number is not finite.

    Args:
        vector: `LearnerState.vector`, mutated.
        layout: `Plan` and the sizes of both networks.
        work: Memory for `Plan`, mutated.
        call, learning, world: `Call`, `Learning`, `World`.
        scale: What the actor's outputs are multiplied by [A].
        log: The step log's storage, a ring; a row is written a step.
        windows: Of how many rows each update draws B with replacement [N], as `replay.sample_rows` does.
        sampling_rng: To draw from; mutated.
        ages: Which rows each update learns from [N, B], 0 = the newest; written where there are windows.
        normals: Standard normals for the noise [steps].
        batch: Memory for a batch [B, 2·O + A + 2], mutated.
        state: Angle, velocity, noise; mutated.
        rewards: Of each step [steps], written.
        statistics: Of each update [N, 8], written.

    Raises:
        IndexError: An age lies outside the log.
    """
    plan, order = Plan(*_as_tuple(layout, _PLAN_LENGTH)), Call(*_as_tuple(call, _CALL_LENGTH))
    rates, outside = Learning(*_as_tuple(learning, _LEARNING_LENGTH)), World(*_as_tuple(world, _WORLD_LENGTH))
    sizes, critic_sizes = layout[_PLAN_LENGTH : _PLAN_LENGTH + plan.depth], layout[_PLAN_LENGTH + plan.depth :]
    newest, made = order.newest, 0
    for step in range(max(order.steps, 1)):
        if order.steps:
            newest = newest + 1 if newest + 1 < len(log) else 0
            row, ends = log[newest], outside.ends > 0 and step == order.steps - 1
            rewards[step] = _env_step(vector, plan, sizes, work, order, outside, scale, row, normals, step, state, ends)
            if not np.isfinite(rewards[step]):
                return step + 1, made
        for _ in range(order.updates):
            if len(windows):
                ages[made] = sampling_rng.integers(0, windows[made], len(batch))
            _gather(log, newest, ages[made], order, rates, sizes[0], len(scale), batch)
            settings = _settings(rates, order.made + made + 1)
            update(vector, plan, sizes, critic_sizes, work, settings, scale, batch, statistics[made])
            made += 1
            if not np.isfinite(statistics[made - 1]).all():
                return step + 1, made
    return order.steps, made


@compiled
def _settings(rates: Learning, t: int) -> Settings:
    """Of the update that is the `t`-th."""
    correction = 1 - rates.beta1**t
    return Settings(
        _float32(rates.gamma),
        _float32(rates.tau),
        _float32(rates.l2),
        _float32(rates.target_scaled),
        _float32(rates.actor_lr / correction),
        _float32(rates.critic_lr / correction),
        _float32(1 - rates.beta1),
        _float32(1 - rates.beta2),
        _float32(1 - rates.beta2**t),
        _float32(rates.epsilon),
        _float32(rates.saturated),
    )


@compiled
def _gather(log: Array, newest: int, ages: Array, order: Call, rates: Learning, o: int, a: int, batch: Array) -> None:
    """`replay.transitions` of the rows of these ages, each as obs [O], action [A], next_obs [O], reward, terminal."""
    count, raw, limit = len(log), rates.raw_action > 0, rates.time_limit_terminal > 0
    for i in range(len(ages)):
        place = newest - ages[i]
        place += count if place < 0 else 0
        if not 0 <= place < count:
            raise IndexError("ages must lie in the log")
        row, drawn = log[np.uint64(place)], batch[i]  # unsigned: whether it is negative need not be asked again
        for feature in range(o):
            drawn[feature] = row[order.obs + feature]
            drawn[o + a + feature] = row[order.next_obs + feature]
        for feature in range(a):
            executed = row[order.action + feature]
            drawn[o + feature] = row[order.policy_action + feature] + row[order.noise + feature] if raw else executed
        drawn[-2] = row[order.reward]
        drawn[-1] = max(row[order.terminated], row[order.truncated]) if limit else row[order.terminated]


@exactly
def _env_step(
    vector: Array,
    plan: Plan,
    sizes: Array,
    work: Array,
    order: Call,
    world: World,
    scale: Array,
    row: Array,
    normals: Array,
    step: int,
    state: Array,
    ends: bool,
) -> float:
    """Act, disturb, step; mutates state and writes all of it to the log's `row`. The reward."""
    obs, next_obs = row[order.obs :][:3], row[order.next_obs :][:3]
    _observe(state, obs)
    policy_action = scale[0] * _policy(vector, plan, sizes, work, obs)
    state[2] = _next_noise(state[2], world, normals[step])
    noise = world.amplitude * state[2]
    action = np.float32(_clipped(policy_action + noise, MAX_TORQUE_NM))
    reward = _pendulum(state, action, world.gravity, np.float32(world.gear))
    _observe(state, next_obs)
    row[order.policy_action], row[order.noise], row[order.action] = policy_action, noise, action
    row[order.reward], row[order.terminated] = reward, ZERO
    row[order.truncated] = ONE if ends else ZERO
    return reward


@compiled
def _policy(vector: Array, plan: Plan, sizes: Array, work: Array, obs: Array) -> float:
    """The actor's output in [−1, 1] for one obs [O]."""
    at, x, out = plan.actor, plan.delta, plan.spare
    for i in range(sizes[0]):
        work[x + i] = obs[i]
    for layer in range(len(sizes) - 1):
        inputs, units = sizes[layer], sizes[layer + 1]
        values, results, biases = work[x:][:inputs], work[out:][:units], vector[at + units * inputs :][:units]
        for u in range(units):
            weights, total = vector[at + u * inputs :][:inputs], ZERO
            for i in range(inputs):
                total += weights[i] * values[i]
            total += biases[u]
            results[u] = total if layer == len(sizes) - 2 else max(total, ZERO)
        at += units * (inputs + 1)
        x, out = out, x
    squash(work[x:][:1])
    return work[x]


@exactly
def _next_noise(x: float, world: World, normal: float) -> float:
    """`noise.next_noise`."""
    if world.kind == _OU:
        kick = world.sigma * math.sqrt(world.dt) * normal
        return x + world.theta * (world.mu - x) * world.dt + kick
    if world.kind == _OU_NOTEBOOK:
        return world.theta * (world.mu - x) + world.sigma * normal
    if world.kind == _GAUSSIAN:
        return world.mu + world.sigma * normal
    return 0.0


@exactly
def _pendulum(state: Array, torque: float, gravity: float, gear: float) -> float:
    """Gymnasium's `PendulumEnv.step`: torque and what is made of it alone are float32, all else float64."""
    angle, velocity = state[0], state[1]
    wrapped = (angle + math.pi) % (2 * math.pi) - math.pi
    cost = wrapped * wrapped + 0.1 * (velocity * velocity) + _TORQUE_COST * (torque * torque)
    velocity += (gravity * math.sin(angle) + gear * torque) * DT_S
    velocity = _clipped(velocity, MAX_SPEED_RAD_S)
    state[0], state[1] = angle + velocity * DT_S, velocity
    return -cost


@exactly
def _observe(state: Array, obs: Array) -> None:
    """Gymnasium's `PendulumEnv._get_obs`, to obs [3]."""
    obs[0], obs[1], obs[2] = math.cos(state[0]), math.sin(state[0]), state[1]


@exactly
def _clipped(x: float, limit: float) -> float:
    """x within ± limit; what is not a number stays so."""
    return limit if x > limit else -limit if x < -limit else x
