"""The noise bench: kinds of exploration noise on equal terms, and how far each takes a pendulum without a policy.

Everything is drawn by the `next_noise` that runs explore with, from a fixed seed; `Theory` is what it is held to.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ddpg_core.config import SETTINGS, Config
from ddpg_core.environment import DT_S, MAX_TORQUE_NM, Array, Physics, pendulum_step
from ddpg_core.noise import Theory, next_noise, noise_amplitude, theory_of

EPISODES: Final = 256
STEPS: Final = 200
LAGS: Final = 60
SEED: Final = 0


@dataclass(frozen=True)
class Contender:
    """One kind of noise on the bench: what was drawn, and what theory says of it.

    Attributes:
        config: Its settings.
        theory: Its closed form.
        paths: Drawn episodes, unscaled [STEPS, EPISODES].
        left: Measured autocorrelation after 0 … LAGS steps.
        swings: The furthest that a pendulum without a policy got in each episode, signed, in rad [EPISODES].
        rhythm_power: Its spectral density at the pendulum's own rhythm.
    """

    config: Config
    theory: Theory
    paths: Array
    left: Array
    swings: Array
    rhythm_power: float

    @property
    def expected_std(self) -> float:
        """Theoretical standard deviation over an episode."""
        return root_mean_square(self.theory.spread(STEPS))

    @property
    def above(self) -> float:
        """Share of the episodes in which the pendulum got above horizontal."""
        return float((np.abs(self.swings) > np.pi / 2).mean())

    @property
    def half_get(self) -> float:
        """The angle from hanging, in degrees, that half of the episodes reached."""
        return math.degrees(float(np.median(np.abs(self.swings))))


@functools.lru_cache(maxsize=8)
def bench_of(config: Config) -> tuple[Contender, ...]:
    """All that the bench shows for some settings, drawn from its fixed seed."""
    physics = Physics.of(config)
    reach = np.array([MAX_TORQUE_NM])
    amplitude = float(noise_amplitude(config, 0, -reach, reach)[0])
    made = []
    for each in contenders(config):
        paths, theory = noise_paths(each), theory_of(each)
        swings = furthest_swings(paths, amplitude, physics)
        power = theory.power(own_rhythm(physics))
        made.append(Contender(each, theory, paths, autocorrelation(paths, LAGS), swings, power))
    return tuple(made)


def contenders(config: Config) -> tuple[Config, Config, Config]:
    """The noises that the bench compares: textbook OU, the notebook's form of it, Gaussian noise as strong as OU.

    As strong means the same standard deviation in the long run, or over an episode of `STEPS` where OU never settles,
    up to the largest that the setting σ allows.
    """
    textbook = config.changed({"noise": "ou"})
    theory = theory_of(textbook)
    std = theory.std if theory.settles else root_mean_square(theory.spread(STEPS))
    equal = {"noise": "gaussian", "ou_sigma": min(std, SETTINGS["ou_sigma"].high)}
    return textbook, config.changed({"noise": "ou_notebook"}), config.changed(equal)


def noise_paths(config: Config, steps: int = STEPS, episodes: int = EPISODES, seed: int = SEED) -> Array:
    """Noise of independent episodes that start at μ, as a run with `noise_reset` draws it, unscaled [T, N]."""
    rng, x = np.random.default_rng(seed), np.full(episodes, config.ou_mu)
    paths = np.empty((steps, episodes))
    for step in range(steps):
        paths[step] = x = next_noise(x, config, rng)
    return paths


def episode_std(paths: Array) -> float:
    """Standard deviation over episodes of `paths` [T, N], its root mean square over their steps."""
    return root_mean_square(paths.std(axis=1))


def autocorrelation(paths: Array, lags: int) -> Array:
    """How much of a deviation is left 0, 1, … `lags` steps later [lags + 1]; NaN where nothing deviates.

    The slope of the later value on the earlier one, over all episodes and steps of `paths` [T, N]. For an AR(1)
    process this is ρ^lag from the first step on, settled or not.
    """
    deviations = paths - paths.mean(axis=1, keepdims=True)
    slopes = np.full(lags + 1, np.nan)
    for lag in range(lags + 1):
        now, later = deviations[: len(paths) - lag], deviations[lag:]
        size = (now**2).sum()
        if size > 0:
            slopes[lag] = (now * later).sum() / size
    return slopes


def episode_density(config: Config, values: Array, steps: int = STEPS) -> Array:
    """Theoretical density, at `values` [P], of the noise of an episode of `steps` that starts at μ; σ > 0."""
    theory = theory_of(config)
    means, stds = theory.drift(config.ou_mu, steps), theory.spread(steps)
    return np.asarray(normal_density(values[:, None], means, stds).mean(axis=1))


def normal_density(values: Array, mean: float | Array, std: float | Array) -> Array:
    """Density of the normal distribution at `values`; arguments broadcast, std > 0."""
    return np.asarray(np.exp(-(((values - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi)))


def furthest_swings(paths: Array, amplitude_nm: float, physics: Physics) -> Array:
    """The largest angle from hanging that each episode reached, signed, in rad, ±π where it went over the top [N].

    Args:
        paths: Unscaled noise [T, N], all there is of a torque; each pendulum starts hanging still.
        amplitude_nm: What the noise is multiplied by; the actuator then cuts it at its limits.
        physics: The pendulum.
    """
    angle, velocity = np.full(paths.shape[1], np.pi), np.zeros(paths.shape[1])
    furthest = np.zeros(paths.shape[1])
    for noise in paths:
        angle, velocity, _ = pendulum_step(angle, velocity, amplitude_nm * noise, physics)
        swing = angle - np.pi
        furthest = np.where(np.abs(swing) > np.abs(furthest), swing, furthest)
    return np.asarray(np.clip(furthest, -np.pi, np.pi))


def own_rhythm(physics: Physics) -> float:
    """Frequency of the pendulum's small swings around hanging, in rad a step: √(3g/2l)·dt."""
    return math.sqrt(3 * physics.gravity / (2 * physics.length)) * DT_S


def root_mean_square(values: Array) -> float:
    """√ of the mean of the squares."""
    return float(np.sqrt(np.mean(values**2)))
