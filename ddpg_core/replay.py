"""Sampling from the replay window: the newest `capacity` rows of the step log, never a second copy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import Batch


def sample_rows(window: int, config: Config, rng: np.random.Generator) -> Array:
    """Which rows of the window make the next batch: ages [B] int64, 0 = the newest transition. Mutates only `rng`.

    `uniform` draws with or without replacement; without it a batch is at most the window. `latest` takes the newest
    `batch_size` in the order they happened and draws nothing.

    Args:
        window: How many rows the window holds, at least 1.
        config: `replay`, `batch_size` and `replacement`.
        rng: The run's sampling generator.
    """
    if config.replay == "latest":
        return np.arange(min(config.batch_size, window))[::-1]
    if config.replacement:
        return rng.integers(window, size=config.batch_size)
    return rng.choice(window, size=min(config.batch_size, window), replace=False, shuffle=False)


def transitions(rows: Array, columns: Mapping[str, slice], config: Config) -> Batch:
    """Rows of the step log [N, widths] as a learner under `config` is given them.

    The action is the executed or the raw one, and running out of time may count as terminal, as the config says.
    """
    action = rows[:, columns["action"]]
    if config.store_action == "raw":
        action = rows[:, columns["policy_action"]] + rows[:, columns["noise"]]
    terminal = rows[:, columns["terminated"].start]
    if config.time_limit_terminal:
        terminal = np.maximum(terminal, rows[:, columns["truncated"].start])
    return Batch(
        rows[:, columns["obs"]], action, rows[:, columns["reward"].start], rows[:, columns["next_obs"]], terminal
    )
