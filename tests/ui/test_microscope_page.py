from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.config import PRESETS
from ddpg_core.environment import pendulum_obs
from ddpg_core.microscope import TargetStep, UpdateView, look
from ddpg_core.substeps import SUBSTEPS
from pages.ui.kernel import Kernel
from pages.ui.lab import Lab
from pages.ui.live import Figure
from pages.ui.microscope import (
    along,
    batch_table,
    findings,
    in_log,
    key_numbers,
    most_surprising,
    not_finite,
    number,
    row_in_words,
    take_look,
)
from pages.ui.theme import ROLES, nice
from pages.ui.update_figures import step_figures
from pages.ui.update_layers import layer_figures
from pages.ui.update_parts import DRAWN, drawn, reach, span, thinning
from pages.ui.update_stream import SHOWN, stream_chart
from pages.ui.update_strip import TITLES, coloured
from tests.helpers import CAR, IDLE, SMALL, assert_equal_runs, rerun, trained
from tests.ui.helpers import components, on_stage, opened, press, strict_json, take_to, unpacked

NAMES = [substep.name for substep in SUBSTEPS]
HOPELESS = SMALL.changed(
    {"hidden": (64, 64, 64, 64), "critic_lr": 1.0, "actor_lr": 1.0, "gamma": 1.0, "tau": 1.0, "noise_scale": 1.0}
)
"""Diverges by itself, soon after the warm-up."""


def broken() -> UpdateView:
    """An update in which nothing is finite any more."""
    run = trained(60)
    run.learner.critic[0] = np.inf
    return look(run)


@pytest.fixture(scope="module")
def views() -> dict[str, UpdateView]:
    quirks = PRESETS["notebook"].changed({"batch_size": 16, "warmup_steps": 32, "tau": 1.0})
    return {
        "small": look(trained(60)),
        "first": look(trained(31)),
        "latest": look(trained(60, SMALL.changed({"replay": "latest", "batch_size": 1}))),
        "quirks": look(trained(210, quirks)),
        "large": look(trained(60, SMALL.changed({"batch_size": 4096}))),
        "car": look(trained(60, SMALL.changed(CAR))),
        "broken": broken(),
    }


VIEWS = ["small", "first", "latest", "quirks", "large", "car", "broken"]


def view_with(view: UpdateView, **rows: list[float]) -> UpdateView:
    """A view whose arrays start with these numbers, cut to as many rows as given, or to two."""
    count = len(next(iter(rows.values()), [0, 0]))
    changed: dict[str, Any] = {
        name: value[:count]
        for name, value in vars(view).items()
        if isinstance(value, np.ndarray) and name != "statistics"
    }
    for name, values in rows.items():
        changed[name] = np.float32(values).reshape(changed[name].shape)
    return dataclasses.replace(view, **changed)


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", VIEWS)
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_one_that_plotly_accepts_and_a_browser_reads(
    views: dict[str, UpdateView], scene: str, name: str
) -> None:
    view = views[scene]
    for row in (0, len(view.rows) - 1):
        figures = [*step_figures(name, view, row), *layer_figures(view)]
        assert len(figures) == 5
        for figure in figures:
            go.Figure(figure)
            strict_json(json.dumps(figure))
            assert figure["layout"]["title"]["text"]


def xy(trace: Figure) -> tuple[Any, Any]:
    return unpacked(trace["x"]["bdata"]), unpacked(trace["y"]["bdata"])


def test_batch_is_drawn_where_and_when_it_happened(views: dict[str, UpdateView]) -> None:
    view = views["small"]
    where, when = step_figures("sample", view, 3)
    angle, velocity = xy(where["data"][0])
    np.testing.assert_allclose(pendulum_obs(angle, velocity), view.obs, atol=1e-6)
    np.testing.assert_array_equal(unpacked(where["data"][0]["marker"]["color"]["bdata"]), view.reward)
    assert (where["data"][1]["customdata"], when["layout"]["xaxis"]["range"]) == ([3], [0, 61])
    middles, counts = xy(when["data"][0])
    expected = [((view.rows >= 61 / 30 * place) & (view.rows < 61 / 30 * (place + 1))).sum() for place in range(30)]
    assert counts.tolist() == expected
    np.testing.assert_allclose(middles, 61 / 30 * (np.arange(30) + 0.5), rtol=1e-6)


