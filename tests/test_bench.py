from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ddpg_core import bench, timing
from ddpg_core.__main__ import main
from ddpg_core.bench import MATMUL_OPERATIONS, Size, against_floor, growing, step_call
from ddpg_core.timing import Progress, calls_a_second, in_turns, quartiles, spread, table
from tests.benchmarks import bench as race
from tests.benchmarks import engines
from tests.benchmarks.peers import FILL_STEPS, plain

ROOT = Path(__file__).parent.parent
TINY = Size((4,), 8, 300)
QUIET = Progress(1)


class Clock(SimpleNamespace):
    """Time that passes only when told to, in place of the module `time`."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    process_time = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """All that `bench` measures, of tiny networks in two rounds; nobody may change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "TURN_S", 0.001)
        patch.setattr(timing, "THREAD_TURN_S", 0.005)
        growth = {"batch": {1: Size((4,), 1, 300), 8: TINY}}
        return bench.measure(2, (TINY, Size((4, 4), 2, 300)), growth)


# --- timing -------------------------------------------------------------------------------------------------------


def test_everything_is_called_in_turns_for_about_as_long_and_told_for_one_call(clock: Clock) -> None:
    order = []

    def lasting(name: str, seconds: float) -> Any:
        def call() -> None:
            order.append(name)
            clock.now += seconds

        return call

    calls = {"a": lasting("a", 0.004), "b": lasting("b", 0.02)}
    took = in_turns(calls, 3, QUIET, "")
    assert "".join(order) == "aabb" + "aab" * 3  # two of each beforehand; 10 ms hold two of 4 ms, and one of 20 ms
    np.testing.assert_allclose(took["a"], [0.004] * 3)
    np.testing.assert_allclose(took["b"], [0.02] * 3)


def test_calls_of_all_threads_are_counted(clock: Clock) -> None:
    def call() -> None:
        clock.now += 0.01

    assert calls_a_second([call], 0.1) == pytest.approx(100, rel=0.2)
    counted = [0, 0]

    def counting(number: int) -> Any:
        def call() -> None:
            counted[number] += 1
            clock.now += 0.01

        return call

    start = clock.now
    rate = calls_a_second([counting(0), counting(1)], 0.1)
    assert rate == pytest.approx(sum(counted) / (clock.now - start))


def test_quartiles_of_five_numbers_are_the_second_third_and_fourth() -> None:
    assert quartiles([5, 1, 4, 2, 3]) == {"low": 2, "median": 3, "high": 4}


def test_a_tables_columns_line_up() -> None:
    assert table(["a", "bb"], [["long", "1"], ["b", "100"]]).splitlines() == [
        "| a    |  bb |",
        "| ---- | --: |",
        "| long |   1 |",
        "| b    | 100 |",
    ]


def test_progress_is_one_line_on_a_terminal_wiped_at_the_end_and_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for terminal in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(4) as tell:
            tell("one")
            tell("two")
        text = stream.getvalue()
        assert "\n" not in text
        assert [line.split() for line in text.split("\r") if line.strip()] == (
            [["25%", "one"], ["50%", "two"]] if terminal else []
        )
        assert not text or text.split("\r")[-2] == " " * 60


# --- python -m ddpg_core bench ------------------------------------------------------------------------------------


def test_operations_of_an_update_are_those_counted_by_hand() -> None:
    # Actor 3-2-1: 8 weights; critic 4-2-1: 10. Forward 2·8 + 3·10; back through the critic 10 + 2, through it to the
    # action 2 + 2, through the actor 8 + 2. Each of the 72 is a multiplication and an addition a transition.
    assert Size((2,), 5).operations == 2 * 72 * 5


