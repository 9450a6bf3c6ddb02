"""Speed of the torch engine against Stable-Baselines3's DDPG: env step and one update, same sizes, one core.

    .venv/bin/python tests/benchmarks/bench.py [--rounds 25] [--steps 100] [--json]     (or: make bench)

Two long-lived processes a case, ours and SB3's, share one core and take turns slice by slice, the order swapped each
round, so that what else the machine does hits both alike. Compared is CPU time; the ratio is the median over rounds,
its spread the quartiles. Exit code 1 if a ratio is below its target. The first call installs SB3 into .venv/bench-sb3.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements-sb3.txt"
SB3_VENV = ROOT / ".venv" / "bench-sb3"


class Case(NamedTuple):
    """Sizes of a race and how many times as fast as SB3 we must be; no target, no race: ours alone."""

    name: str
    hidden: str
    batch: int
    target: float | None


CASES = (
    Case("8-8-8, batch 1024", "8-8-8", 1024, 1.5),
    Case("256-256, batch 256", "256-256", 256, 1.3),
    Case("preset fast: 64-64, batch 128", "64-64", 128, None),
)


class Worker:
    """A worker.py process that runs slices on request."""

    def __init__(self, python: Path, side: str, case: Case) -> None:
        self._process = subprocess.Popen(
            [python, HERE / "worker.py", side, case.hidden, str(case.batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )
        self._answer()

    def run(self, steps: int) -> dict[str, float]:
        """What `steps` steps took: cpu_s, wall_s, updates, peak_rss_mb."""
        assert self._process.stdin
        print(steps, file=self._process.stdin, flush=True)
        took: dict[str, float] = json.loads(self._answer())
        if took["updates"] != steps:
            raise RuntimeError(f"a slice must make one update a step, got {took['updates']} in {steps} steps")
        return took

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"worker ended with exit code {self._process.wait()}; its error stands above")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def sb3_python() -> Path:
    """The interpreter of SB3's own environment, made or renewed first if need be."""
    python, stamp = SB3_VENV / "bin" / "python", SB3_VENV / REQUIREMENTS.name
    wanted = REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing Stable-Baselines3 into {SB3_VENV.relative_to(ROOT)} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", SB3_VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", REQUIREMENTS], check=True)
        stamp.write_text(wanted)
    return python


def pin_to_one_core() -> None:
    """Keep this process and its workers on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def race(case: Case, rounds: int, steps: int) -> dict[str, Any]:
    """Both sides in turns: steps per CPU second and peak memory of each, and ratio with quartiles."""
    with Worker(Path(sys.executable), "ours", case) as ours, Worker(sb3_python(), "sb3", case) as sb3:
        mine, theirs = [], []
        for number in range(rounds):
            turns = [(ours, mine), (sb3, theirs)]
            for worker, slices in turns if number % 2 else reversed(turns):
                slices.append(worker.run(steps))
    ratios = [b["cpu_s"] / a["cpu_s"] for a, b in zip(mine, theirs, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    return {
        "ours": summary(mine, steps),
        "sb3": summary(theirs, steps),
        "ratio": median,
        "ratio_quartiles": [low, high],
        "passed": median >= (case.target or 0),
    }


def alone(case: Case, rounds: int, steps: int) -> dict[str, Any]:
    """Ours without an opponent."""
    with Worker(Path(sys.executable), "ours", case) as ours:
        return {"ours": summary([ours.run(steps) for _ in range(rounds)], steps)}


def summary(slices: list[dict[str, float]], steps: int) -> dict[str, float]:
    """Median rates of a side's slices, and its peak memory."""
    return {
        "steps_per_cpu_s": steps / statistics.median(took["cpu_s"] for took in slices),
        "steps_per_wall_s": steps / statistics.median(took["wall_s"] for took in slices),
        "peak_rss_mb": slices[-1]["peak_rss_mb"],
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| case | ours, steps/CPU-s | SB3, steps/CPU-s | ratio (quartiles) | target | ours, peak MB | SB3, peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        ours, sb3 = result["ours"], result.get("sb3")
        cells = [result["case"], f"{ours['steps_per_cpu_s']:.0f}", "–", "–", "–", f"{ours['peak_rss_mb']:.0f}", "–"]
        if sb3:
            low, high = result["ratio_quartiles"]
            cells[2], cells[6] = f"{sb3['steps_per_cpu_s']:.0f}", f"{sb3['peak_rss_mb']:.0f}"
            cells[3] = f"**{result['ratio']:.2f}** ({low:.2f}–{high:.2f})"
            cells[4] = f"{result['target']:g} {'met' if result['passed'] else 'MISSED'}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run all cases; 0 if every target is met, 1 if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="slices of each side, at least 2 (default: 25)")
    parser.add_argument("--steps", type=int, default=100, help="env steps in a slice (default: 100)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parsed = parser.parse_args()
    if parsed.rounds < 2 or parsed.steps < 1:
        parser.error("--rounds must be at least 2 and --steps at least 1")
    pin_to_one_core()
    results = []
    for case in CASES:
        took = (race if case.target else alone)(case, parsed.rounds, parsed.steps)
        results.append({"case": case.name, "target": case.target, **took})
    passed = all(result.get("passed", True) for result in results)
    if parsed.json:
        print(json.dumps({"rounds": parsed.rounds, "steps": parsed.steps, "results": results, "passed": passed}))
    else:
        print(table(results))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
