from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ddpg_core.logs
from ddpg_core import doctor
from ddpg_core.config import PRESETS, Config, setting_of
from ddpg_core.doctor import Finding, diagnose, knobs, regrets
from ddpg_core.environment import Physics, pendulum_obs
from ddpg_core.learner import STATISTICS
from ddpg_core.logs import EPISODE_COLUMNS, Table
from ddpg_core.metrics import evaluate_policy
from ddpg_core.oracle import optimal_oracle, optimal_returns
from ddpg_core.run import Run
from tests.helpers import CAR, IDLE, SMALL, assert_equal_logs, rerun, started, trained

HEALTHY_STATISTICS = {
    "critic_loss": 4.0,
    "actor_loss": 60.0,
    "q_mean": -60.0,
    "target_mean": -60.0,
    "td_error_abs": 1.5,
    "critic_grad_norm": 150.0,
    "actor_grad_norm": 2.0,
    "saturation": 0.5,
}
HANGING, NEAR_UPRIGHT = (math.pi, 0.0), (0.1, 0.0)
REWARD = -1.0
"""Of every step told; with γ = 0.99 its discounted sum is −100 exactly, the tail beyond step 200 included."""


def told(run: Run, episodes: int = 25, first: int = 0, **changes: Any) -> Run:
    """Fills a run's logs by hand with episodes of a healthy agent, except for `changes`.

    Args:
        run: Mutated.
        episodes: How many.
        first: Number of the first episode told.
        changes: `start` (angle, velocity), `regret`, `first_q`, `terminated`, `noise` in N·m, `upright` (share of
            steps at the top; the others hang), or a column of the update log; each a value or a function of the
            episode.
    """
    story: dict[str, Any] = {"start": HANGING, "regret": 20.0, "first_q": -90.0, "terminated": 0.0}
    story |= {"noise": 0.6, "upright": 0.5} | HEALTHY_STATISTICS | changes
    for episode in range(first, first + episodes):
        now = {name: value(episode) if callable(value) else value for name, value in story.items()}
        tell_episode(run, now)
    return run


def tell_episode(run: Run, now: dict[str, Any]) -> None:
    logs, first_step, steps = run.logs, run.env_steps, np.arange(200)
    angle = np.where(steps < 200 * now["upright"], 0.2, math.pi)
    angle[0], velocity = now["start"][0], np.where(steps == 0, now["start"][1], 0.0)
    obs, noise = pendulum_obs(angle, velocity), now["noise"] * (-1.0) ** steps
    # One reward is −16, so that values range over 1,600; the mean of the last 50 stays −1.
    reward = np.where(steps == 100, -16.0, REWARD)
    add(logs.steps, obs, obs, 0 * noise, noise, noise, reward, 0 * noise, steps == 199)
    if run.config.updates_per_step:
        add(logs.updates, first_step + steps, *(np.full(200, now[name]) for name in STATISTICS))
    row = dict.fromkeys(EPISODE_COLUMNS, 0.0) | {
        "first_step": first_step,
        "length": 200,
        "episode_return": best_return(*now["start"]) - now["regret"],
        "discounted_return": REWARD * (1 - 0.99**200) / 0.01,
        "first_q": now["first_q"],
        "terminated": now["terminated"],
        "updates": logs.updates.total,
    }
    logs.episodes.append(*row.values())


def add(table: Table, *columns: np.ndarray) -> None:
    """Appends 200 rows at once."""
    rows = np.column_stack(columns).astype(np.float32)
    table.load(np.concatenate([table.rows(), rows]), table.total + len(rows))


@functools.cache
def best_return(angle_rad: float, velocity_rad_s: float) -> float:
    best = optimal_returns(SMALL, np.array([[angle_rad, velocity_rad_s]]))
    assert best is not None
    return float(best[0])


def findings(run: Run, episode: int | None = None) -> dict[str, Finding]:
    """The findings by kind, each checked for what all must have."""
    moment = run.at(episode)
    found = diagnose(run, moment)
    assert [doctor.SEVERITIES.index(finding.severity) for finding in found] == sorted(
        doctor.SEVERITIES.index(finding.severity) for finding in found
    )
    for finding in found:
        assert any(letter.isdigit() for letter in finding.evidence)
        assert "nan" not in finding.evidence
        assert finding.title.endswith(".")
        assert finding.advice.endswith(".")
        assert_useful(finding.knob, moment.config)
    return {finding.kind: finding for finding in found}