def test_targets_stand_off_the_line_by_their_rewards(views: dict[str, UpdateView]) -> None:
    view = view_with(views["small"], next_q=[-10, -20, 5], terminal=[0, 1, 0], reward=[-1, -2, 0.5], target=[0, 0, 0])
    ahead = view.settings.gamma * np.float32([-10, 0, 5])
    view = dataclasses.replace(view, target=view.reward + ahead)
    rows, sums = step_figures("targets", view, 0)
    x, y = xy(rows["data"][1])
    np.testing.assert_allclose(y - x, view.reward, atol=1e-5)
    np.testing.assert_allclose(unpacked(sums["data"][0]["y"]["bdata"]), [-1, -9.9, -10.9, view.q[0]], rtol=1e-6)
    assert sums["data"][0]["text"][:3] == ["−1", "−9.9", "−10.9"]


def test_moves_are_told_apart_by_whether_they_follow_the_push(views: dict[str, UpdateView]) -> None:
    view = view_with(views["small"], td_error=[1, -2, 3, 4], q=[0, 0, 0, 0], q_after=[0.5, -0.5, -0.5, 0])
    values, moves = step_figures("critic", view, 1)
    assert [trace["customdata"] for trace in moves["data"]] == [[0, 1], [2, 3], [1]]
    assert moves["layout"]["title"]["text"] == "2 moved towards y, 1 away from y"
    assert along(view.td_error, view.q_after - view.q) == (2, 1, 1)
    np.testing.assert_array_equal(xy(values["data"][1])[1], view.q)
    np.testing.assert_array_equal(xy(values["data"][2])[1], view.q_after)


def test_arrows_lead_from_the_action_to_where_it_moves_in_the_colour_of_uphill(views: dict[str, UpdateView]) -> None:
    view = view_with(
        views["small"],
        policy_action=[0, 1, -1, 2],
        policy_action_after=[0.01, 1.02, -1.04, 2],
        action_gradient=[3, -3, -3, 1],
    )
    arrows, moves = step_figures("actor", view, 0)
    uphill, downhill, still, ringed = arrows["data"]
    times = float(arrows["layout"]["title"]["text"].split(", ")[1].split()[0])
    assert [trace["customdata"] for trace in (uphill, downhill, still, ringed)] == [
        [0] * 3 + [2] * 3,
        [1] * 3,
        [3],
        [0],
    ]
    np.testing.assert_allclose(xy(uphill)[1], [0, 0.01 * times, np.nan, -1, -1 - 0.04 * times, np.nan], rtol=1e-3)
    assert (uphill["line"]["color"], downhill["line"]["color"]) == (ROLES["actor"], ROLES["reference"])
    assert moves["layout"]["title"]["text"] == "2 moved uphill, 1 downhill"


def test_lags_and_the_way_of_a_target_are_those_of_the_view(views: dict[str, UpdateView]) -> None:
    steps = {"critic_target": TargetStep(0.5, 0.4, 2, 1, 1.01), "actor_target": TargetStep(0.2, 0.1, -2, -1, -1.01)}
    lags, way = step_figures("polyak", dataclasses.replace(views["small"], **steps), 0)
    before, after = (unpacked(trace["y"]["bdata"]) for trace in lags["data"])
    np.testing.assert_allclose([before, after], [[0.5, 0.2], [0.4, 0.1]], rtol=1e-6)
    assert [trace["text"] for trace in lags["data"]] == [["50 %", "20 %"], ["40 %", "10 %"]]
    assert [trace["x"] for trace in way["data"]] == [[0, 0.01, 1]] * 2
    assert way["data"][1]["text"] == ["θ′ 1", "new θ′ 1.01", "θ 2"]


