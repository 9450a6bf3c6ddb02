from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.conditions import Change as Later
from ddpg_core.conditions import Comparison, Condition
from ddpg_core.config import PRESETS
from ddpg_core.environment import start_states
from ddpg_core.experiment import STARTS_SEED, Evaluated, Result
from ddpg_core.metrics import evaluate_policy
from ddpg_core.networks import MLP
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui import player as player_module
from pages.ui.curves import curve_of
from pages.ui.family import family_order, parent_of
from pages.ui.forgetting import (
    KINDS,
    SCRATCH,
    branch_out,
    branch_points,
    branches_of,
    is_scratch,
    name_of,
    prepare,
    room,
    trunk_of,
)
from pages.ui.forgetting_charts import angle_chart, change_maps, index_chart, parting_chart
from pages.ui.forgetting_probe import (
    AT_ONCE,
    GRID,
    MOST_EVALUATIONS,
    STARTS,
    Known,
    Path,
    Pause,
    change_of,
    episodes_of,
    evaluated,
    paths_of,
    pauses_of,
    start_angles,
)
from pages.ui.forgetting_seeds import READY_MADE, Forgot, comparison_of, forgot, in_words, seeds_chart
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.player import Player
from tests.helpers import CAR, IDLE, SMALL, trained
from tests.ui.helpers import component, components, eventually, keys, on_stage, opened, poison, press, unpacked

NEWEST = KINDS["newest"].changes


@pytest.fixture(scope="module")
def long_run() -> Run:
    """A run of twelve episodes that never learns: cheap to branch."""
    return trained(2400, IDLE)


@pytest.fixture(scope="module")
def learner() -> Run:
    """A run of three episodes that learns."""
    return trained(600, SMALL)


@pytest.fixture
def trunk(lab: Lab, long_run: Run) -> Player:
    player = on_stage(lab, IDLE)
    player.run = long_run.fork()
    return player


def branched(lab: Lab, parent: Player, episode: int, changes: Any = None) -> Player:
    """A branch in the Lab that has not taken a step of its own yet."""
    branch = lab.branch(parent.id, episode, changes, play=False)
    assert branch
    return branch


def path(returns: Any, random: float = -1100.0, origin: int = 40, number: int = 0) -> Path:
    values = np.array(returns, float)
    return Path(number, "newest", "#0072B2", origin, origin + np.arange(len(values)), values, random)


# --- the family -------------------------------------------------------------------------------------------------------


def test_a_branch_knows_its_parent_and_stands_under_it(lab: Lab, trunk: Player) -> None:
    other = on_stage(lab, IDLE, seed=1)
    kept, newest = branched(lab, trunk, 6), branched(lab, trunk, 6, NEWEST)
    newest.run.advance(episodes=1)
    later = branched(lab, newest, 7)
    assert [parent_of(each, lab.players) for each in (trunk, other, kept, newest)] == [None, None, trunk, trunk]
    assert parent_of(later, lab.players) is newest
    assert family_order(lab.players) == [(trunk, 0), (kept, 1), (newest, 1), (later, 2), (other, 0)]


def test_a_branch_whose_parent_left_the_stage_stands_alone(lab: Lab, trunk: Player) -> None:
    kept, newest = branched(lab, trunk, 6), branched(lab, trunk, 6, NEWEST)
    lab.remove(trunk.id)
    assert family_order(lab.players) == [(kept, 0), (newest, 0)]


def test_the_sidebar_indents_a_branch_under_its_run(lab: Lab, trunk: Player) -> None:
    on_stage(lab, IDLE, seed=1)
    branched(lab, trunk, 6)
    cards = component(opened(lab), "runs")["runs"]
    assert [(card["id"], card["generation"]) for card in cards] == [(0, 0), (2, 1), (1, 0)]
    assert cards[1]["label"].endswith("from 6")


# --- the experiment ---------------------------------------------------------------------------------------------------


