"""What a replay window holds and what learning from it sees: coverage, TD errors, correlation, gradients. Pure."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ddpg_core.environment import (
    MAX_SPEED_RAD_S,
    MAX_TORQUE_NM,
    Array,
    Physics,
    pendulum_step,
    wrap_angle,
)
from ddpg_core.learner import Batch
from ddpg_core.moments import Moment
from ddpg_core.networks import MLP
from ddpg_core.oracle import EPISODE_STEPS

CELLS: Final = (16, 24)
"""Into how many cells a map of states is divided, up and across: for the pendulum 1 rad/s by 15°."""
PENDULUM_LOW: Final = (-np.pi, -MAX_SPEED_RAD_S)
PENDULUM_HIGH: Final = (np.pi, MAX_SPEED_RAD_S)
START_SPEED_RAD_S: Final = 1.0
_AGENTS: Final = 4096
_CHANGE_OF_MIND: Final = 0.04


def cell_counts(points: Array, low: tuple[float, float], high: tuple[float, float]) -> Array:
    """How many points [N, 2] = (across, up) lie in each of `CELLS`; points beyond the box count to its border."""
    size = np.array(CELLS[::-1])
    share = (np.asarray(points, np.float64) - low) / (np.array(high) - low)
    across, up = np.clip(np.floor(share * size), 0, size - 1).astype(np.int64).T
    return np.bincount(up * CELLS[1] + across, minlength=CELLS[0] * CELLS[1]).reshape(CELLS)


@functools.lru_cache(maxsize=32)
def reachable_cells(physics: Physics) -> Array:
    """Which of `CELLS` a pendulum can get to within an episode, whatever torques are used: [16, 24] bool.

    Those that 4,096 imaginary agents visit: they begin where episodes begin and now pump the pendulum up,
    now brake it, now hold a random torque. Much speed while upright, say, is not among them: that needs more energy
    than the torque gives on the way up.
    """
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, _AGENTS)
    velocity = rng.uniform(-START_SPEED_RAD_S, START_SPEED_RAD_S, _AGENTS)
    pumping, held = np.zeros(_AGENTS), np.zeros(_AGENTS)
    seen = np.zeros(CELLS, bool)
    for step in range(EPISODE_STEPS):
        changes = rng.random(_AGENTS) < (_CHANGE_OF_MIND if step else 1)
        pumping = np.where(changes, rng.choice([-1, 0, 1, 1], _AGENTS), pumping)
        held = np.where(changes, rng.uniform(-MAX_TORQUE_NM, MAX_TORQUE_NM, _AGENTS), held)
        torque = np.where(pumping != 0, MAX_TORQUE_NM * pumping * np.sign(velocity), held)
        angle, velocity, _ = pendulum_step(angle, velocity, torque, physics)
        seen |= cell_counts(np.stack([wrap_angle(angle), velocity], axis=1), PENDULUM_LOW, PENDULUM_HIGH) > 0
    return seen


def td_errors(batch: Batch, moment: Moment, actor: MLP, critic: MLP) -> Array:
    """y − Q(s, a) [N], y = r + γ(1 − terminal)·Q′(s′, μ′(s′)), by the moment's four networks.

    Lillicrap et al. 2016, algorithm 1; the reference engine's `targets` and `critic_step`, in NumPy.
    """
    next_action = actor.numpy(moment.actor_target, batch.next_obs)
    if moment.config.target_action_scaled:
        next_action = next_action * moment.action_scale
    next_q = critic.numpy(moment.critic_target, np.concatenate([batch.next_obs, next_action], axis=1))[:, 0]
    y = batch.reward + moment.config.gamma * (1 - batch.terminal) * next_q
    return y - critic.numpy(moment.critic, critic_inputs(batch))[:, 0]


def critic_inputs(batch: Batch) -> Array:
    """What the critic is given of a batch [N, O + A]."""
    return np.concatenate([batch.obs, batch.action], axis=1)


def critic_gradient(critic: MLP, parameters: Array, inputs: Array, errors: Array) -> Array:
    """The gradient [..., P] of the mean squared TD error by the critic's parameters, without the weight penalty.

    −(2/B)·Σ δ·∇Q(s, a): back-propagation by hand, held to autograd by a test. Of many batches at once, as beside a
    training thread each call into NumPy may wait for its turn.

    Args:
        critic: The shape of the critic.
        parameters: Its flat parameters.
        inputs: `critic_inputs` of one batch or several [..., B, O + A].
        errors: δ = y − Q(s, a) [..., B].
    """
    layers = critic.layers(parameters)
    activations = [inputs]
    for kernel, bias in layers[:-1]:
        activations.append(np.maximum(activations[-1] @ kernel.T + bias, 0))
    upstream = (-2 / errors.shape[-1] * errors)[..., None]  # [..., B, U] of the layer at hand
    parts: list[Array] = []
    for (kernel, _), below in zip(reversed(layers), reversed(activations), strict=True):
        of_kernel = upstream.swapaxes(-1, -2) @ below
        parts = [of_kernel.reshape(*errors.shape[:-1], -1), upstream.sum(axis=-2), *parts]
        upstream = (upstream @ kernel) * (below > 0)
    return np.concatenate(parts, axis=-1)


def cosine(one: Array, other: Array) -> float:
    """The cosine of the angle between two vectors: 1 same direction, 0 none in common; NaN if either is zero."""
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 0 else float("nan")


def autocorrelation(values: Array, lags: int, groups: Array | None = None) -> Array:
    """Correlation between values k places apart, k = 0 … `lags` [lags + 1]; NaN where no such pair or no variance.

    Args:
        values: A sequence [N].
        lags: The largest distance.
        groups: Pairs are taken only where this is the same for both [N], for example their episode.
    """
    count = len(values)
    if not count:
        return np.full(lags + 1, np.nan)
    centred = np.asarray(values, np.float64) - np.mean(values)
    variance = np.mean(centred**2)
    of = np.zeros(count, np.int64) if groups is None else groups
    later = sliding_window_view(np.append(centred, np.zeros(lags)), count)  # [lags + 1, N], k places on in row k
    paired = sliding_window_view(np.append(of, np.full(lags, of.max() + 1)), count) == of
    pairs = paired.sum(axis=1)
    sums = np.where(paired, later * centred, 0).sum(axis=1)
    return np.where((pairs > 0) & (variance > 0), sums / np.maximum(pairs, 1) / (variance or 1), np.nan)
