"""Microseconds an update of both engines takes on one core, taken in turns, and how far that is from the arithmetic.

    .venv/bin/python -m tests.benchmarks.engines [--rounds 40] [--json]

The floor is the update's multiplications and additions at the rate of this core's own matrix products (NumPy's, 256
wide), measured in the same turns. Then: what two threads do in the time of one, and how long a fresh process takes
from start to its first fused update, with the kernel on disk and without. Exit code 1 if a size misses its target.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # read when NumPy loads

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_core.config import Config
from ddpg_core.learner import Batch, LearnerState
from ddpg_core.learner.fused_engine import FusedEngine
from ddpg_core.networks import MLP

OBS, ACTIONS, MATMUL_WIDTH = 3, 1, 256
CONFIG, SCALE = Config(), np.full(ACTIONS, 2, np.float32)
TURN_S = 0.01
"""What one engine computes before it is the other's turn."""
FIRST_UPDATE = """
import time
start = time.perf_counter()
from tests.benchmarks.engines import CASES, FusedEngine, engine
engine(FusedEngine, CASES[0])()
print(time.perf_counter() - start, time.process_time())
"""


@dataclass(frozen=True)
class Case:
    """Hidden units, batch size, and how many times the arithmetic floor the faster engine may take."""

    hidden: tuple[int, ...]
    batch: int
    target: float

    @property
    def name(self) -> str:
        """As in `8-8-8, 1024`."""
        return f"{'-'.join(map(str, self.hidden))}, {self.batch}"

    @property
    def operations(self) -> int:
        """Multiplications and additions of one update's matrix products, two for each weight they pass."""
        actor, critic = (OBS, *self.hidden, ACTIONS), (OBS + ACTIONS, *self.hidden, 1)
        first_actor, first_critic = actor[0] * actor[1], critic[0] * critic[1]
        weights = {net: sum(a * b for a, b in itertools.pairwise(net)) for net in (actor, critic)}
        passes = 2 * weights[actor] + 3 * weights[critic]  # forward: both, their targets, the critic of μ(s)
        passes += weights[critic] + weights[critic] - first_critic  # critic: by its weights, by its activations
        passes += weights[critic] - first_critic + ACTIONS * critic[1]  # through the critic to the action
        passes += weights[actor] + weights[actor] - first_actor  # actor: by its weights, by its activations
        return 2 * passes * self.batch


CASES = (Case((8, 8, 8), 1024, 4), Case((64, 64), 128, 2.5), Case((256, 256), 256, 1.4))


def engine(kind: Callable[[LearnerState], Any], case: Case) -> Callable[[], Any]:
    """One update of a fresh learner, to be called again and again."""
    rng = np.random.default_rng(0)
    state = LearnerState(MLP((OBS, *case.hidden, ACTIONS), True), MLP((OBS + ACTIONS, *case.hidden, 1), False))
    state.initialise(rng, CONFIG)
    parts = [rng.normal(size=(case.batch, width)).astype(np.float32) for width in (OBS, ACTIONS, 1, OBS)]
    batch = Batch(parts[0], parts[1], parts[2][:, 0], parts[3], np.zeros(case.batch, np.float32))
    made = kind(state)
    return lambda: made.update(batch, CONFIG, 1e-3, 1e-3, SCALE)


def matmul() -> Callable[[], Any]:
    """One matrix product."""
    a, b = np.random.default_rng(0).normal(size=(2, MATMUL_WIDTH, MATMUL_WIDTH)).astype(np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def in_turns(timed: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """CPU seconds of one call of each, the median over rounds; each round calls every one for `TURN_S`."""
    calls: dict[str, int] = {}
    took: dict[str, list[float]] = {name: [] for name in timed}
    for name, call in timed.items():
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, round(TURN_S / (time.perf_counter() - start)))
    for _ in range(rounds):
        for name, call in timed.items():
            start = time.thread_time()
            for _ in range(calls[name]):
                call()
            took[name].append((time.thread_time() - start) / calls[name])
    return {name: statistics.median(values) for name, values in took.items()}


def measured(case: Case, rounds: int) -> dict[str, Any]:
    """Both engines beside the floor."""
    from ddpg_core.learner.torch_engine import TorchEngine  # not at the top: `first_update` does without torch

    timed = {"torch": engine(TorchEngine, case), "fused": engine(FusedEngine, case), "matmul": matmul()}
    seconds = in_turns(timed, rounds)
    rate = 2 * MATMUL_WIDTH**3 / seconds["matmul"]
    floor = case.operations / rate
    fastest = min(seconds["torch"], seconds["fused"])
    return {
        "case": case.name,
        "torch_us": 1e6 * seconds["torch"],
        "fused_us": 1e6 * seconds["fused"],
        "mflop": case.operations / 1e6,
        "matmul_gflop_per_s": rate / 1e9,
        "floor_us": 1e6 * floor,
        "times_floor": fastest / floor,
        "target": case.target,
        "passed": fastest <= case.target * floor,
    }


def threads_gain(case: Case, seconds: float = 1.0) -> float:
    """Updates of two engines in two threads by those of one in the same time."""

    def updates(count: int) -> float:
        """Updates a second, all threads together."""
        made = [[0] for _ in range(count)]
        calls = [engine(FusedEngine, case) for _ in range(count)]
        end = time.perf_counter() + seconds

        def work(call: Callable[[], Any], counter: list[int]) -> None:
            while time.perf_counter() < end:
                call()
                counter[0] += 1

        workers = [threading.Thread(target=work, args=pair) for pair in zip(calls, made, strict=True)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(counter[0] for counter in made) / seconds

    one, two = (statistics.median(updates(count) for _ in range(3)) for count in (1, 2))
    return two / one


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


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| case | torch, µs | fused, µs | MFLOP | matrix products, GFLOP/s | floor, µs | best / floor | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        verdict = f"{result['target']:g} {'met' if result['passed'] else 'MISSED'}"
        numbers = [result[name] for name in ("torch_us", "fused_us", "mflop", "matmul_gflop_per_s", "floor_us")]
        cells = [f"{number:.0f}" if number >= 10 else f"{number:.1f}" for number in numbers]
        cells += [f"**{result['times_floor']:.2f}**", verdict]
        lines.append(f"| {' | '.join([result['case'], *cells])} |")
    return "\n".join(lines)


def main() -> int:
    """Measure all; 0 if every target is met, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parsed = parser.parse_args()
    results = [measured(case, parsed.rounds) for case in CASES]
    gains = {case.name: threads_gain(case) for case in CASES}
    fresh = first_update()
    if parsed.json:
        print(json.dumps({"results": results, "two_threads": gains, "first_update": fresh}))
    else:
        print(table(results))
        print("two threads by one:", ", ".join(f"{name}: {gain:.2f}" for name, gain in gains.items()))
        for kernel, took in fresh.items():
            print(f"first update of a fresh process, kernel {kernel}: {took['s']:.2f} s ({took['cpu_s']:.2f} of CPU)")
    return 0 if all(result["passed"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
