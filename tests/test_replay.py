from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpg_core.config import Config
from ddpg_core.replay import sample_rows
from tests.helpers import SMALL, spy_on_updates, started, trained


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_batch_without_replacement_has_no_duplicates(window: int, batch_size: int, seed: int) -> None:
    ages = sample_rows(window, Config(batch_size=batch_size, replacement=False), np.random.default_rng(seed))
    assert len(set(ages.tolist())) == len(ages) == min(window, batch_size)
    assert set(ages.tolist()) <= set(range(window))


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_batch_with_replacement_is_full_and_within_the_window(window: int, batch_size: int, seed: int) -> None:
    ages = sample_rows(window, Config(batch_size=batch_size), np.random.default_rng(seed))
    assert len(ages) == batch_size
    assert set(ages.tolist()) <= set(range(window))


@pytest.mark.parametrize("replacement", [True, False])
def test_every_transition_of_the_window_is_as_likely(replacement: bool) -> None:
    config, rng = Config(batch_size=5, replacement=replacement), np.random.default_rng(0)
    counts = np.bincount(np.concatenate([sample_rows(10, config, rng) for _ in range(4000)]), minlength=10)
    assert len(counts) == 10
    np.testing.assert_allclose(counts, 2000, rtol=0.1)


def test_replacement_does_repeat_transitions() -> None:
    ages = sample_rows(10, Config(batch_size=64), np.random.default_rng(0))
    assert len(set(ages.tolist())) < len(ages)


@pytest.mark.parametrize(("window", "batch_size", "ages"), [(10, 3, [2, 1, 0]), (2, 3, [1, 0]), (9, 1, [0])])
def test_latest_is_the_newest_in_order_and_draws_nothing(window: int, batch_size: int, ages: list[int]) -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert sample_rows(window, Config(replay="latest", batch_size=batch_size), rng).tolist() == ages
    assert rng.bit_generator.state == before


def test_latest_batch_holds_the_transitions_just_made_in_the_order_they_happened() -> None:
    run = trained(40, SMALL.changed({"replay": "latest", "batch_size": 5}))
    seen = spy_on_updates(run)
    run.step()
    (batch, _, _) = seen[-1]
    np.testing.assert_array_equal(batch.obs, run.logs.steps.read("obs", 36))
    np.testing.assert_array_equal(batch.next_obs[:-1], batch.obs[1:])


@pytest.mark.parametrize("capacity", [1, 7, 60])
def test_batches_come_from_the_newest_capacity_transitions_and_reach_all_of_them(capacity: int) -> None:
    run = started(SMALL.changed({"capacity": capacity, "warmup_steps": 100, "batch_size": 512}))
    seen = spy_on_updates(run)
    run.advance(steps=105)
    for update, (batch, _, _) in enumerate(seen):
        newest = 100 + update
        window = run.logs.steps.read("obs", newest - capacity, newest)
        assert {tuple(obs) for obs in batch.obs.tolist()} == {tuple(obs) for obs in window.tolist()}
    assert len(seen) == 6


def test_window_is_a_live_setting() -> None:
    run = trained(100, SMALL.changed({"batch_size": 512}))
    seen = spy_on_updates(run)
    sizes = []
    for capacity in (50, 3, 1, 40):
        run.intervene({"capacity": capacity})
        run.step()
        sizes.append(len({tuple(obs) for obs in seen[-1][0].obs.tolist()}))
    assert sizes == [50, 3, 1, 2], "what fell out of the window stays forgotten"


@pytest.mark.parametrize("warmup", [1, 50, 64])
def test_learning_starts_exactly_when_warmup_steps_have_been_seen(warmup: int) -> None:
    run = trained(70, SMALL.changed({"warmup_steps": warmup}))
    assert run.logs.updates.read("env_step").tolist() == list(range(warmup - 1, 70))
