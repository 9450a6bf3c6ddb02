from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddpg_core.__main__ import main
from ddpg_core.checkpoint import load_checkpoint, save_checkpoint
from ddpg_core.config import PRESET_NOTES, PRESETS, SETTINGS
from ddpg_core.metrics import evaluate
from ddpg_core.recipe import Recipe
from tests.helpers import assert_equal_runs, trained

ROOT = Path(__file__).parent.parent
TINY = ["--set", "hidden=8", "batch_size=16", "warmup_steps=32"]
FILES = {"recipe.json", "episodes.csv", "checkpoint.safetensors", "summary.json"}


def train(folder: Path, *arguments: str, episodes: int = 1) -> int:
    return main(["train", *TINY, "--episodes", str(episodes), "--out", str(folder), *arguments])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ddpg_core", *arguments]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `train` wrote for two episodes of seed 3; nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    assert train(folder, "--seed", "3", episodes=2) == 0
    return folder


def test_presets_lists_every_preset_and_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[1 : 1 + len(PRESETS)] == list(PRESETS)
    assert {line.split()[0] for line in lines if line} >= {*SETTINGS, *PRESET_NOTES}
    (tau,) = (line for line in lines if line.startswith("tau "))
    assert tau.split()[1:5] == ["0.01"] * 4


def test_train_writes_its_four_files_whole(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    run = load_checkpoint(folder / "checkpoint.safetensors")
    assert Recipe.from_json((folder / "recipe.json").read_text()) == run.recipe
    assert (run.recipe.seed, run.episode, run.env_steps) == (3, 2, 400)
    with (folder / "episodes.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:4] == ["episode", "return", "length", "env_steps"]
    returns = run.logs.episodes.read("episode_return")
    assert [(int(r[0]), float(r[1]), int(r[2]), int(r[3])) for r in rows] == [
        (0, returns[0], 200, 200),
        (1, returns[1], 200, 400),
    ]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["preset"] == "fast"
    assert summary["changed"] == {"hidden": "8", "batch_size": "16", "warmup_steps": "32"}
    assert (summary["seed"], summary["episodes"], summary["env_steps"], summary["updates"]) == (3, 2, 400, 369)
    assert summary["last_return"] == returns[1]
    assert summary["diverged"] is None


def test_engine_is_the_compiled_one_unless_another_is_chosen_and_both_train_alike(folder: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "torch", "--seed", "3", "--engine", "torch") == 0
    runs = [load_checkpoint(place / "checkpoint.safetensors") for place in (folder, tmp_path / "torch")]
    told = [json.loads((place / "summary.json").read_text())["engine"] for place in (folder, tmp_path / "torch")]
    assert told == [run.recipe.config.engine for run in runs] == ["fused", "torch"]
    for column in ("critic_loss", "q_mean", "actor_grad_norm"):
        fused, torch = (run.logs.updates.read(column, 0, 50) for run in runs)
        np.testing.assert_allclose(fused, torch, rtol=1e-3, atol=1e-5)


def test_resuming_equals_never_having_stopped(folder: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "whole", "--seed", "3", episodes=3) == 0
    assert main(["train", "--resume", str(folder), "--episodes", "3", "--out", str(tmp_path / "resumed")]) == 0
    for name in FILES - {"summary.json"}:
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert load_checkpoint(folder / "checkpoint.safetensors").episode == 2


def test_resuming_without_out_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    assert train(tmp_path) == 0
    assert main(["train", "--resume", str(tmp_path), "--episodes", "2"]) == 0
    assert load_checkpoint(tmp_path / "checkpoint.safetensors").episode == 2
    assert len((tmp_path / "episodes.csv").read_text().splitlines()) == 3


def test_set_and_at_repeat_and_take_several_assignments(tmp_path: Path) -> None:
    arguments = ["--set", "tau=0.5", "hidden=4-3", "--set", "noise=none", "--engine", "torch", "--preset", "textbook"]
    arguments += ["--at", "60", "replay=latest", "batch_size=1", "--at", "40", "tau=0.25", "--at", "60", "gamma=0.5"]
    assert train(tmp_path, *arguments) == 0
    recipe = Recipe.from_json((tmp_path / "recipe.json").read_text())
    changed = {"tau": 0.5, "hidden": (4, 3), "noise": "none", "engine": "torch", "batch_size": 16, "warmup_steps": 32}
    assert recipe.config == PRESETS["textbook"].changed(changed)
    assert [(item.step, item.changes) for item in recipe.interventions] == [
        (40, {"tau": 0.25}),
        (60, {"replay": "latest", "batch_size": 1}),
        (60, {"gamma": 0.5}),
    ]


def test_progress_is_plain_lines_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, episodes=2) == 0
    output = capsys.readouterr().out
    assert "\r" not in output
    assert [line.split()[:2] for line in output.splitlines()[:2]] == [
        ["episode", "1/2"],
        ["episode", "2/2"],
    ]
    assert "return" in output
    assert "steps/s" in output


def test_evaluate_prints_one_json_object_that_equals_the_cores_figures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(folder), "--episodes", "3", "--seed", "5", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert list(result) == ["return_mean", "return_std", "returns", "regret_mean", "episodes", "seed"]
    run = load_checkpoint(folder / "checkpoint.safetensors")
    expected = evaluate(run.act, run.config, 3, 5)
    assert result["returns"] == expected.returns.tolist()
    assert result["return_mean"] == pytest.approx(np.mean(result["returns"]))
    assert expected.regrets is not None
    assert result["regret_mean"] == pytest.approx(expected.regrets.mean())
    assert (result["episodes"], result["seed"]) == (3, 5)


def test_evaluate_tells_a_person_what_was_evaluated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(folder), "--episodes", "2"]) == 0
    output = capsys.readouterr().out
    assert "2 fixed starts (seed 0), no noise, after 2 episodes of training" in output
    assert "return -" in output
    assert "regret " in output


