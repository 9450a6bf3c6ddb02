from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddpg_core.config import Config
from ddpg_core.environment import Array, start_states
from ddpg_core.metrics import Evaluation, evaluate, evaluate_policy, iqm, moving_average, time_to_reach
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
