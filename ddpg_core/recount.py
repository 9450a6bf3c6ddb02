"""Which rows were drawn from replay: nothing logs it, but the sampling generator can be run again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.moments import Moment, Snapshot
from ddpg_core.recipe import Recipe
from ddpg_core.replay import sample_rows
from ddpg_core.run import Run

_UPDATES_A_TALLY: Final = 256


class Recount:
    """How often each row of a run's step log was drawn, exactly, and the batch drawn last.

    A batch depends on the recipe, the size of the window and the sampling generator alone, so the generator of a
    snapshot is run again from there, through the very `sample_rows` of the run. It costs a hundredth of training.

    Attributes:
        env_steps, updates: How far it has counted, as rows of the step and update logs.
        window_first: The row at which the replay window then began.
        last_batch: Rows of the newest batch [B], in the order they were drawn; empty before the first update.
    """

    def __init__(self, recipe: Recipe, start: Snapshot) -> None:
        self._lock = threading.Lock()
        self._begin(recipe, start)

    def _begin(self, recipe: Recipe, start: Snapshot) -> None:
        counters = start.counters
        self.env_steps, self.updates, _ = start.totals
        self.window_first: int = counters["window_first"]
        self.last_batch: Array = np.empty(0, np.int64)
        self._rng = np.random.default_rng(0)
        self._rng.bit_generator.state = counters["sampling_rng"]
        self._due: int = counters["due"]
        self._config = recipe.config
        for item in recipe.interventions[: self._due]:
            self._config = self._config.changed(item.changes)
        self._first = self.window_first
        self._counts: Array = np.zeros(self.env_steps - self._first, np.int64)

    def advance(
        self, recipe: Recipe, start: Snapshot, moment: Moment, stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Count on to a moment, until `stop()` is true; begins anew where that is shorter. Mutates itself.

        What it is given does not change while the run trains on, so no lock on the run is needed.

        Args:
            recipe: The run's.
            start: What `start_of` says for the moment.
            moment: Where to count to.
            stop: Asked after every few hundred updates.

        Returns:
            Whether the moment is reached.
        """
        with self._lock:
            beyond = self.env_steps > moment.env_steps or self.updates > moment.updates
            if beyond or start.totals[0] > self.env_steps:
                self._begin(recipe, start)
            if self.env_steps < moment.env_steps:
                self._forget(self.window_first)
            while self.env_steps < moment.env_steps and not stop():
                self._count(recipe, moment)
            return self.env_steps == moment.env_steps

    def counts(self, numbers: Array) -> Array:
        """How often the rows with these numbers were drawn [N]; 0 for rows not counted yet or forgotten long ago."""
        with self._lock:
            places = np.asarray(numbers) - self._first
            known = (places >= 0) & (places < len(self._counts))
            counts = np.zeros(len(places), np.int64)
            counts[known] = self._counts[places[known]]
            return counts

    def _count(self, recipe: Recipe, moment: Moment) -> None:
        """The draws of the next env steps, at least one and up to about `_UPDATES_A_TALLY` updates."""
        batches: list[Array] = []
        until = min(moment.env_steps, self.env_steps + _UPDATES_A_TALLY)
        while self.env_steps < until and len(batches) < _UPDATES_A_TALLY:
            batches += self._step(recipe, moment.updates - self.updates)
        if batches:
            self.last_batch = batches[-1]
        drawn = np.concatenate([*batches, np.empty(0, np.int64)]) - self._first
        counts = np.bincount(drawn, minlength=self.env_steps - self._first)
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def _step(self, recipe: Recipe, most: int) -> list[Array]:
        """The rows drawn after the next env step, an array an update, `most` updates at most (see `Run._learn`)."""
        due = recipe.interventions
        while self._due < len(due) and due[self._due].step <= self.env_steps:
            self._config = self._config.changed(due[self._due].changes)
            self._due += 1
        self.env_steps += 1
        config = self._config
        self.window_first = max(self.window_first, self.env_steps - config.capacity)
        if self.env_steps < config.warmup_steps:
            return []
        window, updates = self.env_steps - self.window_first, min(config.updates_per_step, most)
        self.updates += updates
        return [self.env_steps - 1 - sample_rows(window, config, self._rng) for _ in range(updates)]

    def _forget(self, first: int) -> None:
        """Drop the counts of rows before `first`, which can't be drawn any more."""
        self._counts = self._counts[first - self._first :]
        self._first = first


def start_of(run: Run, moment: Moment) -> Snapshot:
    """The newest snapshot from which a count finds every draw of the rows in a moment's window."""
    return max((kept for kept in run.snapshots if kept.totals[0] <= moment.window_first), key=lambda kept: kept.episode)