def test_layers_have_a_bar_each_named_by_network_and_place(views: dict[str, UpdateView]) -> None:
    view = views["quirks"]
    gradient, change, pace = layer_figures(view)
    for figure, of in (
        (gradient, lambda layer: layer.grad_norm),
        (change, lambda layer: layer.change_norm / layer.weight_norm),
        (pace, lambda layer: layer.adam_ratio),
    ):
        critic, actor = figure["data"]
        assert critic["x"] == ["critic 1", "critic 2", "critic 3", "critic 4"]
        assert actor["customdata"] == ["3 → 8", "8 → 8", "8 → 8", "8 → 1"]
        np.testing.assert_allclose(unpacked(critic["y"]["bdata"]), [of(x) for x in view.critic_layers], rtol=1e-6)
        np.testing.assert_allclose(unpacked(actor["y"]["bdata"]), [of(x) for x in view.actor_layers], rtol=1e-6)
        low, high = figure["layout"]["yaxis"]["range"]
        tallest = max(of(x) for x in (*view.critic_layers, *view.actor_layers))
        assert (10**low if figure is gradient else low) < tallest <= (10**high if figure is gradient else high)


@pytest.mark.parametrize(
    ("smallest", "largest", "ticks"),
    [
        (0.02, 0.5, [0.01, 0.03, 0.1, 0.3, 1]),
        (2e-4, 0.5, [1e-4, 1e-3, 1e-2, 0.1, 1]),
        (2e-9, 30.0, [1e-9, 1e-7, 1e-5, 1e-3, 0.1, 10]),
        (2e-30, 3e30, [1e-30, 1e-19, 1e-8, 1e3, 1e14, 1e25]),
    ],
)
def test_gradients_have_at_most_six_round_ticks(
    views: dict[str, UpdateView], smallest: float, largest: float, ticks: list[float]
) -> None:
    view = views["quirks"]
    low, *middle, high = view.critic_layers
    layers = tuple(dataclasses.replace(layer, grad_norm=largest) for layer in (*middle, high))
    layers = (dataclasses.replace(low, grad_norm=smallest), *layers)
    view = dataclasses.replace(view, critic_layers=layers, actor_layers=layers)
    axis = layer_figures(view)[0]["layout"]["yaxis"]
    assert axis["tickvals"] == pytest.approx(ticks)
    assert len(axis["ticktext"]) == len(ticks)


def test_large_batch_is_thinned_evenly_but_keeps_the_chosen_row(views: dict[str, UpdateView]) -> None:
    rows = drawn(views["large"], 4095)
    assert len(rows) <= DRAWN + 1
    assert rows[-1] == 4095
    assert set(np.diff(rows[:-1])) == {thinning(views["large"])} == {14}
    np.testing.assert_array_equal(drawn(views["small"], 3), np.arange(16))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (1.1, 2),
        (2, 2),
        (4.9, 5),
        (5.1, 10),
        (0.03, 0.05),
        (720, 1000),
        (0, 1),
        (-3, 1),
        (np.nan, 1),
        (np.inf, 1),
    ],
)
def test_nice_numbers_are_one_two_or_five_and_never_smaller(value: float, expected: float) -> None:
    assert nice(value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([-198, -3], [-200, 0]), ([-9.8, -0.1, np.nan], [-10, 0]), ([3], [2.5, 5]), ([np.inf], [0, 1]), ([0, 0], [0, 1])],
)
def test_spans_hold_all_finite_values_between_round_ends(values: list[float], expected: list[float]) -> None:
    low, high = span(np.array(values))
    known = [value for value in values if np.isfinite(value)]
    assert all(low <= value <= high for value in known)
    assert low < high
    if values != [3]:
        assert [low, high] == pytest.approx(expected)


