from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddpg_core.conditions import Comparison, Condition
from ddpg_core.results import ResultsFolder, results_csv
from tests.helpers import SMALL
from tests.test_summary import COMPARISON, PULLED, RESULTS, made


def test_table_has_one_row_a_condition_seed_and_episode() -> None:
    header, *rows = csv.reader(io.StringIO(results_csv(COMPARISON, RESULTS)))
    assert header[:6] == ["condition", "seed", "episode", "return", "length", "env_steps"]
    assert header[6:] == ["evaluation_return", "evaluation_regret"]
    assert [(row[0], int(row[1]), int(row[2])) for row in rows] == [
        (name, seed, episode) for name in ("kept", "pulled") for seed in range(5) for episode in range(3)
    ]
    assert rows[3] == ["kept", "1", "0", "-1001.0", "200", "200", "-150.0", "0.0"]
    assert rows[4] == ["kept", "1", "1", "-150.0", "200", "400", "", ""]
    assert rows[5] == ["kept", "1", "2", "-141.0", "200", "600", "-141.0", "-9.0"]


def filled(path: Path) -> ResultsFolder:
    folder = ResultsFolder(path, COMPARISON)
    for result in RESULTS.values():
        folder.add(result)
    return folder


def test_folder_gives_back_what_was_added_and_names_what_is_missing(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "new", COMPARISON)
    assert len(folder.missing()) == 10
    folder.add(RESULTS["pulled", 2])
    again = ResultsFolder(tmp_path / "new", COMPARISON)
    assert ("pulled", 2) not in [cell.key for cell in again.missing()]
    assert len(again.missing()) == 9
    assert again.results() == {("pulled", 2): RESULTS["pulled", 2]}


def test_folder_takes_more_seeds_and_fewer_without_losing_any(tmp_path: Path) -> None:
    filled(tmp_path)
    more = ResultsFolder(tmp_path, replace(COMPARISON, seeds=(0, 7), note="said otherwise"))
    assert [cell.key for cell in more.missing()] == [("kept", 7), ("pulled", 7)]
    assert ResultsFolder(tmp_path, COMPARISON).missing() == []


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"episodes": 4}, "episodes, evaluate_at"),
        ({"starts": 3}, "starts"),
        ({"evaluate_at": (2,)}, "evaluate_at"),
        ({"conditions": COMPARISON.conditions[::-1]}, "conditions"),
        ({"conditions": (Condition("kept", SMALL.changed({"tau": 0.5})), PULLED)}, "conditions"),
    ],
)
def test_folder_of_another_comparison_is_refused_and_left_as_it_is(
    other: dict[str, Any], difference: str, tmp_path: Path
) -> None:
    filled(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    with pytest.raises(ValueError, match=rf"new one or one of this comparison, got .+, which has other {difference}"):
        ResultsFolder(tmp_path, replace(COMPARISON, **other))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ValueError, match=r"^the results folder must be a new one or one of this comparison, got "):
            ResultsFolder(path, COMPARISON)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_damaged_and_misplaced_cells_are_named(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    one, other = sorted((tmp_path / "cells").iterdir())[:2]
    other.write_bytes(one.read_bytes())
    with pytest.raises(ValueError, match=rf"{other.name} must hold .+delete it to compute it again"):
        folder.results()
    one.write_text("{")
    with pytest.raises(ValueError, match=rf"{one.name} can't be read; delete it to compute it again"):
        folder.results()


def test_conditions_whose_names_differ_in_signs_alone_have_files_of_their_own(tmp_path: Path) -> None:
    names = ("τ = 1", "τ = 1!", "../../1", "σ")
    folder = ResultsFolder(tmp_path, Comparison(tuple(Condition(name, SMALL) for name in names), 3, (0,), starts=2))
    for condition in folder.comparison.conditions:
        folder.add(made(condition, 0, -1, -2))
    assert folder.missing() == []
    assert {path.parent for path in tmp_path.rglob("*.seed-0.json")} == {tmp_path / "cells"}


def test_full_disk_ends_in_one_line_and_keeps_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ResultsFolder(tmp_path, COMPARISON)
    folder.add(RESULTS["kept", 0])

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ValueError, match=r"could not be written to .+ \(No space left on device\); all cells finished"):
        folder.add(RESULTS["kept", 1])
    assert [path.name for path in (tmp_path / "cells").iterdir()] == ["00-kept.seed-0.json"]
    assert list(folder.results()) == [("kept", 0)]


def test_tables_are_written_of_what_is_there_and_hold_no_number_that_is_none(tmp_path: Path) -> None:
    summary = filled(tmp_path).write_tables()
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert (tmp_path / "results.csv").read_text() == results_csv(COMPARISON, RESULTS)
    numbers = [value for value in summary["conditions"][0]["final_return"].values() if isinstance(value, float)]
    assert all(math.isfinite(number) for number in numbers)
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.json", "cells", "results.csv", "summary.json"}
