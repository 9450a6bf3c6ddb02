from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ddpg_core.__main__ import main
from ddpg_core.checkpoint import load_checkpoint, save_checkpoint
from ddpg_core.export import FORMATS, Source, check_observations, export
from ddpg_core.policy import best_episode, file_stem, policy_at
from ddpg_core.recipe import Recipe
from tests.export_helpers import CONFIGS, expected, source, written
from tests.helpers import IDLE, trained

ROOT = Path(__file__).parent.parent
WITH_POLICY = ["onnx", "torch", "numpy", "sb3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_checkpoint(trained(200 * 14, IDLE, 4), folder / "checkpoint.safetensors")
    return folder


def test_formats_stand_in_the_order_of_the_page_and_have_names_of_their_own() -> None:
    assert list(FORMATS) == ["onnx", "torch", "numpy", "sb3", "html", "recipe", "film", "mp4", "report"]
    assert len({kind.suffix for kind in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", WITH_POLICY)
def test_every_file_acts_as_the_policy_does_in_its_own_runtime(kind: str, name: str) -> None:
    made = export(kind, source(name))
    assert made.name == file_stem(source(name).policy) + FORMATS[kind].suffix
    assert made.difference is not None
    assert 0 <= made.difference < 1e-5


@pytest.mark.parametrize("kind", WITH_POLICY)
def test_a_file_of_another_policy_is_found_out(kind: str) -> None:
    one, other = source("pendulum").policy, policy_at(trained(400, CONFIGS["pendulum"], 5), starts=1)
    observations = check_observations(one)
    difference = FORMATS[kind].largest_difference(written(kind, "pendulum"), other, observations)
    assert difference == pytest.approx(np.abs(one(observations) - other(observations)).max(), abs=1e-5)
    assert difference > 0.01


def test_a_file_that_acts_otherwise_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    other = written("onnx", "full range")
    monkeypatch.setattr("ddpg_core.export.onnx_file.write", lambda _: other)
    with pytest.raises(ValueError, match="ONNX must act as the policy does, got actions that differ by"):
        export("onnx", source("pendulum"))


@pytest.mark.parametrize("kind", WITH_POLICY)
def test_equal_sources_make_equal_files_that_say_nothing_of_this_machine(kind: str) -> None:
    data = FORMATS[kind].write(source("pendulum"))
    assert data == written(kind, "pendulum")
    assert str(ROOT).encode() not in data


def test_another_process_makes_the_same_files(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.export_helpers import written\n"
        f"for kind in {WITH_POLICY}: (Path(sys.argv[1]) / kind).write_bytes(written(kind, 'pendulum'))"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True)
    for kind in WITH_POLICY:
        assert (tmp_path / kind).read_bytes() == written(kind, "pendulum")


@pytest.mark.parametrize("name", CONFIGS)
def test_compared_observations_lie_all_over_the_space_and_expected_actions_agree(name: str) -> None:
    policy = source(name).policy
    observations, actions = expected(policy)
    assert observations.shape == (1000, policy.net.sizes[0])
    assert observations.dtype == np.float32
    np.testing.assert_allclose(policy(observations), actions, atol=1e-5)


def test_a_missing_package_is_named_with_the_line_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = dataclasses.replace(FORMATS["onnx"], packages=("onnx", "no_such_package"))
    monkeypatch.setitem(FORMATS, "onnx", absent)
    assert absent.missing() == "ONNX needs no_such_package: python -m pip install '.[onnx]'"
    with pytest.raises(ValueError, match=r"pip install '\.\[onnx\]'"):
        export("onnx", source("pendulum"))
    assert FORMATS["numpy"].missing() is None


def test_extras_of_the_project_bring_what_formats_need() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for kind in FORMATS.values():
        for package in kind.packages:
            line = next(line for line in text.splitlines() if line.startswith(f"{kind.extra} = ["))
            assert f'"{package.replace("_", "-")}==' in line


def test_a_report_needs_the_run_and_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="Report needs the run"):
        export("report", Source(source("pendulum").policy))
    with pytest.raises(ValueError, match="format must be one of onnx"):
        export("pickle", source("pendulum"))


def test_recipe_is_that_of_the_run() -> None:
    made = export("recipe", source("pendulum"))
    assert Recipe.from_json(made.data.decode()) == source("pendulum").policy.card.recipe
    assert made.difference is None


# --- the command line -------------------------------------------------------------------------------------------------


def test_command_writes_the_file_and_says_how_far_it_is_off(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "policy.onnx"
    assert main(["export", str(folder), "--format", "onnx", "--out", str(out)]) == 0
    wrote, policy, loaded = capsys.readouterr().out.splitlines()
    assert wrote.startswith(f"wrote {out}: ONNX, ")
    assert policy.startswith("policy after episode 14, return -")
    assert re.fullmatch(r"loaded back: on 1,000 observations its actions differ by \d(e-0\d)? at most", loaded)
    run = load_checkpoint(folder / "checkpoint.safetensors")
    assert out.read_bytes() == export("onnx", Source(policy_at(run), run)).data


@pytest.mark.parametrize("episode", ["best", "last", "3"])
def test_command_takes_the_best_the_last_or_any_episode(folder: Path, tmp_path: Path, episode: str) -> None:
    run = load_checkpoint(folder / "checkpoint.safetensors")
    number = {"best": best_episode(run), "last": 14, "3": 3}[episode]
    arguments = ["export", str(folder), "--format", "numpy", "--episode", episode, "--out", str(tmp_path)]
    assert main(arguments) == 0
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(rf"fast-changed-seed4-episode{number}-return-\d+\.py", file.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "onnx", "--episode", "15"], "episode must be in [0, 14], got 15"),
        (["--format", "onnx", "--episode", "-1"], "--episode"),
        (["--format", "onnx", "--episode", "worst"], "--episode must be best, last or a whole number, got 'worst'"),
        (["--format", "pickle"], "--format"),
        ([], "--format"),
    ],
)
def test_bad_input_ends_in_one_line_and_code_2(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["export", str(folder), *arguments])
    except SystemExit as stop:
        code = stop.code  # type: ignore[assignment]
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert error.count("\n") == 1


def test_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--format", "recipe"]) == 2
    assert "checkpoint must be a readable file" in capsys.readouterr().err