def test_floor_is_the_operations_at_the_rate_of_the_matrix_product_of_the_same_round() -> None:
    size = Size((2,), 1000)
    matmul = np.array([1e-3, 5e-3, 2e-3])  # the machine was five times as slow in the second round
    floor = matmul * 144_000 / MATMUL_OPERATIONS
    took = {"matmul": matmul, "torch step": 40 * floor, "fused step": np.full(3, 1e-4)}
    told = against_floor(size, took | {"torch update": 30 * floor, "fused update": np.array([2, 4, 3]) * floor})
    assert told["engines"]["torch"]["times_floor"] == pytest.approx({"low": 30, "median": 30, "high": 30})
    assert told["engines"]["fused"]["times_floor"] == pytest.approx({"low": 2.5, "median": 3, "high": 3.5})
    assert told["engines"]["fused"]["steps_per_s"]["median"] == pytest.approx(10_000)
    assert told["floor_us"]["median"] == pytest.approx(144_000 / MATMUL_OPERATIONS * 2e3)
    assert told["matmul_gflop_per_s"]["high"] == pytest.approx(MATMUL_OPERATIONS * (1 / 1e-3 + 1 / 2e-3) / 2 / 1e9)
    assert told["mflop"] == pytest.approx(0.144)
    assert (told["name"], told["hidden"], told["batch"]) == ("2, batch 1000", [2], 1000)


def test_growth_is_the_ratio_to_the_first_within_a_round() -> None:
    slow = np.array([1.0, 3.0])
    took = {"torch 1": slow, "torch 8": 2 * slow, "fused 1": slow / 10, "fused 8": slow / 5 * np.array([1, 2])}
    first, second = growing([1, 8], took)
    assert (first["value"], second["value"]) == (1, 8)
    assert first["engines"]["torch"]["times_first"] == {"low": 1, "median": 1, "high": 1}
    assert second["engines"]["torch"]["times_first"] == {"low": 2, "median": 2, "high": 2}
    assert second["engines"]["torch"]["step_us"]["median"] == pytest.approx(4e6)
    assert second["engines"]["fused"]["times_first"] == pytest.approx({"low": 2.5, "median": 3, "high": 3.5})


@pytest.mark.parametrize("engine", bench.ENGINES)
def test_a_timed_step_is_one_of_a_run_whose_replay_window_is_full(engine: str) -> None:
    step = step_call(engine, TINY)
    run = step.func.__self__  # type: ignore[attr-defined]
    assert (run.replay_window, run.updates, run.config.engine) == (300, 0, engine)
    assert run.logs.steps.rows().any(axis=1).all()
    assert TINY.stretch == 32
    for _ in range(7):  # beyond the end of an episode
        step()
    assert (run.replay_window, run.updates, run.env_steps, run.divergence) == (300, 224, 524, None)
    assert run.episode_steps == 24


def test_results_hold_every_size_engine_and_value_and_only_finite_numbers(measured: dict[str, Any]) -> None:
    assert json.loads(json.dumps(measured)) == measured
    assert list(measured) == ["rounds", "cores", "sizes", "growth", "threads"]
    assert [size["name"] for size in measured["sizes"]] == ["4, batch 8", "4-4, batch 2"]
    assert [row["value"] for row in measured["growth"]["batch"]] == [1, 8]
    for told in (*measured["sizes"], *measured["growth"]["batch"]):
        assert list(told["engines"]) == ["torch", "fused"]
    assert [list(told["two_threads_by_one"]) for told in measured["threads"]] == [["steps", "updates"]] * 2
    spreads = re.findall(r'"low": ([^,]+), "median": ([^,]+), "high": ([^,}]+)', json.dumps(measured))
    assert len(spreads) == 2 * (2 + 2 * 3) + 2 * 2 * 2 + 2 * 2
    for low, median, high in spreads:
        assert 0 < float(low) <= float(median) <= float(high) < math.inf


def test_a_person_is_told_the_same_numbers(measured: dict[str, Any]) -> None:
    text = bench.report(measured)
    (line,) = (line for line in text.splitlines() if line.startswith("| 4, batch 8 ") and " fused " in line)
    told = measured["sizes"][0]["engines"]["fused"]
    assert f"{told['steps_per_s']['median']:,.0f}" in line
    assert spread(told["times_floor"]) in line
    assert spread(measured["threads"][1]["two_threads_by_one"]["steps"]) in text


