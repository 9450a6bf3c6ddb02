"""What can be asked of an agent or of its environment: arrays in, arrays out. Here: the pendulum's optimal oracle."""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import (
    MAX_SPEED_RAD_S,
    MAX_TORQUE_NM,
    Array,
    Physics,
    pendulum_step,
    wrap_angle,
)

EPISODE_STEPS: Final = 200
_TORQUES_NM: Final = np.linspace(-MAX_TORQUE_NM, MAX_TORQUE_NM, 21)
_TOLERANCE: Final = 1e-3


class Oracle(NamedTuple):
    """A near-optimal policy for one pendulum, found by value iteration on a grid.

    Attributes:
        values: Optimal discounted values [n angles, n velocities].
        physics: The pendulum it is for.
        gamma: Its discount.
    """

    values: Array
    physics: Physics
    gamma: float

    def q(self, angle_rad: Array, velocity_rad_s: Array, torque_nm: Array) -> Array:
        """Optimal action values of states and torques of any one shape."""
        angle, velocity, reward = pendulum_step(angle_rad, velocity_rad_s, torque_nm, self.physics)
        corners, weights = _interpolation(angle, velocity, len(self.values))
        return reward + self.gamma * (self.values.ravel()[corners] * weights).sum(0)

    def torque(self, angle_rad: Array, velocity_rad_s: Array) -> Array:
        """The best of 21 torques in N·m for each state [N]."""
        q = self.q(angle_rad[:, None], velocity_rad_s[:, None], np.broadcast_to(_TORQUES_NM, (len(angle_rad), 21)))
        return _TORQUES_NM[q.argmax(axis=1)]


@functools.lru_cache(maxsize=8)
def optimal_oracle(physics: Physics, points: int = 101, gamma: float = 0.99) -> Oracle:
    """Value iteration (Bellman 1957) with 21 torques and bilinear interpolation on `points`² states.

    Angles wrap around and include both 0 and the cell borders at ±π; velocities reach ±8 rad/s. Modified policy
    iteration: between two maximisations the greedy policy is evaluated by a few cheap sweeps.

    Args:
        physics: The pendulum's parameters.
        points: Grid points in each direction; odd, so that the upright state is one of them.
        gamma: Discount.
    """
    step = 2 * np.pi / points
    angles = (np.arange(points) - points // 2) * step
    velocities = np.linspace(-MAX_SPEED_RAD_S, MAX_SPEED_RAD_S, points)
    angle, velocity, torque = np.meshgrid(angles, velocities, _TORQUES_NM, indexing="ij")
    angle, velocity, reward = pendulum_step(angle, velocity, torque, physics)
    corners, weights = _interpolation(angle, velocity, points)
    corners, weights = corners.reshape(4, -1, len(_TORQUES_NM)), weights.reshape(4, -1, len(_TORQUES_NM))
    reward = reward.reshape(-1, len(_TORQUES_NM))
    values = np.zeros(points * points)
    states = np.arange(len(values))
    while True:
        q = reward + gamma * (values[corners] * weights).sum(0)
        best = q.argmax(axis=1)
        change = np.abs(q[states, best] - values).max()
        values = q[states, best]
        if change < _TOLERANCE:
            return Oracle(values.reshape(points, points), physics, gamma)
        near, share, gain = corners[:, states, best], weights[:, states, best], reward[states, best]
        for _ in range(100):
            values = gain + gamma * (values[near] * share).sum(0)


def optimal_returns(config: Config, starts: Array) -> Array | None:
    """Undiscounted returns [N] of the near-optimal policy from pendulum `starts` [N, 2]; None for other envs."""
    if config.env_id != "Pendulum-v1":
        return None
    oracle = optimal_oracle(Physics.of(config))
    angle, velocity = starts[:, 0].copy(), starts[:, 1].copy()
    returns = np.zeros(len(starts))
    for _ in range(EPISODE_STEPS):
        angle, velocity, reward = pendulum_step(angle, velocity, oracle.torque(angle, velocity), oracle.physics)
        returns += reward
    return returns


def _interpolation(angle_rad: Array, velocity_rad_s: Array, points: int) -> tuple[Array, Array]:
    """Flat indices and weights [4, …] of the grid points around each state; angles wrap around."""
    along = wrap_angle(angle_rad) / (2 * np.pi / points) + points // 2
    across = (velocity_rad_s + MAX_SPEED_RAD_S) / (2 * MAX_SPEED_RAD_S) * (points - 1)
    row, column = np.floor(along).astype(int), np.minimum(np.floor(across).astype(int), points - 2)
    right, up = along - row, across - column
    rows = np.stack([row, row, row + 1, row + 1]) % points
    columns = np.stack([column, column + 1, column, column + 1])
    weights = np.stack([(1 - right) * (1 - up), (1 - right) * up, right * (1 - up), right * up])
    return rows * points + columns, weights
