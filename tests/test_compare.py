from __future__ import annotations

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ddpg_core.__main__ import main
from ddpg_core.checkpoint import write_whole
from ddpg_core.compare_command import table
from ddpg_core.condition_sets import CONDITION_SETS
from ddpg_core.results import ResultsFolder

ROOT = Path(__file__).parent.parent
TINY = {"hidden": [8], "batch_size": 16, "warmup_steps": 32}
DATA: dict[str, Any] = {
    "title": "Tiny",
    "starts": 2,
    "conditions": [
        {"name": "kept", "set": TINY},
        {"name": "pulled", "set": TINY, "at": [{"episode": 1, "set": {"replay": "latest", "batch_size": 1}}]},
    ],
}


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("conditions") / "tiny.json"
    path.write_text(json.dumps(DATA))
    return str(path)


@pytest.fixture(scope="module")
def folder(conditions: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes of two seeds of both conditions; nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert compare(conditions, folder) == 0
    return folder


def compare(conditions: str, folder: Path, *arguments: str, seeds: int = 2) -> int:
    return main(["compare", conditions, "--seeds", str(seeds), "--episodes", "2", "--out", str(folder), *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_compare_writes_a_file_a_run_a_table_and_a_summary(folder: Path) -> None:
    runs = {f"cells/{name}.seed-{seed}.json" for name in ("00-kept", "01-pulled") for seed in (0, 1)}
    assert contents(folder).keys() == {*runs, "comparison.json", "results.csv", "summary.json"}
    with (folder / "results.csv").open(newline="") as file:
        assert [row[:3] for row in csv.reader(file)][1:4] == [
            ["kept", "0", "0"],
            ["kept", "0", "1"],
            ["kept", "1", "0"],
        ]
    summary = json.loads((folder / "summary.json").read_text())
    assert [(each["name"], each["seeds"]) for each in summary["conditions"]] == [("kept", [0, 1]), ("pulled", [0, 1])]


def test_files_are_the_same_however_many_workers_made_them(folder: Path, conditions: str, tmp_path: Path) -> None:
    assert compare(conditions, tmp_path, "--workers", "1") == 0
    assert contents(tmp_path) == contents(folder)


def test_running_again_computes_only_what_is_missing(
    folder: Path, conditions: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(conditions, tmp_path) == 0
    (tmp_path / "cells" / "01-pulled.seed-1.json").unlink()
    (tmp_path / "summary.json").unlink()
    capsys.readouterr()
    assert compare(conditions, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 of 4 runs are there already"
    assert [line for line in lines if line.startswith("run ")] == [lines[1]]
    assert lines[1].startswith("run    1/1   pulled, seed 1: return -")
    assert contents(tmp_path) == contents(folder)


def test_a_comparison_grows_by_seeds(folder: Path, conditions: str, tmp_path: Path) -> None:
    assert compare(conditions, tmp_path, seeds=1) == 0
    assert compare(conditions, tmp_path, seeds=2) == 0
    assert contents(tmp_path) == contents(folder)


def test_first_seed_is_that_of_the_first_run(conditions: str, tmp_path: Path, folder: Path) -> None:
    assert compare(conditions, tmp_path, "--first-seed", "1", seeds=1) == 0
    name = "cells/00-kept.seed-1.json"
    assert contents(tmp_path)[name] == contents(folder)[name]
    assert len(contents(tmp_path / "cells")) == 2


def test_table_says_seeds_intervals_and_verdicts_in_words(
    folder: Path, conditions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(conditions, folder) == 0  # nothing is left to compute
    output = capsys.readouterr().out
    assert output.splitlines()[0] == "4 of 4 runs are there already"
    assert table(json.loads((folder / "summary.json").read_text())) in output
    assert "2 episodes, seeds 0, 1; returns without noise on 2 fixed starts" in output
    header, _, kept, pulled = (line for line in output.splitlines() if line.startswith("|"))
    assert header.split(" | ")[-1] == "F at 2 |"
    assert kept.startswith("| kept | −")
    assert " | – | – | – | " in kept
    assert pulled.count("too few seeds to tell") == 2
    assert "never" in pulled
    assert "wrote " in output.splitlines()[-1]


@pytest.mark.parametrize("name", CONDITION_SETS)
def test_every_set_is_asked_for_by_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Asked(ResultsFolder):
        def __init__(self, path: Path, comparison: Any) -> None:
            asked.append(comparison)
            raise ValueError("enough")

    monkeypatch.setattr("ddpg_core.compare_command.ResultsFolder", Asked)
    assert main(["compare", name, "--out", str(tmp_path)]) == 2
    assert asked.pop() == CONDITION_SETS[name]
    assert main(["compare", name, "--seeds", "3", "--episodes", "50", "--out", str(tmp_path)]) == 2
    assert (asked[0].seeds, asked[0].episodes, asked[0].evaluate_at[-1]) == ((0, 1, 2), 50, 50)


def test_table_rounds_to_a_zero_without_a_sign(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    summary["conditions"][0]["forgetting"]["2"] = {"median": -0.001, "low": -0.006, "high": 0.0}
    assert "| 0.00 [−0.01, 0.00] |" in table(summary)


# --- what goes wrong --------------------------------------------------------------------------------------------------

BAD = [
    (["compare"], "CONDITIONS, --out"),
    (["compare", "noise"], "--out"),
    (["compare", "nose", "--out", "{new}"], "CONDITIONS must be a JSON file or one of replay, target-network, "),
    (["compare", "{old}", "--out", "{new}"], "CONDITIONS must be a JSON file or one of "),
    (["compare", "{broken}", "--out", "{new}"], "conditions must be JSON, got text that is not"),
    (["compare", "{large}", "--out", "{new}"], "CONDITIONS must be a file of at most 1 MiB"),
    (["compare", "noise", "--out", "{old}"], "which has other episodes, evaluate_at, starts, conditions"),
    (["compare", "noise", "--out", "{broken}"], "the results folder must be a new one or one of this comparison, got "),
    (["compare", "noise", "--seeds", "0", "--out", "{new}"], "--seeds: expected a whole number from 1, got '0'"),
    (["compare", "noise", "--seeds", "99999", "--out", "{new}"], "seeds must be 1 to 1000, all different, got 99999"),
    (["compare", "noise", "--first-seed", "4294967295", "--out", "{new}"], "seed must be a whole number in [0, "),
    (["compare", "noise", "--episodes", "x", "--out", "{new}"], "--episodes: expected a whole number from 1, got 'x'"),
    (["compare", "noise", "--episodes", "99999", "--out", "{new}"], "episodes must be a whole number in [1, 32768]"),
    (["compare", "forgetting", "--episodes", "40", "--out", "{new}"], "changes must come before the end at episode 40"),
    (["compare", "noise", "--workers", "0", "--out", "{new}"], "--workers: expected a whole number from 1, got '0'"),
    (["compare", "noise", "--workers", "2", "--cluster", "x", "--out", "{new}"], "not allowed with argument --workers"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(line)[:60] for line, _ in BAD])
def test_bad_input_ends_in_one_line_and_exit_code_two(
    arguments: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {name: str(tmp_path / name) for name in ("new", "broken", "large")} | {"old": str(folder)}
    Path(places["broken"]).write_text("{")
    Path(places["large"]).write_text(" " * (1 << 20) + "{}")
    before = contents(folder)
    try:
        code = main([argument.format(**places) for argument in arguments])
    except SystemExit as stop:  # how argparse ends
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    (line,) = captured.err.splitlines()
    assert message in line
    assert len(line) < 500
    assert not Path(places["new"]).exists()
    assert contents(folder) == before


def test_full_disk_ends_in_one_line_and_the_same_command_goes_on(
    folder: Path, conditions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Path] = []

    def write(path: Path, data: bytes) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        write_whole(path, data)

    monkeypatch.setattr("ddpg_core.results.write_whole", write)
    assert compare(conditions, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "could not be written to" in line
    assert "(No space left on device); all cells finished before are kept" in line
    assert len(contents(tmp_path / "cells")) == 1
    monkeypatch.undo()
    assert compare(conditions, tmp_path) == 0
    assert contents(tmp_path) == contents(folder)


def command(conditions: str, folder: Path, seeds: int, *arguments: str) -> list[str]:
    start = [sys.executable, "-m", "ddpg_core", "compare", conditions, "--seeds", str(seeds)]
    return [*start, "--episodes", "2", "--out", str(folder), *arguments]


def test_ctrl_c_keeps_finished_runs_and_says_how_to_go_on(folder: Path, conditions: str, tmp_path: Path) -> None:
    out = tmp_path / "interrupted"
    arguments = command(conditions, out, 500, "--workers", "2")
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(4):
        assert process.stdout.readline().startswith("run ")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    runs = contents(out / "cells")
    assert 4 <= len(runs) < 1000
    assert len(runs) == 4 + output.count("run ")
    go_on = f"python -m ddpg_core compare {conditions} --seeds 500 --episodes 2 --workers 2 --out {out}"
    assert errors == f"interrupted; {len(runs)} of 1000 runs are saved; go on with: {go_on}\n"
    assert json.loads((out / "summary.json").read_text())["conditions"][0]["seeds"][:2] == [0, 1]
    assert compare(conditions, out) == 0
    again = contents(folder)
    assert {name: data for name, data in contents(out).items() if name in again} == again


def test_progress_is_a_bar_on_a_terminal(conditions: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    arguments = command(conditions, tmp_path / "bar", 1)
    parts: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                parts.append(part)
        except OSError:  # the other end was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(arguments, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert (done.returncode, done.stderr) == (0, b"")
    output = b"".join(parts).decode()
    assert "█" * 30 + " 2/2 runs" in output
    assert "░ 0/2 runs" in output
    assert "\nrun " not in output
