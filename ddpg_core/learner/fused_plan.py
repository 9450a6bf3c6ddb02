"""Where the fused engine keeps its intermediate results: one flat float32 array `work`, and a plan of it."""

from __future__ import annotations

import itertools
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.networks import MLP

PAD: Final = 4
"""Matrices are given whole multiples of this many rows, so that a tile of an outer product stays inside them."""
SLICE_NUMBERS: Final = 1 << 13
"""Activations of the widest layer in a slice of the batch: 32 kB, a first-level cache."""
MIN_SLICE, MAX_SLICE = 128, 1024
CACHE_LINE: Final = 16
"""float32 numbers in a line of the processor's cache."""
NOISES: Final = ("none", "ou", "ou_notebook", "gaussian")


class Plan(NamedTuple):
    """Sizes of `work` and places in it; features are rows, transitions columns.

    Attributes:
        columns: Transitions in a slice at most; `stride` is the distance from row to row.
        depth: Numbers in each network's `sizes`.
        actor, critic: Where their parameters begin among those of both.
        inputs: obs [O] and behind it action [A]: both networks' inputs.
        actor_hidden, critic_hidden: Outputs of the hidden layers, one after the other.
        squashed: The actor's outputs in [−1, 1] [A].
        q, y: The critic's values and their targets [1].
        delta, spare: Gradient by a layer's outputs, and by the layer before's.
        ones: Rows of ones [A].
        actor_gradient, critic_gradient: Sums over slices: of each layer the kernel, its rows and columns padded, and
            the biases, padded.
        flat: The gradient of one network as its parameters lie.
    """

    columns: int
    stride: int
    depth: int
    actor: int
    critic: int
    inputs: int
    actor_hidden: int
    critic_hidden: int
    squashed: int
    q: int
    y: int
    delta: int
    spare: int
    ones: int
    actor_gradient: int
    critic_gradient: int
    flat: int


class Settings(NamedTuple):
    """What an update needs to know besides its batch, in float32.

    Attributes:
        gamma, tau, l2: As in `Config`.
        target_scaled: 1 if the target actor's actions are scaled, else 0.
        actor_step, critic_step: α / (1 − β₁ᵗ) of each network.
        weight1, weight2: 1 − β₁ and 1 − β₂.
        correction2: 1 − β₂ᵗ.
        epsilon: Adam's ε.
        saturated: `learner.SATURATED`.
    """

    gamma: float
    tau: float
    l2: float
    target_scaled: float
    actor_step: float
    critic_step: float
    weight1: float
    weight2: float
    correction2: float
    epsilon: float
    saturated: float


class Learning(NamedTuple):
    """What all updates of a call need to know, in float64; `Settings` are made of it for each.

    Attributes:
        gamma, tau, l2, target_scaled, epsilon, saturated: As in `Settings`.
        actor_lr, critic_lr: Learning rates α of each network.
        beta1, beta2: Adam's β₁ and β₂.
        raw_action: 1 if the action before clipping is learned from, else 0.
        time_limit_terminal: 1 if running out of time counts as terminal, else 0.
    """

    gamma: float
    tau: float
    l2: float
    target_scaled: float
    actor_lr: float
    critic_lr: float
    beta1: float
    beta2: float
    epsilon: float
    saturated: float
    raw_action: float
    time_limit_terminal: float


class World(NamedTuple):
    """What all env steps of a call need to know, in float64.

    Attributes:
        kind: The noise, as its place in `NOISES`.
        theta, mu, sigma, dt: Of the noise, see `noise.next_noise`.
        amplitude: What the noise is multiplied by, in N·m.
        gravity: 3g / 2l, acceleration by the sine of the angle, in rad/s².
        gear: 3 / ml², acceleration by torque, in rad/s² per N·m.
        ends: 1 if time runs out with the last of the steps, else 0.
    """

    kind: float
    theta: float
    mu: float
    sigma: float
    dt: float
    amplitude: float
    gravity: float
    gear: float
    ends: float


class Call(NamedTuple):
    """What is to be done and where, in whole numbers.

    Attributes:
        steps: Env steps; with none, only the updates after one are made.
        updates: Updates after each of them.
        made: Updates made before.
        newest: Row of the log that was written last.
        obs, next_obs, policy_action, noise, action, reward, terminated, truncated: Columns in which these begin.
    """

    steps: int
    updates: int
    made: int
    newest: int
    obs: int
    next_obs: int
    policy_action: int
    noise: int
    action: int
    reward: int
    terminated: int
    truncated: int


def padded(rows: int) -> int:
    """Rows rounded up to a multiple of `PAD`."""
    return (rows + PAD - 1) // PAD * PAD


def slice_columns(widest: int) -> int:
    """Transitions in a slice of the batch, for networks whose widest layer has so many units."""
    columns = MAX_SLICE
    while columns > MIN_SLICE and columns * widest > SLICE_NUMBERS:
        columns //= 2
    return columns


def make_plan(actor: MLP, critic: MLP) -> tuple[Plan, Array]:
    """The plan for two networks, and an array `work` for it that begins on a cache line."""
    columns = slice_columns(max(critic.sizes))
    stride = columns + CACHE_LINE  # not a power of two, or equal columns of all rows would compete for the same lines
    hidden = sum(padded(units) for units in actor.sizes[1:-1])
    actions, widest = padded(actor.sizes[-1]), padded(max(critic.sizes))
    rows = [padded(critic.sizes[0]), hidden, hidden, actions, PAD, PAD, widest, widest, actions]
    gradients = [sum(padded(units) * (padded(inputs) + 1) for units, inputs in net.shapes) for net in (actor, critic)]
    lengths = [stride * count for count in rows] + gradients + [max(actor.parameter_count, critic.parameter_count)]
    *places, end = itertools.accumulate(lengths, initial=0)
    plan = Plan(columns, stride, len(actor.sizes), 0, actor.parameter_count, *places)
    work = _aligned(end)
    work[plan.ones : plan.actor_gradient] = 1
    return plan, work


def _aligned(length: int) -> Array:
    """Zeros [length] float32 that begin on a cache line."""
    raw = np.zeros(length + CACHE_LINE, np.float32)
    start = (-raw.ctypes.data // raw.itemsize) % CACHE_LINE
    return raw[start : start + length]
