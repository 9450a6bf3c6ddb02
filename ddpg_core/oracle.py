"""The pendulum's optimal oracle: value iteration on a grid of states, solved once for each physics and discount."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import MAX_SPEED_RAD_S, MAX_TORQUE_NM, Array, Physics, pendulum_step, wrap_angle

POINTS: Final = 101
GAMMA: Final = 0.99
"""Grid points in each direction and discount of the oracle that regrets refer to."""
EPISODE_STEPS: Final = 200
MAX_GAMMA: Final = 0.9999
"""Used in place of any higher discount: at 1, a pendulum that never comes to rest upright has no finite value."""
_TORQUES_NM: Final = np.linspace(-MAX_TORQUE_NM, MAX_TORQUE_NM, 21)
_TOLERANCE: Final = 1e-4
_MOST_IMPROVEMENTS: Final = 100
_ITERATES: Final = 12
_SWEEPS: Final = 10
_KEPT: Final = 32
"""A third of a megabyte each with 201 points in each direction."""


class Oracle(NamedTuple):
    """A near-optimal policy for one pendulum, found by value iteration on a grid.

    Attributes:
        values: Optimal discounted values [n angles, n velocities].
        physics: The pendulum it is for.
        gamma: Its discount, at most `MAX_GAMMA`.
        error: How far any of `values` can be from the grid's own optimum.
    """

    values: Array
    physics: Physics
    gamma: float
    error: float = 0.0

    def q(self, angle_rad: Array, velocity_rad_s: Array, torque_nm: Array) -> Array:
        """Optimal action values of states and torques, of shapes that broadcast."""
        angle, velocity, reward = pendulum_step(angle_rad, velocity_rad_s, torque_nm, self.physics)
        return reward + self.gamma * interpolated(self.values, angle, velocity)

    def value(self, angle_rad: Array, velocity_rad_s: Array) -> Array:
        """Optimal values of states of any one shape: the action value of the best of 21 torques."""
        return self.q(angle_rad[..., None], velocity_rad_s[..., None], _TORQUES_NM).max(axis=-1)

    def torque(self, angle_rad: Array, velocity_rad_s: Array) -> Array:
        """The best of 21 torques in N·m for states of any one shape."""
        return _TORQUES_NM[self.q(angle_rad[..., None], velocity_rad_s[..., None], _TORQUES_NM).argmax(axis=-1)]


# --- solved once, whoever asks ----------------------------------------------------------------------------------------

_Key = tuple[Physics, int, float]


class _Entry:
    """An oracle that is solved or being solved, and the share of that work done."""

    def __init__(self) -> None:
        self.solved: Future[Oracle] = Future()
        self.share = 0.0


_entries: dict[_Key, _Entry] = {}
_lock = threading.Lock()


def optimal_oracle(
    physics: Physics, points: int = POINTS, gamma: float = GAMMA, progress: Callable[[float], None] | None = None
) -> Oracle:
    """The oracle of `solve_oracle`, solved by the first who asks; the 32 asked for last are kept.

    Any thread may call it: while one solves, others that want the same oracle wait for that one.

    Args:
        physics: The pendulum's parameters.
        points: Grid points in each direction; odd, so that the upright state is one of them.
        gamma: Discount.
        progress: Told the share done if this call is the one that solves; what it raises ends the call, and the next
            to ask starts afresh. `oracle_progress` tells the same to everybody.
    """
    key = _key(physics, points, gamma)
    while True:
        with _lock:
            first = key not in _entries
            entry = _Entry() if first else _entries.pop(key)
            _entries[key] = entry  # at the end, where the newest stand
            if len(_entries) > _KEPT:
                del _entries[next(iter(_entries))]
        if first:
            return _fill(key, entry, progress or (lambda share: None))
        try:
            return entry.solved.result()
        except CancelledError:
            continue


def oracle_progress(physics: Physics, points: int = POINTS, gamma: float = GAMMA) -> float | None:
    """How much of an oracle's solving is done, in [0, 1]; 1: `optimal_oracle` returns at once; None: nobody asked."""
    with _lock:
        entry = _entries.get(_key(physics, points, gamma))
    return None if entry is None else float(entry.solved.done()) or entry.share


def oracle_ready(physics: Physics, points: int = POINTS, gamma: float = GAMMA) -> bool:
    """Whether `optimal_oracle` would return at once."""
    return oracle_progress(physics, points, gamma) == 1


def _key(physics: Physics, points: int, gamma: float) -> _Key:
    return physics, points, min(gamma, MAX_GAMMA)


def _fill(key: _Key, entry: _Entry, progress: Callable[[float], None]) -> Oracle:
    """Solve for `entry`; when that fails, whoever waits for it is sent to try again."""

    def tell(share: float) -> None:
        entry.share = min(share, 0.99)
        progress(share)

    try:
        oracle = solve_oracle(*key, tell)
    except BaseException:
        with _lock:
            if _entries.get(key) is entry:
                del _entries[key]
        entry.solved.cancel()
        raise
    entry.solved.set_result(oracle)
    return oracle


# --- value iteration --------------------------------------------------------------------------------------------------


