from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from ddpg_core.conditions import Change, Comparison, Condition
from ddpg_core.experiment import Cell, Result, cells, compute_cell, compute_cells, random_return
from ddpg_core.metrics import evaluate
from ddpg_core.run import Run
from tests.helpers import CAR, IDLE, SMALL, assert_equal_logs, started, trained

CHANGES = (Change({"replay": "latest", "batch_size": 1}, episode=1), Change({"tau": 0.5}, step=50))
BRANCHED = Condition("pulled", SMALL, CHANGES)
COMPARISON = Comparison((Condition("kept", SMALL), BRANCHED), episodes=2, seeds=(3, 1), starts=2)


def by_key(results: Any) -> dict[tuple[str, int], str]:
    return {result.key: result.to_json() for result in results}


@pytest.fixture(scope="module")
def expected() -> dict[tuple[str, int], str]:
    """The results of `COMPARISON`, computed one after the other, as text."""
    return by_key(compute_cell(cell) for cell in cells(COMPARISON))


def test_cells_are_all_conditions_with_all_seeds_seed_by_seed() -> None:
    assert [cell.key for cell in cells(COMPARISON)] == [("kept", 3), ("pulled", 3), ("kept", 1), ("pulled", 1)]
    assert {cell.evaluate_at for cell in cells(COMPARISON)} == {(1, 2)}


def test_cell_is_the_run_of_its_recipe_and_equals_a_branch_made_by_hand() -> None:
    result = compute_cell(cells(COMPARISON)[1])
    by_hand = trained(400, SMALL, 3, (50, {"tau": 0.5})).branch(1, {"replay": "latest", "batch_size": 1})
    by_hand.advance(steps=200)
    assert result.recipe == by_hand.recipe
    assert [(item.step, item.changes) for item in result.recipe.interventions] == [
        (50, {"tau": 0.5}),
        (200, {"replay": "latest", "batch_size": 1}),
    ]
    assert result.returns == by_hand.logs.episodes.read("episode_return").tolist()
    assert result.lengths == [200, 200]
    again = Run(result.recipe)
    again.advance(episodes=2)
    assert_equal_logs(again, by_hand)


def test_cell_is_evaluated_before_a_change_and_at_the_end_on_the_same_starts() -> None:
    result = compute_cell(cells(COMPARISON)[1])
    run = started(SMALL, 3, (50, {"tau": 0.5}))
    run.advance(episodes=1)
    before = evaluate(run.act, run.config, 2, 0)
    run.intervene({"replay": "latest", "batch_size": 1})
    run.advance(episodes=1)
    after = evaluate(run.act, run.config, 2, 0)
    assert [(item.episode, item.returns) for item in result.evaluations] == [
        (1, before.returns.tolist()),
        (2, after.returns.tolist()),
    ]
    assert after.regrets is not None
    np.testing.assert_allclose(result.optimal_returns, after.returns + after.regrets)


def test_evaluations_at_more_episodes_change_nothing_of_the_training(expected: dict[tuple[str, int], str]) -> None:
    often = replace(cells(COMPARISON)[1], evaluate_at=(0, 1, 2))
    assert compute_cell(often).returns == Result.from_json(expected["pulled", 3]).returns
    assert [item.episode for item in compute_cell(often).evaluations] == [0, 1, 2]


def test_random_return_is_that_of_random_actions_from_the_fixed_starts() -> None:
    """Over 4,000 starts random actions get −1231 ± 289."""
    assert random_return(SMALL, 64) == pytest.approx(-1231, abs=4 * 289 / 8)
    assert random_return(SMALL, 64) == random_return(SMALL.changed({"tau": 0.5}), 64)
    assert random_return(SMALL.changed({"gravity": 0.0}), 8) != random_return(SMALL, 8)


def test_cell_of_an_environment_without_an_oracle_has_no_optimal_returns() -> None:
    result = compute_cell(Cell(Condition("car", IDLE.changed(CAR)), 0, 1, (1,), 1))
    assert result.optimal_returns is None
    assert len(result.evaluations[0].returns) == 1
    assert Result.from_json(result.to_json()) == result