def assert_useful(knob: doctor.Knob | None, config: Config) -> None:
    """A knob is a live setting, and its value is valid and another than now."""
    if knob:
        assert setting_of(knob.name).live
        assert config.changed({knob.name: knob.value}).difference(config) == {knob.name: knob.value}


def saturate(run: Run, one_way: bool = False, only_hanging: bool = False) -> None:
    """Makes the actor's outputs ±1 by the sign of cos θ; or +1 always; or 0 above the axis and −1 below."""
    net = run.learner.actor_net
    layers = net.layers(run.learner.actor)
    run.learner.actor[:] = 0
    layers[0][0][0, 0], layers[0][0][1, 0] = 100, -100
    layers[-1][0][0, :2] = 0 if one_way else (0 if only_hanging else 100, -100)
    layers[-1][1][0] = 100 if one_way else 0


# --- healthy ----------------------------------------------------------------------------------------------------------


def test_healthy_run_gets_one_reassuring_finding_with_its_numbers() -> None:
    found = findings(told(started()))
    assert found.keys() == {"healthy"}
    assert found["healthy"].severity == "good"
    assert "regret to the oracle in episodes 16 to 25: 20 on average" in found["healthy"].evidence
    assert "Mean Q −60, mean |TD error| 1.5." in found["healthy"].evidence


def test_faultless_run_with_a_bad_policy_is_not_called_healthy() -> None:
    found = findings(told(started(), regret=300.0))
    assert found.keys() == {"still_learning"}
    assert found["still_learning"].severity == "info"


def test_what_came_after_the_moment_changes_nothing() -> None:
    longer = told(told(started(), 22), 10, 22, regret=900.0, noise=0.0, q_mean=900.0)
    assert diagnose(longer, longer.at(22)) == diagnose(told(started(), 22), longer.at(22))
    assert findings(longer, 22).keys() == {"healthy"}
    assert "healthy" not in findings(longer)


def test_examining_a_run_changes_nothing() -> None:
    run = trained(450)
    for episode in (0, 1, 2, None):
        diagnose(run, run.at(episode))
    assert_equal_logs(rerun(run), run)
    run.advance(steps=50)
    assert_equal_logs(rerun(run), run)


@pytest.mark.parametrize("config", [SMALL, IDLE, SMALL.changed(CAR), PRESETS["notebook"]])
def test_run_before_its_first_step_and_in_its_first_episodes_can_be_examined(config: Config) -> None:
    run = started(config)
    assert findings(run)
    for steps in (1, 40, 250):
        run.advance(steps=steps)
        assert findings(run)
    for episode in range(run.episode + 1):
        assert findings(run, episode)


def test_regrets_at_hand_are_used() -> None:
    run = told(
        started(),
        start=lambda episode: HANGING if episode < 15 else NEAR_UPRIGHT,
        regret=lambda episode: 20.0 if episode >= 5 else 300.0,
    )
    assert findings(run).keys() == {"luck", "healthy"}  # judged by the last 20 episodes
    assert diagnose(run, run.at(), regrets(run)) == diagnose(run, run.at())
    assert "healthy" not in {finding.kind for finding in diagnose(run, run.at(), np.full(25, 250.0))}


# --- each finding, present and absent ---------------------------------------------------------------------------------


def test_saturated_actor_is_reported_where_the_policy_is_poor_but_not_in_good_bang_bang_control() -> None:
    poor, good, soft = told(started(), regret=900.0), told(started()), told(started(), regret=900.0)
    saturate(poor)
    saturate(good)
    found = findings(poor)["saturated"]
    assert found.severity == "warning"
    assert "100 % of 1,000 states" in found.evidence
    assert "(49 % at the upper limit, 51 % at the lower)" in found.evidence  # each episode starts hanging
    assert found.knob == ("l2", 1e-3)
    assert "saturated" not in findings(good)
    assert "saturated" not in findings(soft)
    so_so = told(started(), regret=300.0)
    saturate(so_so)
    assert "saturated" in findings(so_so)  # no state is left where the actor could learn


