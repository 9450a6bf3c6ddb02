from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.config import PRESETS, Config
from ddpg_core.noise_bench import EPISODES, STEPS, bench_of
from ddpg_core.run import Run
from pages.ui.bench import KNOBS, swing_words, table_of, trap_words
from pages.ui.bench_charts import number_charts, sketches, swing_charts
from pages.ui.exploration import clipped_words, scale_words, spread_words, trail_chart
from pages.ui.lab import Lab
from pages.ui.live import Figure
from pages.ui.trail import BLOCK, MEASURED_STEPS, Trail, trail_of
from tests.helpers import CAR, IDLE, started, trained
from tests.ui.helpers import components, diverged, on_stage, opened, press, shown, strict_json, turn, unpacked

LOUD = IDLE.changed({"noise_scale": 3.0})


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {
        "fresh": started(IDLE),
        "one step": trained(1, IDLE),
        "trained": trained(730, LOUD, 0, (450, {"gamma": 0.9})),
        "diverged": diverged(),
        "car": trained(1250, IDLE.changed(CAR)),
        "silent": trained(300, IDLE.changed({"noise": "none"})),
        "scale 0": trained(300, PRESETS["notebook"].changed({"updates_per_step": 0})),
        "never settles": trained(300, IDLE.changed({"ou_theta": 2.0})),
        "explodes": trained(100, IDLE.changed({"noise": "ou_notebook", "ou_theta": 2.0})),
    }


def trail(run: Run, episode: int | None = None) -> Trail:
    return trail_of(shown(run), run.at(episode))


def named(figure: Figure, name: str) -> dict[str, Any]:
    """x and y of a figure's line of that name."""
    (line,) = [line for line in figure["data"] if line["name"] == name]
    return {axis: unpacked(line[axis]["bdata"]) for axis in ("x", "y")}


# --- the run's own noise ----------------------------------------------------------------------------------------------


def test_trail_is_one_that_plotly_accepts_and_a_browser_reads(runs: dict[str, Run]) -> None:
    for run in runs.values():
        for episode in (None, 0, run.episode):
            copied = trail(run, episode)
            figure = trail_chart(copied)
            go.Figure(figure)
            sent = json.dumps(figure)
            strict_json(sent)
            assert len(sent) < 100_000
            words = [*clipped_words(copied), *scale_words(copied, run.config, run.episode), *spread_words(copied)]
            assert all(words)
            assert not any(bad in " ".join(words) for bad in ("nan", "inf", "-"))


def test_three_rows_are_the_logs_newest_steps_on_one_time_axis(runs: dict[str, Run]) -> None:
    run, figure = runs["trained"], trail_chart(trail(runs["trained"]))
    for name, column in {"noise": "noise", "policy": "policy_action", "executed": "action"}.items():
        line = named(figure, name)
        np.testing.assert_array_equal(line["x"], np.arange(400, 730))
        np.testing.assert_array_equal(line["y"], run.logs.steps.read(column, 400))
    assert figure["layout"]["xaxis"]["range"] == [400, 800]
    ranges = [figure["layout"][f"yaxis{row}"]["range"] for row in ("", 2, 3)]
    assert ranges[0] == ranges[1] == ranges[2]
    assert ranges[0][1] >= np.abs(run.logs.steps.read("noise", 400)).max()


def test_past_moment_shows_what_was_the_newest_then(runs: dict[str, Run]) -> None:
    figure = trail_chart(trail(runs["trained"], 2))
    np.testing.assert_array_equal(named(figure, "noise")["x"], np.arange(400))
    assert figure["layout"]["xaxis"]["range"] == [0, 400]
    assert [note["text"] for note in figure["layout"]["annotations"][-2:]] == ["episode 1", "episode 2"]


@pytest.mark.parametrize(("steps", "begin"), [(1, 0), (200, 0), (201, 0), (400, 0), (401, 200), (600, 200)])
def test_time_axis_moves_on_by_blocks(steps: int, begin: int) -> None:
    copied = trail(trained(steps, IDLE))
    assert copied.begin == begin
    assert len(copied.noise) == steps - begin <= 2 * BLOCK


def test_clipped_steps_are_those_whose_action_is_not_policy_plus_noise(runs: dict[str, Run]) -> None:
    run, copied = runs["trained"], trail(runs["trained"])
    policy, noise, action = (run.logs.steps.read(name, 400) for name in ("policy_action", "noise", "action"))
    clipped = ~np.isclose(policy + noise, action)
    assert 0.1 < clipped.mean() < 0.6
    np.testing.assert_array_equal(named(trail_chart(copied), "clipped")["x"], 400 + np.flatnonzero(clipped))
    np.testing.assert_array_equal(np.abs(named(trail_chart(copied), "clipped")["y"]), 2)
    assert clipped_words(copied)[0] == f"{clipped.mean():.0%}"