def test_reach_is_the_same_on_both_sides_of_zero() -> None:
    assert reach(np.array([-3.0, 1, np.nan])) == [-5, 5]
    assert reach(np.array([np.nan])) == [-1, 1]


# --- words and table --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["small", "quirks", "latest"])
def test_table_holds_the_batch_and_its_columns_make_up_the_target(views: dict[str, UpdateView], scene: str) -> None:
    view = views[scene]
    table = batch_table(view)
    np.testing.assert_allclose(pendulum_obs(table["θ"], table["θ̇"]), view.obs, atol=1e-6)
    np.testing.assert_array_equal(table["step"], view.env_step - view.ages)
    np.testing.assert_allclose(table["y"], table["r"] + view.settings.gamma * (1 - table["d"]) * table["Q′"], rtol=1e-5)
    np.testing.assert_allclose(table["δ"], table["y"] - table["Q"], atol=1e-4)
    np.testing.assert_array_equal(table["a′"], view.next_action[:, 0])
    np.testing.assert_array_equal(table["Q after"], view.q_after)
    np.testing.assert_allclose(table["μ(s)"] + table["Δμ"], view.policy_action_after[:, 0], atol=1e-6)


def test_table_of_a_car_has_its_position_and_velocity(views: dict[str, UpdateView]) -> None:
    table = batch_table(views["car"])
    np.testing.assert_array_equal(table["velocity per step"], views["car"].obs[:, 1])
    assert "θ" not in table


def test_most_surprising_row_has_the_largest_finite_error(views: dict[str, UpdateView]) -> None:
    assert most_surprising(view_with(views["small"], td_error=[1, -3, 2, np.nan])) == 1
    assert most_surprising(view_with(views["small"], td_error=[np.nan, np.inf])) == 0


@pytest.mark.parametrize(
    ("angle", "velocity", "words"),
    [
        (0.1, 0.0, "upright, almost still (θ = 0.10 rad, θ̇ = 0.00 rad/s)"),
        (np.pi / 2, 2.0, "90° from upright, turning counter-clockwise (θ = 1.57 rad, θ̇ = 2.00 rad/s)"),
        (-3.1, -4.0, "hanging down, turning clockwise (θ = −3.10 rad, θ̇ = −4.00 rad/s)"),
    ],
)
def test_state_of_a_row_is_put_into_words(
    views: dict[str, UpdateView], angle: float, velocity: float, words: str
) -> None:
    view = view_with(views["small"], reward=[0, 0])
    obs = np.stack([pendulum_obs(np.array(0.0), np.array(0.0)), pendulum_obs(np.array(angle), np.array(velocity))])
    view = dataclasses.replace(view, obs=obs, rows=np.array([0, 12345]))
    assert row_in_words(view, 1) == f"row 1, env step 12,345: {words}"


def test_state_of_a_car_is_its_position_and_velocity(views: dict[str, UpdateView]) -> None:
    assert "θ" not in row_in_words(views["car"], 0)
    assert "position −0." in row_in_words(views["car"], 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-12.3456, "−12.35"), (0.0, "0"), (-0.0, "0"), (1.5e-7, "1.5·10⁻⁷"), (-2e11, "−2·10¹¹"), (np.nan, "not finite")],
)
def test_numbers_have_real_signs_and_written_out_powers(value: float, text: str) -> None:
    assert number(value) == text


def test_key_numbers_say_what_each_substep_did(views: dict[str, UpdateView]) -> None:
    view = view_with(
        views["small"], target=[-1, -3], q=[0, 0], q_after=[-0.5, -0.5], policy_q=[-4, -6], policy_q_after=[-4, -5.99]
    )
    view = dataclasses.replace(view, critic_target=TargetStep(0.05, 0.0495, 0, 0, 0))
    assert key_numbers(view) == {
        "sample": ("2 of 61", "transitions, drawn at random"),
        "targets": ("−2", "mean target y"),
        "critic": ("2.00 → 1.50", "mean |y − Q(s, a)|"),
        "actor": ("−5.0000 → −4.9950", "mean Q(s, μ(s))"),
        "polyak": ("5 % → 4.95 %", "how far the critic's target lags"),
    }
    assert key_numbers(views["broken"])["critic"][0] == "not finite → not finite"