def test_branches_are_named_by_what_changed_and_end_at_the_same_step(lab: Lab, trunk: Player) -> None:
    branch_out(lab, trunk, 12, ["kept", "newest", "8"], scratch=True)
    branches = branches_of(lab, trunk)
    assert [name_of(each) for each in branches] == ["replay kept", "newest transition only", "window of 8"]
    assert trunk_of(lab) is trunk
    (scratch,) = [each for each in lab.players if is_scratch(each)]
    assert name_of(scratch) == SCRATCH
    assert scratch.run.recipe.config.difference(PRESETS["no_replay"]).keys() <= {"engine"}
    lab.remove(scratch.id)
    assert eventually(lambda: not lab.playing)
    assert [each.run.episode for each in branches] == [32, 32, 32]
    assert trunk.run.episode == 12
    steps = trunk.run.env_steps
    for each in branches:
        np.testing.assert_array_equal(each.run.logs.steps.rows(0, steps), trunk.run.logs.steps.rows())


def test_runs_abreast_wait_for_the_one_behind(lab: Lab, trunk: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int]] = []
    train = Lab._train

    def spy(self: Lab, player: Player, speed: float | None, elapsed_s: float) -> None:
        begun.append((player.run.env_steps, min(each.run.env_steps for each in self.players if each.playing)))
        train(self, player, speed, elapsed_s)

    monkeypatch.setattr(Lab, "_train", spy)
    monkeypatch.setattr(player_module, "SLICE_S", 0.0005)
    branch_out(lab, trunk, 12, ["kept", "newest"], scratch=False)
    assert eventually(lambda: not lab.playing)
    group = begun[2:]  # the first two slices may be those before all branches were there
    assert len(group) > 2
    assert all(own == least for own, least in group)


def test_prepare_trains_preset_fast_until_it_has_learned(lab: Lab) -> None:
    lab.speed = "1 step/s"
    prepare(lab)
    (player,) = lab.players
    assert (player.playing, player.stop_at, lab.speed) == (True, 40, "flat out")
    assert player.run.recipe.config.difference(PRESETS["fast"]).keys() <= {"engine"}


def test_a_run_can_be_branched_where_its_state_was_kept(trunk: Player) -> None:
    assert branch_points(trunk) == list(range(1, 13))


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_index_is_the_share_of_what_was_learned_that_is_lost() -> None:
    found = path([[-100.0, -100.0], [-300.0, -500.0], [-1100.0, -1100.0], [0.0, -100.0]])
    np.testing.assert_allclose(found.index, [0.0, 0.3, 1.0, -0.05])


def test_index_of_a_branch_that_had_learned_nothing_is_unknown() -> None:
    assert np.isnan(path([[-1200.0], [-1300.0]]).index).all()


def test_branches_are_evaluated_from_where_they_left_to_now_and_no_policy_twice(lab: Lab, trunk: Player) -> None:
    branch = branched(lab, trunk, 6, NEWEST)
    branch.run.advance(episodes=3)
    pauses = pauses_of(lab, [branch], None)
    assert [pause.key[1] for pause in pauses] == [6, 9, 7, 8]
    known = evaluated(None, pauses[:2], frozenset({branch.run.serial}))
    assert [pause.key[1] for pause in pauses_of(lab, [branch], known)] == [7, 8]
    known = evaluated(known, pauses[2:], frozenset({branch.run.serial}))
    (found,) = paths_of(lab, [branch], known)
    assert found.episodes.tolist() == [6, 7, 8, 9]
    assert found.returns.shape == (4, STARTS)
    starts = start_states(IDLE, STARTS, STARTS_SEED)
    np.testing.assert_allclose(found.returns[0], evaluate_policy(trunk.run.act, IDLE, starts), rtol=1e-3)
    assert evaluated(known, pauses[:1], frozenset()).returns.keys() == {pauses[0].key}


def test_at_the_cursor_a_branch_is_evaluated_as_it_was_then(lab: Lab, trunk: Player) -> None:
    branch = branched(lab, trunk, 6)
    branch.run.advance(episodes=3)
    lab.cursor = 7
    assert [pause.key[1] for pause in pauses_of(lab, [branch], None)] == [6, 7]
    lab.cursor = 2
    assert [pause.key[1] for pause in pauses_of(lab, [branch], None)] == [6]


