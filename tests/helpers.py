"""What several test files share: a run small enough to train in milliseconds, and what it means for two to be equal."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddpg_core.config import Config
from ddpg_core.learner import Batch
from ddpg_core.recipe import Intervention, Recipe
from ddpg_core.run import Run

SMALL = Config(hidden=(8,), batch_size=16, warmup_steps=32)
"""Learns from step 32 on; a thousand steps take about a second."""
IDLE = SMALL.changed({"updates_per_step": 0})
"""Never learns: only environment, noise and logs."""
CAR = {"env_id": "MountainCarContinuous-v0"}


def started(config: Config = SMALL, seed: int = 0, *interventions: tuple[int, dict[str, Any]]) -> Run:
    """A run before its first step."""
    return Run(Recipe(config, seed, tuple(Intervention(step, changes) for step, changes in interventions)))


def trained(steps: int, config: Config = SMALL, seed: int = 0, *interventions: tuple[int, dict[str, Any]]) -> Run:
    """A run after `steps` env steps taken in one go."""
    run = started(config, seed, *interventions)
    run.advance(steps=steps)
    return run


def rerun(run: Run) -> Run:
    """The run's own recipe, through JSON, run from scratch to the same step."""
    twin = Run(Recipe.from_json(run.recipe.to_json()))
    twin.advance(steps=run.env_steps)
    return twin


def assert_equal_logs(one: Run, other: Run) -> None:
    """Every table holds the same rows, bit for bit."""
    for (name, table), twin in zip(one.logs.tables().items(), other.logs.tables().values(), strict=True):
        assert (table.first, table.total) == (twin.first, twin.total), name
        np.testing.assert_array_equal(table.rows(), twin.rows(), err_msg=name)


def assert_equal_runs(one: Run, other: Run) -> None:
    """Logs, settings, weights, moments, generators: the two would go on in the same way for ever."""
    assert_equal_logs(one, other)
    assert one.recipe == other.recipe
    now, twin = one.snapshot(), other.snapshot()
    np.testing.assert_array_equal(now.learner, twin.learner)
    assert (now.episode, now.totals, now.counters) == (twin.episode, twin.totals, twin.counters)


def step_by_step(run: Run) -> Run:
    """The run, which from now on takes every step by itself, by Gymnasium, whatever its engine."""
    run._engine.loop = lambda _: None  # type: ignore[method-assign]
    return run


def spy_on_updates(run: Run) -> list[tuple[Batch, float, float]]:
    """A list that fills with (batch, actor_lr, critic_lr) of each update the run makes from now on."""
    seen: list[tuple[Batch, float, float]] = []
    update = run._engine.update

    def spied(batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Any) -> Any:
        seen.append((batch, actor_lr, critic_lr))
        return update(batch, config, actor_lr, critic_lr, action_scale)

    step_by_step(run)._engine.update = spied  # type: ignore[method-assign]
    return seen
