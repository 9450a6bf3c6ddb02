"""The results of a comparison: a folder with a file for each cell, the table of all episodes, and the summary."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ddpg_core.checkpoint import write_whole
from ddpg_core.conditions import Comparison
from ddpg_core.experiment import Cell, Result, Results, cells
from ddpg_core.summary import mean_regret, mean_return, results_of, summarise


class ResultsFolder:
    """The folder of one comparison: `comparison.json`, `cells/`, `results.csv`, `summary.json`.

    Args:
        path: A new or empty folder, or one of the same comparison, whose seeds may have been others.
        comparison: What it is to hold.

    Raises:
        ValueError: The folder holds something else, or can't be written to; nothing in it is changed.
    """

    def __init__(self, path: Path, comparison: Comparison) -> None:
        self.path, self.comparison = path, comparison
        plan = path / "comparison.json"
        if plan.exists():
            self._check_same(Comparison.from_json(plan.read_text(encoding="utf-8")))
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"the results folder must be a new one or one of this comparison, got {path}")
        self._write("comparison.json", json.dumps(comparison.to_dict(), indent=1, ensure_ascii=False) + "\n")

    def missing(self) -> list[Cell]:
        """The cells that are still to be computed."""
        return [cell for cell in cells(self.comparison) if not self._path(cell.key).exists()]

    def add(self, result: Result) -> None:
        """Write one cell's file, at once and whole."""
        self._write(str(self._path(result.key).relative_to(self.path)), result.to_json())

    def results(self) -> dict[tuple[str, int], Result]:
        """What is there of this comparison's cells.

        Raises:
            ValueError: A cell's file is damaged; the message names it.
        """
        found = {}
        for cell in cells(self.comparison):
            path = self._path(cell.key)
            if path.exists():
                found[cell.key] = _read(path, cell)
        return found

    def write_tables(self) -> dict[str, Any]:
        """Write `results.csv` and `summary.json` of the cells that are there; the summary."""
        found = self.results()
        summary = summarise(self.comparison, found)
        self._write("results.csv", results_csv(self.comparison, found))
        self._write("summary.json", json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return summary

    def _path(self, key: tuple[str, int]) -> Path:
        """Of a cell's file: numbered, since names may differ in signs that file names lack."""
        name, seed = key
        number = [condition.name for condition in self.comparison.conditions].index(name)
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return self.path / "cells" / f"{number:02d}-{slug}.seed-{seed}.json"

    def _check_same(self, saved: Comparison) -> None:
        alike = replace(saved, seeds=self.comparison.seeds, title=self.comparison.title, note=self.comparison.note)
        wanted = self.comparison.to_dict()
        other = [name for name, value in alike.to_dict().items() if value != wanted[name]]
        if other:
            raise ValueError(
                f"the results folder must be a new one or one of this comparison, got {self.path}, "
                f"which has other {', '.join(other)}"
            )

    def _write(self, name: str, text: str) -> None:
        try:
            write_whole(self.path / name, text.encode())
        except OSError as error:
            raise ValueError(
                f"{name} could not be written to {self.path} ({error.strerror}); "
                "all cells finished before are kept, and the same command goes on from there"
            ) from None


def _read(path: Path, cell: Cell) -> Result:
    try:
        result = Result.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} can't be read; delete it to compute it again. {error}") from None
    if result.key != cell.key:
        raise ValueError(f"{path} must hold {cell.key}, got {result.key}; delete it to compute it again")
    return result


def results_csv(comparison: Comparison, results: Results) -> str:
    """CSV text with one row a condition, seed and episode; the last two columns where policies were evaluated."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        ["condition", "seed", "episode", "return", "length", "env_steps", "evaluation_return", "evaluation_regret"]
    )
    for condition in comparison.conditions:
        for result in results_of(condition, comparison, results):
            evaluated = {item.episode for item in result.evaluations}
            steps = np.cumsum(result.lengths).tolist()
            for episode, (gain, length) in enumerate(zip(result.returns, result.lengths, strict=True)):
                known = (mean_return(result, episode + 1), mean_regret(result, episode + 1))
                shown = known if episode + 1 in evaluated else ("", "")
                writer.writerow([*result.key, episode, gain, length, steps[episode], *shown])
    return table.getvalue()
