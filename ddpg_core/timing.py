"""Fair timing: everything in turns, round after round, so that what else the machine does hits all alike.

A ratio of two timings is taken round by round, and told as median and quartiles. For `bench` and tests/benchmarks.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from ddpg_core.environment import Array

TURN_S: Final = 0.01
"""What one computes before it is the next one's turn."""
THREAD_TURN_S: Final = 0.1
"""The same where threads are compared: the interpreter's lock may take milliseconds to change hands."""

Call = Callable[[], Any]
Quartiles = dict[str, float]
"""`low`, `median` and `high` over the rounds."""


class Progress:
    """One line on stderr that says how far a benchmark is, where that is a terminal; wiped at the end.

    Args:
        rounds: How often it will be told that another round is done.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds, self._done, self._shown = rounds, 0, sys.stderr.isatty()

    def __call__(self, doing: str) -> None:
        """Another round of `doing` is done."""
        self._done += 1
        self._show(f"{min(1, self._done / self._rounds):4.0%}  {doing}")

    def say(self, doing: str) -> None:
        """No round is done yet, but `doing` goes on."""
        self._show(f"      {doing}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    def _show(self, line: str) -> None:
        if self._shown:
            print(f"\r{line:60.60}\r", end="", file=sys.stderr, flush=True)


def in_turns(calls: Mapping[str, Call], rounds: int, tell: Progress, title: str) -> dict[str, Array]:
    """CPU seconds of one call of each in every round [rounds]; a round calls each for about `TURN_S`."""
    repeats = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, round(TURN_S / max(time.perf_counter() - start, 1e-9)))
    took = {name: np.empty(rounds) for name in calls}
    for number in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                call()
            took[name][number] = (time.process_time() - start) / repeats[name]
        tell(title)
    return took


def calls_a_second(calls: Sequence[Call], seconds: float) -> float:
    """Calls a second of several threads at once, all together, each calling its own for `seconds`."""
    made = [0] * len(calls)
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while made[number] == 0 or time.perf_counter() < end:
            calls[number]()
            made[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made) / (time.perf_counter() - start)


def threads_gain(one: Call, other: Call, rounds: int, tell: Progress, title: str) -> Quartiles:
    """Calls that two threads make in the time in which one makes one."""
    one(), other()
    gains = []
    for _ in range(rounds):
        alone = calls_a_second([one], THREAD_TURN_S)
        gains.append(calls_a_second([one, other], THREAD_TURN_S) / alone)
        tell(title)
    return quartiles(gains)


def quartiles(values: Iterable[float]) -> Quartiles:
    """Median and quartiles."""
    low, median, high = np.quantile(np.fromiter(values, float), (0.25, 0.5, 0.75)).tolist()
    return {"low": low, "median": median, "high": high}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns line up: the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = (
        [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in (lines[0], rule, *lines[1:])
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


def number(value: float) -> str:
    """Three digits or all whole ones: 1,234, 57.3, 2.86."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: Quartiles) -> str:
    """As in `2.86 (2.71–2.90)`."""
    return f"{values['median']:.2f} ({values['low']:.2f}–{values['high']:.2f})"
