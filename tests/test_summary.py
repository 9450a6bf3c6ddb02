from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ddpg_core.conditions import Change, Comparison, Condition
from ddpg_core.experiment import Evaluated, Result
from ddpg_core.summary import BETTER, NO_EFFECT, TOO_FEW, WORSE, effect, summarise
from tests.helpers import CAR, SMALL

PULLED = Condition("pulled", SMALL, (Change({"replay": "latest"}, episode=1),))
COMPARISON = Comparison((Condition("kept", SMALL), PULLED), episodes=3, seeds=(0, 1, 2, 3, 4), starts=2, title="Test")
RANDOM, OPTIMAL = -1230.0, [-100.0, -200.0]


def made(condition: Condition, seed: int, before: float, after: float, **changes: Any) -> Result:
    """A result with these mean returns after episodes 1 and 3; the two starts are 100 apart."""
    evaluations = [Evaluated(1, [before + 50, before - 50]), Evaluated(3, [after + 50, after - 50])]
    returns = [-1000.0 - seed, before, after]
    plain = Result(condition.name, seed, condition.recipe(seed), returns, [200] * 3, evaluations, OPTIMAL, RANDOM, None)
    return replace(plain, **changes)


def both(after_kept: list[float], after_pulled: list[float]) -> dict[tuple[str, int], Result]:
    """Results of both conditions, all at −150 before."""
    results = {}
    for condition, finals in zip(COMPARISON.conditions, (after_kept, after_pulled), strict=True):
        for seed, after in zip(COMPARISON.seeds, finals, strict=False):
            results[condition.name, seed] = made(condition, seed, -150.0, after)
    return results


RESULTS = both([-140.0, -141.0, -142.0, -143.0, -144.0], [-690.0, -700, -800, -900, -1230])


def test_summary_gives_the_figures_computed_by_hand() -> None:
    summary = summarise(COMPARISON, RESULTS)
    kept, pulled = summary["conditions"]
    assert kept["final_return"]["iqm"] == pytest.approx(-142)
    assert kept["final_return"]["per_seed"] == [-140, -141, -142, -143, -144]
    assert -144 <= kept["final_return"]["low"] < -142 < kept["final_return"]["high"] <= -140
    middle = (0.75 * -700 - 800 + 0.75 * -900) / 2.5
    assert pulled["final_return"]["iqm"] == pytest.approx(middle)
    assert pulled["final_regret"]["iqm"] == pytest.approx(-150 - middle)
    assert kept["training_return"]["per_seed"][1] == pytest.approx((-1001 - 150 - 141) / 3)
    index = [(after + 150) / (RANDOM + 150) for after in (-690, -700, -800, -900, -1230)]
    assert pulled["forgetting"]["3"]["per_seed"] == pytest.approx(index)
    assert pulled["forgetting"]["3"]["median"] == pytest.approx(index[2])
    assert kept["forgetting"]["3"]["median"] == pytest.approx(-8 / 1080)
    assert kept["curve"]["iqm"] == pytest.approx([-1002, -150, -142])
    assert kept["curve"]["low"][1] == kept["curve"]["high"][1] == -150
    assert pulled["final_return_effect"]["probability_of_improvement"] == {"value": 0, "low": 0, "high": 0}
    assert pulled["final_return_effect"]["difference"]["value"] == pytest.approx(middle + 142)
    assert pulled["final_return_effect"]["verdict"] == WORSE
    assert "final_return_effect" not in kept
    assert (summary["compared_with"], summary["seeds"], summary["title"]) == ("kept", [0, 1, 2, 3, 4], "Test")
    assert (kept["preset"], kept["changed"]["hidden"]) == ("fast", "8")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_verdict_follows_the_intervals() -> None:
    low, high = np.array([-200.0, -190, -210, -195, -205]), np.array([-150.0, -140, -160, -145, -155])
    mixed = np.array([-150.0, -900, -140, -145, -160])
    assert effect(high, low)["verdict"] == BETTER
    assert effect(low, high)["verdict"] == WORSE
    assert effect(low, low)["verdict"] == NO_EFFECT
    assert effect(mixed, high)["verdict"] == NO_EFFECT
    assert effect(high, low[:4])["verdict"] == TOO_FEW
    assert effect(high[:1], low)["verdict"] == TOO_FEW


