"""What is measured of a run: moving averages, the interquartile mean, deterministic evaluation on fixed starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array, Environment, start_states


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
    if not len(values):
        raise ValueError("values must hold at least one score, got none")
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    covered = np.clip(np.minimum(np.arange(1, n + 1), 0.75 * n) - np.maximum(np.arange(n), 0.25 * n), 0, 1)
    return float((ordered * covered).sum() / (0.5 * n))


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
