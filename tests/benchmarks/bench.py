"""Speed of training against everybody: env step and one update, the same sizes, one core, each in its own environment.

    .venv/bin/python -m tests.benchmarks.bench [--rounds 25] [--seconds 0.2] [--json]     (or: make bench)

Long-lived processes share one core and take turns slice by slice, the order turned round after round, so that what else
the machine does hits all alike. Compared is CPU time; a ratio is the median over rounds, its spread the quartiles.
Exit code 1 if one is below its target. The first call installs the others into .venv/peers/; who cannot be installed
or started is left out, and said to be.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ddpg_core.timing import Progress, number, quartiles, table

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / ".venv" / "peers"
OURS = ("ours:fused", "ours:torch")
EVERYBODY = (*OURS, "sbx", "sb3", "plain", "notebook")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}
FIRST_SLICE = 25
"""Steps from which it is told how many make a slice."""


class Case(NamedTuple):
    """Sizes of a race, who runs in it, and how many times as fast as a peer our faster engine must be."""

    hidden: str
    batch: int
    sides: tuple[str, ...]
    targets: Mapping[str, float]

    @property
    def name(self) -> str:
        """As in `8-8-8, batch 1024`."""
        return f"{self.hidden}, batch {self.batch}"


CASES = (
    Case("8-8-8", 1024, EVERYBODY, {"sb3": 20, "sbx": 6}),
    Case("64-64", 128, EVERYBODY[:-1], {"sb3": 12, "sbx": 4}),
    Case("256-256", 256, EVERYBODY[:-1], {"sb3": 1.8, "sbx": 1.1}),
)
"""The notebook runs at its own sizes."""


class Worker:
    """A worker.py process that runs slices on request; leaving its context ends it.

    Its methods raise RuntimeError, with the last line that the process said, if it ends instead of answering.
    """

    def __init__(self, python: Path, side: str, case: Case) -> None:
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            [python, "-m", "tests.benchmarks.worker", side, case.hidden, str(case.batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=ROOT,
            env=os.environ | ONE_THREAD,
            start_new_session=True,  # Ctrl-C is for this process, which then ends its workers
        )

    def title(self) -> str:
        """Who runs in it, once it is ready."""
        return str(self._answer()["title"])

    def run(self, steps: int) -> dict[str, float]:
        """What `steps` steps took: cpu_s, wall_s, updates, peak_rss_mb."""
        assert self._process.stdin
        print(steps, file=self._process.stdin, flush=True)
        took: dict[str, float] = self._answer()
        if took["updates"] != steps:
            raise RuntimeError(f"a slice must make one update a step, got {took['updates']} in {steps} steps")
        return took

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._said.seek(0)
            *_, last = ["nothing said", *self._said.read().strip().splitlines()]
            raise RuntimeError(f"its worker ended with exit code {code}: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()


def environment(side: str) -> Path:
    """The interpreter of a side's own environment, made or renewed first if need be; ours is this one.

    Raises:
        RuntimeError: It cannot be installed; pip's own words are on stderr.
    """
    if side in OURS:
        return Path(sys.executable)
    folder, requirements = ENVIRONMENTS / side, REQUIREMENTS / f"{side}.txt"
    python, stamp, wanted = folder / "bin" / "python", folder / requirements.name, requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {side} into {folder.relative_to(ROOT)} …", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "-qq", "-r", requirements], check=True)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"its environment could not be installed (exit code {error.returncode})") from None
        stamp.write_text(wanted)
    return python


def environments(sides: Iterable[str]) -> dict[str, Path]:
    """The interpreters of all sides that can be had; the others are named on stderr."""
    found = {}
    for side in sides:
        try:
            found[side] = environment(side)
        except RuntimeError as error:
            print(f"{side} is left out: {error}", file=sys.stderr)
    return found


def pin_to_one_core() -> None:
    """Keep this process and its workers on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def race(case: Case, pythons: Mapping[str, Path], rounds: int, seconds: float, tell: Progress) -> dict[str, Any]:
    """All sides in turns, each in slices of about `seconds` of CPU time."""
    with ExitStack() as stack:
        workers, titles = {}, {}
        for side in case.sides:
            if side not in pythons:
                continue
            tell.say(f"{case.name}: starting {side}")
            worker = stack.enter_context(Worker(pythons[side], side, case))
            try:
                titles[side], workers[side] = worker.title(), worker
            except RuntimeError as error:
                if side in OURS:
                    raise
                print(f"{side} is left out at {case.name}: {error}", file=sys.stderr)
        steps = {
            side: max(1, round(seconds * FIRST_SLICE / worker.run(FIRST_SLICE)["cpu_s"]))
            for side, worker in workers.items()
        }
        took: dict[str, list[dict[str, float]]] = {side: [] for side in workers}
        for turn in range(rounds):
            for side in list(workers)[:: 1 if turn % 2 else -1]:
                took[side].append(workers[side].run(steps[side]))
            tell(case.name)
    return judged(case, titles, steps, took)


