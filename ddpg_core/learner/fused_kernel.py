"""A whole update of `torch_engine`, step by step the same, for compiled callers.

What each step means stands in `ddpg_core.learner.torch_engine`; here it is written for speed. The batch goes through in
slices that stay in the processor's cache. All network shapes run through the same machine code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.learner.fused_descent import descend, polyak_step
from ddpg_core.learner.fused_layers import (
    NOWHERE,
    ONE,
    TWO,
    ZERO,
    backward,
    compiled,
    dense_backward,
    forward,
    row_of,
    squash,
)
from ddpg_core.learner.fused_plan import Plan, Settings
from ddpg_core.learner.tiles import COLUMNS


class Part(NamedTuple):
    """A slice of the batch: its first transition, how many, and these rounded up to whole tiles."""

    first: int
    size: int
    columns: int


@compiled
def _part(first: int, batch_size: int, plan: Plan) -> Part:
    size = min(plan.columns, batch_size - first)
    return Part(first, size, (size + COLUMNS - 1) // COLUMNS * COLUMNS)


@compiled
def update(
    vector: Array,
    plan: Plan,
    sizes: Array,
    critic_sizes: Array,
    work: Array,
    settings: Settings,
    scale: Array,
    batch: Array,
    statistics: Array,
) -> None:
    """`TorchEngine.update`. Mutates vector, work and statistics.

    The batch [B, 2·O + A + 2] holds a transition a row: obs [O], action [A], next_obs [O], reward, terminal.
    """
    batch_size = len(batch)
    work[plan.actor_gradient : plan.flat] = ZERO
    y_sum = q_sum = absolute = squares = value = 0.0
    saturated = 0
    for first in range(0, batch_size, plan.columns):
        part = _part(first, batch_size, plan)
        y_sum += _targets(vector, plan, sizes, critic_sizes, work, settings, scale, batch, part)
        sums = _critic_gradient(vector, plan, critic_sizes, work, batch, part)
        q_sum, absolute, squares = q_sum + sums[0], absolute + sums[1], squares + sums[2]
    critic_penalty, critic_norm = descend(
        vector, plan.critic, critic_sizes, work, plan.critic_gradient, plan.flat, settings, settings.critic_step
    )
    for first in range(0, batch_size, plan.columns):
        part = _part(first, batch_size, plan)
        sums = _actor_gradient(vector, plan, sizes, critic_sizes, work, settings, scale, batch, part)
        value, saturated = value + sums[0], saturated + sums[1]
    actor_penalty, actor_norm = descend(
        vector, plan.actor, sizes, work, plan.actor_gradient, plan.flat, settings, settings.actor_step
    )
    polyak_step(vector, settings.tau)
    statistics[0] = squares / batch_size + critic_penalty
    statistics[1] = actor_penalty - value / batch_size
    statistics[2], statistics[3], statistics[4] = q_sum / batch_size, y_sum / batch_size, absolute / batch_size
    statistics[5], statistics[6] = critic_norm, actor_norm
    statistics[7] = saturated / (batch_size * len(scale))


@compiled
def _targets(
    vector: Array,
    plan: Plan,
    sizes: Array,
    critic_sizes: Array,
    work: Array,
    settings: Settings,
    scale: Array,
    batch: Array,
    part: Part,
) -> float:
    """`TorchEngine.targets`: y to `plan.y`, and its sum."""
    targets = len(vector) // 4
    _read(batch[:, critic_sizes[0] : critic_sizes[0] + sizes[0]], part, work, plan.inputs, plan.stride)
    _policy(vector, targets + plan.actor, plan, sizes, work, part)
    _act(plan, sizes, work, scale, settings.target_scaled > ZERO, part)
    at = targets + plan.critic
    forward(vector, at, critic_sizes, work, plan.inputs, plan.critic_hidden, plan.y, plan.stride, part.columns)
    y, total = row_of(work, plan.y, 0, plan.stride, part.size), 0.0
    rewards, ends = batch[part.first :, -2], batch[part.first :, -1]
    for i in range(part.size):
        y[i] = rewards[i] + settings.gamma * (ONE - ends[i]) * y[i]
        total += y[i]
    return total


@compiled
def _critic_gradient(
    vector: Array, plan: Plan, sizes: Array, work: Array, batch: Array, part: Part
) -> tuple[float, float, float]:
    """Add this slice's part of the gradient in `TorchEngine.critic_step`; the sums of Q, |y − Q| and (y − Q)²."""
    stride, columns, hidden = plan.stride, part.columns, plan.critic_hidden
    _read(batch[:, : sizes[0]], part, work, plan.inputs, stride)
    forward(vector, plan.critic, sizes, work, plan.inputs, hidden, plan.q, stride, columns)
    q_sum = absolute = squares = 0.0
    weight = -TWO / np.float32(len(batch))
    q, y = row_of(work, plan.q, 0, stride, part.size), row_of(work, plan.y, 0, stride, part.size)
    delta = row_of(work, plan.delta, 0, stride, columns)
    delta[part.size :] = ZERO
    for i in range(part.size):
        td_error = y[i] - q[i]
        delta[i] = weight * td_error
        q_sum += q[i]
        absolute += abs(td_error)
        squares += np.float64(td_error) * td_error
    gradient = plan.critic_gradient
    backward(vector, plan.critic, sizes, work, plan.inputs, hidden, plan.delta, plan.spare, gradient, stride, columns)
    return q_sum, absolute, squares


