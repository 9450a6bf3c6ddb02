"""You drive: the reader swings the pendulum up in the browser, and compares the return with the agent's."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import MAX_TORQUE_NM, Physics, pendulum_angles, pendulum_obs, pendulum_step
from ddpg_core.moments import Moment
from ddpg_core.networks import MLP
from ddpg_core.oracle import EPISODE_STEPS
from pages.ui import live
from pages.ui.clips import Episode, clip_of, film_settings
from pages.ui.theme import minus, verdict

Start = tuple[float, float]
"""A state to start from: angle in rad (0 = upright) and angular velocity in rad/s."""
HANGING: Final[Start] = (math.pi, 0.0)
_ENV_ID: Final = "Pendulum-v1"
_RETURNS: Final = range(0, -2001, -10)


def drive(agent: Episode | Start, config: Config, *, key: str) -> float | None:
    """Let the reader drive the pendulum for one episode, in the browser and without a rerun.

    Args:
        agent: An episode to start from and to beat, or only a start.
        config: Sets the pendulum's gravity, mass and length.
        key: The component's key.

    Returns:
        The return of a drive, once, in the rerun after its end; otherwise None.

    Raises:
        ValueError: `config` or the agent's episode is not of the pendulum.
    """
    episode = agent if isinstance(agent, Episode) else None
    if episode and not np.isfinite(episode.columns["reward"]).all():
        agent, episode = start_of(episode), None  # a run that diverged has no policy to beat
    for env_id in (config.env_id, episode.env_id if episode else _ENV_ID):
        if env_id != _ENV_ID:
            raise ValueError(f"only {_ENV_ID} can be driven, got {env_id}")
    data = {
        "start": list(start_of(agent) if isinstance(agent, Episode) else agent),
        "physics": list(Physics.of(config)),
        "steps": EPISODE_STEPS,
        "film": film_settings(_ENV_ID),
        "agent": clip_of(episode) if episode else None,
        "words": _words(config),
    }
    return live.drive(data, key=key)


def start_of(episode: Episode) -> Start:
    """The state in which a pendulum episode began."""
    first = episode.columns["obs"][0]
    return float(pendulum_angles(first)), float(first[2])


def agent_episode(moment: Moment, start: Start, label: str, colour: str) -> Episode:
    """What a run's policy of that moment does from `start`: a whole episode without noise.

    Args:
        moment: Gives the actor's weights and the physics.
        start: Where the pendulum begins.
        label, colour: The run's.
    """
    actor = MLP((3, *moment.config.hidden, 1), squash=True)
    angle, velocity = (np.array(value, float) for value in start)
    physics = Physics.of(moment.config)
    rows: dict[str, list[Any]] = {"obs": [], "action": [], "reward": []}
    for _ in range(EPISODE_STEPS):
        obs = pendulum_obs(angle, velocity)
        torque = actor.numpy(moment.actor, obs)[0] * moment.action_scale[0]
        torque = np.clip(torque, -MAX_TORQUE_NM, MAX_TORQUE_NM)
        angle, velocity, reward = pendulum_step(angle, velocity, torque, physics)
        for column, value in zip(rows.values(), (obs, torque, reward), strict=True):
            column.append(value)
    columns = {name: np.array(values, np.float32) for name, values in rows.items()}
    return Episode(
        f"{label}:{moment.env_steps}:{start}",
        label,
        minus(f"return {columns['reward'].sum():.0f}"),
        -1,
        colour,
        _ENV_ID,
        True,
        EPISODE_STEPS,
        columns,
    )


@functools.lru_cache(maxsize=32)
def _words(config: Config) -> list[tuple[float, str]]:
    """What returns are called: (lowest return, words), best first; "" where this physics has no reference."""
    return [(min(group), words) for words, group in itertools.groupby(_RETURNS, lambda total: verdict(total, config))]