BAD = [
    ([], "COMMAND"),
    (["fly"], "'fly'"),
    (["train"], "--out must name a folder to write to, got none"),
    (["train", "--out", "{new}", "--preset", "slow"], "invalid choice: 'slow'"),
    (["train", "--out", "{new}", "--seed", "-1"], "--seed: expected a whole number from 0, got '-1'"),
    (["train", "--out", "{new}", "--seed", "1.5"], "--seed: expected a whole number from 0, got '1.5'"),
    (["train", "--out", "{new}", "--seed", "4294967296"], "seed must be a whole number in [0, 4294967295]"),
    (["train", "--out", "{new}", "--seed", "9" * 5000], "--seed: expected a whole number from 0, got '999"),
    (["train", "--out", "{new}", "--episodes", "0"], "--episodes: expected a whole number from 1, got '0'"),
    (["train", "--out", "{new}", "--episodes", "many"], "--episodes: expected a whole number from 1, got 'many'"),
    (["train", "--out", "{new}", "--engine", "gpu"], "invalid choice: 'gpu'"),
    (["train", "--out", "{new}", "--wings"], "--wings"),
    (["train", "--out", "{new}", "--set"], "--set: expected at least one argument"),
    (["train", "--out", "{new}", "--set", "tau"], "--set must be NAME=VALUE, got 'tau'"),
    (["train", "--out", "{new}", "--set", "=1"], "setting must be one of those listed by `presets`, got ''"),
    (["train", "--out", "{new}", "--set", "tao=1"], "got 'tao'; did you mean tau?"),
    (["train", "--out", "{new}", "--set", "tau="], "tau must be a number, got ''"),
    (["train", "--out", "{new}", "--set", "tau=1=2"], "tau must be a number, got '1=2'"),
    (["train", "--out", "{new}", "--set", "tau=2"], "tau must be in [1e-05, 1], got 2.0"),
    (["train", "--out", "{new}", "--set", "tau=nan"], "tau must be in [1e-05, 1], got nan"),
    (["train", "--out", "{new}", "--set", "tau=1e999"], "tau must be in [1e-05, 1], got inf"),
    (["train", "--out", "{new}", "--set", "batch_size=1e3"], "batch_size must be a whole number, got '1e3'"),
    (["train", "--out", "{new}", "--set", "batch_size=" + "9" * 5000], "batch_size must be a whole number"),
    (["train", "--out", "{new}", "--set", "env_id=os:system"], "env_id must be one of Pendulum-v1, Mountain"),
    (["train", "--out", "{new}", "--set", "noise_reset=1"], "noise_reset must be true or false, got '1'"),
    (["train", "--out", "{new}", "--set", "hidden=9999"], "hidden must be 1 to 4 layers"),
    (["train", "--out", "{new}", "--set", "tau=line\nbreak"], "tau must be a number"),
    (["train", "--out", "{new}", "--at", "soon", "tau=1"], "--at must start with an env step, got 'soon'"),
    (["train", "--out", "{new}", "--at", "-5", "tau=1"], "-5"),
    (["train", "--out", "{new}", "--at", "9" * 5000, "tau=1"], "--at must start with an env step, got '999"),
    (["train", "--out", "{new}", "--at", "100"], "--at 100 must be followed by NAME=VALUE, got none"),
    (["train", "--out", "{new}", "--at", "100", "tau"], "--at must be NAME=VALUE, got 'tau'"),
    (["train", "--out", "{new}", "--at", "99999999", "tau=1"], "intervention step must be a whole number in [0, "),
    (["train", "--out", "{new}", "--at", "100", "hidden=8"], "hidden must be set before the run starts"),
    (["train", "--out", "{new}", "--at", "100", "tau=7"], "tau must be in [1e-05, 1], got 7.0"),
    (["train", "--out", "{saved}"], "--out must be a folder without a saved run (use --resume), got "),
    (["train", "--out", "{file}"], "--out must be a folder, got the file "),
    (["train", "--out", "{file}/below"], "{file}"),
    (["train", "--resume", "{new}"], "checkpoint must be a readable file, got "),
    (["train", "--resume", "{broken}"], "checkpoint must be "),
    (["train", "--resume", "{saved}", "--seed", "1"], "--resume goes on with the saved recipe: leave out --seed"),
    (
        [
            "train",
            "--resume",
            "{saved}",
            "--preset",
            "fast",
            "--set",
            "tau=1",
            "--at",
            "9",
            "tau=1",
            "--engine",
            "auto",
        ],
        "leave out --preset, --set, --at, --engine",
    ),
    (["evaluate"], "DIR"),
    (["evaluate", "{new}"], "checkpoint must be a readable file, got "),
    (["evaluate", "{broken}"], "checkpoint must be "),
    (["evaluate", "{saved}", "--episodes", "0"], "--episodes: expected a whole number from 1, got '0'"),
    (["evaluate", "{saved}", "--seed", "x"], "--seed: expected a whole number from 0, got 'x'"),
    (["evaluate", "{diverged}"], "an agent that learned, got one that diverged at step 40"),
]


