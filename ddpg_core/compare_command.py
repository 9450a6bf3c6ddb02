"""The command `python -m ddpg_core compare`: conditions × seeds on all cores or a cluster, and what came of them."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ddpg_core.cluster import cluster_executor, local_executor
from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.conditions import Comparison
from ddpg_core.config import shown
from ddpg_core.experiment import Cell, Result, compute_cells
from ddpg_core.results import ResultsFolder

INTERRUPTED: Final = 130
MAX_BYTES: Final = 1 << 20
_BAR: Final = 30


def compare(parsed: argparse.Namespace, interrupted: Sequence[int]) -> int:
    """Run the command; the exit code.

    Args:
        parsed: `conditions`, `seeds`, `first_seed`, `episodes`, `workers`, `cluster` and `out`.
        interrupted: Fills when Ctrl-C is pressed.

    Raises:
        ValueError: Bad input, a cluster that doesn't answer, runs that failed, or results that couldn't be written.
    """
    comparison = _comparison(parsed)
    folder = ResultsFolder(parsed.out, comparison)
    missing = folder.missing()
    total = len(comparison.conditions) * len(comparison.seeds)
    if len(missing) < total:
        print(f"{total - len(missing)} of {total} runs are there already")
    if missing:
        with _executor(parsed) as executor:
            _compute(folder, missing, executor, parsed.cluster is None, interrupted)
    summary = folder.write_tables()
    if left := len(folder.missing()):
        print(f"interrupted; {total - left} of {total} runs are saved; go on with: {_again(parsed)}", file=sys.stderr)
        return INTERRUPTED
    print(table(summary))
    print(f"\nwrote {parsed.out}: comparison.json, results.csv, summary.json, cells/")
    return 0


def _comparison(parsed: argparse.Namespace) -> Comparison:
    """The comparison that was asked for."""
    name = parsed.conditions
    comparison = CONDITION_SETS[name] if name in CONDITION_SETS else Comparison.from_json(_text(name))
    seeds = range(parsed.first_seed, parsed.first_seed + (parsed.seeds or len(comparison.seeds)))
    if parsed.seeds or parsed.first_seed:
        comparison = replace(comparison, seeds=tuple(seeds))
    if parsed.episodes:
        evaluated = tuple(episode for episode in comparison.evaluate_at if episode <= parsed.episodes)
        comparison = replace(comparison, episodes=parsed.episodes, evaluate_at=evaluated)
    return comparison


def _text(name: str) -> str:
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"CONDITIONS must be a JSON file or one of {', '.join(CONDITION_SETS)}, got {shown(name)}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"CONDITIONS must be a file of at most {MAX_BYTES >> 20} MiB, got {path}")
    return path.read_text(encoding="utf-8")


@contextmanager
def _executor(parsed: argparse.Namespace) -> Iterator[Executor]:
    if parsed.cluster is None:
        with local_executor(parsed.workers) as executor:
            yield executor
    else:
        with cluster_executor(parsed.cluster, say=lambda text: print(text, flush=True)) as executor:
            yield executor


def _compute(
    folder: ResultsFolder, missing: list[Cell], executor: Executor, in_process: bool, interrupted: Sequence[int]
) -> None:
    """Compute cells and save each as it comes, with progress: a bar on a terminal, lines elsewhere."""
    progress = _Progress(missing)

    def watch(cell: Cell, episode: int) -> None:
        progress.running[cell.key] = episode
        if interrupted or not progress.wanted:
            raise CancelledError

    def stop() -> bool:
        progress.draw()
        return bool(interrupted)

    try:
        for result in compute_cells(missing, executor, watch if in_process else None, stop):
            folder.add(result)
            progress.finish(result)
    finally:
        progress.wanted = False
        progress.end()


class _Progress:
    """What is said while cells are computed.

    Attributes:
        running: Episodes finished of the cells that were begun, by key.
        wanted: Whether anybody still waits for the cells.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.running: dict[tuple[str, int], int] = {}
        self.wanted = True
        self._cells, self._done, self._last = len(cells), 0, ""
        self._episodes = sum(cell.episodes for cell in cells)
        self._terminal = sys.stdout.isatty()

    def finish(self, result: Result) -> None:
        """A cell is saved."""
        self._done += 1
        self.running[result.key] = len(result.returns)
        final = f"return {np.mean(result.evaluations[-1].returns):.1f}" if result.evaluations else "no evaluation"
        end = f"diverged {result.diverged}" if result.diverged else final
        self._last = f"{result.condition}, seed {result.seed}: {end}"
        if not self._terminal:
            print(f"run {self._done:4d}/{self._cells}   {self._last}", flush=True)

    def draw(self) -> None:
        """Draw the bar, on a terminal."""
        if self._terminal:
            share = max(self._done / self._cells, sum(list(self.running.values())) / self._episodes)
            filled = int(_BAR * min(share, 1))
            line = f"{'█' * filled}{'░' * (_BAR - filled)} {self._done}/{self._cells} runs  {self._last[:70]}"
            print(f"\r\033[K{line}", end="", flush=True)

    def end(self) -> None:
        """Leave the bar as it is."""
        self.draw()
        if self._terminal:
            print()


