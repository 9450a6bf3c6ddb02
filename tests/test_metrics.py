from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ddpg_core.config import Config
from ddpg_core.environment import Array, start_states
from ddpg_core.metrics import (
    Evaluation,
    bootstrap_interval,
    difference_of_iqms,
    evaluate,
    evaluate_policy,
    forgetting_index,
    iqm,
    iqms,
    medians,
    moving_average,
    probability_of_improvement,
    time_to_reach,
)
from tests.helpers import CAR

returns = st.lists(st.floats(-2000, 0), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([4.0], 4.0),
        ([1, 3], 2.0),
        ([5, 1, 3], (0.25 * 1 + 3 + 0.25 * 5) / 1.5),
        ([100, 2, 4, -100], 3.0),
        ([0, 10, 20, 30, 1000], (0.75 * 10 + 20 + 0.75 * 30) / 2.5),
        ([1, 2, 3, 4, 5, 6], (0.5 * 2 + 3 + 4 + 0.5 * 5) / 3),
        ([-9, 1, 2, 3, 4, 5, 6, 99], 3.5),
    ],
)
def test_interquartile_mean_equals_the_one_by_hand(values: list[float], expected: float) -> None:
    assert iqm(np.array(values)) == pytest.approx(expected)


@given(returns)
def test_interquartile_mean_is_the_plain_mean_of_the_middle_when_each_score_is_given_four_times(
    values: list[float],
) -> None:
    fourfold = np.sort(np.repeat(values, 4))
    middle = fourfold[len(values) : 3 * len(values)]
    assert iqm(np.array(values)) == pytest.approx(middle.mean(), abs=1e-6)


def test_interquartile_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^values must hold at least one score, got none$"):
        iqm(np.array([]))


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_interquartile_means_of_many_are_those_of_each_and_scipys_trimmed_ones(quarter: int, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(3, 2, 4 * quarter))
    expected = scipy.stats.trim_mean(scores, 0.25, axis=-1)
    np.testing.assert_allclose(iqms(scores), expected, atol=1e-12)
    assert iqms(scores)[1, 0] == pytest.approx(iqm(scores[1, 0]))


def mean(*samples: Array) -> Array:
    return np.asarray(samples[0].mean(-1))


def test_bootstrap_interval_of_two_scores_is_the_one_that_all_four_resamples_give() -> None:
    """Their means are 0, ½, ½ and 1, a quarter each."""
    for level, expected in ((0.95, (0, 1)), (0.4, (0.5, 0.5))):
        low, high = bootstrap_interval(mean, np.array([0.0, 1.0]), level=level)
        assert (float(low), float(high)) == expected


@pytest.mark.parametrize("statistic", [mean, iqms, medians])
def test_bootstrap_interval_agrees_with_scipys(statistic: object) -> None:
    assert callable(statistic)
    scores = np.random.default_rng(3).exponential(200, 12)
    ours = bootstrap_interval(statistic, scores, level=0.9, resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (scores,),
        lambda drawn, axis: statistic(np.moveaxis(drawn, axis, -1)),
        confidence_level=0.9,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=8)  # of a width near 200


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    scores = np.random.default_rng(5).normal(7, 3, size=(2000, 30))
    low, high = bootstrap_interval(mean, scores, level=0.8, resamples=500)
    assert 0.75 < np.mean((low < 7) & (high > 7)) < 0.81  # percentile intervals are a little short


def test_bootstrap_draws_whole_runs_within_each_sample_and_never_across_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ddpg_core.metrics._NUMBERS_AT_ONCE", 100 * 12 * 2)
    one = np.arange(6.0).reshape(1, 6) * np.array([[1], [-1]])  # [2 entries, 6 runs]
    other = np.array([100.0, 200.0])
    seen = []

    def statistic(first: Array, second: Array) -> Array:
        np.testing.assert_array_equal(first[0], -first[1])
        assert set(np.unique(first[0])) <= set(range(6))
        assert set(np.unique(second)) <= {100.0, 200.0}
        assert (first.shape[-1], second.shape[-1]) == (6, 2)
        seen.append((first[0], second))
        return np.asarray(first.mean(-1) + second.mean(-1))

    low, high = bootstrap_interval(statistic, one, other, resamples=250)
    assert low.shape == high.shape == (2,)
    assert [len(drawn) for drawn, _ in seen] == [100, 100, 50]
    ones, others = (np.concatenate(part).mean(-1) for part in zip(*seen, strict=True))
    assert abs(np.corrcoef(ones, others)[0, 1]) < 0.2  # each sample is drawn for itself


