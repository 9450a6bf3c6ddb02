"""Stable-Baselines3's DDPG, with `learn` as its users call it."""

from __future__ import annotations

from importlib.metadata import version

import gymnasium
import numpy as np
import torch
from stable_baselines3 import DDPG
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

TITLE = f"Stable-Baselines3 {version('stable-baselines3')}"


def make(hidden: list[int], batch: int) -> tuple[Advance, Updates]:
    """A model that learns in slices."""
    torch.set_num_threads(1)
    model = DDPG(
        "MlpPolicy",
        gymnasium.make("Pendulum-v1"),
        policy_kwargs={"net_arch": hidden},
        batch_size=batch,
        learning_starts=FILL_STEPS,
        train_freq=(1, "step"),
        gradient_steps=1,
        buffer_size=BUFFER,
        gamma=GAMMA,
        tau=TAU,
        learning_rate=LEARNING_RATE,
        action_noise=OrnsteinUhlenbeckActionNoise(np.zeros(1), OU_SIGMA * np.ones(1), theta=OU_THETA, dt=1.0),
        device="cpu",
        seed=0,
    )
    return lambda steps: model.learn(steps, reset_num_timesteps=False), lambda: model._n_updates
