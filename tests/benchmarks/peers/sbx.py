"""sbx's DDPG: Stable-Baselines3 with JAX beneath, whole updates compiled by XLA; `learn` as its users call it."""

from __future__ import annotations

from importlib.metadata import version

import gymnasium
import numpy as np
from sbx import DDPG
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise

from tests.benchmarks.peers import (
    BUFFER,
    FILL_STEPS,
    GAMMA,
    LEARNING_RATE,
    OU_SIGMA,
    OU_THETA,
    TAU,
    Advance,
    Updates,
)

TITLE = f"sbx {version('sbx-rl')} (JAX {version('jax')})"


def make(hidden: list[int], batch: int) -> tuple[Advance, Updates]:
    """A model that learns in slices."""
    model = DDPG(
        "MlpPolicy",
        gymnasium.make("Pendulum-v1"),
        policy_kwargs={"net_arch": hidden},
        batch_size=batch,
        learning_starts=FILL_STEPS,
        train_freq=1,
        gradient_steps=1,
        buffer_size=BUFFER,
        gamma=GAMMA,
        tau=TAU,
        learning_rate=LEARNING_RATE,
        action_noise=OrnsteinUhlenbeckActionNoise(np.zeros(1), OU_SIGMA * np.ones(1), theta=OU_THETA, dt=1.0),
        seed=0,
    )
    return lambda steps: model.learn(steps, reset_num_timesteps=False), lambda: model._n_updates