@pytest.fixture(scope="module")
def places(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders good and bad, by the names the table uses."""
    root = tmp_path_factory.mktemp("places")
    (root / "file").write_text("no folder")
    (root / "broken").mkdir()
    (root / "broken" / "checkpoint.safetensors").write_bytes(b"\x80\x04pickle")
    run = trained(40)
    run.learner.critic[:] = np.nan
    run.step()
    save_checkpoint(run, root / "diverged" / "checkpoint.safetensors")
    return {name: str(root / name) for name in ("new", "file", "broken", "diverged")} | {"saved": str(folder)}


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(line)[:60] for line, _ in BAD])
def test_bad_input_ends_in_one_line_and_exit_code_two(
    arguments: list[str], message: str, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main([argument.format(**places) for argument in arguments])
    except SystemExit as stop:  # how argparse ends
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert message.format(**places) in line
    assert len(line) < 500
    assert not Path(places["new"]).exists()


def test_bad_input_in_a_process_of_its_own_ends_the_same_way(tmp_path: Path) -> None:
    arguments = command("train", "--set", "tau=2", "--out", str(tmp_path / "x"))
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ddpg_core: tau must be in [1e-05, 1], got 2.0\n"


def test_divergence_is_saved_and_exits_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hopeless = ["--set", "critic_lr=1", "actor_lr=1", "tau=1", "gamma=1", "updates_per_step=16", "hidden=64-64-64-64"]
    assert train(tmp_path, *hopeless, episodes=50) == 1
    (line,) = capsys.readouterr().err.splitlines()
    run = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert run.divergence is not None
    assert line == f"diverged at step {run.divergence.step}: {run.divergence.cause}"
    assert json.loads((tmp_path / "summary.json").read_text())["diverged"] == run.divergence.cause
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_ctrl_c_saves_and_says_how_to_go_on_and_going_on_equals_never_having_stopped(tmp_path: Path) -> None:
    arguments = command("train", *TINY, "--seed", "1", "--episodes", "500", "--out", str(tmp_path / "run"))
    arguments += ["--engine", "torch"]  # the other says so if it has to be compiled
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("episode ")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    go_on = f"python -m ddpg_core train --resume {tmp_path / 'run'} --episodes 500"
    assert errors == f"interrupted and saved; go on with: {go_on}\n"
    run = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert 1 <= run.episode < 500
    episodes = run.episode + 1
    assert main(["train", "--resume", str(tmp_path / "run"), "--episodes", str(episodes)]) == 0
    resumed = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert_equal_runs(resumed, trained(200 * episodes, resumed.recipe.config, 1))
