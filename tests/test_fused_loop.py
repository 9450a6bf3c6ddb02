"""The compiled loop, held to the steps that Gymnasium and NumPy take one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ddpg_core.logs
from ddpg_core.config import Config
from ddpg_core.learner import Stretch, make_engine
from ddpg_core.learner.fused_engine import FusedEngine
from ddpg_core.logs import Logs
from ddpg_core.recipe import MAX_STEP
from ddpg_core.run import STRETCH_STEPS, Run, stretch_steps
from tests.helpers import CAR, IDLE, SMALL, assert_equal_runs, step_by_step, trained
from tests.test_config import configs
from tests.test_fused_engine import made

FUSED = {"engine": "fused"}
NOISES = [
    {"noise": "ou"},
    {"noise": "ou", "ou_theta": 0.7, "ou_mu": -0.3, "ou_sigma": 0.9, "ou_dt": 0.02, "noise_range": "full"},
    {"noise": "ou_notebook", "noise_reset": False},
    {"noise": "gaussian", "noise_scale": 3.0, "noise_decay": 0.5},
    {"noise": "none"},
]


def both(steps: int, config: Config, seed: int = 0, *interventions: tuple[int, dict[str, Any]]) -> tuple[Run, Run]:
    """The same run by the loop, and step by step."""
    loop, reference = (trained(0, config.changed(FUSED), seed, *interventions) for _ in range(2))
    step_by_step(reference)
    for run in (loop, reference):
        run.advance(steps=steps)
    return loop, reference


def assert_alike(loop: Run, reference: Run, tolerance: float) -> None:
    """All logs agree but for rounding, and whatever follows draws the same numbers."""
    for name, table in loop.logs.tables().items():
        other = reference.logs.tables()[name]
        assert (table.first, table.total) == (other.first, other.total), name
        np.testing.assert_allclose(table.rows(), other.rows(), rtol=tolerance, atol=tolerance, err_msg=name)
    mine, theirs = loop.snapshot(), reference.snapshot()
    for name, value in theirs.counters.items():
        if name.endswith("rng") or isinstance(value, int):
            assert mine.counters[name] == value, name
        elif name != "env":
            np.testing.assert_allclose(mine.counters[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    assert mine.counters["env"]["elapsed_steps"] == theirs.counters["env"]["elapsed_steps"]
    assert mine.counters["env"]["rng"] == theirs.counters["env"]["rng"]
    np.testing.assert_allclose(mine.learner, theirs.learner, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("physics", [{}, {"gravity": 3.7, "mass": 0.4, "length": 1.6}], ids=["earth", "elsewhere"])
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_steps_of_an_actor_that_never_learns_are_gymnasiums(noise: dict[str, Any], physics: dict[str, Any]) -> None:
    loop, reference = both(430, IDLE.changed(noise | physics))
    assert_alike(loop, reference, 1e-4)
    np.testing.assert_array_equal(loop.logs.steps.read("noise"), reference.logs.steps.read("noise"))
    one = loop.logs.steps
    expected = np.clip(one.read("policy_action") + one.read("noise"), -2, 2)
    np.testing.assert_allclose(one.read("action"), expected, atol=1e-6)
    np.testing.assert_allclose(one.read("policy_action")[:, None], loop.act(one.read("obs")), atol=1e-5)


QUIRKS: list[dict[str, Any]] = [
    {},
    {"store_action": "raw", "noise_scale": 3.0},
    {"time_limit_terminal": True, "capacity": 25, "batch_size": 64},
    {"replay": "latest", "batch_size": 5},
    {"replacement": False, "batch_size": 24, "warmup_steps": 20},
    {"replacement": False, "batch_size": 512, "warmup_steps": 190, "capacity": 200},
    {"updates_per_step": 3, "lr_decay": 0.5, "shared_lr": True},
    {"target_action_scaled": False, "action_scale": "full"},
    {"warmup_steps": 1, "hidden": (3, 5, 2)},
]


@pytest.mark.parametrize("quirk", QUIRKS, ids=str)
def test_updates_learn_from_the_transitions_that_numpy_draws(quirk: dict[str, Any]) -> None:
    config = SMALL.changed({"warmup_steps": 195, **quirk})
    loop, reference = both(max(config.warmup_steps, 199) + 8, config)
    assert loop.updates == reference.updates > 0
    assert_alike(loop, reference, 2e-3)


@settings(max_examples=25)
@given(config=configs, seed=st.integers(0, 1000))
def test_whatever_the_config_the_first_steps_and_updates_are_the_same(config: Config, seed: int) -> None:
    small = {"batch_size": min(config.batch_size, 64), "warmup_steps": min(config.warmup_steps, 4)}
    loop, reference = both(4, config.changed(small), seed)
    rows = [run.logs.steps.rows(0, 4) for run in (loop, reference)]
    np.testing.assert_allclose(*rows, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(rows[1]).max()))
    assert loop.snapshot().counters["sampling_rng"] == reference.snapshot().counters["sampling_rng"]


def test_a_log_that_has_come_round_is_written_and_learned_from_in_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.logs, "KEPT_ROWS", 50)
    loop, reference = both(137, SMALL.changed({"warmup_steps": 133, "capacity": 45, "store_action": "raw"}))
    assert (loop.logs.steps.first, loop.logs.steps.total) == (87, 137)
    assert_alike(loop, reference, 1e-4)


def test_settings_change_at_their_very_step_inside_what_would_be_one_stretch() -> None:
    changes: list[tuple[int, dict[str, Any]]] = [
        (7, {"noise": "gaussian"}),
        (8, {"noise_scale": 0.1}),
        (195, {"updates_per_step": 2}),
        (197, {"replay": "latest", "batch_size": 3}),
    ]
    assert_alike(*both(204, SMALL.changed({"warmup_steps": 190}), 0, *changes), 2e-3)


@pytest.mark.parametrize("quirk", QUIRKS, ids=str)
def test_stretches_of_any_length_are_the_same_run(quirk: dict[str, Any]) -> None:
    config = SMALL.changed({**quirk, **FUSED})
    whole, slices = trained(450, config), trained(0, config)
    for length in (1, 2, 31, 32, 33, 100, 1, 200, 50):
        slices.advance(steps=length)
    assert_equal_runs(whole, slices)


def test_what_is_not_finite_ends_a_stretch_where_it_is_met() -> None:
    loop, reference = both(130, SMALL.changed({"batch_size": 1, "updates_per_step": 2}))
    for run in (loop, reference):
        run.logs.steps.storage[77, run.logs.steps.slices["reward"]] = np.nan
        assert 1 < run.advance(steps=900) < 900
        updates = run.logs.updates.rows()
        assert np.isfinite(updates[:-1]).all()
        assert not np.isfinite(updates[-1]).all()
        assert run.learner.updates == run.updates
    assert loop.divergence is not None
    assert loop.divergence == reference.divergence
    assert (loop.env_steps, loop.updates) == (reference.env_steps, reference.updates)


def test_an_age_beyond_the_log_is_refused() -> None:
    logs, state = Logs(3, 1), made()
    loop = make_engine("fused", state)
    assert isinstance(loop, FusedEngine)
    numbers = (1e-3, 1e-3, np.full(1, 2, np.float32), 0.1, np.zeros(1))
    stretch = Stretch(SMALL, *numbers, [1 << 40], np.random.default_rng(0), np.zeros(3), ends=False)
    before = state.vector.copy()
    with pytest.raises(IndexError, match=r"^ages must lie in the log"):
        loop.take(logs.steps, stretch)
    np.testing.assert_array_equal(state.vector, before)
    assert logs.steps.total == 0


def test_only_the_compiled_engine_on_the_pendulum_has_a_loop() -> None:
    assert trained(1, SMALL.changed(FUSED))._engine.loop(SMALL.changed(FUSED)) is not None
    assert trained(1, SMALL.changed({"engine": "torch"}))._engine.loop(SMALL.changed({"engine": "torch"})) is None
    car = SMALL.changed(CAR | FUSED)
    assert trained(1, car)._engine.loop(car) is None


@pytest.mark.parametrize(("changes", "steps"), [({}, STRETCH_STEPS), ({"hidden": (512, 512), "batch_size": 256}, 1)])
def test_a_stretch_is_as_long_as_somebody_can_wait(changes: dict[str, Any], steps: int) -> None:
    config = SMALL.changed(changes)
    assert stretch_steps(config, trained(0, config).learner.online.size) == steps


def test_time_runs_out_for_the_loop_as_for_gymnasium() -> None:
    loop, reference = both(401, IDLE)
    for name in ("terminated", "truncated"):
        np.testing.assert_array_equal(loop.logs.steps.read(name), reference.logs.steps.read(name))
    assert np.flatnonzero(loop.logs.steps.read("truncated")).tolist() == [199, 399]
    assert loop.advance(steps=MAX_STEP, episodes=1) == 199