def _again(parsed: argparse.Namespace) -> str:
    """The command that goes on."""
    words = ["python", "-m", "ddpg_core", "compare", parsed.conditions]
    for name in ("seeds", "first_seed", "episodes", "workers", "cluster", "out"):
        value = getattr(parsed, name)
        if value:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def table(summary: dict[str, Any]) -> str:
    """What a person is told of a `summary`, as a Markdown table: 95 % intervals in brackets."""
    conditions = summary["conditions"]
    on_the_way = list(conditions[0].get("forgetting", {}))
    head = ["condition", "return after training", "regret", "−250 at episode", "better than the first", "in the end"]
    head += ["while learning", *(f"F at {episode}" for episode in on_the_way)]
    rows = [head, ["---"] * len(head)]
    for condition in conditions:
        rows.append(
            [
                condition["name"],
                _interval(condition["final_return"], "iqm", 0),
                _interval(condition["final_regret"], "iqm", 0),
                _time(condition["episodes_to_-250"]),
                *_effect(condition),
                *(_interval(condition["forgetting"][episode], "median", 2) for episode in on_the_way),
            ]
        )
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    seeds = ", ".join(map(str, summary["seeds"])) if len(summary["seeds"]) <= 20 else f"{len(summary['seeds'])} of them"
    about = (
        f"{summary['episodes']} episodes, seeds {seeds}; returns without noise on {summary['starts']} fixed starts: "
        f"interquartile means over the seeds{', F its median,' if on_the_way else ''} with 95 % bootstrap intervals"
    )
    return "\n".join([f"\n{summary['title'] or 'Comparison'}. {summary['note']}".rstrip(), about, "", *lines])


def _interval(found: dict[str, Any] | None, name: str, digits: int) -> str:
    if found is None:
        return "–"
    value, low, high = (_number(found[key], digits) for key in (name, "low", "high"))
    return f"{value} [{low}, {high}]"


def _number(value: float, digits: int) -> str:
    """With a real minus sign, and none before a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _time(found: dict[str, Any] | None) -> str:
    """The median time, and how many runs took it where not all got there."""
    if found is None:
        return "–"
    runs = len(found["per_seed"])
    median = "never" if found["median"] is None else f"{found['median']:g}"
    return median if found["reached"] in (0, runs) else f"{median} ({found['reached']} of {runs})"


def _effect(condition: dict[str, Any]) -> list[str]:
    if "final_return_effect" not in condition:
        return ["–"] * 3
    final, training = condition["final_return_effect"], condition["training_return_effect"]
    return [
        _interval(final["probability_of_improvement"], "value", 2),
        str(final["verdict"]),
        str(training["verdict"]),
    ]