def test_verdict_needs_both_measures() -> None:
    """Every pair but a few is a win, though the middle halves differ by less than their spread."""
    scores = np.array([-150.0, -150, -150, -150, -150, -150, -900, -900])
    baseline = np.array([-151.0, -151, -151, -151, -151, -151, -151, -900])
    found = effect(scores, baseline)
    assert found["probability_of_improvement"]["value"] > 0.6
    assert found["difference"]["low"] < 0 < found["probability_of_improvement"]["low"]
    assert found["verdict"] == NO_EFFECT


def test_diverged_run_counts_as_random_actions_from_then_on() -> None:
    lost = made(PULLED, 1, -150.0, -700.0, returns=[-1000.0], lengths=[200], diverged="at step 300: cause")
    lost = replace(lost, evaluations=lost.evaluations[:1])
    pulled = summarise(COMPARISON, {**RESULTS, lost.key: lost})["conditions"][1]
    assert pulled["diverged"] == {"1": "at step 300: cause"}
    assert pulled["final_return"]["per_seed"][1] == RANDOM
    assert pulled["final_regret"]["per_seed"][1] == -150 - RANDOM
    assert pulled["training_return"]["per_seed"][1] == pytest.approx((-1000 + 2 * RANDOM) / 3)
    assert pulled["forgetting"]["3"]["per_seed"][1] == 1


def test_run_that_had_learned_nothing_has_nothing_to_forget() -> None:
    never = {key: made(PULLED, key[1], -1300.0, -1200.0) for key in RESULTS if key[0] == "pulled"}
    some = {**RESULTS, ("pulled", 0): never["pulled", 0]}
    found = summarise(COMPARISON, some)["conditions"][1]["forgetting"]["3"]
    assert found["per_seed"][0] is None
    assert found["median"] == pytest.approx(np.median([(after + 150) / -1080 for after in (-700, -800, -900, -1230)]))
    assert summarise(COMPARISON, {**RESULTS, **never})["conditions"][1]["forgetting"]["3"] is None


def test_time_to_the_threshold_is_a_median_in_which_never_is_longest() -> None:
    comparison = replace(COMPARISON, conditions=COMPARISON.conditions[:1], episodes=12, evaluate_at=(), seeds=(0, 1, 2))
    curves = [[-250.0] * 12, [-1000.0, -1000.0, *[-250.0] * 10], [-1000.0] * 12]

    def median(seeds: list[int]) -> Any:
        runs = [made(COMPARISON.conditions[0], seed, 0, 0, returns=curves[seed], lengths=[200] * 12) for seed in seeds]
        return summarise(comparison, {run.key: run for run in runs})["conditions"][0]["episodes_to_-250"]

    assert median([0, 1, 2]) == {"median": 12.0, "reached": 2, "per_seed": [10, 12, None]}
    assert median([2]) == {"median": None, "reached": 0, "per_seed": [None]}
    assert median([0, 2])["median"] is None


def test_environment_without_references_has_no_regret_and_no_threshold() -> None:
    car = Condition("car", SMALL.changed(CAR))
    comparison = Comparison((car,), 3, (0,), starts=2)
    found = summarise(comparison, {("car", 0): made(car, 0, -1, -2, optimal_returns=None)})["conditions"][0]
    assert found["final_regret"] is found["episodes_to_-250"] is None


def test_summary_tells_what_is_there_of_an_unfinished_comparison() -> None:
    some = {key: result for key, result in RESULTS.items() if key == ("kept", 3)}
    kept, pulled = summarise(COMPARISON, some)["conditions"]
    assert kept["seeds"] == [3]
    assert kept["final_return"]["low"] == kept["final_return"]["high"] == -143
    assert pulled["seeds"] == []
    assert "final_return" not in pulled