def test_result_reads_back_from_its_json_exactly(expected: dict[tuple[str, int], str]) -> None:
    for text in expected.values():
        assert Result.from_json(text).to_json() == text


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.pop("returns"),
        lambda data: data.update(wings=2),
        lambda data: data.update(format="ddpg-lab cell 0"),
        lambda data: data["recipe"].update(seed=-1),
        lambda data: data.update(evaluations=[{"episode": 1}]),
        lambda data: data.update(evaluations=5),
    ],
)
def test_damaged_result_is_refused(spoil: Callable[[Any], Any], expected: dict[tuple[str, int], str]) -> None:
    data = json.loads(expected["kept", 1])
    spoil(data)
    with pytest.raises(ValueError, match=r"^a result must be a whole file of this project"):
        Result.from_json(json.dumps(data))
    with pytest.raises(ValueError, match=r"^a result must be a whole file of this project"):
        Result.from_json(expected["kept", 1][:-40])


def diverging() -> Condition:
    hopeless = {"critic_lr": 1.0, "actor_lr": 1.0, "tau": 1.0, "gamma": 1.0, "updates_per_step": 16}
    return Condition("hopeless", SMALL.changed({**hopeless, "hidden": (64, 64, 64, 64)}))


def test_diverged_cell_keeps_what_it_finished_and_says_why() -> None:
    result = compute_cell(Cell(diverging(), 0, 50, (0, 50), 1))
    assert result.diverged is not None
    assert result.diverged.startswith("at step ")
    assert len(result.returns) == len(result.lengths) < 50
    assert [item.episode for item in result.evaluations] == [0]


# --- executors --------------------------------------------------------------------------------------------------------


def processes() -> Executor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


@pytest.mark.parametrize("make", [lambda: ThreadPoolExecutor(1), lambda: ThreadPoolExecutor(3), processes])
def test_results_are_the_same_bytes_whichever_executor_made_them(
    make: Callable[[], Executor], expected: dict[tuple[str, int], str]
) -> None:
    with make() as executor:
        assert by_key(compute_cells(cells(COMPARISON), executor)) == expected


class Later(Executor):
    """Computes nothing by itself: tests do, in an order of their own."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]


def test_results_come_as_they_are_ready_and_a_failed_cell_costs_no_other(
    expected: dict[tuple[str, int], str],
) -> None:
    executor, done = Later(), [Result.from_json(text) for text in expected.values()]
    results = compute_cells(cells(COMPARISON), executor)
    threading.Timer(0.05, lambda: executor.futures[2].set_result(done[2])).start()
    assert next(results).key == ("kept", 1)
    executor.futures[0].set_exception(MemoryError("no room"))
    executor.futures[1].cancel()
    executor.futures[1].set_running_or_notify_cancel()
    executor.futures[3].set_result(done[3])
    assert next(results).key == ("pulled", 1)
    message = r"^2 of the runs failed, first '\w+' with seed 3: .+; run it again to compute only these$"
    with pytest.raises(ValueError, match=message):
        next(results)


def test_stopping_cancels_what_has_not_begun(expected: dict[tuple[str, int], str]) -> None:
    executor, stopped = Later(), []
    results = compute_cells(cells(COMPARISON), executor, stop=lambda: bool(stopped))
    first = Result.from_json(expected["kept", 3])
    threading.Timer(0.05, lambda: executor.futures[0].set_result(first)).start()
    next(results)
    stopped.append(1)
    assert list(results) == []
    assert [future.cancelled() for future in executor.futures] == [False, True, True, True]


def test_watcher_is_told_each_episode_and_can_end_a_cell() -> None:
    seen = []

    def watch(cell: Cell, episode: int) -> None:
        seen.append((cell.key, episode))
        if cell.condition.name == "pulled":
            raise CancelledError

    with ThreadPoolExecutor(1) as executor:
        results = compute_cells(cells(COMPARISON)[:2], executor, watch)
        assert next(results).key == ("kept", 3)
        with pytest.raises(ValueError, match=r"^1 of the runs failed, first 'pulled' with seed 3: CancelledError"):
            next(results)
    assert seen == [(("kept", 3), 1), (("kept", 3), 2), (("pulled", 3), 1)]