def test_findings_count_the_batch(views: dict[str, UpdateView]) -> None:
    view = view_with(
        views["small"],
        terminal=[0, 1, 0],
        td_error=[1, 1, -1],
        q=[0, 0, 0],
        q_after=[1, -1, 0],
        action_gradient=[1, 1, 0],
        policy_action=[0, 0, 0],
        policy_action_after=[1, -1, 2],
    )
    found = findings(view)
    assert found["targets"].startswith("In 1 of 3 rows the episode ended")
    assert found["critic"].startswith("Moved towards y: 1 of 3; away from it: 1.")
    assert found["actor"].startswith("Moved to where Q rises: 1 of 3; the other way: 1;")
    assert found["polyak"].startswith("Every weight of a target goes 1 % of its way.")
    assert "unscaled" not in found["targets"]
    assert "unscaled" in findings(views["quirks"])["targets"]
    assert "No experience replay" in findings(views["latest"])["sample"]


def test_numbers_that_are_not_finite_are_named(views: dict[str, UpdateView]) -> None:
    assert not_finite(views["small"]) == ""
    statistics = np.array([1, 1, 1, 1, np.nan, np.inf, 1, 1.0])
    view = dataclasses.replace(views["small"], statistics=statistics)
    assert not_finite(view) == "td error abs, critic gradient norm"


@pytest.mark.parametrize("name", NAMES)
def test_colours_are_the_roles_and_leave_the_formula_as_it_is(views: dict[str, UpdateView], name: str) -> None:
    step = SUBSTEPS[NAMES.index(name)]
    for latex in (step.formula, step.numbers(views["small"], 0)):
        painted, plain = coloured(latex), latex
        for role in ("critic", "actor", "environment"):
            painted = painted.replace(rf"\textcolor{{{ROLES[role]}}}", "")
        assert painted.replace("{", "").replace("}", "") == plain.replace("{", "").replace("}", "")
    assert coloured(r"Q'(s', \mu'(s'))") == (
        rf"\textcolor{{{ROLES['critic']}}}{{Q'}}(s', \textcolor{{{ROLES['actor']}}}{{\mu'}}(s'))"
    )
    assert coloured(r"\theta_\mu \leftarrow r") == (
        rf"\textcolor{{{ROLES['actor']}}}{{\theta_\mu}} \leftarrow \textcolor{{{ROLES['environment']}}}{{r}}"
    )


# --- looks ------------------------------------------------------------------------------------------------------------


def assert_equal_views(one: UpdateView | None, other: UpdateView) -> None:
    assert one is not None
    for name, value in vars(other).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(one, name), value, err_msg=name)
    assert (one.update, one.env_step, one.episode) == (other.update, other.env_step, other.episode)


def test_look_is_the_next_update_live_and_the_first_one_after_the_episode_at_the_cursor(lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=650)
    assert_equal_views(take_look(lab, player).view, look(player.run))
    lab.cursor = 2
    past = take_look(lab, player)
    assert_equal_views(past.view, look(player.run, 2))
    assert past.view is not None
    assert past.view.env_step == 400
    assert in_log(player.run, past.view)
    assert_equal_runs(player.run, rerun(player.run))


def test_past_look_is_after_the_nearest_episode_whose_weights_are_kept(lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=650)
    expected = look(player.run, 2)
    del player.run.snapshots._kept[3]
    lab.cursor = 3
    assert_equal_views(take_look(lab, player).view, expected)