def solve_oracle(physics: Physics, points: int, gamma: float, progress: Callable[[float], None]) -> Oracle:
    """Value iteration (Bellman 1957) with 21 torques and bilinear interpolation on `points`² states.

    Angles wrap around and include both 0 and the cell borders at ±π; velocities reach ±8 rad/s. Modified policy
    iteration (Puterman & Shin 1978): between two maximisations the greedy policy is evaluated by cheap sweeps, whose
    iterates are extrapolated, because near γ = 1 sweeps alone take 1/(1 − γ) of them and more.

    Stops when no value can be off by more than 1e-4 of the largest, and after 100 maximisations in any case; of 27
    pendulums at the limits of `Config` and between, with seven discounts each, none needed as many.

    Args:
        physics: The pendulum's parameters.
        points: Grid points in each direction; odd.
        gamma: Discount; above `MAX_GAMMA`, that one.
        progress: Told the share done, never falling, last of all 1.
    """
    gamma = min(gamma, MAX_GAMMA)
    shape = (points, points)
    angle, velocity = (nodes[:, None] for nodes in grid_nodes(shape))
    angle, velocity, reward = pendulum_step(angle, velocity, _TORQUES_NM, physics)  # [S, T] each
    corners, weights = interpolation(angle, velocity, shape)  # [4, S, T]
    values = np.zeros(len(reward))
    states = np.arange(len(values))
    first_error = share = 0.0
    for improvement in range(1, _MOST_IMPROVEMENTS + 1):
        q = reward + gamma * (values[corners] * weights).sum(0)
        best = q.argmax(axis=1)
        improved = q[states, best]
        error = gamma / (1 - gamma) * float(np.abs(improved - values).max())
        values = improved
        allowed = _TOLERANCE * float(np.abs(values).max())
        if error <= allowed or improvement == _MOST_IMPROVEMENTS:
            break
        first_error = first_error or error
        closeness = np.log(first_error / error) / np.log(first_error / allowed)
        share = max(share, improvement / _MOST_IMPROVEMENTS, float(closeness))
        progress(share)
        # Indexing alone would leave the corners innermost in memory, and each sweep three times as slow.
        near, nearness = (np.ascontiguousarray(each[:, states, best]) for each in (corners, weights))
        values = _evaluated(values, near, nearness, reward[states, best], gamma)
    progress(1.0)
    return Oracle(values.reshape(shape), physics, gamma, error)


def _evaluated(values: Array, corners: Array, weights: Array, reward: Array, gamma: float) -> Array:
    """Values [S] closer to those of one policy, which earns `reward` [S] and then is at `corners` [4, S].

    Reduced rank extrapolation (Eddy 1979): of all weighted means of the iterates, the one that changes least in the
    root mean square. In its largest change it can be worse than the last iterate, which is then returned instead.
    """

    def swept(values: Array) -> Array:
        return reward + gamma * (values[corners] * weights).sum(0)

    iterates = [values]
    for _ in range(_ITERATES):
        for _ in range(_SWEEPS):
            values = swept(values)
        iterates.append(values)
    changes = np.diff(iterates, axis=0)  # [K, S]
    shares = np.linalg.lstsq(np.diff(changes, axis=0).T, -changes[0], rcond=1e-10)[0]  # [K − 1]
    extrapolated = iterates[1] + shares @ changes[1:]
    return min(extrapolated, values, key=lambda each: np.abs(swept(each) - each).max())


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


# --- functions on a grid of states ------------------------------------------------------------------------------------


def grid_nodes(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Angles and velocities [S] of the states of a grid, `shape` (angles, velocities), the velocity running fastest.

    Upright is always a node and an odd number of velocities includes rest. With an even number of angles hanging is a
    node too, with an odd number the cell border at ±π.
    """
    angles, velocities = shape
    return (
        np.repeat((np.arange(angles) - angles // 2) * (2 * np.pi / angles), velocities),
        np.tile(np.linspace(-MAX_SPEED_RAD_S, MAX_SPEED_RAD_S, velocities), angles),
    )


def interpolated(values: Array, angle_rad: Array, velocity_rad_s: Array) -> Array:
    """Grid `values` [n angles, n velocities] at states of any one shape, bilinear; angles wrap around."""
    corners, weights = interpolation(angle_rad, velocity_rad_s, values.shape)
    return (values.ravel()[corners] * weights).sum(0)


def interpolation(angle_rad: Array, velocity_rad_s: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Flat indices and weights [4, …] of the `grid_nodes` around states of any one shape; angles wrap around."""
    angles, velocities = shape
    along = wrap_angle(angle_rad) / (2 * np.pi / angles) + angles // 2
    across = (velocity_rad_s + MAX_SPEED_RAD_S) / (2 * MAX_SPEED_RAD_S) * (velocities - 1)
    row, column = np.floor(along).astype(int), np.minimum(np.floor(across).astype(int), velocities - 2)
    right, up = along - row, across - column
    rows = np.stack([row, row, row + 1, row + 1]) % angles
    columns = np.stack([column, column + 1, column, column + 1])
    weights = np.stack([(1 - right) * (1 - up), (1 - right) * up, right * (1 - up), right * up])
    return rows * velocities + columns, weights
