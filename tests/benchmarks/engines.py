"""Whether both engines reach their targets: the update against the arithmetic floor, two threads, the first update.

    .venv/bin/python -m tests.benchmarks.engines [--rounds 40] [--json]

What `python -m ddpg_core bench` measures of the sizes, held to targets, and how long a fresh process takes from its
first line to its first fused update, with the kernel on disk and without. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from ddpg_core.bench import SIZES, measure, report

FLOOR_TARGETS: Final = dict(zip(SIZES, (4, 2.5, 1.4), strict=True))
"""How many times the arithmetic floor the faster engine's update may take."""
THREADS_TARGET: Final = 1.7
FIRST_UPDATE_TARGET_S: Final = 2.0
"""With the kernel on disk."""
FIRST_UPDATE: Final = """
import time
start = time.perf_counter()
from ddpg_core.config import Config
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
run = Run(Recipe(Config(engine="fused", warmup_steps=1, batch_size=1)))
run.step()
assert run.updates == 1
print(time.perf_counter() - start, time.process_time())
"""


def first_update() -> dict[str, dict[str, float]]:
    """Seconds and CPU seconds from a fresh process's first line to its first update, by where the kernel comes from."""
    took = {}
    with tempfile.TemporaryDirectory() as folder:
        for kernel in ("compiled", "on disk"):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_UPDATE],
                env=os.environ | {"NUMBA_CACHE_DIR": folder},
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, cpu_seconds = map(float, done.stdout.split())
            took[kernel] = {"s": seconds, "cpu_s": cpu_seconds}
    return took


def verdicts(results: dict[str, Any], fresh: dict[str, dict[str, float]]) -> list[tuple[str, bool]]:
    """A line a target, and whether it is met."""
    lines = []
    for told, target in zip(results["sizes"], FLOOR_TARGETS.values(), strict=True):
        times = min(engine["times_floor"]["median"] for engine in told["engines"].values())
        lines.append((f"{told['name']}: {times:.2f} times the floor (target {target:g})", times <= target))
    for told in results["threads"]:
        for what, gains in told["two_threads_by_one"].items():
            line = f"{told['name']}: two threads make {gains['median']:.2f} times the {what} of one"
            lines.append((f"{line} (target {THREADS_TARGET})", gains["median"] >= THREADS_TARGET))
    for kernel, took in fresh.items():
        line = f"first update of a fresh process, kernel {kernel}: {took['s']:.2f} s ({took['cpu_s']:.2f} of CPU)"
        lines.append((line, kernel == "compiled" or took["s"] <= FIRST_UPDATE_TARGET_S))
    return lines


def main() -> int:
    """Measure all; 0 if every target is met, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parsed = parser.parse_args()
    results = measure(parsed.rounds, growth={})
    fresh = first_update()
    lines = verdicts(results, fresh)
    if parsed.json:
        print(json.dumps(results | {"first_update": fresh, "passed": all(met for _, met in lines)}))
    else:
        print(report(results), *(f"{line}: {'met' if met else 'MISSED'}" for line, met in lines), sep="\n")
    return 0 if all(met for _, met in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