def test_look_is_taken_anew_only_if_the_run_has_moved_or_changed(lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=60)
    first = take_look(lab, player)
    assert take_look(lab, player, first) is first
    lab.intervene(player.id, {"gamma": 0.5})
    changed = take_look(lab, player, first)
    assert changed.view is not None
    assert changed.view.settings.gamma == 0.5
    lab.step_update(player.id)
    assert take_look(lab, player, changed) is not changed
    lab.reset(player.id)
    player.run.advance(steps=61)
    assert take_look(lab, player, changed) is not changed


def test_run_that_diverged_is_looked_at_where_it_broke(lab: Lab) -> None:
    player = on_stage(lab, HOPELESS)
    player.run.advance(steps=400)
    stopped = player.run.divergence
    assert stopped
    view = take_look(lab, player).view
    assert view is not None
    assert (view.env_step, view.divergence) == (stopped.step, stopped)
    assert in_log(player.run, view)
    assert not_finite(view)


def test_update_is_in_the_log_only_once_the_run_has_made_it(lab: Lab) -> None:
    run = trained(60)
    view = look(run)
    assert in_log(run, view) is None
    run.step()
    assert in_log(run, view) is True
    assert in_log(run, dataclasses.replace(view, statistics=view.statistics + 1)) is False


def test_time_whose_transitions_are_gone_says_so(lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=650)
    player.run.logs.steps.first = 300
    lab.cursor = 2
    gone = take_look(lab, player)
    assert gone.view is None
    assert "no longer in the log" in gone.reason


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def visit(lab: Lab) -> Callable[[], AppTest]:
    """Opens the page in a browser session that has `lab`."""
    return lambda: opened(lab, "update")


def words(at: AppTest) -> str:
    return "\n".join(text.value for text in (*at.markdown, *at.caption, *at.info))


def select(at: AppTest, rows: list[int]) -> AppTest:
    at.session_state["update-rows"] = {"selection": {"rows": rows}}
    return at.run()


def test_logs_and_weights_are_bit_for_bit_the_same_with_and_without_looking(
    visit: Callable[[], AppTest], lab: Lab
) -> None:
    player = on_stage(lab, SMALL)
    at = visit()
    player.run.advance(steps=440)
    for name in NAMES:
        press(at, f"substep-{name}")
        select(at, [len(name)])
    for episode in (0, 1, 2, None):
        lab.cursor = episode
        press(at.run(), "update-following")
    for _ in range(3):
        press(at, "update-make")
    assert player.run.env_steps == 443
    assert_equal_runs(player.run, rerun(player.run))


def test_looking_at_a_run_that_trains_leaves_no_trace_in_it(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, SMALL, play=True)
    take_to(lab, player, 100)
    at = visit()
    for name in NAMES:
        press(at, f"substep-{name}")
        press(at, "update-next")
    press(at, "update-pause")
    assert not player.playing
    assert_equal_runs(player.run, rerun(player.run))


def test_making_the_update_shows_the_next_one_and_that_the_numbers_came_true(
    visit: Callable[[], AppTest], lab: Lab
) -> None:
    player = on_stage(lab, SMALL.changed({"warmup_steps": 70}))
    player.run.advance(steps=60)
    at = visit()
    assert "**Update 1** is next: env step 69, episode 1" in words(at)
    assert "looking changes nothing" in words(at)
    press(at, "update-make")
    assert (player.run.env_steps, player.run.updates) == (70, 1)
    assert "**Update 2** is next: env step 70, episode 1" in words(at)
    assert "The run made it: its log now holds the twin's numbers, bit for bit." in words(at)


def test_page_says_whose_numbers_it_shows_of_a_run_on_the_compiled_engine(
    visit: Callable[[], AppTest], lab: Lab, kernel: Kernel
) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=60)
    at = visit()
    assert "but for rounding" not in words(at)
    kernel.fetch()
    lab.intervene(player.id, {"engine": "fused"})
    assert "PyTorch's numbers of it, equal to those of the compiled engine but for rounding" in words(at.run())
    press(at, "update-make")
    assert "The run made it: its log now holds the twin's numbers, bit for bit." in words(at)