def judged(
    case: Case, titles: Mapping[str, str], steps: Mapping[str, int], took: Mapping[str, Sequence[Mapping[str, float]]]
) -> dict[str, Any]:
    """What the slices of all sides say, as JSON-ready data.

    Args:
        case: What was run.
        titles: Of the sides that ran.
        steps: In a slice of each side.
        took: Each side's slices, round by round, as `Worker.run` answers.

    Returns:
        The case; `fastest`, our faster engine; `sides`: rates, memory, and `ratio`, how many times as long as
        `fastest` each takes for a step; `targets`.
    """
    cost = {side: np.array([part["cpu_s"] for part in slices]) / steps[side] for side, slices in took.items()}
    fastest = min((side for side in OURS if side in cost), key=lambda side: float(np.median(cost[side])))
    sides = {
        side: {
            "title": titles[side],
            "steps_per_cpu_s": quartiles(1 / cost[side]),
            "steps_per_wall_s": quartiles(steps[side] / part["wall_s"] for part in slices),
            "peak_rss_mb": slices[-1]["peak_rss_mb"],
            "ratio": quartiles(cost[side] / cost[fastest]),
        }
        for side, slices in took.items()
    }
    targets = {
        side: {
            "target": target,
            "ratio": sides[side]["ratio"]["median"],
            "met": sides[side]["ratio"]["median"] >= target,
        }
        for side, target in case.targets.items()
        if side in sides
    }
    return {"case": case.name, "fastest": fastest, "sides": sides, "targets": targets}


def report(results: Sequence[Mapping[str, Any]]) -> str:
    """The results as a Markdown table, a row a side, and a line a case on its targets."""
    titles = {side: told["title"] for result in results for side, told in result["sides"].items()}
    rows = [[titles[side], *(_cell(result, side) for result in results), _memory(results, side)] for side in titles]
    header = ["steps per CPU second", *(result["case"] for result in results), "peak MB"]
    return "\n\n".join([table(header, rows), "\n".join(_verdict(result) for result in results)])


def _cell(result: Mapping[str, Any], side: str) -> str:
    if side not in result["sides"]:
        return "–"
    told = result["sides"][side]
    rate, ratio = number(told["steps_per_cpu_s"]["median"]), told["ratio"]
    if side == result["fastest"]:
        return f"**{rate}**"
    return f"{rate} · {ratio['median']:.3g}× ({ratio['low']:.3g}–{ratio['high']:.3g})"


def _memory(results: Sequence[Mapping[str, Any]], side: str) -> str:
    return number(max(result["sides"][side]["peak_rss_mb"] for result in results if side in result["sides"]))


def _verdict(result: Mapping[str, Any]) -> str:
    verdicts = [
        f"{told['ratio']:.2f} times {side} (target {told['target']:g}: {'met' if told['met'] else 'MISSED'})"
        for side, told in result["targets"].items()
    ]
    return f"{result['case']}: {', '.join(verdicts) or 'nobody to compare with'}"


def main() -> int:
    """Run all cases; 0 if every target is met, 1 if not, 130 if interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="slices of each side, at least 2 (default: 25)")
    parser.add_argument("--seconds", type=float, default=0.2, help="CPU time of a slice (default: 0.2)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parsed = parser.parse_args()
    if parsed.rounds < 2 or not 0 < parsed.seconds < 60:
        parser.error("--rounds must be at least 2 and --seconds in (0, 60)")
    try:
        pythons = environments(EVERYBODY)
        pin_to_one_core()
        with Progress(parsed.rounds * len(CASES)) as tell:
            results = [race(case, pythons, parsed.rounds, parsed.seconds, tell) for case in CASES]
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(json.dumps({"rounds": parsed.rounds, "results": results}) if parsed.json else report(results))
    return 0 if all(told["met"] for result in results for told in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