def test_actor_saturated_in_nine_states_of_ten_is_reported_where_the_policy_is_poor() -> None:
    for regret, reported in ((900.0, True), (300.0, False)):
        run = told(started(), regret=regret, upright=0.1)
        saturate(run, only_hanging=True)
        assert ("saturated" in findings(run)) == reported


def test_actor_that_pushes_one_way_only_is_stuck_however_good_its_returns() -> None:
    run = told(started(SMALL.changed({"actor_lr": 0.05})))
    saturate(run, one_way=True)
    found = findings(run)["saturated"]
    assert found.severity == "bad"
    assert "100 % at the upper limit, 0.0 % at the lower" in found.evidence
    assert found.knob == ("actor_lr", 1e-3)
    assert "go on from an earlier episode" in found.advice


def test_critic_that_promises_more_than_comes_is_reported() -> None:
    found = findings(told(started(), first_q=150.0))["overestimation"]
    assert found.severity == "warning"
    assert "promised 150 and −100 came" in found.evidence
    assert "overestimation" not in findings(told(started(), first_q=0.0))  # 100 too high: Q is seldom much better


@pytest.mark.parametrize("ends", [{"time_limit_terminal": True}, {"terminated": 1.0}])
def test_nothing_is_expected_to_follow_where_an_episode_ends_for_good(ends: dict[str, Any]) -> None:
    run = started(SMALL.changed(ends)) if "terminated" not in ends else started()
    found = findings(told(run, first_q=150.0, terminated=ends.get("terminated", 0.0)))["overestimation"]
    assert "promised 150 and −86.6 came" in found.evidence  # 100·(1 − 0.99²⁰⁰)


def test_critic_that_is_catching_up_is_left_alone() -> None:
    assert "overestimation" not in findings(told(started(), first_q=lambda episode: 900.0 if episode < 20 else 140.0))
    assert "overestimation" not in findings(told(started(), 15, first_q=400.0))


@pytest.mark.parametrize("q_mean", [400.0, -2000.0])
def test_values_beyond_what_rewards_allow_are_reported(q_mean: float) -> None:
    found = findings(told(started(), q_mean=q_mean))["overestimation"]
    assert found.severity == "bad"
    assert "rewards allow −1,600 to 0." in found.evidence
    assert "overestimation" not in findings(told(started(), q_mean=-1500.0))


def test_lack_of_noise_is_reported_while_the_policy_is_poor() -> None:
    found = findings(told(started(), regret=900.0, noise=0.02))["no_exploration"]
    assert "Noise in episodes 16 to 25: 1.0 % of the actuator's half range" in found.evidence
    assert "no_exploration" not in findings(told(started(), regret=900.0))
    assert "no_exploration" not in findings(told(started(), noise=0.02))


@pytest.mark.parametrize(
    ("changes", "knob"),
    [
        ({"noise": "none"}, ("noise", "ou")),
        ({"noise_scale": 0.0, "noise_decay": 1.0}, ("noise_scale", 1.0)),
        ({"noise_decay": 0.5}, ("noise_decay", 1.0)),
        ({"ou_sigma": 0.0}, ("ou_sigma", 0.2)),
    ],
)
def test_knob_for_exploration_is_the_setting_that_took_it_away(changes: dict[str, Any], knob: Any) -> None:
    run = told(started(SMALL.changed(changes)), 12, regret=900.0, noise=0.0)
    assert findings(run)["no_exploration"].knob == knob


def test_buffer_without_upright_states_is_reported_while_the_policy_is_poor() -> None:
    found = findings(told(started(), regret=900.0, upright=0.03))["not_upright"]
    assert found.evidence.startswith("2.5 % of 5,000 transitions")  # 5 of 200 steps: the first one hangs
    assert "not_upright" not in findings(told(started(), regret=900.0, upright=0.2))
    assert "not_upright" not in findings(told(started(), upright=0.03))
    assert "not_upright" not in findings(told(started(), 14, regret=900.0, upright=0.03))  # too early


