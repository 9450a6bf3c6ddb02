from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

import ddpg_core.oracle
from ddpg_core.config import PRESETS, Config
from ddpg_core.environment import Physics, pendulum_obs
from ddpg_core.oracle import Oracle, optimal_oracle
from ddpg_core.probes import true_q
from ddpg_core.run import Run
from pages.ui import jobs
from pages.ui.critic import GRID, Belief, Question, belief_of, cut_at, cut_of_action, on_path, optimal, survey
from pages.ui.critic_charts import compared_maps, cut_charts, lag_map, learned_map, surface, torque_map
from pages.ui.critic_elsewhere import elsewhere_charts
from pages.ui.critic_study import Look, Study, fits
from pages.ui.critic_words import caveats, cut_words, error_words, loss_words, next_step, signed
from pages.ui.curves import curve_of
from pages.ui.jobs import Latest, oracle_of
from pages.ui.lab import Lab
from pages.ui.live import Figure
from pages.ui.scales import ends, largest, roomy, steady
from tests.helpers import CAR, IDLE, SMALL, rerun, started, trained
from tests.ui.helpers import BUSY_S, components, diverged, eventually, on_stage, opened, shown, strict_json, unpacked

NOTEBOOK = PRESETS["notebook"].changed({"updates_per_step": 0})


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    return {
        "fresh": started(SMALL),
        "trained": trained(650, SMALL),
        "notebook": trained(210, NOTEBOOK),
        "diverged": diverged(),
        "car": trained(1050, SMALL.changed({**CAR, "warmup_steps": 1000})),
    }


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return optimal_oracle(Physics(), points=31)


def belief(run: Run, episode: int | None = None) -> Belief:
    lab, player = Lab(), shown(run)
    lab.cursor = episode
    return belief_of(lab, player)


def looked(run: Run, oracle: Oracle | None, episode: int | None = None, question: Question = Question()) -> Look:  # noqa: B008
    """Everything known of a run, without a session."""
    said = belief(run, episode)
    best = optimal(oracle, question.torque) if oracle else None
    found = survey(said, question)
    return Look(said, question, found, True, False, oracle, best, (-900.0, 0.0), (-100.0, 100.0))


def cells(figure: Figure) -> Any:
    """The numbers of a heat map [V, P]."""
    trace = next(trace for trace in figure["data"] if trace["type"] == "heatmap")
    return unpacked(trace["z"]["bdata"]).reshape([int(n) for n in trace["z"]["shape"].split(",")])


def line(figure: Figure, name: str) -> Any:
    (trace,) = [trace for trace in figure["data"] if trace.get("name") == name]
    return unpacked(trace["y"]["bdata"])


# --- what the networks say --------------------------------------------------------------------------------------------


def test_learned_map_is_what_the_run_itself_says_state_by_state(runs: dict[str, Run]) -> None:
    run = runs["trained"]
    said = belief(run)
    free, pushed = said.learned(None), said.learned(-1.5)
    for row, column in ((0, 0), (31, 7), (60, 44)):
        obs = GRID.obs[row, column]
        assert free[row, column] == pytest.approx(run.q(obs, run.act(obs)), abs=1e-4)
        assert pushed[row, column] == pytest.approx(run.q(obs, np.array([-1.5], np.float32)), abs=1e-4)
        assert said.torque()[row, column] == pytest.approx(np.clip(run.act(obs)[0], -2, 2), abs=1e-5)


def test_critic_of_raw_actions_is_asked_about_raw_actions(runs: dict[str, Run]) -> None:
    run = started(NOTEBOOK)
    run.learner.actor[-1] = 2.0  # the bias before tanh: all torques near +4
    said, obs = belief(run), GRID.obs[10, 50]
    assert said.reach == 4
    assert run.act(obs)[0] > 3
    assert said.learned(None)[10, 50] == pytest.approx(run.q(obs, run.act(obs)), abs=1e-4)
    np.testing.assert_array_equal(said.torque(), 2)
    assert belief(runs["trained"]).reach == 2


def test_past_moment_shows_that_moments_networks_and_episode(runs: dict[str, Run]) -> None:
    run = runs["trained"]
    then = run.branch(2)
    said = belief(run, 2)
    np.testing.assert_array_equal(said.learned(None), belief(then).learned(None))
    assert not np.allclose(said.learned(None), belief(run).learned(None))
    np.testing.assert_array_equal(said.obs, run.logs.steps.read("obs", 200, 400))
    assert len(belief(run, 0).obs) == 0


