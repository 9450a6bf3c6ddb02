"""What the charts show of a run, copied out of its logs: small arrays on one time axis that counts episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ddpg_core.config import SETTINGS, Config, format_value
from ddpg_core.environment import Array
from ddpg_core.run import Run
from pages.ui.player import Player

POINTS: Final = 256
"""A line is drawn with at most twice this many points, each the mean of the rows it stands for."""
MAX_MARKS: Final = 30


@dataclass(frozen=True)
class Curve:
    """What the charts show of one run, copied out of its logs.

    Attributes:
        id, label, colour: Of the player.
        returns: Of its finished episodes [E].
        first_episode: Number of the first of them.
        episodes: Columns of the episode log by name, each [E].
        updates: Columns of the update log by name, averaged in bins, each [P].
        update_times: When they were made, in episodes [P].
        marks: (when in episodes, text) of each intervention.
        config: Its settings.
    """

    id: int
    label: str
    colour: str
    returns: Array
    first_episode: int
    episodes: dict[str, Array]
    updates: dict[str, Array]
    update_times: Array
    marks: list[tuple[float, str]]
    config: Config


def curve_of(player: Player, *, with_updates: bool) -> Curve:
    """Copy what is charted out of a run's logs; call it while `Lab.reading()`."""
    run = player.run
    logs = run.logs
    episodes = {name: logs.episodes.read(name) for name in logs.episodes.columns}
    updates: dict[str, Array] = {}
    times = np.empty(0)
    if with_updates and run.updates:
        rows = binned(logs.updates.rows(), POINTS, logs.updates.first)
        updates = {name: rows[:, part.start] for name, part in logs.updates.slices.items()}
        times = in_episodes(run, updates["env_step"])
    marks = [
        (float(in_episodes(run, np.array([item.step]))[0]), _words(item.changes))
        for item in [item for item in run.recipe.interventions if item.step <= run.env_steps][-MAX_MARKS:]
    ]
    return Curve(
        player.id,
        player.label,
        player.colour,
        episodes["episode_return"],
        logs.episodes.first,
        episodes,
        updates,
        times,
        marks,
        run.config,
    )


def in_episodes(run: Run, env_steps: Array) -> Array:
    """Times in env steps [N] as times in episodes: 2.5 is half-way through the third episode."""
    starts = np.append(run.logs.episodes.read("first_step"), run.env_steps - run.episode_steps)
    index = np.maximum(np.searchsorted(starts, env_steps, side="right") - 1, 0)
    lengths = np.append(np.diff(starts), max(run.env.max_episode_steps, 1))
    return run.logs.episodes.first + index + (env_steps - starts[index]) / lengths[index]


def binned(rows: Array, points: int, first: int = 0) -> Array:
    """Means of equal bins of consecutive rows: [N, C] to about [2 · points, C]; bins double, so they stay put.

    Args:
        rows: The newest rows of a table.
        points: Half of how many bins there are at most (and one more where old rows were dropped).
        first: Number of the first of `rows` in its table.
    """
    width = 1
    while len(rows) > 2 * points * width:
        width *= 2
    if width == 1:
        return rows
    starts = np.append(0, np.arange(width - first % width, len(rows), width))
    counts = np.diff(np.append(starts, len(rows)))[:, None]
    return np.add.reduceat(rows.astype(np.float64), starts, axis=0) / counts


def _words(changes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{SETTINGS[name].symbol or SETTINGS[name].label} → {format_value(changes[name])}" for name in changes
    )