def test_episodes_and_interventions_are_marked(runs: dict[str, Run]) -> None:
    copied = trail(runs["trained"])
    assert copied.starts == ((400, 3), (600, 4))
    assert copied.marks == (450,)
    dotted = [shape["x0"] for shape in trail_chart(copied)["layout"]["shapes"] if shape["line"]["dash"] == "dot"]
    assert dotted == [450]


def test_noise_is_measured_at_the_scale_of_now() -> None:
    run = trained(1000, IDLE.changed({"noise_decay": 0.5, "noise": "gaussian"}))
    numbers = np.arange(1000) // 200
    unscaled = run.logs.steps.read("noise") / (2 * 0.5**numbers)
    spread = trail(run).spread
    assert spread.measured == pytest.approx(np.sqrt((unscaled**2).mean()) * 2 * 0.5**5, rel=1e-5)
    assert spread.expected == pytest.approx(0.2 * 2 * 0.5**5)
    assert spread.chance == pytest.approx(spread.expected / math.sqrt(2000))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 2 * 0.3772),  # 0.3797 in the long run, less over 200 steps from 0
        ({"noise_reset": False}, 2 * 0.3797),
        ({"ou_dt": 0.01}, 2 * 0.1824),
        ({"noise": "ou_notebook", "noise_range": "full"}, 4 * 0.2022),
        ({"ou_mu": 0.5}, 2 * 0.3772),
    ],
)
def test_what_is_measured_agrees_with_theory(changes: dict[str, Any], expected: float) -> None:
    copied = trail(trained(2400, IDLE.changed({"noise_decay": 1.0, **changes})))
    assert copied.spread.steps == MEASURED_STEPS
    assert copied.spread.expected == pytest.approx(expected, rel=1e-3)
    assert abs(copied.spread.measured - expected) < 3.5 * copied.spread.chance


def test_noise_is_measured_from_the_first_episode_that_its_settings_made() -> None:
    run = trained(700, IDLE, 0, (100, {"ou_sigma": 1.0}), (330, {"ou_sigma": 0.0}), (500, {"gamma": 0.9}))
    assert trail(run).spread.steps == 300
    assert trail(run).spread.measured == trail(run).spread.expected == 0
    assert trail(run, 1).spread.steps == 0
    assert "begins with the next episode" in spread_words(trail(run, 1))[1]
    run.advance(steps=99)
    assert trail(run).spread.steps == 399


def test_noise_that_is_never_reset_is_measured_once_it_forgot_its_earlier_settings() -> None:
    run = trained(700, IDLE.changed({"noise_reset": False}), 0, (100, {"ou_sigma": 1.0}), (330, {"ou_sigma": 0.0}))
    assert trail(run).spread.steps == 700 - 330 - 31  # five times 6.15 steps
    assert trail(run).spread.measured < 0.1


def test_words_say_when_measurement_and_theory_part(runs: dict[str, Run]) -> None:
    run = trained(2400, IDLE.changed({"noise_decay": 1.0}))
    assert spread_words(trail(run))[1].startswith("As theory says: 0.75 ±")
    run.logs.steps._rows[:, run.logs.steps.slices["noise"]] *= 2
    assert spread_words(trail(run))[1].startswith("Not what theory says")
    assert "never settles" in spread_words(trail(runs["never settles"]))[1]
    assert "Nothing to measure" in spread_words(trail(runs["fresh"]))[1]
    assert "say little yet" in spread_words(trail(runs["one step"]))[1]


def test_words_name_the_scale_of_now(runs: dict[str, Run]) -> None:
    value, meaning = scale_words(trail(runs["trained"]), LOUD, 3)
    assert value == f"{3 * 0.99**3:.2f}"
    assert meaning == f"= 3 × 0.99³. It multiplies noise by {6 * 0.99**3:.2f} N·m."
    assert scale_words(trail(runs["silent"]), runs["silent"].config, 1)[0] == "none"


# --- the bench --------------------------------------------------------------------------------------------------------

EXTREMES = [
    Config(),
    Config(ou_dt=0.01),
    Config(ou_theta=2.0),
    Config(ou_theta=2.0, ou_sigma=2.0, ou_mu=-1.0, noise_scale=5.0, noise_range="full"),
    Config(ou_theta=0.01, ou_sigma=2.0, ou_mu=1.0),
    Config(ou_sigma=0.0),
    Config(ou_sigma=0.0, ou_mu=1.0),
    Config(noise_scale=0.0),
    Config(gravity=0.0),
    Config(gravity=20.0, mass=5.0, length=3.0),
]