def test_a_long_branch_is_evaluated_at_a_bounded_number_of_episodes(lab: Lab, trunk: Player) -> None:
    branch = branched(lab, trunk, 6)
    branch.run.advance(episodes=3 * MOST_EVALUATIONS)
    numbers = episodes_of(branch, branch.run.episode)
    assert len(numbers) <= MOST_EVALUATIONS + 1
    assert (numbers[0], numbers[-1]) == (6, branch.run.episode)
    assert len(evaluated(None, pauses_of(lab, [branch], None), frozenset()).returns) == AT_ONCE


def test_nothing_has_changed_at_the_branch_and_later_the_networks_differ_as_asked_directly(
    lab: Lab, learner: Run
) -> None:
    player = on_stage(lab, IDLE)
    player.run = learner.fork()
    branch = branched(lab, player, 2, NEWEST)
    still = change_of(lab, branch)
    assert not still.value.any()
    assert not still.torque.any()
    assert len(still.angles) == 0
    branch.run.advance(steps=250)
    moved = change_of(lab, branch)
    before, row, column = learner.at(2), 10, 30
    obs = GRID.obs[row, column]
    net, critic = learner.learner.actor_net, learner.learner.critic_net
    then, now = (
        float(np.clip(net.numpy(actor, obs)[0] * 2, -2, 2)) for actor in (before.actor, branch.run.learner.actor)
    )
    inputs = np.append(obs, np.float32(then))
    gain = critic.numpy(branch.run.learner.critic, inputs)[0] - critic.numpy(before.critic, inputs)[0]
    assert moved.torque[row, column] == pytest.approx(now - then, abs=1e-5)
    assert moved.value[row, column] == pytest.approx(gain, abs=1e-4)
    assert abs(gain) > 1e-3
    assert len(moved.angles) == 50  # of the episode going on


# --- figures ----------------------------------------------------------------------------------------------------------


def test_curves_part_at_the_branch(lab: Lab, trunk: Player) -> None:
    branch = branched(lab, trunk, 6, NEWEST)
    branch.run.advance(episodes=3)
    trunk_curve, curve = (curve_of(each, with_updates=False) for each in (trunk, branch))
    figure = parting_chart(trunk_curve, [curve], 6, None)
    go.Figure(figure)
    before, _, after, _ = (unpacked(trace["x"]["bdata"]).tolist() for trace in figure["data"])
    assert (before, after) == ([1, 2, 3, 4, 5, 6], [7, 8, 9])
    assert any(shape.get("x0") == 6.5 for shape in figure["layout"]["shapes"])
    scratch = replace(curve, label=SCRATCH)
    figure = parting_chart(trunk_curve, [curve, scratch], 6, None)
    assert unpacked(figure["data"][-1]["x"]["bdata"])[0] == 1
    assert figure["layout"]["xaxis"]["range"][0] == 0


def test_index_and_angle_charts_are_valid_with_and_without_evaluations() -> None:
    angles = start_angles(IDLE)
    rng = np.random.default_rng(0)
    found = path(rng.uniform(-1000, -100, (3, STARTS)))
    for paths in ([], [found], [path(np.full((2, STARTS), -1200.0))]):
        go.Figure(index_chart(paths))
        go.Figure(angle_chart(paths, angles))
    figure = angle_chart([found], angles)
    dots = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    for trace, returns in zip(dots, found.returns[[-1, 0]], strict=True):
        np.testing.assert_allclose(unpacked(trace["y"]["bdata"]), returns, rtol=1e-6)
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < found.returns.min() < found.returns.max() < high


def test_maps_of_two_branches_share_their_scale_and_leave_out_what_is_not_finite(lab: Lab, trunk: Player) -> None:
    branch = branched(lab, trunk, 6)
    branch.run.advance(episodes=1)
    change = change_of(lab, branch)
    one, other = change._replace(value=change.value + 3.0), change._replace(value=np.full_like(change.value, np.nan))
    figures = change_maps([one, other])
    assert len(figures) == 4
    for figure in figures:
        go.Figure(figure)
    assert [len(figure["data"]) for figure in figures] == [2, 2, 0, 2]
    assert figures[0]["data"][0]["zmax"] == 5.0