@compiled
def _actor_gradient(
    vector: Array,
    plan: Plan,
    sizes: Array,
    critic_sizes: Array,
    work: Array,
    settings: Settings,
    scale: Array,
    batch: Array,
    part: Part,
) -> tuple[float, int]:
    """Add this slice's part of the gradient in `TorchEngine.actor_step`; the sum of Q and how many are saturated."""
    stride, inputs, columns, hidden = plan.stride, plan.inputs, part.columns, plan.critic_hidden
    _read(batch[:, : sizes[0]], part, work, inputs, stride)
    _policy(vector, plan.actor, plan, sizes, work, part)
    _act(plan, sizes, work, scale, True, part)
    forward(vector, plan.critic, critic_sizes, work, inputs, hidden, plan.q, stride, columns)
    work[plan.delta : plan.delta + part.size] = -ONE / np.float32(len(batch))
    work[plan.delta + part.size : plan.delta + columns] = ZERO
    delta = backward(
        vector, plan.critic, critic_sizes, work, inputs, hidden, plan.delta, plan.spare, NOWHERE, stride, columns
    )
    by_action = plan.delta + plan.spare - delta
    at, width, units = plan.critic + sizes[0], critic_sizes[0], critic_sizes[1]
    dense_backward(vector, at, width, units, len(scale), work, delta, by_action, plan.ones, stride, columns)
    q, q_sum, saturated = row_of(work, plan.q, 0, stride, part.size), 0.0, 0
    for i in range(part.size):
        q_sum += q[i]
    for a in range(len(scale)):
        slope, output = row_of(work, by_action, a, stride, columns), row_of(work, plan.squashed, a, stride, columns)
        for i in range(columns):
            slope[i] *= scale[a] * (ONE - output[i] * output[i])
        for i in range(part.size):
            saturated += abs(output[i]) > settings.saturated
    gradient = plan.actor_gradient
    backward(vector, plan.actor, sizes, work, inputs, plan.actor_hidden, by_action, delta, gradient, stride, columns)
    return q_sum, saturated


@compiled
def _read(features: Array, part: Part, work: Array, x: int, stride: int) -> None:
    """The slice's rows of features [B, n] as columns at `x`, zeros behind them."""
    for feature in range(features.shape[1]):
        values, row = features[part.first :, feature], row_of(work, x, feature, stride, part.columns)
        for i in range(part.size):
            row[i] = values[i]
        row[part.size :] = ZERO


@compiled
def _policy(vector: Array, at: int, plan: Plan, sizes: Array, work: Array, part: Part) -> None:
    """An actor's outputs in [−1, 1], to `plan.squashed`."""
    forward(vector, at, sizes, work, plan.inputs, plan.actor_hidden, plan.squashed, plan.stride, part.columns)
    for a in range(sizes[-1]):
        squash(row_of(work, plan.squashed, a, plan.stride, part.columns))


@compiled
def _act(plan: Plan, sizes: Array, work: Array, scale: Array, scaled: bool, part: Part) -> None:
    """The actor's outputs as actions behind the observations, times scale [A] if `scaled`."""
    for a in range(len(scale)):
        factor = scale[a] if scaled else ONE
        output = row_of(work, plan.squashed, a, plan.stride, part.columns)
        action = row_of(work, plan.inputs, sizes[0] + a, plan.stride, part.columns)
        for i in range(part.columns):
            action[i] = factor * output[i]