@pytest.mark.parametrize("config", EXTREMES)
def test_bench_draws_and_tells_whatever_its_knobs_stand_at(config: Config) -> None:
    bench = bench_of(config)
    figures = [figure for row in (*swing_charts(bench), *number_charts(bench)) for figure in row]
    assert len(figures) == 12
    for figure in figures:
        go.Figure(figure)
        strict_json(json.dumps(figure))
        for line in figure["data"]:
            if line.get("name", "drawn") != "drawn":
                assert np.isfinite(unpacked(line["y"]["bdata"])).all()
    words = [*(table_of(each, bench[-1]) for each in bench), trap_words(bench[0]), swing_words(bench, config)]
    assert not any(bad in text for text in words for bad in ("nan", "inf ", "e+"))
    assert len(json.dumps(figures)) < 100_000


def test_all_three_share_their_axes() -> None:
    bench = bench_of(Config(ou_mu=0.4))
    for rows in (swing_charts(bench), number_charts(bench)):
        for figures in zip(*rows, strict=True):
            for axis in ("xaxis", "yaxis"):
                assert len({tuple(figure["layout"][axis]["range"]) for figure in figures}) == 1


def test_histogram_is_what_was_drawn_under_the_theory_of_an_episode() -> None:
    (histogram, _), *_ = number_charts(bench_of(Config(ou_dt=0.01)))
    bars, theory, settled = (named(histogram, name) for name in ("drawn", "theory, an episode", "theory, long run"))
    width = bars["x"][1] - bars["x"][0]
    assert (bars["y"] * width).sum() == pytest.approx(1, abs=0.01)
    assert settled["y"].max() == pytest.approx(1 / (0.3653 * math.sqrt(2 * math.pi)), rel=1e-3)
    assert theory["y"].max() > 2 * settled["y"].max()
    (usual, _), *_ = number_charts(bench_of(Config()))
    assert [line["name"] for line in usual["data"]] == ["drawn", "theory, an episode"]


def test_autocorrelation_stands_beside_its_theory() -> None:
    for (_, chart), memory in zip(number_charts(bench_of(Config())), (0.85, -0.15, 0.0), strict=True):
        np.testing.assert_allclose(named(chart, "theory ρᵏ")["y"], memory ** np.arange(61.0), atol=1e-6)
        np.testing.assert_allclose(named(chart, "drawn")["y"], memory ** np.arange(61.0), atol=0.05)


def test_dial_has_a_dot_an_episode_at_its_furthest_angle() -> None:
    for figures, each in zip(swing_charts(bench_of(Config())), bench_of(Config()), strict=True):
        dots = figures[1]["data"][1]
        x, y = (unpacked(dots[axis]["bdata"]) for axis in "xy")
        assert len(x) == EPISODES
        np.testing.assert_allclose(np.sort(np.degrees(np.arctan2(x, -y))), np.sort(np.degrees(each.swings)), atol=2.01)
        (share,) = [note["text"] for note in figures[1]["layout"]["annotations"] if "%" in note["text"]]
        assert share == f"<b>{(np.abs(each.swings) > math.pi / 2).mean():.0%}</b>"


def test_tables_hold_the_figures_of_theory() -> None:
    textbook, notebook, gaussian = bench = bench_of(Config())
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table_of(textbook, gaussian).splitlines()]
    assert rows[2] == ["std in the long run", "0.380", ""]
    assert rows[3][:2] == [f"std in {STEPS} steps", "0.377"]
    assert rows[5][1] == "6.2 steps"
    assert "| −0.15 |" in table_of(notebook, gaussian)
    assert "| 0.380 |" in table_of(gaussian, gaussian)
    trap = bench_of(Config(ou_dt=0.01))
    assert "| 0.9985 |" in table_of(trap[0], trap[2])
    assert "| 666 steps |" in table_of(trap[0], trap[2])
    assert "| 0.365 |" in table_of(trap[0], trap[2])
    # Power at 0.194 rad a step, by hand: 0.04/(1 + 0.85² − 1.7·cos 0.1936) against 0.3797².
    assert rows[6][1] == "5.1 ×"
    assert f"{bench[0].half_get:.0f}° or further" in swing_words(bench, Config())


