"""Exploration noise: Ornstein–Uhlenbeck (textbook and as the notebook wrote it), Gaussian, none."""

from __future__ import annotations

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array


def next_noise(x: Array, config: Config, rng: np.random.Generator) -> Array:
    """The noise value after `x` [A], before it is scaled to the actuator. Mutates only `rng`.

    `ou` is the Euler–Maruyama step of dx = θ(μ − x)dt + σdW (Uhlenbeck & Ornstein 1930; Lillicrap et al. 2016,
    section 7). `ou_notebook` is the notebook's class `OU`, which forgets to add the old value: its values alternate
    in sign around μθ/(1 + θ).
    """
    if config.noise == "none":
        return np.zeros_like(x)
    normal = rng.standard_normal(x.shape)
    theta, mu, sigma, dt = config.ou_theta, config.ou_mu, config.ou_sigma, config.ou_dt
    if config.noise == "gaussian":
        return mu + sigma * normal
    if config.noise == "ou_notebook":
        return theta * (mu - x) + sigma * normal
    return x + theta * (mu - x) * dt + sigma * np.sqrt(dt) * normal


def stationary_std(config: Config) -> float:
    """Standard deviation that the configured noise settles at, unscaled; infinite for a non-stationary θ·dt ≥ 2."""
    if config.noise == "none":
        return 0.0
    if config.noise == "gaussian":
        return config.ou_sigma
    notebook = config.noise == "ou_notebook"
    memory = -config.ou_theta if notebook else 1 - config.ou_theta * config.ou_dt
    kick = config.ou_sigma if notebook else config.ou_sigma * np.sqrt(config.ou_dt)
    return float(kick / np.sqrt(1 - memory**2)) if abs(memory) < 1 else float("inf")


def noise_amplitude(config: Config, episode: int, action_low: Array, action_high: Array) -> Array:
    """What the noise of `episode` (0-based) is multiplied by [A], in action units: scale × decay^episode × range."""
    span = action_high - action_low
    reach = span if config.noise_range == "full" else span / 2
    return np.asarray(config.noise_scale * config.noise_decay**episode * reach)