def test_errors_larger_than_rewards_are_reported_when_they_grow_or_are_huge() -> None:
    growing = told(started(), td_error_abs=lambda episode: 20.0 if episode > 20 else 1.0)
    found = findings(growing)["diverging"]
    assert found.severity == "bad"
    assert "20 (median); its lowest was 1, and one reward lies between −16 and −1." in found.evidence
    assert "diverging" in findings(told(started(), td_error_abs=70.0))
    assert "diverging" not in findings(told(started(), td_error_abs=20.0))
    assert "diverging" not in findings(told(started(), td_error_abs=lambda episode: 20.0 if episode == 24 else 1.0))
    assert "diverging" not in findings(told(started(), td_error_abs=lambda episode: 10.0 if episode > 20 else 0.1))


@pytest.mark.parametrize(
    ("changes", "knob"),
    [
        ({"critic_lr": 0.5}, ("critic_lr", 1e-3)),
        ({"actor_lr": 0.5}, ("actor_lr", 1e-3)),
        ({"gamma": 1.0}, ("gamma", 0.99)),
        ({"tau": 1.0}, ("tau", 0.01)),
        ({}, ("critic_lr", 1e-4)),
    ],
)
def test_run_that_diverged_names_cause_and_knob_and_nothing_else(changes: dict[str, Any], knob: Any) -> None:
    run = trained(250, SMALL.changed(changes))
    assert "diverged" not in findings(run)
    run.learner.critic[3] = np.inf
    run.advance(steps=1)
    found = findings(run)
    assert found.keys() == {"diverged"}
    assert run.divergence is not None
    assert run.divergence.cause in found["diverged"].evidence
    assert found["diverged"].knob == knob
    assert "diverged" not in findings(run, 1)


def test_targets_far_behind_are_reported_and_targets_close_behind_are_not() -> None:
    slow, usual = (told(started(SMALL.changed({"tau": tau}))) for tau in (1e-5, 1e-2))
    slow.learner.critic_target[:] = started(seed=1).learner.critic
    usual.learner.critic_target[:] = 0.99 * usual.learner.critic
    found = findings(slow)["target_lag"]
    assert found.knob == ("tau", 0.01)
    assert "100,000 updates" in found.evidence
    assert "target_lag" not in findings(usual)
    early = told(started(), 8)  # 1,600 updates
    early.learner.critic_target[:] = started(seed=1).learner.critic
    assert "target_lag" not in findings(early)


def test_lag_explains_a_late_critic_so_it_is_not_called_optimistic_too() -> None:
    run = told(started(), first_q=400.0)
    assert "overestimation" in findings(run)
    run.learner.critic_target[:] = 3 * run.learner.critic
    assert findings(run).keys() == {"target_lag"}


@pytest.mark.parametrize(
    ("changes", "title", "severity"),
    [
        ({"replay": "latest", "batch_size": 1}, "newest transition only", "bad"),
        ({"replay": "latest", "batch_size": 128}, "newest 128 transitions only", "warning"),
        ({"capacity": 40}, "newest 40 transitions only", "bad"),
    ],
)
def test_learning_from_no_more_than_an_episode_is_reported(changes: dict[str, Any], title: str, severity: str) -> None:
    found = findings(trained(60, SMALL.changed(changes)))["no_replay"]
    assert title in found.title
    assert found.severity == severity


@pytest.mark.parametrize("changes", [{}, {"replay": "latest", "batch_size": 1024}, {"capacity": 1000}])
def test_learning_from_more_than_an_episode_is_not(changes: dict[str, Any]) -> None:
    assert "no_replay" not in findings(started(SMALL.changed(changes)))


def test_learning_that_is_off_or_has_not_begun_is_said() -> None:
    assert findings(trained(20, IDLE)).keys() == {"learning_off"}
    assert findings(trained(20)).keys() == {"warming_up"}
    assert "20 of 32 warm-up steps" in findings(trained(20))["warming_up"].evidence
    assert findings(trained(40)).keys() == {"too_early"}