def test_sketch_is_three_kinds_of_noise_over_their_dials() -> None:
    titles = [figure["layout"]["title"]["text"] for figure in sketches(Config())]
    assert [title.split(":")[0] for title in titles[:3]] == ["Textbook OU", "Notebook's OU", "Gaussian"]
    assert len(titles) == 6


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def open_page(lab: Lab) -> Callable[[Run], AppTest]:
    """Opens the page in a session whose selected run is this one."""

    def go_there(run: Run) -> AppTest:
        on_stage(lab, IDLE).run = run
        return opened(lab, "exploration")

    return go_there


def hero(at: AppTest) -> Figure:
    """The trail as sent."""
    charts = [data for name, data in components(at) if name == "ddpg_charts"]
    figure: Figure = charts[0]["figures"][0]
    return figure


def text(at: AppTest) -> str:
    return " ".join(str(part.value) for part in (*at.markdown, *at.info, *at.caption))


def test_page_shows_the_trail_at_the_cursor(
    open_page: Callable[[Run], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    at = open_page(runs["trained"])
    assert hero(at)["layout"]["xaxis"]["range"] == [400, 800]
    live = at.metric[0].value
    lab.cursor = 1
    assert hero(at.run())["layout"]["xaxis"]["range"] == [0, 400]
    assert at.metric[0].label == "steps clipped, of the last 200"
    assert at.metric[0].value != live


def test_page_says_that_changes_in_the_past_are_made_now(
    open_page: Callable[[Run], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    at = open_page(runs["trained"])
    assert "You look at the past" not in text(at)
    lab.cursor = 1
    assert len([caption for caption in at.run().caption if "You look at the past" in caption.value]) == 2


@pytest.mark.parametrize("name", ["fresh", "trained"])
def test_page_says_what_to_do_where_there_is_no_step(
    open_page: Callable[[Run], AppTest], lab: Lab, runs: dict[str, Run], name: str
) -> None:
    at = open_page(runs[name])
    lab.cursor = 0
    assert "Press Play" in at.run().info[0].value
    assert at.metric[0].value == "…"


def test_page_says_which_steps_the_log_still_holds(open_page: Callable[[Run], AppTest], lab: Lab) -> None:
    run = trained(1000, IDLE)
    at = open_page(run)
    run.logs.steps.first = 900
    assert len(unpacked(hero(at.run())["data"][0]["x"]["bdata"])) == 100
    lab.cursor = 2
    assert "holds the steps from 901 on" in at.run().info[0].value


def test_bench_starts_at_the_runs_settings_and_goes_its_own_way(open_page: Callable[[Run], AppTest], lab: Lab) -> None:
    run = trained(10, IDLE.changed({"ou_theta": 0.3, "ou_dt": 0.03}))
    at = open_page(run)
    assert at.slider(key="bench-ou_theta").value == 0.3
    assert at.select_slider(key="bench-ou_dt").value == 0.03
    at.slider(key="bench-ou_theta").set_value(2.0).run()
    press(at, "bench-paper")
    assert "never settles" in text(at)
    assert run.recipe.interventions == ()
    assert turn(turn(at, "train"), "exploration").slider(key="bench-ou_theta").value == 2.0
    assert press(at, "bench-as-run").slider(key="bench-ou_theta").value == 0.3


def test_the_dt_trap_is_one_press_away(open_page: Callable[[Run], AppTest], runs: dict[str, Run]) -> None:
    at = open_page(runs["fresh"])
    assert "6.2 steps" in text(at)
    assert "666 steps" not in text(at)
    press(at, "bench-trap")
    assert "The dt trap." in text(at)
    assert "666 steps" in text(at)
    assert at.select_slider(key="bench-ou_dt").value == 0.01


@pytest.mark.parametrize("kind", ["ou", "ou_notebook", "gaussian"])
def test_noise_of_the_bench_can_be_used_in_the_run(open_page: Callable[[Run], AppTest], lab: Lab, kind: str) -> None:
    run = trained(10, IDLE.changed({"noise": "none"}))
    at = open_page(run)
    at.slider(key="bench-ou_sigma").set_value(0.5).run()
    press(at, f"use-{kind}")
    (change,) = run.recipe.interventions
    assert change.step == 10
    assert run.config.noise == kind
    assert run.config.ou_sigma == pytest.approx(0.949 if kind == "gaussian" else 0.5, abs=1e-3)
    assert set(change.changes) <= {"noise", *KNOBS}
    assert at.selectbox(key="set-noise").value == kind


@pytest.mark.parametrize(("name", "words"), [("car", "has no pendulum"), ("scale 0", "raise the noise scale")])
def test_bench_says_what_it_cannot_show(
    open_page: Callable[[Run], AppTest], runs: dict[str, Run], name: str, words: str
) -> None:
    assert words in text(open_page(runs[name]))
