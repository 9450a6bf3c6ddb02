"""The allow-listed Gymnasium environments, their exact snapshots, and the pendulum's physics on arrays.

Angles are in radians, 0 = upright, counter-clockwise positive, as in Gymnasium's Pendulum-v1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ddpg_core.config import Config

Array = NDArray[Any]
DT_S: Final = 0.05
MAX_SPEED_RAD_S: Final = 8.0
MAX_TORQUE_NM: Final = 2.0


@dataclass(frozen=True)
class EnvInfo:
    """What the dashboard needs to know of an allow-listed environment.

    Attributes:
        steps_per_second: Steps in one second of simulated time, for playing at real-time speed.
        random_return, optimal_return: Reference returns of an episode with Gymnasium's default physics
            (uniformly random actions; a near-optimal policy), or None where no reference is known.
        return_range: The range a return chart starts with.
    """

    steps_per_second: int
    random_return: float | None
    optimal_return: float | None
    return_range: tuple[float, float]


ENVIRONMENTS: Final[dict[str, EnvInfo]] = {
    "Pendulum-v1": EnvInfo(20, -1231.0, -141.0, (-1750.0, 50.0)),
    "MountainCarContinuous-v0": EnvInfo(30, None, None, (-100.0, 100.0)),
}


def reference_returns(config: Config) -> tuple[float, float] | None:
    """Returns of random actions and of a near-optimal policy; None where none are known for this physics."""
    info = ENVIRONMENTS[config.env_id]
    if info.random_return is None or info.optimal_return is None or Physics.of(config) != Physics():
        return None
    return info.random_return, info.optimal_return


class Transition(NamedTuple):
    """What one env step gave: next_obs [O] float32, reward, and the two ways an episode ends."""

    next_obs: Array
    reward: float
    terminated: bool
    truncated: bool


class Environment:
    """One allow-listed Gymnasium environment with the configured physics and its own random generator.

    Args:
        config: `env_id`, and for the pendulum `gravity`, `mass` and `length`.
        rng: Draws the start states.
    """

    def __init__(self, config: Config, rng: np.random.Generator) -> None:
        if config.env_id not in ENVIRONMENTS:
            raise ValueError(f"env_id must be one of {', '.join(ENVIRONMENTS)}, got {config.env_id!r}")
        physics: dict[str, Any] = {"g": config.gravity} if config.env_id == "Pendulum-v1" else {}
        wrapped = gymnasium.make(config.env_id, disable_env_checker=True, **physics)
        self._raw = cast(Any, wrapped.unwrapped)  # the time limit is kept here: wrappers cost time in every step
        if config.env_id == "Pendulum-v1":
            self._raw.m = config.mass
            self._raw.l = config.length
        self._raw.np_random = rng
        observations, actions = wrapped.observation_space, wrapped.action_space
        if not isinstance(observations, gymnasium.spaces.Box) or not isinstance(actions, gymnasium.spaces.Box):
            raise ValueError(f"{config.env_id} must have Box observations and actions, got {actions}")
        self.obs_size = int(np.prod(observations.shape))
        self.action_size = int(np.prod(actions.shape))
        self.action_low: Array = actions.low.reshape(-1)
        self.action_high: Array = actions.high.reshape(-1)
        assert wrapped.spec is not None
        assert wrapped.spec.max_episode_steps is not None
        self.max_episode_steps = wrapped.spec.max_episode_steps
        self._elapsed_steps = 0

    def reset(self, start: Array | None = None) -> Array:
        """Start an episode, from the env's own start distribution or from the state `start`; the first obs [O]."""
        obs, _ = self._raw.reset()
        self._elapsed_steps = 0
        if start is not None:
            self._raw.state = np.array(start)
            obs = self._observe()
        return np.asarray(obs, dtype=np.float32)

    def step(self, action: Array) -> Transition:
        """Execute `action` [A], in the environment's units and within its limits."""
        obs, reward, terminated, truncated, _ = self._raw.step(action)
        self._elapsed_steps += 1
        out_of_time = truncated or self._elapsed_steps >= self.max_episode_steps
        return Transition(np.asarray(obs, np.float32), float(reward), bool(terminated), bool(out_of_time))

    @property
    def steps_left(self) -> int:
        """Steps until time runs out."""
        return self.max_episode_steps - self._elapsed_steps

    def went_on(self, state: Array, steps: int) -> None:
        """Take over what became of `state` in steps that were computed elsewhere."""
        self._raw.state = np.array(state)
        self._elapsed_steps += steps

    def action_scale(self, config: Config) -> Array:
        """What the actor's outputs are multiplied by under `config` [A] float32, in the environment's units."""
        span = self.action_high - self.action_low
        return np.asarray(span if config.action_scale == "full" else span / 2, np.float32)

    def state(self) -> Array:
        """A copy of the simulator's own state, as `reset(start=…)` takes it."""
        return np.array(self._raw.state)

    def snapshot(self) -> dict[str, Any]:
        """Everything needed to go on exactly from here; JSON-ready."""
        state = self.state()
        return {
            "state": state.tolist(),
            "dtype": str(state.dtype),
            "elapsed_steps": self._elapsed_steps,
            "rng": self._raw.np_random.bit_generator.state,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go back to a `snapshot` of an environment of the same config."""
        self._raw.reset()
        self._raw.state = np.array(snapshot["state"], dtype=snapshot["dtype"])
        self._elapsed_steps = snapshot["elapsed_steps"]
        self._raw.np_random.bit_generator.state = snapshot["rng"]

    def _observe(self) -> Array:
        if hasattr(self._raw, "_get_obs"):
            return np.asarray(self._raw._get_obs())
        return np.asarray(self._raw.state, dtype=np.float32)


def start_states(config: Config, episodes: int, seed: int) -> Array:
    """The fixed starts of evaluations [N, S]: the first start states of an environment seeded with `seed`."""
    env = Environment(config, np.random.default_rng(seed))
    states = []
    for _ in range(episodes):
        env.reset()
        states.append(env.state())
    return np.array(states)


class Physics(NamedTuple):
    """The pendulum's parameters: gravity in m/s², mass in kg, length in m."""

    gravity: float = 10.0
    mass: float = 1.0
    length: float = 1.0

    @classmethod
    def of(cls, config: Config) -> Physics:
        """The parameters a config sets."""
        return cls(config.gravity, config.mass, config.length)


def pendulum_step(
    angle_rad: Array, velocity_rad_s: Array, torque_nm: Array, physics: Physics
) -> tuple[Array, Array, Array]:
    """Gymnasium's Pendulum-v1 step on arrays of any one shape: (next angle, next velocity, reward)."""
    torque = np.clip(torque_nm, -MAX_TORQUE_NM, MAX_TORQUE_NM)
    reward = -(wrap_angle(angle_rad) ** 2 + 0.1 * velocity_rad_s**2 + 0.001 * torque**2)
    g, m, l = physics  # noqa: E741
    acceleration = 3 * g / (2 * l) * np.sin(angle_rad) + 3.0 / (m * l**2) * torque
    velocity = np.clip(velocity_rad_s + acceleration * DT_S, -MAX_SPEED_RAD_S, MAX_SPEED_RAD_S)
    return angle_rad + velocity * DT_S, velocity, reward


def wrap_angle(angle_rad: Array) -> Array:
    """The same angles in [−π, π)."""
    return (angle_rad + np.pi) % (2 * np.pi) - np.pi


def pendulum_angles(obs: Array) -> Array:
    """Angles in [−π, π] of pendulum observations [N, 3] = (cos θ, sin θ, θ̇)."""
    return np.arctan2(obs[..., 1], obs[..., 0])


def pendulum_obs(angle_rad: Array, velocity_rad_s: Array) -> Array:
    """Pendulum observations [..., 3] float32 of states of any one shape."""
    return np.stack([np.cos(angle_rad), np.sin(angle_rad), velocity_rad_s], axis=-1).astype(np.float32)