# --- over seeds -------------------------------------------------------------------------------------------------------


def result(condition: str, seed: int, before: float, after: float, random: float = -1100.0) -> Result:
    evaluations = [Evaluated(40, [before]), Evaluated(60, [after])]
    return Result(condition, seed, Recipe(IDLE, seed), [], [], evaluations, None, random, None)


def test_index_over_seeds_is_a_median_with_its_interval_over_runs_that_had_learned() -> None:
    comparison = comparison_of(range(3), windows=False)
    kept, newest = (condition.name for condition in comparison.conditions)
    results = [result(kept, seed, -100, -100 - 100 * seed) for seed in range(3)]
    results += [result(newest, 0, -100, -600), result(newest, 1, -1200, -1300)]
    found = forgot(comparison, {each.key: each for each in results})
    np.testing.assert_allclose(found[0].index, [0, 0.1, 0.2])
    assert (found[0].median, found[0].low, found[0].high) == pytest.approx((0.1, 0.0, 0.2))
    assert (found[1].index.tolist(), found[1].seeds.tolist(), found[1].unlearned) == ([0.5], [0], 1)
    go.Figure(seeds_chart(found))
    words = in_words(found, comparison)
    assert "replay kept **0.10** [0.00, 0.20]" in words
    assert "too few to tell" in words


def test_words_say_apart_only_where_the_intervals_do_not_touch() -> None:
    comparison = comparison_of(range(5), windows=False)

    def of(low: float, high: float) -> Forgot:
        return Forgot("any", np.arange(5), np.full(5, low), low, low, high, 0)

    assert "do not touch" in in_words([of(0, 0.1), of(0.5, 0.9)], comparison)
    assert "overlap" in in_words([of(0, 0.6), of(0.5, 0.9)], comparison)
    assert in_words(forgot(comparison, {}), comparison) == ""
    go.Figure(seeds_chart(forgot(comparison, {})))


def test_the_comparison_is_the_ready_made_one_or_its_first_two_conditions() -> None:
    two, all_six = (comparison_of(range(4, 7), windows=windows) for windows in (False, True))
    assert [each.name for each in two.conditions] == ["replay kept", "newest transition only"]
    assert len(all_six.conditions) == len(READY_MADE.conditions)
    assert (two.seeds, two.evaluate_at, two.branch_episode) == ((4, 5, 6), (40, 60), 40)
    assert two.conditions[1].changes == READY_MADE.conditions[1].changes


# --- the page ---------------------------------------------------------------------------------------------------------

Visit = Callable[[], AppTest]


@pytest.fixture
def visit(lab: Lab) -> Visit:
    return lambda: opened(lab, "forgetting")


def test_page_branches_a_trained_run_and_shows_both_films_and_their_index(
    visit: Visit, lab: Lab, trunk: Player
) -> None:
    at = visit()
    assert at.select_slider(key=f"forgetting-episode-{trunk.id}").value == 12
    assert component(at, "film")["beside"] == []
    press(at, "branch-out")
    kept, newest = branches_of(lab, trunk)
    assert eventually(lambda: not lab.playing)
    assert eventually(lambda: [metric.value for metric in at.run().metric] == ["F = –"] * 2)
    assert "nothing to forget" in at.metric[0].delta
    film = component(at, "film")
    assert film["clip"]["title"] == "replay kept, ep. 32"
    assert [clip["title"] for clip in film["beside"]] == ["newest transition only, ep. 32"]
    figures = [figure for name, data in components(at) if name == "ddpg_charts" for figure in data["figures"]]
    assert len(figures) == 1 + 2 + 4
    for figure in figures:
        go.Figure(figure)
    press(at, "play-branches")
    assert {kept.stop_at, newest.stop_at} <= {52, None}
    press(at, "remove-branches")
    assert lab.players == [trunk]
    assert "branch-out" in keys(at)


