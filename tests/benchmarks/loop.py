"""Where the time of a training step goes: microseconds by part, on one core.

    .venv/bin/python -m tests.benchmarks.loop [--steps 2000] [--engine fused]

Three runs of the same recipe step in turns: one trains as it does, which under the fused engine is many steps in one
call; two take every step by itself, and in one of these each part is timed. Figures are medians; the rest is what the
untouched run's step takes beyond the parts.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # read when NumPy loads

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ddpg_core import run as run_module
from ddpg_core.bench import SIZES, Size, filled
from ddpg_core.run import Run
from ddpg_core.timing import table
from tests.helpers import step_by_step

TURN_STEPS = 32
PARTS = ("act", "noise", "env step", "log the step", "draw the batch", "gather the batch", "update", "log the update")


def clock_ns() -> float:
    """What reading the clock twice seems to take."""
    return statistics.median(-(time.perf_counter_ns() - time.perf_counter_ns()) for _ in range(1000))


CLOCK_NS = clock_ns()


@contextmanager
def timed(run: Run, spent: dict[str, float]) -> Iterator[None]:
    """Add to `spent` what each part takes, in µs, while `run` steps."""

    def add(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter_ns()
            result = call(*args, **kwargs)
            spent[part] += (time.perf_counter_ns() - start - CLOCK_NS) / 1000
            return result

        return clocked

    steps, updates = run.logs.steps, run.logs.updates
    places = {
        (run, "act"): "act",
        (run_module, "next_noise"): "noise",
        (run.env, "step"): "env step",
        (steps, "append"): "log the step",
        (run_module, "sample_rows"): "draw the batch",
        (steps, "gather"): "gather the batch",
        (run_module, "transitions"): "gather the batch",
        (run._engine, "update"): "update",
        (updates, "append"): "log the update",
    }
    patches = [
        mock.patch.object(owner, name, add(part, getattr(owner, name))) for (owner, name), part in places.items()
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def measured(engine: str, size: Size, steps: int) -> dict[str, float]:
    """Median µs a step by part, with `rest`, `step by step` and `as it trains`."""
    run = filled(engine, size)
    alone, twin = step_by_step(run.fork()), step_by_step(run.fork())
    trains, whole, parts = [], [], []
    for _ in range(0, steps, TURN_STEPS):
        start = time.perf_counter_ns()
        run.advance(steps=TURN_STEPS)
        trains.append((time.perf_counter_ns() - start - CLOCK_NS) / 1000 / TURN_STEPS)
        for _ in range(TURN_STEPS):
            start = time.perf_counter_ns()
            alone.step()
            whole.append((time.perf_counter_ns() - start - CLOCK_NS) / 1000)
        spent = dict.fromkeys(PARTS, 0.0)
        with timed(twin, spent):
            for _ in range(TURN_STEPS):
                spent.update(dict.fromkeys(PARTS, 0.0))
                twin.step()
                parts.append(dict(spent))
    medians = {part: statistics.median(each[part] for each in parts) for part in PARTS}
    total = statistics.median(whole)
    rest = {"rest": total - sum(medians.values()), "step by step": total}
    return medians | rest | {"as it trains": statistics.median(trains)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--engine", choices=["fused", "torch"], default="fused")
    parsed = parser.parse_args()
    results = [measured(parsed.engine, size, parsed.steps) for size in SIZES]
    rows = [
        [part, *(f"{result[part]:.1f}" for result in results)]
        for part in (*PARTS, "rest", "step by step", "as it trains")
    ]
    print(table(["µs a step", *(size.name for size in SIZES)], rows))


if __name__ == "__main__":
    main()
