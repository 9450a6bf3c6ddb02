from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddpg_core.config import Config
from ddpg_core.learner import STATISTICS
from ddpg_core.recount import Recount, start_of
from ddpg_core.replay import sample_rows
from ddpg_core.run import Run
from tests.helpers import SMALL, started, step_by_step

Drawn = list[tuple[int, Any]]


def quick(config: Config, seed: int = 0, *interventions: tuple[int, dict[str, Any]]) -> Run:
    """A run that draws its batches and learns nothing from them."""
    run = step_by_step(started(config, seed, *interventions))
    run._engine.update = lambda *_: np.zeros(len(STATISTICS))  # type: ignore[method-assign]
    return run


def spy_on_sampling(run: Run, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """A list that fills with (env steps taken, rows of the step log) of each batch a run really draws."""
    seen: Drawn = []

    def spied(window: int, config: Config, rng: np.random.Generator) -> Any:
        ages = sample_rows(window, config, rng)
        seen.append((run.env_steps, run.env_steps - 1 - ages))
        return ages

    monkeypatch.setattr("ddpg_core.run.sample_rows", spied)
    return seen


def tally(drawn: Drawn, env_steps: int) -> Any:
    """How often each of the first `env_steps` rows occurs in the batches drawn by then."""
    rows = [rows for when, rows in drawn if when <= env_steps]
    return np.bincount(np.concatenate([*rows, np.empty(0, np.int64)]), minlength=env_steps)


def assert_counts_are_those_seen(recount: Recount, run: Run, drawn: Drawn, episode: int | None = None) -> None:
    moment = run.at(episode)
    assert recount.advance(run.recipe, start_of(run, moment), moment)
    window = np.arange(moment.window_first, moment.env_steps)
    np.testing.assert_array_equal(recount.counts(window), tally(drawn, moment.env_steps)[moment.window_first :])
    assert (recount.env_steps, recount.updates) == (moment.env_steps, moment.updates)
    batches = [rows for when, rows in drawn if when <= moment.env_steps]
    np.testing.assert_array_equal(recount.last_batch, batches[-1] if batches else [])


def counted(run: Run) -> Recount:
    return Recount(run.recipe, run.snapshots.before(0))


CHANGES = [(300, {"batch_size": 7}), (420, {"replay": "latest"}), (450, {"replay": "uniform", "updates_per_step": 3})]


@pytest.mark.parametrize(
    ("changes", "interventions"),
    [
        ({}, []),
        ({"replacement": False}, []),
        ({"updates_per_step": 3}, []),
        ({"replay": "latest", "batch_size": 5}, []),
        ({"capacity": 90}, []),
        ({}, [(250, {"capacity": 60}), (330, {"capacity": 1000})]),
        ({"capacity": 300}, CHANGES),
        ({"warmup_steps": 260}, [(240, {"warmup_steps": 500})]),
    ],
    ids=["uniform", "distinct", "three a step", "latest", "small", "shrunk and regrown", "all changed", "late"],
)
def test_recount_finds_every_draw_that_a_run_made(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], interventions: list[tuple[int, dict[str, Any]]]
) -> None:
    run = quick(SMALL.changed(changes), 3, *interventions)
    drawn = spy_on_sampling(run, monkeypatch)
    run.advance(steps=530)
    assert drawn
    recount = counted(run)
    for episode in (None, 1, 2, 0, None):
        assert_counts_are_those_seen(recount, run, drawn, episode)


def test_recount_goes_along_with_a_run_that_trains_and_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = quick(SMALL.changed({"capacity": 150}))
    drawn, recount = spy_on_sampling(run, monkeypatch), counted(run)
    for steps, change in [(20, {}), (45, {"batch_size": 3}), (300, {"capacity": 40}), (1, {}), (180, {"capacity": 80})]:
        run.advance(steps=steps)
        run.intervene(change)
        assert_counts_are_those_seen(recount, run, drawn)
    fresh = counted(run)
    assert_counts_are_those_seen(fresh, run, drawn)


def test_recount_begins_at_the_newest_snapshot_before_the_window() -> None:
    run = quick(SMALL.changed({"capacity": 150}))
    run.advance(steps=700)
    assert start_of(run, run.at()).totals[0] == 400
    assert start_of(run, run.at(1)).totals[0] == 0
    assert start_of(run, run.at(2)).totals[0] == 200


def test_recount_of_a_branch_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    run = quick(SMALL)
    past = spy_on_sampling(run, monkeypatch)
    run.advance(steps=430)
    twin = step_by_step(run.branch(1, {"batch_size": 4}))
    drawn = spy_on_sampling(twin, monkeypatch)
    twin.advance(steps=100)
    assert_counts_are_those_seen(counted(twin), twin, [seen for seen in past if seen[0] <= 200] + drawn)


@pytest.mark.parametrize(("part", "left_over"), [("actor", 0), ("critic", 1)])
def test_recount_of_a_diverged_run_ends_with_its_last_update(
    monkeypatch: pytest.MonkeyPatch, part: str, left_over: int
) -> None:
    run = step_by_step(started(SMALL.changed({"updates_per_step": 4, "capacity": 30})))
    drawn = spy_on_sampling(run, monkeypatch)
    run.advance(steps=50)
    recount = counted(run)
    assert_counts_are_those_seen(recount, run, drawn)
    getattr(run.learner, part)[:] = np.nan
    run.advance(steps=5)
    assert run.divergence
    assert run.updates % 4 == left_over
    for again in (recount, recount, counted(run)):
        assert_counts_are_those_seen(again, run, drawn)


def test_recount_can_be_made_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    run = quick(SMALL.changed({"updates_per_step": 2}))
    drawn = spy_on_sampling(run, monkeypatch)
    run.advance(steps=600)
    recount, moment, pieces = counted(run), run.at(), 0
    asked = iter([False, True] * 100)
    while not recount.advance(run.recipe, start_of(run, moment), moment, stop=lambda: next(asked)):
        pieces += 1
        assert recount.updates < run.updates
    assert pieces >= 2
    assert_counts_are_those_seen(recount, run, drawn)


def test_rows_not_counted_are_drawn_no_times() -> None:
    run = quick(SMALL)
    run.advance(steps=100)
    recount = counted(run)
    assert recount.counts(np.array([0, 99, 500])).tolist() == [0, 0, 0]
    assert recount.last_batch.tolist() == []


def test_on_average_a_row_was_drawn_as_often_as_the_sizes_of_batch_and_window_say() -> None:
    run = quick(SMALL.changed({"hidden": (1,), "batch_size": 64}))
    run.advance(steps=900)
    recount, moment = counted(run), run.at()
    recount.advance(run.recipe, start_of(run, moment), moment)
    born, after = np.arange(900), np.arange(32, 901)
    expected = np.array([(64 / after[after > row]).sum() for row in born])
    surplus = recount.counts(born) - expected
    assert abs(surplus.mean()) < 1e-9
    assert np.abs(surplus / np.sqrt(expected)).max() < 5