def test_bootstrap_is_repeatable_and_depends_on_its_seed_alone() -> None:
    scores = np.random.default_rng(0).normal(size=9)
    first, again, other = (bootstrap_interval(iqms, scores, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_probability_of_improvement_counts_pairs_and_half_of_the_draws() -> None:
    assert float(probability_of_improvement(np.array([1.0, 2.0]), np.array([0.0, 2.0]))) == (1 + 0 + 1 + 0.5) / 4


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.lists(st.integers(0, 5), min_size=1, max_size=9))
def test_probability_of_improvement_is_mann_whitneys_u_over_all_pairs(one: list[int], other: list[int]) -> None:
    expected = scipy.stats.mannwhitneyu(one, other).statistic / (len(one) * len(other))
    ours = probability_of_improvement(np.array([one, one]), np.array([other, other]))
    np.testing.assert_allclose(ours, [expected, expected])


def test_difference_of_interquartile_means_is_positive_where_the_first_is_higher() -> None:
    assert float(difference_of_iqms(np.array([100, 2, 4, -100]), np.array([1.0, 3.0]))) == 3 - 2


def test_forgetting_is_measured_from_what_was_learned_down_to_random_actions() -> None:
    before = np.array([-150.0, -150, -150, -150, -1300, -1230])
    after = np.array([-150.0, -690, -1230, -42, -1400, -1230])
    np.testing.assert_allclose(forgetting_index(before, after, -1230.0), [0, 0.5, 1, -0.1, np.nan, np.nan])
    np.testing.assert_allclose(forgetting_index(before[:2], after[:2], np.array([-1230.0, -1050])), [0, 0.6])


@given(returns, st.integers(1, 50))
def test_moving_average_is_the_mean_of_the_last_values(values: list[float], window: int) -> None:
    expected = [np.mean(values[max(0, stop - window) : stop]) for stop in range(1, len(values) + 1)]
    np.testing.assert_allclose(moving_average(np.array(values), window), expected, atol=1e-8)


def test_moving_average_of_nothing_is_nothing() -> None:
    assert moving_average(np.array([]), 10).shape == (0,)


@pytest.mark.parametrize(
    ("values", "threshold", "episodes"),
    [
        ([-1000, -200, -100, -100], -150, 3),  # the mean of episodes 2 and 3
        ([-1000, -200, -100, -100], -100, 4),
        ([-1000, -200, -100, -100], -99, None),
        ([-50], -100, None),  # one episode is no mean of two
        ([-50, -150, -900], -100, 2),
        ([], -100, None),
    ],
)
def test_time_to_reach_counts_episodes_until_the_mean_first_gets_there(
    values: list[float], threshold: float, episodes: int | None
) -> None:
    assert time_to_reach(np.array(values), threshold, window=2) == episodes


def pull_upright(obs: Array) -> Array:
    """A crude pendulum controller that asks for more torque than there is."""
    return np.array([-9 * obs[1] - 2 * obs[2]], np.float32)


def push_with_the_car(obs: Array) -> Array:
    """Reaches the goal of the mountain car: always push the way it moves."""
    return np.sign(obs[1:2]) * 3


@pytest.mark.parametrize(
    ("config", "policy"),
    [(Config(), pull_upright), (Config(gravity=5.0, mass=2.0), pull_upright), (Config(**CAR), push_with_the_car)],
)
def test_evaluation_on_fixed_starts_equals_a_plain_gymnasium_loop(config: Config, policy: object) -> None:
    assert callable(policy)
    starts, expected = start_states(config, 4, 5), []
    arguments = {"g": config.gravity} if config.env_id == "Pendulum-v1" else {}
    env = gymnasium.make(config.env_id, **arguments)
    for start in starts:
        env.reset()
        env.unwrapped.state = start.copy()
        if config.env_id == "Pendulum-v1":
            env.unwrapped.m = config.mass
            obs = np.array([np.cos(start[0]), np.sin(start[0]), start[1]], np.float32)
        else:
            obs = start.astype(np.float32)
        total, done = 0.0, False
        while not done:
            action = np.clip(policy(obs), env.action_space.low, env.action_space.high)
            obs, reward, terminated, truncated, _ = env.step(action)
            total, done = total + float(reward), terminated or truncated
        expected.append(total)
    np.testing.assert_allclose(evaluate_policy(policy, config, starts), expected, rtol=1e-9)
    np.testing.assert_allclose(evaluate(policy, config, 4, 5).returns, expected, rtol=1e-9)


def test_evaluation_gives_regret_for_the_pendulum_only() -> None:
    pendulum = evaluate(pull_upright, Config(), 3, 0)
    assert pendulum.regrets is not None
    assert (pendulum.regrets > 0).all()
    assert evaluate(push_with_the_car, Config(**CAR), 2, 0).regrets is None


def test_summary_is_made_of_plain_numbers() -> None:
    evaluation = Evaluation(np.array([-100.0, -300.0]), np.array([10.0, 30.0]), 7)
    assert evaluation.summary() == {
        "return_mean": -200.0,
        "return_std": 100.0,
        "returns": [-100.0, -300.0],
        "regret_mean": 20.0,
        "episodes": 2,
        "seed": 7,
    }
    assert Evaluation(np.array([1.0]), None, 0).summary()["regret_mean"] is None
