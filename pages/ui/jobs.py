"""Slow answers, computed in the background on two threads for all sessions: pages never wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from ddpg_core.environment import Physics
from ddpg_core.oracle import MAX_GAMMA, Oracle, optimal_oracle, oracle_progress, oracle_ready

ORACLE_POINTS: Final = 201
"""Four times the states of the default: on maps, the coarser grid's blur beside a ridge would look like a mistake."""
LEAST_REST_S: Final = 2.0
REST: Final = 7.0
"""A session's answers rest so many times as long as they take: training keeps nearly all of the cores."""
_SOLVER: Final = ThreadPoolExecutor(1, "oracle")
_WORKER: Final = ThreadPoolExecutor(1, "answers")

_Answer = TypeVar("_Answer")
_solving: dict[tuple[Physics, int, float], Future[None]] = {}
_lock = threading.Lock()


def oracle_of(physics: Physics, gamma: float, points: int = ORACLE_POINTS) -> Oracle | None:
    """The near-optimal policy of a pendulum; None while it is being solved, once for whoever asks.

    Raises what the solving raised, once; it has begun anew by then.
    """
    key = (physics, points, min(gamma, MAX_GAMMA))
    with _lock:
        if oracle_ready(*key):
            _solving.pop(key, None)
            return optimal_oracle(*key)
        earlier = _solving.get(key)
        if earlier is not None and not earlier.done():
            return None
        _solving[key] = _SOLVER.submit(_solve, *key)
    if earlier is not None:
        earlier.result()
    return None


def _solve(physics: Physics, points: int, gamma: float) -> None:
    """Solve for an oracle where it is kept."""
    optimal_oracle(physics, points, gamma)


def oracle_share(physics: Physics, gamma: float) -> float:
    """How much of that work is done, in [0, 1]."""
    return oracle_progress(physics, ORACLE_POINTS, gamma) or 0.0


class Latest(Generic[_Answer]):
    """The newest answer to what one session asks again and again; one question is worked on at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working: Future[tuple[_Answer, float]] | None = None
        self._answer: _Answer | None = None
        self._rests_until = 0.0

    @property
    def answer(self) -> _Answer | None:
        """The newest answer, or None so far; raises what the work raised, once."""
        with self._lock:
            if self._working is not None and self._working.done():
                done, self._working = self._working, None
                self._answer, seconds = done.result()
                self._rests_until = time.monotonic() + max(LEAST_REST_S, REST * seconds)
            return self._answer

    def ask(self, work: Callable[[], _Answer], *, urgent: bool) -> None:
        """Work on this next, unless something is being worked on, or it can wait and it is time to rest."""
        with self._lock:
            if self._working is None and (urgent or time.monotonic() >= self._rests_until):
                self._working = _WORKER.submit(_timed, work)


def _timed(work: Callable[[], _Answer]) -> tuple[_Answer, float]:
    began = time.monotonic()
    return work(), time.monotonic() - began