def test_bench_prints_one_json_object_or_tables(
    measured: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    monkeypatch.setattr(bench, "measure", lambda *arguments: asked.append(arguments) or measured)
    assert main(["bench", "--json", "--rounds", "3", "--size", "4-5/16", "6/1"]) == 0
    assert json.loads(capsys.readouterr().out) == measured
    assert main(["bench"]) == 0
    assert capsys.readouterr().out == bench.report(measured) + "\n"
    assert asked == [(3, [Size((4, 5), 16), Size((6,), 1)], {}), (25, bench.SIZES, bench.GROWTH)]


def test_ctrl_c_ends_bench_in_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "measure", stopped)
    assert main(["bench", "--json"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


@pytest.mark.parametrize("rounds", ["1", "0", "-1", "two", "2.5", "9" * 5000])
def test_bench_with_bad_rounds_ends_in_one_line_and_exit_code_two(
    rounds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--rounds", rounds])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "argument --rounds: expected" in line
    assert len(line) < 300


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("64-64", "--size must be units and a batch like 64-64/128, got '64-64'"),
        ("/1", "hidden must be layers like 64-64, got ''"),
        ("64/", "batch_size must be a whole number, got ''"),
        ("64/0", "batch_size must be a whole number in [1, 4096], got 0"),
        ("9999/1", "hidden must be 1 to 4 layers of 1 to 512 units"),
        ("8/1/1", "batch_size must be a whole number, got '1/1'"),
    ],
)
def test_bench_of_a_size_that_no_run_can_have_ends_in_one_line_and_exit_code_two(
    size: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--size", size]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"ddpg_core: {message}")


# --- tests/benchmarks ---------------------------------------------------------------------------------------------

CASE = race.Case("8", 16, race.EVERYBODY, {"sb3": 20, "sbx": 6})


def slices(*cpu_s: float, rss: float = 100) -> list[dict[str, float]]:
    return [{"cpu_s": each, "wall_s": 2 * each, "updates": 1, "peak_rss_mb": rss} for each in cpu_s]


@pytest.fixture
def judged() -> dict[str, Any]:
    """Two rounds, of which the second was twice as slow for all; slices of different lengths."""
    titles = {"ours:fused": "DDPG Lab, fused", "ours:torch": "DDPG Lab, torch", "sb3": "SB3 1.0", "sbx": "sbx 2.0"}
    steps = {"ours:fused": 1000, "ours:torch": 100, "sb3": 10, "sbx": 50}
    took = {
        "ours:fused": slices(0.1, 0.2),
        "ours:torch": slices(0.1, 0.2),
        "sb3": slices(0.024, 0.048, rss=321),
        "sbx": slices(0.025, 0.05),
    }
    return race.judged(CASE, titles, steps, took)


def test_ratios_are_per_step_and_to_our_faster_engine_in_the_same_round(judged: dict[str, Any]) -> None:
    assert judged["fastest"] == "ours:fused"
    ratios = {side: told["ratio"] for side, told in judged["sides"].items()}
    for side, ratio in {"ours:fused": 1, "ours:torch": 10, "sb3": 24, "sbx": 5}.items():
        assert ratios[side] == pytest.approx({"low": ratio, "median": ratio, "high": ratio}), side
    assert judged["sides"]["sb3"]["steps_per_cpu_s"]["median"] == pytest.approx((10 / 0.024 + 10 / 0.048) / 2)
    assert judged["sides"]["sb3"]["steps_per_wall_s"]["median"] == pytest.approx((10 / 0.048 + 10 / 0.096) / 2)
    assert {side: told["met"] for side, told in judged["targets"].items()} == {"sb3": True, "sbx": False}


def test_report_has_a_row_a_side_a_column_a_case_and_a_verdict_a_target(judged: dict[str, Any]) -> None:
    alone = {**judged, "case": "4, batch 2", "sides": {"ours:fused": judged["sides"]["ours:fused"]}, "targets": {}}
    cells, verdicts = race.report([judged, alone]).split("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in cells.splitlines()]
    assert rows[0] == ["steps per CPU second", "8, batch 16", "4, batch 2", "peak MB"]
    assert rows[2] == ["DDPG Lab, fused", "**7,500**", "**7,500**", "100"]
    assert rows[4] == ["SB3 1.0", "312 · 24× (24–24)", "–", "321"]
    assert verdicts.splitlines() == [
        "8, batch 16: 24.00 times sb3 (target 20: met), 5.00 times sbx (target 6: MISSED)",
        "4, batch 2: nobody to compare with",
    ]


def test_who_cannot_be_installed_is_left_out_and_said_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(command: list[Any], **_: Any) -> None:
        if "pip" in command:
            raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(race, "ROOT", tmp_path)
    monkeypatch.setattr(race, "ENVIRONMENTS", tmp_path / "peers")
    monkeypatch.setattr(race.subprocess, "run", failing)
    assert list(race.environments(["ours:fused", "sb3"])) == ["ours:fused"]
    assert capsys.readouterr().err.splitlines() == [
        "installing sb3 into peers/sb3 …",
        "sb3 is left out: its environment could not be installed (exit code 1)",
    ]


def test_every_peer_has_exact_releases_and_shares_ours_where_it_has_the_same_package() -> None:
    ours = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split())
    for side in race.EVERYBODY:
        name, *engine = side.split(":")
        assert (race.REQUIREMENTS / f"{name}.py").exists()
        if engine:
            continue
        lines = [line for line in (race.REQUIREMENTS / f"{name}.txt").read_text().splitlines() if line[0] != "#"]
        pins = dict(line.split(";")[0].strip().split("==") for line in lines)
        assert pins["gymnasium"] == ours["gymnasium"]
        assert pins.get("torch", ours["torch"]) == ours["torch"], side


def test_a_worker_says_who_it_is_and_answers_each_slice() -> None:
    arguments = [sys.executable, "-m", "tests.benchmarks.worker", "ours:fused", "8", "16"]
    done = subprocess.run(arguments, cwd=ROOT, input="3\n1\n", capture_output=True, text=True, check=True)
    ready, *answers = map(json.loads, done.stdout.splitlines())
    assert ready == {"title": "DDPG Lab, fused"}
    assert [answer["updates"] for answer in answers] == [3, 1]
    for answer in answers:
        assert answer["cpu_s"] > 0
        assert 1 < answer["peak_rss_mb"] < 10_000


def test_plain_pytorch_makes_one_update_a_step_once_the_buffer_is_filled() -> None:
    advance, updates = plain.make([8], 16)
    advance(FILL_STEPS - 1)
    assert updates() == 0
    advance(5)
    assert updates() == 5


def test_plain_pytorch_makes_the_update_of_the_reference_engine() -> None:
    import torch

    from ddpg_core.config import Config
    from ddpg_core.learner import Batch, LearnerState
    from ddpg_core.learner.torch_engine import TorchEngine
    from ddpg_core.networks import MLP

    training = plain.Training([8], 16)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(16, width)).astype(np.float32) for width in (3, 1, 1, 3)]
    batch = Batch(parts[0], parts[1], parts[2][:, 0], parts[3], np.zeros(16, np.float32))
    state = LearnerState(MLP((3, 8, 1), True), MLP((4, 8, 1), False))
    nets = (training.actor, training.critic)

    def flat(*nets: torch.nn.Module) -> Any:
        return torch.nn.utils.parameters_to_vector([p for net in nets for p in net.parameters()]).detach().numpy()

    state.online[:] = state.target[:] = flat(*nets)
    training.buffer.sample = lambda *_: [torch.from_numpy(np.ascontiguousarray(part)) for part in batch]  # type: ignore
    engine = TorchEngine(state)
    for _ in range(3):
        training.update()
        engine.update(batch, Config(l2=0.0), 1e-3, 1e-3, training.scale.numpy())
    np.testing.assert_allclose(flat(*nets), state.online, atol=2e-5)
    np.testing.assert_allclose(flat(training.actor_target, training.critic_target), state.target, atol=2e-5)


def test_engines_are_held_to_their_targets() -> None:
    def told(times: float) -> dict[str, Any]:
        return {engine: {"times_floor": {"median": times + more}} for engine, more in (("torch", 9), ("fused", 0))}

    results = {
        "sizes": [{"name": "a", "engines": told(times)} for times in (3.9, 2.6, 1.3)],
        "threads": [{"name": "a", "two_threads_by_one": {"updates": {"median": gain}}} for gain in (1.69, 1.71)],
    }
    fresh = {"compiled": {"s": 11.0, "cpu_s": 11.0}, "on disk": {"s": 2.1, "cpu_s": 2.0}}
    assert [met for _, met in engines.verdicts(results, fresh)] == [True, False, True, False, True, True, False]
