"""Exploration noise: Ornstein–Uhlenbeck (textbook and as the notebook wrote it), Gaussian, none."""

from __future__ import annotations

import math
from typing import NamedTuple

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
    return x + theta * (mu - x) * dt + sigma * math.sqrt(dt) * normal


class Theory(NamedTuple):
    """Closed form of a noise process x ← mean + memory·(x − mean) + kick·N(0, 1), an AR(1) process, unscaled.

    Attributes:
        mean: What it is drawn back to.
        memory: ρ, what is left of a deviation one step later.
        kick: Standard deviation of what chance adds in a step.
    """

    mean: float
    memory: float
    kick: float

    @property
    def settles(self) -> bool:
        """Whether it has a long run: θ·dt ≥ 2, or θ ≥ 1 as the notebook wrote it, swings ever further instead."""
        return abs(self.memory) < 1 or self.kick == 0

    @property
    def std(self) -> float:
        """Standard deviation that it settles at, kick/√(1 − ρ²); infinite where it never does."""
        if not self.settles:
            return math.inf
        return self.kick / math.sqrt(1 - self.memory**2) if self.kick else 0.0

    @property
    def correlation_steps(self) -> float:
        """Steps after which its autocorrelation has fallen to 1/e in size, −1/ln|ρ|; infinite where it never does."""
        size = abs(self.memory)
        return 0.0 if size == 0 else -1 / math.log(size) if size < 1 else math.inf

    def autocorrelation(self, lags: Array) -> Array:
        """Correlation of the settled process with itself `lags` steps later, ρ^lag."""
        return np.asarray(self.memory**lags)

    def spread(self, steps: int) -> Array:
        """Standard deviation 1, 2, … `steps` steps after a start at a fixed value [steps]."""
        return np.asarray(self.kick * np.sqrt(np.cumsum(np.power(self.memory**2, np.arange(steps)))))

    def drift(self, start: float, steps: int) -> Array:
        """Expected value 1, 2, … `steps` steps after `start` [steps]."""
        return np.asarray(self.mean + (start - self.mean) * np.power(self.memory, np.arange(1, steps + 1)))

    def power(self, rad_per_step: float) -> float:
        """Spectral density at a frequency, kick²/|1 − ρe^{−iω}|²: white noise has its variance at each."""
        return self.kick**2 / (1 + self.memory**2 - 2 * self.memory * math.cos(rad_per_step))


def theory_of(config: Config) -> Theory:
    """The closed form of the configured noise."""
    theta, mu, sigma, dt = config.ou_theta, config.ou_mu, config.ou_sigma, config.ou_dt
    if config.noise == "none":
        return Theory(0.0, 0.0, 0.0)
    if config.noise == "gaussian":
        return Theory(mu, 0.0, sigma)
    if config.noise == "ou_notebook":
        return Theory(mu * theta / (1 + theta), -theta, sigma)
    return Theory(mu, 1 - theta * dt, sigma * math.sqrt(dt))


def noise_amplitude(config: Config, episode: int, action_low: Array, action_high: Array) -> Array:
    """What the noise of `episode` (0-based) is multiplied by [A], in action units: scale × decay^episode × range."""
    span = action_high - action_low
    reach = span if config.noise_range == "full" else span / 2
    return np.asarray(config.noise_scale * config.noise_decay**episode * reach)
