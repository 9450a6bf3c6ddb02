"""What the results of a comparison say: interquartile means, intervals, effects, forgetting; JSON-ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ddpg_core.conditions import Comparison, Condition
from ddpg_core.config import format_value
from ddpg_core.environment import Array, reference_returns
from ddpg_core.experiment import Result, Results
from ddpg_core.metrics import (
    bootstrap_interval,
    difference_of_iqms,
    forgetting_index,
    iqms,
    medians,
    probability_of_improvement,
    time_to_reach,
)
from ddpg_core.recipe import preset_of

THRESHOLD: Final = -250.0
"""10-episode mean return at which a pendulum counts as learned, with noise."""
MIN_SEEDS: Final = 5
"""Fewer say nothing: with four, two equal conditions are wholly apart once in 35 times."""
BETTER, WORSE, NO_EFFECT, TOO_FEW = "better", "worse", "no visible effect", "too few seeds to tell"


def summarise(comparison: Comparison, results: Results) -> dict[str, Any]:
    """All statistics of the results that are there, JSON-ready; intervals are 95 % bootstrap intervals over seeds.

    A run that diverged counts as random actions from then on, in its episodes and its evaluations: leaving it out
    would flatter the condition that lost it.
    """
    baseline = results_of(comparison.conditions[0], comparison, results)
    return {
        "title": comparison.title,
        "note": comparison.note,
        "episodes": comparison.episodes,
        "seeds": list(comparison.seeds),
        "starts": comparison.starts,
        "compared_with": comparison.conditions[0].name,
        "conditions": [_condition(condition, comparison, results, baseline) for condition in comparison.conditions],
    }


def _condition(
    condition: Condition, comparison: Comparison, results: Results, baseline: list[Result]
) -> dict[str, Any]:
    runs = results_of(condition, comparison, results)
    preset, changed = preset_of(condition.config)
    summary: dict[str, Any] = {
        "name": condition.name,
        "preset": preset,
        "changed": {name: format_value(value) for name, value in changed.items() if name != "engine"},
        "at": [change.to_dict() for change in condition.changes],
        "seeds": [run.seed for run in runs],
        "diverged": {str(run.seed): run.diverged for run in runs if run.diverged},
    }
    if not runs:
        return summary
    last = comparison.episodes
    finals = evaluation_means(runs, last)
    summary["final_return"] = interval_of(finals)
    summary["final_regret"] = _regrets(runs, last)
    summary["training_return"] = interval_of(_training_means(runs, last))
    summary["episodes_to_-250"] = _times(runs, condition)
    if baseline and condition != comparison.conditions[0]:
        summary["final_return_effect"] = effect(finals, evaluation_means(baseline, last))
        summary["training_return_effect"] = effect(_training_means(runs, last), _training_means(baseline, last))
    branch = comparison.branch_episode
    if branch is not None:
        later = [episode for episode in comparison.evaluate_at if episode > branch]
        summary["forgetting"] = {str(episode): _forgetting(runs, branch, episode) for episode in later}
    summary["evaluations"] = {str(at): interval_of(evaluation_means(runs, at)) for at in comparison.evaluate_at}
    curves = learning_curves(runs, last)
    low, high = bootstrap_interval(iqms, curves.T)
    summary["curve"] = {"iqm": iqms(curves.T).tolist(), "low": low.tolist(), "high": high.tolist()}
    return summary


def learning_curves(runs: list[Result], episodes: int) -> Array:
    """Returns of training episodes [N runs, episodes]."""
    return np.array([run.returns + [run.random_return] * (episodes - len(run.returns)) for run in runs])


def evaluation_means(runs: list[Result], episode: int) -> Array:
    """Mean returns on the fixed starts after `episode` episodes [N runs]."""
    return np.array([mean_return(run, episode) for run in runs])


def interval_of(
    scores: Array, statistic: Callable[[Array], Array] = iqms, name: str = "iqm"
) -> dict[str, float | list[float]]:
    """A statistic of scores [N] of N ≥ 1 runs, its interval, and the scores."""
    low, high = bootstrap_interval(statistic, scores)
    return {name: float(statistic(scores)), "low": float(low), "high": float(high), "per_seed": scores.tolist()}


def effect(scores: Array, baseline: Array) -> dict[str, Any]:
    """How scores [N] differ from those of the baseline [M].

    `better` or `worse` only where the intervals of both measures say so, that of the difference of interquartile means
    and that of the probability of improvement: with two equal conditions of 5 to 20 seeds each, that happens in 3 to 9
    of 100 simulated comparisons, and more often with either alone.
    """
    measures = {}
    for name, statistic in (
        ("difference", difference_of_iqms),
        ("probability_of_improvement", probability_of_improvement),
    ):
        low, high = bootstrap_interval(statistic, scores, baseline)
        measures[name] = {"value": float(statistic(scores, baseline)), "low": float(low), "high": float(high)}
    difference, probability = measures.values()
    verdict = NO_EFFECT
    if min(len(scores), len(baseline)) < MIN_SEEDS:
        verdict = TOO_FEW
    elif difference["low"] > 0 and probability["low"] > 0.5:
        verdict = BETTER
    elif difference["high"] < 0 and probability["high"] < 0.5:
        verdict = WORSE
    return {**measures, "verdict": verdict}


def results_of(condition: Condition, comparison: Comparison, results: Results) -> list[Result]:
    """The results of one condition that are there, in the order of the seeds."""
    return [results[condition.name, seed] for seed in comparison.seeds if (condition.name, seed) in results]


def _training_means(runs: list[Result], episodes: int) -> Array:
    return np.asarray(learning_curves(runs, episodes).mean(axis=1))


def mean_return(run: Result, episode: int) -> float:
    """Mean return on the fixed starts after `episode` episodes, of random actions where it diverged before."""
    returns = next((item.returns for item in run.evaluations if item.episode == episode), [run.random_return])
    return float(np.mean(returns))


def mean_regret(run: Result, episode: int) -> float | None:
    """Mean regret after `episode` episodes; None where no oracle is known."""
    return None if run.optimal_returns is None else float(np.mean(run.optimal_returns)) - mean_return(run, episode)


def _regrets(runs: list[Result], episode: int) -> dict[str, Any] | None:
    regrets = [mean_regret(run, episode) for run in runs]
    return None if None in regrets else interval_of(np.array(regrets))


def _times(runs: list[Result], condition: Condition) -> dict[str, Any] | None:
    """Episodes to a 10-episode mean of −250: each run's, how many got there, and the median if that many did."""
    if reference_returns(condition.config) is None:
        return None
    times = [time_to_reach(np.array(run.returns), THRESHOLD) for run in runs]
    median = float(np.median([np.inf if time is None else time for time in times]))
    reached = sum(time is not None for time in times)
    return {"median": median if np.isfinite(median) else None, "reached": reached, "per_seed": times}


def _forgetting(runs: list[Result], before: int, after: int) -> dict[str, Any] | None:
    """The forgetting index between two evaluations, its median over the runs that had learned something before."""
    random = np.array([run.random_return for run in runs])
    index = forgetting_index(evaluation_means(runs, before), evaluation_means(runs, after), random)
    known = index[np.isfinite(index)]
    if not known.size:
        return None
    per_seed = [None if np.isnan(value) else float(value) for value in index]
    return {**interval_of(known, medians, "median"), "per_seed": per_seed}