def test_returns_that_follow_the_starts_are_called_luck_and_regret_that_grows_is_not() -> None:
    def starts(episode: int) -> tuple[float, float]:
        return HANGING if episode < 15 else NEAR_UPRIGHT

    lucky = told(started(), start=starts)
    found = findings(lucky)
    assert found.keys() == {"luck", "healthy"}
    assert "look better" in found["luck"].title
    assert "Regret to the oracle from the same starts: 20, then 20." in found["luck"].evidence
    returns = lucky.logs.episodes.read("episode_return")
    assert f"{returns[15:].mean():.3g}".replace("-", "−") in found["luck"].evidence
    worse = told(started(), regret=lambda episode: 20.0 if episode < 15 else 120.0)
    assert "luck" not in findings(worse)
    assert "luck" not in findings(told(started()))


def test_moment_whose_steps_were_dropped_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.logs, "KEPT_ROWS", 500)
    run = trained(1100, IDLE.changed({"capacity": 300}))
    assert findings(run, 2).keys() == {"forgotten"}
    assert "forgotten" not in findings(run, 5)


# --- other environments -----------------------------------------------------------------------------------------------


def test_elsewhere_findings_that_need_the_pendulum_are_skipped() -> None:
    run = trained(
        2100, SMALL.changed(CAR | {"noise": "none", "batch_size": 1, "replay": "latest", "warmup_steps": 2050})
    )
    found = findings(run)
    assert {"no_replay", "no_exploration"} <= found.keys()
    assert "goal reached in 0 of 2 episodes" in found["no_exploration"].evidence
    assert found.keys().isdisjoint({"not_upright", "luck"})
    assert regrets(run) is None


# --- regret -----------------------------------------------------------------------------------------------------------


def test_regret_is_what_the_oracle_gets_more_in_gymnasium_from_the_same_starts() -> None:
    config = IDLE.changed({"mass": 0.8})
    run = trained(620, config)
    oracle = optimal_oracle(Physics.of(config))

    def policy(obs: np.ndarray) -> np.ndarray:
        return oracle.torque(np.array([math.atan2(obs[1], obs[0])]), obs[2:].astype(float))

    obs = run.logs.steps.read("obs")[[0, 200, 400]].astype(float)
    best = evaluate_policy(policy, config, np.stack([np.arctan2(obs[:, 1], obs[:, 0]), obs[:, 2]], axis=1))
    expected = best - run.logs.episodes.read("episode_return")
    missed = regrets(run)
    assert missed is not None
    np.testing.assert_allclose(missed, expected, atol=0.02 * np.abs(best).max())
    np.testing.assert_array_equal(regrets(run, 1, 3), missed[1:])


def test_regret_of_an_episode_whose_start_was_dropped_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddpg_core.logs, "KEPT_ROWS", 500)
    missed = regrets(trained(1000, IDLE.changed({"capacity": 300})))
    assert missed is not None
    assert np.isnan(missed).tolist() == [True, True, True, False, False]


# --- knobs ------------------------------------------------------------------------------------------------------------


@given(
    st.fixed_dictionaries(
        {
            "actor_lr": st.floats(1e-6, 1),
            "critic_lr": st.floats(1e-6, 1),
            "tau": st.floats(1e-5, 1),
            "gamma": st.sampled_from([0.5, 0.99, 1.0]),
            "l2": st.sampled_from([0.0, 1e-3, 1.0]),
            "batch_size": st.integers(1, 4096),
            "capacity": st.integers(1, 1_000_000),
            "replay": st.sampled_from(["uniform", "latest"]),
            "noise": st.sampled_from(["ou", "gaussian", "none"]),
            "noise_scale": st.floats(0, 5),
            "noise_decay": st.floats(0.5, 1),
            "ou_sigma": st.floats(0, 2),
            "action_scale": st.sampled_from(["half", "full"]),
            "shared_lr": st.booleans(),
        }
    ),
    st.integers(0, 300),
)
def test_every_knob_is_valid_and_changes_something(changes: dict[str, Any], episode: int) -> None:
    config = Config(**changes)
    choices: list[Callable[[Config], doctor.Knob | None]] = [knobs.calmer, knobs.trustier, knobs.unsaturating]
    for knob in (choose(config) for choose in choices):
        assert_useful(knob, config)
    assert_useful(knobs.more_noise(config, episode), config)
