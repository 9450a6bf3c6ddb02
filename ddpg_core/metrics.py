"""What is measured of runs: averages, intervals over seeds, forgetting, deterministic evaluation on fixed starts.

Dimension letters: N scores of one run each, R resamples; … any shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array, Environment, start_states

_NUMBERS_AT_ONCE: Final = 1 << 20
"""Numbers that resamples in memory together may have: those of the samples multiplied, as for all pairs of scores."""


def moving_average(values: Array, window: int) -> Array:
    """Mean of the last `window` values up to each one [N]; over what there is while there are fewer."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    stops = np.arange(1, len(values) + 1)
    starts = np.maximum(0, stops - window)
    return (sums[stops] - sums[starts]) / (stops - starts)


def iqm(values: Array) -> float:
    """Interquartile mean: the mean of the middle half, ends counted in part (Agarwal et al. 2021, section 4.3).

    Args:
        values: Scores [N], N ≥ 1.

    Raises:
        ValueError: There are none.
    """
    return float(iqms(np.asarray(values, dtype=float)))


def iqms(values: Array) -> Array:
    """Interquartile means [...] of scores [..., N], N ≥ 1, each as `iqm`.

    Raises:
        ValueError: There are none.
    """
    n = values.shape[-1]
    if not n:
        raise ValueError("values must hold at least one score, got none")
    covered = np.clip(np.minimum(np.arange(1, n + 1), 0.75 * n) - np.maximum(np.arange(n), 0.25 * n), 0, 1)
    return np.asarray((np.sort(values, axis=-1) * covered).sum(-1) / (0.5 * n))


def medians(values: Array) -> Array:
    """Medians [...] of scores [..., N], N ≥ 1."""
    return np.asarray(np.median(values, axis=-1))


def bootstrap_interval(
    statistic: Callable[..., Array], *samples: Array, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Array, Array]:
    """Percentile bootstrap interval of a statistic over runs, stratified (Agarwal et al. 2021, section 4.1).

    Runs are drawn with replacement within each sample, never across samples. A whole run is drawn at a time: all
    entries of its column along the last axis.

    Args:
        statistic: Arrays [..., Nᵢ], one for each of `samples`, to [...].
        samples: Scores [..., Nᵢ] of Nᵢ ≥ 1 runs under one condition (or on one task) each.
        level: Share of resamples that the interval covers.
        resamples: How many.
        seed: Of the resampling, so that equal scores give equal intervals.

    Returns:
        (low, high) [...].
    """
    rng = np.random.default_rng(seed)
    parts = []
    at_once = max(1, _NUMBERS_AT_ONCE // math.prod(sample.size for sample in samples))
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        drawn = [sample[..., rng.integers(sample.shape[-1], size=(count, sample.shape[-1]))] for sample in samples]
        parts.append(statistic(*drawn))  # [..., R]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(parts, axis=-1), [tail, 1 - tail], axis=-1)
    return low, high


def probability_of_improvement(scores: Array, baseline: Array) -> Array:
    """How often a score [..., N] beats one of `baseline` [..., M], a draw counting half (Agarwal et al. 2021, 4.3)."""
    pairs = scores[..., :, None] - baseline[..., None, :]
    return np.asarray((np.sign(pairs).mean((-2, -1)) + 1) / 2)


def difference_of_iqms(scores: Array, baseline: Array) -> Array:
    """How much higher [...] the interquartile mean of scores [..., N] is than that of `baseline` [..., M]."""
    return iqms(scores) - iqms(baseline)


def forgetting_index(before: Array, after: Array, random: Array | float) -> Array:
    """F = (R_before − R_after) / (R_before − R_random): 0 nothing forgotten, 1 back at random, below 0 improved.

    Args:
        before, after: Mean returns of runs on the same starts [...], before and after what may make them forget.
        random: Of random actions from those starts.

    Returns:
        [...]; NaN where a run was no better than random before: it had nothing to forget.
    """
    learned = np.asarray(before - random, dtype=float)
    return np.divide(before - after, learned, out=np.full(learned.shape, np.nan), where=learned > 0)


def time_to_reach(returns: Array, threshold: float, window: int = 10) -> int | None:
    """Episodes until the mean of the last `window` returns first is at least `threshold`; None if it never is."""
    means = moving_average(returns, window)[window - 1 :]
    reached = np.flatnonzero(means >= threshold)
    return int(reached[0]) + window if reached.size else None


def evaluate_policy(policy: Callable[[Array], Array], config: Config, starts: Array) -> Array:
    """Undiscounted returns [N] of a policy without noise, one episode from each of `starts` [N, S].

    Runs Gymnasium's own environment, so it holds for every allow-listed one.

    Args:
        policy: obs [O] to action [A] in env units; clipped to the actuator's limits here.
        config: Which environment, and its physics.
        starts: As `start_states` draws them.
    """
    env = Environment(config, np.random.default_rng(0))
    returns = []
    for start in starts:
        obs, total, done = env.reset(start), 0.0, False
        while not done:
            action = np.minimum(np.maximum(policy(obs), env.action_low), env.action_high)
            obs, reward, terminated, truncated = env.step(action)
            total += reward
            done = terminated or truncated
        returns.append(total)
    return np.array(returns)


@dataclass(frozen=True)
class Evaluation:
    """Returns of a policy from fixed starts, and how much a near-optimal one gets more from the same starts.

    Attributes:
        returns: [N] undiscounted.
        regrets: [N] optimal minus `returns`, or None where no oracle is known.
        seed: Of the starts.
    """

    returns: Array
    regrets: Array | None
    seed: int

    def summary(self) -> dict[str, object]:
        """JSON-ready: means, spread, all returns."""
        return {
            "return_mean": float(self.returns.mean()),
            "return_std": float(self.returns.std()),
            "returns": [float(value) for value in self.returns],
            "regret_mean": None if self.regrets is None else float(self.regrets.mean()),
            "episodes": len(self.returns),
            "seed": self.seed,
        }


def evaluate(policy: Callable[[Array], Array], config: Config, episodes: int, seed: int) -> Evaluation:
    """Deterministic evaluation of `policy` on the fixed starts of `seed`, with regret where an oracle exists."""
    from ddpg_core.oracle import optimal_returns

    starts = start_states(config, episodes, seed)
    returns = evaluate_policy(policy, config, starts)
    best = optimal_returns(config, starts)
    return Evaluation(returns, None if best is None else best - returns, seed)
