"""The three append-only tables of a run, in bounded memory. Everything shown or exported is computed from them.

What they cost: a step of the pendulum takes 48 bytes, an update 36, an episode 72. A million steps with one update
each would be 84 MB, so a table keeps its newest rows only: the newest `KEPT_ROWS` (131,072) of steps and of updates
(11 MB in all), or `capacity` steps where the replay window is larger (a capacity of a million: 48 MB); and the
newest `KEPT_EPISODES`. Row numbers never change: row `i` stays row `i` when older ones are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.learner import STATISTICS

KEPT_ROWS: Final = 1 << 17
KEPT_EPISODES: Final = 1 << 15
_FIRST_ALLOCATION: Final = 1 << 10


class Table:
    """Rows of numbers with named columns; keeps the newest `bound` rows.

    Args:
        columns: Width of each column (a scalar has width 1).
        bound: Rows kept at most.
        dtype: Of all columns.

    Attributes:
        first: Number of the oldest row still kept.
        total: Rows ever appended.
    """

    def __init__(self, columns: Mapping[str, int], bound: int, dtype: Any = np.float32) -> None:
        self.columns = dict(columns)
        self.bound = bound
        self.first = self.total = 0
        stops = np.cumsum(list(columns.values())).tolist()
        self.slices = {
            name: slice(stop - width, stop) for (name, width), stop in zip(columns.items(), stops, strict=True)
        }
        self._width = int(stops[-1])
        self._rows: Array = np.empty((min(_FIRST_ALLOCATION, bound), self._width), dtype=dtype)

    @property
    def nbytes(self) -> int:
        """Memory allocated for the rows, in bytes."""
        return int(self._rows.nbytes)

    def append(self, *values: float | Array) -> None:
        """Add one row, one value a column in their order.

        Raises:
            ValueError: The values hold more or fewer numbers than a row.
        """
        numbers: list[float] = []
        for value in values:
            if isinstance(value, np.ndarray):
                numbers += value.tolist()
            else:
                numbers.append(value)
        if len(numbers) != self._width:
            raise ValueError(f"a row must have {self._width} numbers, got {len(numbers)}")
        self.make_room(1)
        self._rows[self.total % len(self._rows)] = numbers
        self.count(1)

    def make_room(self, rows: int) -> None:
        """Grow, as far as `bound` allows, so that this many more rows can be written to `storage`."""
        while self.total - self.first + rows > len(self._rows) < self.bound:
            self._reallocate(min(2 * len(self._rows), self.bound))

    def count(self, rows: int) -> None:
        """Count rows just written to `storage`, in the places after `newest`; the oldest make way."""
        self.total += rows
        self.first = max(self.first, self.total - len(self._rows))

    def extend(self, rows: Array) -> None:
        """Add rows [n, widths], at most as many as can be kept."""
        self.make_room(len(rows))
        self._rows[np.arange(self.total, self.total + len(rows)) % len(self._rows)] = rows
        self.count(len(rows))

    def raise_bound(self, bound: int) -> None:
        """Keep up to `bound` rows from now on, if that is more than so far; dropped rows don't come back."""
        self.bound = max(self.bound, bound)

    def rows(self, start: int = 0, stop: int | None = None) -> Array:
        """A copy of the kept rows numbered start … stop − 1, all columns [n, widths]."""
        start, stop = max(start, self.first), self.total if stop is None else min(stop, self.total)
        return self._rows[np.arange(start, max(start, stop)) % len(self._rows)]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """A copy of a column's kept rows start … stop − 1: [n], or [n, width] where the column is wider."""
        part = self.slices[name]
        start, stop = max(start, self.first), self.total if stop is None else min(stop, self.total)
        values = self._rows[np.arange(start, max(start, stop)) % len(self._rows), part]
        return values[:, 0] if self.columns[name] == 1 else values

    @property
    def storage(self) -> Array:
        """The rows where they lie [room, widths], no copy: a ring in which row n has the place n mod room."""
        return self._rows

    @property
    def newest(self) -> int:
        """The place of the newest row in `storage`; the row of age a lies at `newest` − a, from the end if negative."""
        return (self.total - 1) % len(self._rows)

    def gather(self, ages: Array) -> Array:
        """Rows by age [B, widths], a copy; age 0 is the newest row."""
        return self._rows.take(self.newest - ages, axis=0, mode="wrap")

    def last(self, name: str) -> float:
        """The newest value of a scalar column; NaN while the table is empty."""
        if self.total == self.first:
            return float("nan")
        return float(self._rows[(self.total - 1) % len(self._rows), self.slices[name].start])

    def copy(self, total: int | None = None) -> Table:
        """An independent copy of the first `total` rows (all by default).

        Raises:
            ValueError: `total` lies before the oldest row kept.
        """
        total = self.total if total is None else total
        if total < self.first:
            raise ValueError(f"total must be at least {self.first}, the oldest row kept, got {total}")
        other = Table(self.columns, self.bound, self._rows.dtype)
        other.load(self.rows(stop=total), total)
        return other

    def load(self, rows: Array, total: int) -> None:
        """Replace the content by `rows` [n, widths], the newest of `total` rows."""
        size = _FIRST_ALLOCATION
        while size < min(len(rows), self.bound):
            size *= 2
        rows = rows[-self.bound :]
        self.first, self.total = total - len(rows), total
        self._reallocate(min(size, self.bound), rows)

    def _reallocate(self, size: int, rows: Array | None = None) -> None:
        rows = self.rows() if rows is None else rows
        self._rows = np.empty((size, self._width), dtype=self._rows.dtype)
        self._rows[np.arange(self.total - len(rows), self.total) % size] = rows


EPISODE_COLUMNS: Final = (
    "first_step",
    "length",
    "episode_return",
    "terminated",
    "discounted_return",
    "first_q",
    "noise_scale",
    "updates",
    "window_first",
)


class Logs:
    """The tables of one run.

    steps     obs [O], next_obs [O], policy_action [A], noise [A], action [A] (executed), reward, terminated, truncated.
              Actions and noise in the environment's units; policy_action + noise is the action before clipping.
    updates   env_step (0-based, the step it followed) and `STATISTICS`.
    episodes  `EPISODE_COLUMNS`: first_step (0-based), length in steps, return, terminated, discounted return from
              the first step, the critic's Q of the first step, noise scale, number of updates made by its end, and the
              step row at which the replay window then began.
    """

    def __init__(self, obs_size: int, action_size: int) -> None:
        steps = {
            "obs": obs_size,
            "next_obs": obs_size,
            "policy_action": action_size,
            "noise": action_size,
            "action": action_size,
            "reward": 1,
            "terminated": 1,
            "truncated": 1,
        }
        self.steps = Table(steps, KEPT_ROWS)
        self.updates = Table(dict.fromkeys(("env_step", *STATISTICS), 1), KEPT_ROWS)
        self.episodes = Table(dict.fromkeys(EPISODE_COLUMNS, 1), KEPT_EPISODES, np.float64)

    def tables(self) -> dict[str, Table]:
        """The tables by name."""
        return {"steps": self.steps, "updates": self.updates, "episodes": self.episodes}

    def copy(self, totals: Sequence[int] | None = None) -> Logs:
        """An independent copy, cut to `totals` rows of steps, updates and episodes if given."""
        other = object.__new__(Logs)
        cuts = totals or [table.total for table in self.tables().values()]
        for (name, table), total in zip(self.tables().items(), cuts, strict=True):
            setattr(other, name, table.copy(total))
        return other