@pytest.mark.parametrize("name", NAMES)
def test_each_substep_opens_with_its_formula_numbers_code_and_figures(
    visit: Callable[[], AppTest], lab: Lab, name: str
) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=60)
    at, view, step = visit(), look(player.run), SUBSTEPS[NAMES.index(name)]
    press(at, f"substep-{name}")
    select(at, [5])
    symbols, numbers = (latex.value for latex in at.latex)
    assert coloured(step.numbers(view, 5)) in numbers
    assert step.formula.split(r", \quad ")[0][:4] in symbols.replace(rf"\textcolor{{{ROLES['critic']}}}", "")
    assert step.sentence in words(at)
    assert at.code[0].value == step.source()[0].strip()
    assert f"`{step.module}`, line {step.source()[1]}" in words(at)
    assert f"Computed by `{step.qualname}`" in [box.label for box in at.expander]
    assert (row_in_words(view, 5) in words(at)) == (name != "polyak")
    figures, stream, layers = [data["figures"] for kind, data in components(at) if kind == "ddpg_charts"]
    assert figures == strict_json(json.dumps(step_figures(name, view, 5)))
    errors = player.run.logs.updates.read("td_error_abs")
    assert stream == strict_json(json.dumps([stream_chart(errors, 0, view.update)]))
    assert layers == strict_json(json.dumps(layer_figures(view)))


def test_stream_shows_the_newest_updates_and_where_among_them_is_the_one_looked_at() -> None:
    errors = np.linspace(1, 30, SHOWN).astype(np.float32)
    figure = stream_chart(errors, 100, 700)
    go.Figure(figure)
    (line,) = figure["data"]
    np.testing.assert_array_equal(unpacked(line["x"]["bdata"]), 101 + np.arange(SHOWN))
    np.testing.assert_array_equal(unpacked(line["y"]["bdata"]), errors)
    low, high = figure["layout"]["xaxis"]["range"]
    assert low <= 101 + SHOWN / 3
    assert high >= 100 + SHOWN
    assert high - low == SHOWN
    assert figure["layout"]["yaxis"]["range"] == [0, 50]
    (mark,) = figure["layout"]["shapes"]
    assert mark["x0"] == mark["x1"] == 701  # update 700 of the log is the 701st


@pytest.mark.parametrize("looked_at", [None, 0, 100_000])
def test_stream_marks_nothing_that_it_does_not_show(looked_at: int | None) -> None:
    assert stream_chart(np.ones(SHOWN), 5_000, looked_at)["layout"]["shapes"] == []


def test_stream_of_no_update_and_of_one_that_broke_can_be_drawn() -> None:
    for errors in (np.empty(0), np.array([1.0, np.nan, np.inf])):
        figure = stream_chart(errors, 0, 0)
        assert figure["layout"]["xaxis"]["range"] == [0, SHOWN]
        go.Figure(figure)


def test_stream_ends_at_the_cursor(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(episodes=3)
    lab.cursor = 1
    at = visit()
    _, stream, _ = [data["figures"] for kind, data in components(at) if kind == "ddpg_charts"]
    assert unpacked(stream[0]["data"][0]["x"]["bdata"])[-1] == player.run.at(1).updates


def test_strip_has_five_cards_with_the_numbers_of_the_update(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=60)
    at = visit()
    known = key_numbers(look(player.run))
    for place, (name, (title, _, _)) in enumerate(TITLES.items()):
        value, note = known[name]
        assert at.button(key=f"substep-{name}").label == f"**{place + 1} {title}** `{value}` *{note}*"
    for name in (*NAMES[1:], "sample"):
        press(at, "update-following")
        assert f"Computed by `{SUBSTEPS[NAMES.index(name)].qualname}`" in [box.label for box in at.expander]


def test_rows_are_listed_and_a_row_that_is_gone_gives_way_to_the_most_surprising(
    visit: Callable[[], AppTest], lab: Lab
) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=60)
    at, view = visit(), look(player.run)
    np.testing.assert_array_equal(at.dataframe[0].value["δ"], view.td_error)
    assert row_in_words(view, most_surprising(view)) in words(at)
    select(at, [15])
    assert row_in_words(view, 15) in words(at)
    lab.intervene(player.id, {"batch_size": 8})
    view = look(player.run)
    assert row_in_words(view, most_surprising(view)) in words(at.run())