def test_page_offers_a_run_from_scratch_and_says_it_never_learns(visit: Visit, lab: Lab, trunk: Player) -> None:
    at = visit()
    at.session_state["forgetting-kinds"] = ["kept", "newest", "scratch"]
    press(at.run(), "branch-out")
    assert len(lab.players) == 4
    assert any("never learning" in caption.value for caption in at.caption)
    assert component(at, "film")["clip"]["title"].startswith("replay kept")
    (scratch,) = [each for each in lab.players if is_scratch(each)]
    lab.select(scratch.id)
    assert len(at.run().metric) == 2


def test_page_of_a_run_from_scratch_alone_says_there_is_nothing_to_forget(visit: Visit, lab: Lab) -> None:
    on_stage(lab, PRESETS["no_replay"])
    at = visit()
    assert "never learning" in at.info[0].value
    assert "prepare" in keys(at)


def test_page_of_a_young_run_says_how_far_it_is_and_trains_it_on(visit: Visit, lab: Lab) -> None:
    player = on_stage(lab, IDLE)
    at = visit()
    assert "0 of the 10 episodes" in at.info[0].value
    press(at, "train-on")
    assert eventually(lambda: player.run.episode >= 40)
    assert eventually(lambda: not lab.playing)
    assert at.run().select_slider(key=f"forgetting-episode-{player.id}").value == 40


def test_page_of_a_run_that_stopped_young_offers_another(visit: Visit, lab: Lab) -> None:
    player = on_stage(lab, SMALL)
    poison(player.run)
    player.run.advance(steps=40)
    at = visit()
    assert "stopped after 0 of the 10 episodes" in at.info[0].value
    assert {"prepare"} == {"prepare", "train-on"} & keys(at)


def test_page_of_a_car_says_what_it_cannot_show(visit: Visit, lab: Lab) -> None:
    on_stage(lab, IDLE.changed(CAR))
    at = visit()
    assert "drives a car" in at.info[0].value
    assert "prepare" in keys(at)


def test_page_with_a_full_stage_says_what_to_do(visit: Visit, lab: Lab, trunk: Player) -> None:
    for seed in range(1, MAX_RUNS):
        on_stage(lab, IDLE, seed)
    lab.select(trunk.id)
    at = visit()
    assert room(lab) == 0
    assert at.button(key="branch-out").disabled
    assert any("remove runs in the sidebar" in text.value for text in (*at.info, *at.caption))


def test_page_follows_the_cursor(visit: Visit, lab: Lab, trunk: Player) -> None:
    branched(lab, trunk, 6)
    branch = branched(lab, trunk, 6, NEWEST)
    branch.run.advance(episodes=3)
    lab.cursor = 8
    at = visit()
    film = component(at, "film")
    assert not film["live"]
    assert film["beside"][0]["title"].endswith("ep. 8")


def test_known_evaluations_of_other_runs_are_let_go() -> None:
    net = MLP((3, 8, 1), squash=True)
    known = Known(-1000.0, {(1, 0): np.zeros(STARTS), (2, 0): np.zeros(STARTS)})
    run = trained(200, IDLE)
    pause = (run.serial, 0), net, run.learner.actor, run.action_scale, run.config
    assert evaluated(known, [Pause(*pause)], frozenset({2})).returns.keys() == {(2, 0), (run.serial, 0)}


def test_page_runs_the_repeats_and_stops_them(visit: Visit, monkeypatch: pytest.MonkeyPatch, trunk: Player) -> None:
    asked: list[tuple[range, bool]] = []
    later = Later(dict(NEWEST), episode=1)
    plan = Comparison((Condition("kept", IDLE), Condition("newest", IDLE, (later,))), 5000, (0,), starts=1)

    def plan_of(seeds: range, *, windows: bool) -> Comparison:
        asked.append((seeds, windows))
        return plan

    monkeypatch.setattr("pages.ui.forgetting_repeats.comparison_of", plan_of)
    at = press(visit(), "run-seeds")
    assert asked == [(range(5), False)]
    assert "stop-seeds" in keys(at.run())
    press(at, "stop-seeds")
    assert eventually(lambda: "run-seeds" in keys(at.run()))
    assert any("Stopped after 0 of 2 runs" in caption.value for caption in at.caption)
