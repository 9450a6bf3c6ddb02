"""Comparisons computed behind the pages: threads of a session's own, which take turns for the cores with training."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ddpg_core.conditions import Comparison, Condition
from ddpg_core.experiment import Cell, Result, cells, compute_cells
from pages.ui.kernel import KERNEL
from pages.ui.lab import CORES

WORKERS: Final = 1
"""Threads of one comparison. A second gains a sixth: Gymnasium's step holds the interpreter's lock, as pages do."""
GONE_S: Final = 6.0
"""A browser that has been away for so long won't come back to what it asked for."""
BREATH_S: Final = 0.01
"""What a thread leaves to pages after each episode."""
_MOST_KEPT: Final = 600
_kept: OrderedDict[str, Result] = OrderedDict()
"""Results by cell: pure functions of it, so that the next session that asks has them at once."""

Key = tuple[str, int]
"""Name of a condition, and a seed."""


class Presence:
    """Whether the browser of a session is still there; one that drops out for a moment counts as there."""

    def __init__(self) -> None:
        context = get_script_run_ctx()
        self._session, self._seen = context.session_id if context else "", time.monotonic()

    def __call__(self) -> bool:
        """Look again."""
        if not runtime.exists() or runtime.get_instance().is_active_session(self._session):
            self._seen = time.monotonic()
        return time.monotonic() - self._seen < GONE_S


class Comparing:
    """A comparison being computed in the background. Its results are small; runs are let go of as they end.

    Args:
        asked: What is asked; an engine of `auto` is what this server has.
        wanted: Asked after every episode: whether somebody still looks.
        earlier: One whose finished cells are not computed again.

    Attributes:
        asked: As it was asked.
        comparison: As it is computed.
        wanted: May be replaced, as by a page that was reloaded.
        results: Those that are there.
        episodes: How many the cells begun have finished.
        working: Whether it goes on.
        problem: What went wrong, or "".
    """

    def __init__(self, asked: Comparison, wanted: Callable[[], bool], earlier: Comparing | None = None) -> None:
        self.asked, self.comparison, self.wanted = asked, offered(asked), wanted
        self.results: dict[Key, Result] = {}
        self.episodes: dict[Key, int] = {}
        self.problem = ""
        self._stopped = threading.Event()
        missing = []
        for cell, found in _known(self.comparison, earlier):
            if found:
                self.results[cell.key] = found
            else:
                missing.append(cell)
        self._began, self._share_then = time.monotonic(), self.share
        self.working = bool(missing)
        if missing:
            threading.Thread(target=self._compute, args=(missing,), name="comparing", daemon=True).start()

    def stop(self) -> None:
        """Stop after the episodes going on; what is finished stays."""
        self._stopped.set()

    @property
    def total(self) -> int:
        """How many cells there are."""
        return len(self.comparison.conditions) * len(self.comparison.seeds)

    @property
    def share(self) -> float:
        """How much is done, in [0, 1]."""
        done = dict.fromkeys(list(self.results), self.comparison.episodes)
        return min(1.0, sum({**self.episodes, **done}.values()) / (self.total * self.comparison.episodes))

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before there is one."""
        share, elapsed = self.share, time.monotonic() - self._began
        if share - self._share_then <= 0 or elapsed < 3:
            return None
        return elapsed * (1 - share) / (share - self._share_then)

    def named(self) -> dict[str, Result]:
        """The results that are there, by a text that is the same for equal cells only."""
        found = dict(self.results)
        return {_name(cell): found[cell.key] for cell in cells(self.comparison) if cell.key in found}

    def _ended(self) -> bool:
        return self._stopped.is_set() or not self.wanted()

    def _watch(self, cell: Cell, episode: int) -> None:
        """Note an episode of a cell, and let others have its core."""
        if self._ended():
            raise CancelledError
        self.episodes[cell.key] = episode
        CORES.__exit__()
        time.sleep(BREATH_S)
        CORES.__enter__()

    def _compute(self, missing: list[Cell]) -> None:
        names, threads = {cell.key: _name(cell) for cell in missing}, _InTurns(WORKERS, "comparing")
        try:
            for result in compute_cells(missing, threads, self._watch, self._ended):
                self.results[result.key] = result
                _keep(names[result.key], result)
        except ValueError as error:
            self.problem = str(error)
        finally:
            threads.shutdown(wait=False)  # a cell that evaluates its policy ends in a second, and nobody waits for it
            self.working = False


class _InTurns(ThreadPoolExecutor):
    """Threads that work only while they hold one of the cores that training shares out."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(_on_a_core, work, *args, **kwargs)


def _on_a_core(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with CORES:
        return work(*args, **kwargs)


def missing_of(asked: Comparison, earlier: Comparing | None) -> int:
    """How many cells of a comparison would have to be computed; while the engine is being loaded, all."""
    if KERNEL.pending:
        return len(asked.conditions) * len(asked.seeds)
    return sum(found is None for _, found in _known(offered(asked), earlier))


def _known(comparison: Comparison, earlier: Comparing | None) -> list[tuple[Cell, Result | None]]:
    """All cells, with the results of those that were computed before."""
    own = earlier.named() if earlier else {}
    names = [(cell, _name(cell)) for cell in cells(comparison)]
    return [(cell, own.get(name) or _kept.get(name)) for cell, name in names]


def offered(comparison: Comparison) -> Comparison:
    """The comparison with the engine that this server has in place of `auto`.

    Raises:
        ValueError: An engine is `fused`, and not there.
    """
    return replace(comparison, conditions=tuple(map(_offered, comparison.conditions)))


def _offered(condition: Condition) -> Condition:
    config = condition.config.changed(KERNEL.offered({"engine": condition.config.engine}))
    changes = tuple(replace(item, changes=KERNEL.offered(item.changes)) for item in condition.changes)
    return replace(condition, config=config, changes=changes)


def _name(cell: Cell) -> str:
    """A text that is the same for equal cells only."""
    data = [cell.condition.to_dict(), cell.seed, cell.episodes, cell.evaluate_at, cell.starts]
    return json.dumps(data, sort_keys=True)


def _keep(name: str, result: Result) -> None:
    _kept[name] = result
    while len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