def test_warm_up_says_what_is_missing_and_trains_through_it(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, SMALL.changed({"warmup_steps": 250}))
    player.run.advance(steps=10)
    at = visit()
    assert "Learning starts after 250 env steps, 240 from here. Train through the warm-up" in words(at)
    assert len(at.latex) == 1
    press(at, "update-warm-up")
    take_to(lab, player, 400)
    lab.pause(player.id)
    assert "is next: env step 4" in words(at.run())
    lab.cursor = 0
    assert "250 from here. Move the cursor to a later episode" in words(at.run())


def test_run_that_does_not_learn_can_be_made_to(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    player.run.advance(steps=60)
    at = visit()
    assert "Learning is switched off: updates per step is 0. Turn it up to see one." in words(at)
    at.slider(key="set-updates_per_step").set_value(3).run()
    assert "**Update 1** is next: env step 60, episode 1, the first of 3" in words(at)
    assert player.run.recipe.interventions[0].changes == {"updates_per_step": 3}


def test_run_that_diverged_shows_the_update_that_broke_it(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, HOPELESS)
    player.run.advance(steps=400)
    at = visit()
    for name in NAMES:
        press(at, f"substep-{name}")
        assert "the last before the run stopped" in words(at)
        assert "It broke here. No longer finite:" in words(at)
    assert "update-make" not in {button.key for button in at.button}


@pytest.mark.parametrize("updates", [2, 4])
def test_first_update_of_the_step_that_stopped_a_run_is_not_called_the_last(
    visit: Callable[[], AppTest], lab: Lab, updates: int
) -> None:
    player = on_stage(lab, HOPELESS.changed({"updates_per_step": updates}))
    player.run.advance(steps=400)
    view = take_look(lab, player).view
    assert view
    said = words(visit())
    assert f"the first of {updates} in the step at which the run stopped" in said
    assert ("It broke here" in said) is bool(view.divergence)
    assert ("which a later one broke" in said) is (not view.divergence)


def test_followed_update_is_held_once_somebody_looks_closer(
    visit: Callable[[], AppTest], lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = on_stage(lab, SMALL)
    player.run.advance(steps=60)
    monkeypatch.setattr(lab, "renew", lambda: None)  # no worker: it plays, and is trained by hand
    player.playing = True
    at = visit()
    assert "**Update 30**, caught as the run trains" in words(at)
    player.run.advance(steps=10)
    assert "**Update 40**, caught as the run trains" in words(at.run())
    press(at, "substep-actor")
    player.run.advance(steps=10)
    assert "**Update 40**, held while the run trains on" in words(at.run())
    assert "the run's log holds the same numbers, bit for bit" in words(at)
    press(at, "update-next")
    assert "**Update 50**, held while the run trains on" in words(at)
    at.toggle(key="update-follow").set_value(True).run()
    player.run.advance(steps=10)
    assert "**Update 60**, caught as the run trains" in words(at.run())


def test_a_live_refresh_sends_less_than_100_kilobytes(visit: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, SMALL.changed({"batch_size": 4096}))
    player.run.advance(steps=60)
    at = visit()
    for name in NAMES:
        press(at, f"substep-{name}")
        charts = [data for kind, data in components(at) if kind == "ddpg_charts"]
        table = at.dataframe[0].proto.arrow_data.data
        assert len(json.dumps(charts)) + len(table) < 100_000