def test_online_minus_target_is_zero_for_copies_and_a_shift_of_the_last_bias_otherwise() -> None:
    run = started(SMALL)
    assert (belief(run).ahead(None) == 0).all()
    run.learner.critic[-1] += 3.0
    np.testing.assert_allclose(belief(run).ahead(0.5), 3, atol=1e-5)


def test_survey_is_the_true_value_of_the_policy_on_the_grid_and_along_the_torque(runs: dict[str, Run]) -> None:
    run = runs["trained"]
    said = belief(run)
    moment, question = said.moment, Question(None, -1.0, 2.0)
    found = survey(said, question)

    def direct(angle: Any, velocity: Any, torque: Any) -> Any:
        policy = (run.learner.actor_net, moment.actor, moment.action_scale)
        return true_q(*policy, Physics(), moment.config.gamma, np.atleast_1d(angle), np.atleast_1d(velocity), torque)

    rows, columns = np.array([3, 30, 44]), np.array([7, 31, 58])
    states = GRID.angle[rows, columns], GRID.velocity[rows, columns]
    np.testing.assert_allclose(found.true[rows, columns], direct(*states, None), rtol=1e-3)
    along = direct(np.full(3, -1.0), np.full(3, 2.0), np.array([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(found.along[[0, 20, 40]], along, rtol=1e-3)
    pushed = survey(said, question._replace(torque=-2.0))
    np.testing.assert_allclose(pushed.true[rows, columns], direct(*states, -2.0), rtol=1e-3)
    np.testing.assert_array_equal(found.learned, said.learned(None))


def test_rollouts_fit_their_own_moment_and_while_it_moves_the_run(runs: dict[str, Run]) -> None:
    now, past, other = (belief(runs["trained"]), belief(runs["trained"], 1), belief(runs["fresh"]))
    found, question = survey(now, Question()), Question()
    assert fits(found, now, question, moving=False)
    assert fits(found, now, question._replace(angle=1.0), moving=False)
    assert not fits(found, now, question._replace(torque=0.0), moving=True)
    assert not fits(found, past, question, moving=False)
    assert fits(found, past, question, moving=True)
    assert not fits(found, other, question, moving=True)


def test_rollouts_and_scales_of_another_run_are_forgotten(runs: dict[str, Run]) -> None:
    study, run = Study(), belief(runs["trained"]).run
    study.survey = survey(belief(runs["trained"]), Question())
    assert study.turn_to(run) is study.survey
    study.scale("values", -1000, 0)
    assert study.turn_to(run) is study.survey
    assert "values" in study.scales
    assert study.turn_to(belief(Run(runs["trained"].recipe)).run) is None
    assert study.scales == {}


def test_values_along_the_path_are_those_of_the_nearest_states(runs: dict[str, Run]) -> None:
    said = belief(runs["trained"])
    angle, velocity = said.path
    assert len(angle) == 50  # the episode going on
    np.testing.assert_allclose(on_path(said, GRID.angle), angle, atol=np.pi / 60 + 1e-6)
    np.testing.assert_allclose(on_path(said, GRID.velocity), velocity, atol=8 / 60 + 1e-6)


# --- one state --------------------------------------------------------------------------------------------------------


def test_cut_is_learned_target_and_optimal_q_of_that_state(runs: dict[str, Run], oracle: Oracle) -> None:
    run = runs["trained"]
    cut = cut_at(belief(run), Question(None, 0.5, -1.0), oracle, None)
    obs = pendulum_obs(np.array(0.5), np.array(-1.0))
    for index in (0, 11, 40):
        torque = cut.torques[index]
        assert cut.learned[index] == pytest.approx(run.q(obs, np.array([torque], np.float32)), abs=1e-4)
        assert cut.optimal is not None
        assert cut.optimal[index] == oracle.q(np.array(0.5), np.array(-1.0), torque)
    assert cut.policy == pytest.approx(run.act(obs)[0], abs=1e-5)
    assert cut.value == pytest.approx(run.q(obs, run.act(obs)), abs=1e-4)
    step = 1e-2
    up, down = (run.q(obs, np.array([cut.policy + way], np.float32)) for way in (step, -step))
    assert cut.slope == pytest.approx((up - down) / (2 * step), abs=0.02)
    assert cut.true is None
    assert len(cut.lines) == len(cut.gains) == 3


def test_arrow_is_the_tangent_and_points_uphill(runs: dict[str, Run]) -> None:
    said = belief(runs["trained"])
    for angle in (-2.0, 0.3, 2.0):
        cut = cut_at(said, Question(None, angle, 0.0), None, None)
        for figure, level in zip(cut_charts(cut, (-50.0, 10.0), (-5.0, 5.0)), (cut.value, 0.0), strict=True):
            (arrow,) = figure["layout"]["annotations"]
            across, up = arrow["x"] - arrow["ax"], arrow["y"] - arrow["ay"]
            assert up > 0
            assert up / across == pytest.approx(cut.slope)
            assert (arrow["ax"], arrow["ay"]) == (cut.policy, level)
            assert abs(arrow["x"]) <= figure["layout"]["xaxis"]["range"][1]


def test_gain_is_zero_at_the_policys_own_torque(runs: dict[str, Run], oracle: Oracle) -> None:
    cut = cut_at(belief(runs["trained"]), Question(), oracle, None)
    for gain in cut.gains:
        assert np.interp(cut.policy, cut.torques, gain) == pytest.approx(0, abs=1e-6)
    absolute, relative = cut_charts(cut, (-50.0, 10.0), (-5.0, 5.0))
    np.testing.assert_allclose(np.diff(line(absolute, "optimal")), np.diff(line(relative, "optimal")), atol=1e-4)


@pytest.mark.parametrize(
    ("slope", "policy", "words"),
    [
        (3.0, 0.5, "more counter-clockwise** torque, along the arrow"),
        (-3.0, 0.5, "more clockwise** torque, along the arrow"),
        (-3.0, -2.0, "more clockwise** torque, but it is at its limit"),
        (3.0, -2.0, "more counter-clockwise** torque, along the arrow"),
        (0.0, 0.5, "∂Q/∂a = 0: to this critic a little more or less is all the same: **no push**"),
        (float("nan"), 0.5, "not finite"),
    ],
)
def test_words_say_where_the_actor_is_pushed(runs: dict[str, Run], slope: float, policy: float, words: str) -> None:
    cut = cut_at(belief(runs["trained"]), Question(), None, None)._replace(slope=slope, policy=policy)
    assert words in cut_words(cut, Question(None, 0.5, -1.0))
    assert cut_words(cut, Question(None, 0.5, -1.0)).startswith("At 29° left of upright")


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fresh", "trained", "notebook", "diverged"])
def test_every_figure_is_one_that_plotly_accepts_and_a_browser_reads(
    runs: dict[str, Run], oracle: Oracle, name: str
) -> None:
    run = runs[name]
    for episode in (None, 0):
        for known in (None, oracle):
            seen = looked(run, known, episode, Question(None if known else 1.0))
            ahead, cut = seen.belief.ahead(None), seen.cut
            sent = [
                [learned_map(seen)],
                compared_maps(seen),
                [torque_map(seen.belief.torque(), "Policy"), lag_map(ahead, (-1.0, 1.0))],
                [surface(seen)],
                cut_charts(cut, steady(None, *roomy(ends(cut.lines))), steady(None, *roomy(ends(cut.gains)))),
            ]
            for figures in sent:
                for figure in figures:
                    go.Figure(figure)
                text = json.dumps(figures)
                strict_json(text)
                assert len(text) < 100_000
            words = " ".join([*error_words(seen), *loss_words(seen), cut_words(cut, seen.question)])
            assert "nan" not in words
            assert "-" not in words.replace("counter-clockwise", "")


def test_three_maps_share_one_scale_and_two_differences_another(runs: dict[str, Run], oracle: Oracle) -> None:
    seen = looked(runs["trained"], oracle)
    true, best, over, short = compared_maps(seen)
    for figure in (learned_map(seen), true, best):
        assert (figure["data"][0]["zmin"], figure["data"][0]["zmax"]) == (-900, 0)
    for figure in (over, short):
        assert (figure["data"][0]["zmin"], figure["data"][0]["zmax"]) == (-100, 100)
    assert seen.survey is not None
    np.testing.assert_allclose(cells(over), cells(learned_map(seen)) - cells(true), atol=1e-3)
    np.testing.assert_allclose(cells(short), cells(true) - cells(best), atol=1e-3)
    np.testing.assert_allclose(cells(best), oracle.value(GRID.angle, GRID.velocity), atol=1e-3)


def test_chosen_torque_is_that_of_all_three_maps(runs: dict[str, Run], oracle: Oracle) -> None:
    seen = looked(runs["trained"], oracle, None, Question(2.0))
    np.testing.assert_allclose(cells(learned_map(seen)), seen.belief.learned(2.0), atol=1e-4)
    expected = oracle.q(GRID.angle, GRID.velocity, np.array(2.0))
    np.testing.assert_allclose(cells(compared_maps(seen)[1]), expected, atol=1e-3)
    assert (expected <= oracle.value(GRID.angle, GRID.velocity) + 1e-9).all()


def test_maps_of_another_moment_are_dimmed_and_missing_ones_say_why(runs: dict[str, Run], oracle: Oracle) -> None:
    stale = replace(looked(runs["trained"], oracle), fresh=False)
    true, best, *differences = compared_maps(stale)
    assert [figure["data"][0].get("opacity", 1) < 1 for figure in (true, best, *differences)] == [
        True,
        False,
        True,
        True,
    ]
    assert "rolling out" in true["layout"]["annotations"][0]["text"]
    blank = replace(stale, survey=None, oracle=None, optimal=None)
    notes = [figure["layout"]["annotations"][0]["text"] for figure in compared_maps(blank)]
    assert ["solving" in note for note in notes] == [False, True, False, False]
    assert error_words(stale)[0] == loss_words(blank)[0] == "…"
    assert "solved" in loss_words(blank)[1]


def test_last_path_and_the_state_looked_at_lie_on_the_learned_map(runs: dict[str, Run], oracle: Oracle) -> None:
    seen = looked(runs["trained"], oracle, None, Question(None, -1.25, 3.5))
    _, outline, path, ring = learned_map(seen)["data"]
    angle, velocity = seen.belief.path
    kept = ~np.isnan(unpacked(path["x"]["bdata"]))
    np.testing.assert_allclose(unpacked(path["x"]["bdata"])[kept], angle)
    np.testing.assert_allclose(unpacked(outline["y"]["bdata"])[kept], velocity)
    assert (unpacked(ring["x"]["bdata"])[0], unpacked(ring["y"]["bdata"])[0]) == (-1.25, 3.5)


def test_car_shows_its_critic_without_a_pendulum(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.session_state", {})
    run = runs["car"]
    said = belief(run)
    figures = elsewhere_charts(said, curve_of(shown(run), with_updates=True), None)
    for figure in figures:
        go.Figure(figure)
        strict_json(json.dumps(figure))
    assert len(figures) == 4
    values, obs = cells(figures[0]), np.array([-1.2, 0.07], np.float32)
    assert values[-1, 0] == pytest.approx(run.q(obs, np.clip(run.act(obs), -1, 1)), abs=1e-4)
    cut = cut_of_action(said, said.obs[-1], 1.0)
    assert cut.learned[-1] == pytest.approx(run.q(said.obs[-1], np.array([1.0], np.float32)), abs=1e-4)
    assert len(elsewhere_charts(belief(run, 0), curve_of(shown(run), with_updates=True), 0)) == 2


# --- scales -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-873, -2, (-900, 0)), (-873, 0.3, (-900, 0)), (-12.2, 3.1, (-14, 4)), (0, 0, (-0.6, 0.6)), (5, 5, (4.4, 5.6))],
)
def test_scale_has_round_ends_around_the_values(low: float, high: float, expected: tuple[float, float]) -> None:
    assert steady(None, low, high) == pytest.approx(expected)


def test_scale_moves_seldom_while_values_grow_and_shrink() -> None:
    held, changes, last = None, 0, None
    sizes = np.concatenate([np.linspace(10, 900, 400), np.linspace(900, 200, 400)])
    for size in sizes + np.random.default_rng(0).normal(0, 2, len(sizes)):
        held = steady(held, -size, 0)
        assert held[0] <= -0.98 * size
        assert size >= 0.55 * -held[0]
        changes += held != last
        last = held
    assert changes < 45


def test_scale_of_differences_leaves_out_the_few_largest_and_what_is_not_finite() -> None:
    gaps = [np.append(np.linspace(-10, 10, 999), [np.nan, 1e6])]
    assert largest(gaps) == pytest.approx(9.8, abs=0.1)
    assert largest([]) == largest([np.array([np.nan])]) == 1
    assert ends([np.array([[np.nan, 3.0], [-1.0, np.inf]])]) == (-1, 3)
    assert ends([np.array([np.nan])]) == (-1, 0)


# --- words ------------------------------------------------------------------------------------------------------------


def shifted(seen: Look, by: float) -> Look:
    """The same, with a critic that is off by so much everywhere."""
    assert seen.survey is not None
    return replace(seen, survey=seen.survey._replace(learned=seen.survey.true + by))


def test_words_tell_over_from_underestimation(runs: dict[str, Run], oracle: Oracle) -> None:
    seen = looked(runs["trained"], oracle)
    value, meaning = error_words(shifted(seen, 250.0))
    assert value == "+250"
    assert "250 more than its policy will earn: overestimation" in meaning
    assert "Along the white path: +250" in meaning
    value, meaning = error_words(shifted(seen, -250.0))
    assert value == "−250"
    assert "250 less than its policy will earn: underestimation" in meaning
    assert "about right" in error_words(shifted(seen, 1.0))[1]
    assert "100% of the states it promises more than 0" in error_words(shifted(seen, 5000.0))[1]


def test_words_tell_what_the_policy_loses(runs: dict[str, Run], oracle: Oracle) -> None:
    seen = looked(runs["trained"], oracle)
    assert seen.survey is not None
    assert seen.optimal is not None
    good = replace(seen, survey=seen.survey._replace(true=seen.optimal - 1.0))
    assert loss_words(good)[0] == "−1"
    assert "near optimal" in loss_words(good)[1]
    bad = replace(seen, survey=seen.survey._replace(true=seen.optimal - 300.0))
    assert "earns 300 less than could be earned" in loss_words(bad)[1]


@pytest.mark.parametrize(("value", "text"), [(1234.5, "+1,234"), (-8.764, "−8.76"), (0.0, "0"), (-0.0312, "−0.0312")])
def test_signed_numbers_have_three_digits_and_real_signs(value: float, text: str) -> None:
    assert signed(value) == text


def test_caveats_and_next_steps_fit_the_run(runs: dict[str, Run]) -> None:
    assert caveats(belief(runs["trained"])) == []
    above, raw = caveats(belief(runs["notebook"]))
    assert "should lie **above**" in above
    assert "±4 N·m" in raw
    assert next_step(belief(runs["trained"])) == ""
    assert "learning starts in 32 steps" in next_step(belief(runs["fresh"]))
    assert "Move the cursor" in next_step(belief(runs["diverged"]))
    assert "raise it on the Train page" in next_step(belief(started(IDLE)))


# --- in the background ------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads and memory of the jobs that no other test uses."""
    solver, worker = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    monkeypatch.setattr(jobs, "_SOLVER", solver)
    monkeypatch.setattr(jobs, "_WORKER", worker)
    monkeypatch.setattr(jobs, "_solving", {})
    monkeypatch.setattr(ddpg_core.oracle, "_entries", {})
    yield
    solver.shutdown()
    worker.shutdown()


@pytest.mark.usefixtures("alone")
def test_oracle_is_solved_once_in_the_background_for_all_who_ask(
    monkeypatch: pytest.MonkeyPatch, oracle: Oracle
) -> None:
    solved, go_on = [], threading.Event()

    def solve(physics: Physics, points: int, gamma: float, _: Any) -> Oracle:
        solved.append((physics, points, gamma))
        assert go_on.wait(BUSY_S)
        return oracle

    monkeypatch.setattr(ddpg_core.oracle, "solve_oracle", solve)
    assert [oracle_of(Physics(), 0.9) for _ in range(5)] == [None] * 5
    assert oracle_of(Physics(mass=2.0), 0.9) is None
    go_on.set()
    assert eventually(lambda: oracle_of(Physics(), 0.9) is oracle and oracle_of(Physics(mass=2.0), 0.9) is oracle)
    assert solved == [(Physics(), jobs.ORACLE_POINTS, 0.9), (Physics(mass=2.0), jobs.ORACLE_POINTS, 0.9)]


@pytest.mark.usefixtures("alone")
def test_oracle_that_the_core_forgot_is_solved_again_in_the_background(
    monkeypatch: pytest.MonkeyPatch, oracle: Oracle
) -> None:
    threads = []

    def solve(*_: Any) -> Oracle:
        threads.append(threading.current_thread())
        return oracle

    monkeypatch.setattr(ddpg_core.oracle, "solve_oracle", solve)
    assert eventually(lambda: oracle_of(Physics(), 0.9))
    for number in range(40):
        optimal_oracle(Physics(), 3, number / 100)
    del threads[:]
    assert oracle_of(Physics(), 0.9) is None
    assert eventually(lambda: oracle_of(Physics(), 0.9) is oracle)
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()
    assert optimal_oracle(Physics(), jobs.ORACLE_POINTS, 0.9) is oracle
    assert len(threads) == 1


@pytest.mark.usefixtures("alone")
def test_oracle_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch, oracle: Oracle) -> None:
    attempts, failures = [], []

    def solve(*_: Any) -> Oracle:
        attempts.append(1)
        if len(attempts) == 1:
            raise MemoryError
        return oracle

    def solved() -> bool:
        try:
            return oracle_of(Physics(), 0.9) is oracle
        except MemoryError as error:
            failures.append(error)
            return False

    monkeypatch.setattr(ddpg_core.oracle, "solve_oracle", solve)
    assert eventually(solved)
    assert len(failures) == 1
    assert len(attempts) == 2


@pytest.mark.usefixtures("alone")
def test_one_question_is_worked_on_at_a_time_and_answers_rest_unless_it_is_urgent() -> None:
    latest: Latest[int] = Latest()
    asked, go_on = [], threading.Event()

    def work(number: int) -> Callable[[], int]:
        def answer() -> int:
            asked.append(number)
            assert go_on.wait(BUSY_S)
            return number

        return answer

    assert latest.answer is None
    for number in range(5):
        latest.ask(work(number), urgent=True)
    go_on.set()
    assert eventually(lambda: latest.answer == 0)
    latest.ask(work(5), urgent=False)  # it rests
    latest.ask(work(6), urgent=True)
    assert eventually(lambda: latest.answer == 6)
    assert asked == [0, 6]


@pytest.mark.usefixtures("alone")
def test_what_went_wrong_in_the_background_is_raised_where_the_answer_is_read() -> None:
    latest: Latest[float] = Latest()
    latest.ask(lambda: 1 / 0, urgent=True)

    def failed() -> bool:
        try:
            return latest.answer is not None
        except ZeroDivisionError:
            return True

    assert eventually(failed)
    latest.ask(lambda: 2.0, urgent=True)
    assert eventually(lambda: latest.answer == 2)


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(lab: Lab) -> Callable[[], AppTest]:
    """Opens the page in a browser session that has `lab`, and waits until nothing is computed any more."""

    return lambda: settled(opened(lab, "critic"))


def settled(at: AppTest) -> AppTest:
    assert eventually(lambda: at.run() and not at.exception and not waits(at)), at.exception
    return at


def groups(at: AppTest) -> list[list[Figure]]:
    return [data["figures"] for name, data in components(at) if name == "ddpg_charts"]


def waits(at: AppTest) -> bool:
    """Whether a map on the page says that it is being computed."""
    notes = [note for figures in groups(at) for figure in figures for note in figure["layout"].get("annotations", ())]
    return any(word in note["text"] for note in notes for word in ("rolling", "solving"))


def test_page_shows_three_maps_on_one_scale_that_are_true_of_the_run(
    page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    at = page()
    (learned,), (true, best, *_), *_ = groups(at)
    scales = {(f["data"][0]["zmin"], f["data"][0]["zmax"]) for f in (learned, true, best)}
    assert len(scales) == 1
    said = belief(runs["trained"])
    np.testing.assert_allclose(cells(learned), said.learned(None), atol=1e-3)
    np.testing.assert_allclose(cells(true), survey(said, Question()).true, atol=1e-2)
    ((low, high),) = scales
    assert low <= cells(true).min()
    assert high >= cells(best).max() - 0.02 * (high - low)
    metrics = {metric.label: metric.value for metric in at.metric}
    mean = float((cells(learned) - cells(true)).mean())
    assert metrics["learned − true, mean of the map"] == signed(mean)


def test_page_at_a_past_episode_shows_that_episode(page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    lab.cursor = 1
    at = page()
    (learned,), (true, *_), *_ = groups(at)
    past = belief(runs["trained"], 1)
    np.testing.assert_allclose(cells(learned), past.learned(None), atol=1e-3)
    np.testing.assert_allclose(cells(true), survey(past, Question()).true, atol=1e-2)
    lab.cursor = 0
    assert any("random first weights" in hint.value for hint in settled(at).info)


def test_reset_run_starts_without_the_true_values_of_the_old_one(
    page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    player = on_stage(lab, IDLE)
    player.run = runs["trained"]
    at = page()
    assert groups(at)[1][0]["data"][0]["type"] == "heatmap"
    monkeypatch.setattr(jobs, "_WORKER", held := ThreadPoolExecutor(1))
    go_on = threading.Event()
    held.submit(go_on.wait, BUSY_S)
    player.run = Run(runs["trained"].recipe)
    at.run()
    true = groups(at)[1][0]
    go_on.set()
    held.shutdown()
    assert all(trace["type"] != "heatmap" for trace in true["data"])
    assert "rolling out" in true["layout"]["annotations"][-1]["text"]


def test_torque_and_state_asked_about_are_kept_from_page_to_page(
    page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    at = page()
    at.radio(key="critic-mode").set_value("torque").run()
    at.slider(key="critic-torque").set_value(-1.5).run()
    at.slider(key="critic-angle").set_value(-2.0).run()
    for _ in range(2):
        (learned,), *_, cut = groups(settled(at))
        np.testing.assert_allclose(cells(learned), belief(runs["trained"]).learned(-1.5), atol=1e-3)
        assert unpacked(learned["data"][-1]["x"]["bdata"])[0] == -2
        expected = cut_at(belief(runs["trained"]), Question(None, -2.0, 0.0), None, None)
        np.testing.assert_allclose(line(cut[0], "learned"), expected.learned, atol=1e-4)
        assert {trace.get("name") for trace in cut[0]["data"]} >= {"true", "optimal", "target"}
        at.switch_page("pages/train_page.py").run()
        at.switch_page("pages/critic_page.py").run()


def test_clicked_state_moves_the_sliders(page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    at = page()
    at.session_state["critic-picked"] = (1.23, -4.5)
    at.run()
    assert not at.exception
    assert (at.slider(key="critic-angle").value, at.slider(key="critic-velocity").value) == (1.23, -4.5)
    ring = groups(at)[0][0]["data"][-1]
    assert unpacked(ring["y"]["bdata"])[0] == -4.5


def test_surface_comes_with_its_switch(page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]) -> None:
    on_stage(lab, IDLE).run = runs["trained"]
    at = page()
    kinds = [trace["type"] for figures in groups(at) for figure in figures for trace in figure["data"]]
    assert "surface" not in kinds
    at.toggle(key="critic-surface").set_value(True).run()
    (skin,) = [t for figures in groups(at) for figure in figures for t in figure["data"] if t["type"] == "surface"]
    np.testing.assert_allclose(unpacked(skin["z"]["bdata"]).reshape(61, 61), cells(groups(at)[0][0]))


def test_looking_leaves_the_run_as_it_was(page: Callable[[], AppTest], lab: Lab) -> None:
    player = on_stage(lab, Config(hidden=(8,), batch_size=16, warmup_steps=32))
    player.run.advance(steps=250)
    before = player.run.snapshot()
    page()
    after = player.run.snapshot()
    np.testing.assert_array_equal(before.learner, after.learner)
    assert (before.totals, before.counters) == (after.totals, after.counters)
    assert rerun(player.run).recipe == player.run.recipe


def test_other_environments_say_what_cannot_be_shown(
    page: Callable[[], AppTest], lab: Lab, runs: dict[str, Run]
) -> None:
    on_stage(lab, IDLE).run = runs["car"]
    at = page()
    assert any("need the pendulum's equations" in hint.value for hint in at.info)
    assert len(groups(at)[0]) == 4
    assert not at.metric
