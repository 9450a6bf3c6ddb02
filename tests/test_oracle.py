from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ddpg_core.oracle
from ddpg_core.config import Config
from ddpg_core.environment import Physics, pendulum_step, reference_returns, start_states
from ddpg_core.metrics import evaluate_policy
from ddpg_core.oracle import (
    Oracle,
    grid_nodes,
    interpolated,
    optimal_oracle,
    optimal_returns,
    oracle_progress,
    oracle_ready,
    solve_oracle,
)
from ddpg_core.probes import state_grid
from tests.helpers import CAR


def oracle_returns(points: int, starts: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Returns of the oracle found on a grid of `points`²."""
    with monkeypatch.context() as patch:
        patch.setattr(ddpg_core.oracle, "optimal_oracle", lambda physics: optimal_oracle(physics, points))
        best = optimal_returns(Config(), starts)
    assert best is not None
    return best


def zero_torque(_: np.ndarray) -> np.ndarray:
    return np.zeros(1, np.float32)


def test_oracle_on_the_default_grid_reaches_the_published_mean_return() -> None:
    best = optimal_returns(Config(), start_states(Config(), 2000, 0))
    assert best is not None
    assert best.mean() == pytest.approx(-144.6, abs=3 * 80 / np.sqrt(2000))  # EVIDENCE: −144.6 ± 80 on 101²
    assert best.std() == pytest.approx(80, abs=6)


def test_oracle_gets_better_with_the_grid_and_converges(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = start_states(Config(), 300, 1)
    means = {points: oracle_returns(points, starts, monkeypatch).mean() for points in (21, 51, 101, 151)}
    assert means[21] < means[51] < means[101] < means[151] + 1
    assert abs(means[151] - means[101]) < 5 < abs(means[101] - means[21])


def test_no_torque_at_all_is_never_better_than_the_oracle() -> None:
    starts = start_states(Config(), 60, 2)
    best = optimal_returns(Config(), starts)
    nothing = evaluate_policy(zero_torque, Config(), starts)
    assert best is not None
    assert (best >= nothing).mean() > 0.95
    assert best.mean() > nothing.mean() + 500


@pytest.mark.parametrize("physics", [{}, {"gravity": 5.0, "mass": 0.7, "length": 1.3}])
def test_oracles_returns_are_those_of_its_policy_in_gymnasium(physics: dict[str, float]) -> None:
    config = Config(**physics)
    oracle, starts = optimal_oracle(Physics.of(config)), start_states(config, 4, 3)

    def policy(obs: np.ndarray) -> np.ndarray:
        angle = np.arctan2(obs[1], obs[0]).astype(float)
        return oracle.torque(np.array([angle]), obs[2:].astype(float))

    expected = evaluate_policy(policy, config, starts)  # observations are float32, so paths part a little
    np.testing.assert_allclose(optimal_returns(config, starts), expected, rtol=0.02, atol=1)


def test_values_satisfy_the_bellman_equation_and_are_those_of_a_pendulum_at_rest() -> None:
    oracle = optimal_oracle(Physics())
    n = len(oracle.values)
    assert oracle.values[n // 2, n // 2] == pytest.approx(0, abs=0.01)  # upright and still costs nothing
    assert oracle.values.max() <= 0.001
    np.testing.assert_allclose(oracle.values, oracle.values[::-1, ::-1], atol=0.05)  # left and right are alike
    angles, velocities = np.array([0.7, -2.0, 3.0]), np.array([1.0, -4.0, 0.0])
    torques = np.linspace(-2, 2, 21)
    for angle, velocity in zip(angles, velocities, strict=True):
        row, column = round(angle / (2 * np.pi / n)) + n // 2, round((velocity + 8) / 16 * (n - 1))
        state = np.full(21, (row - n // 2) * 2 * np.pi / n), np.full(21, column * 16 / (n - 1) - 8)
        q = oracle.q(*state, torques)
        assert q.max() == pytest.approx(oracle.values[row % n, column], abs=0.01)
        (best,) = oracle.torque(state[0][:1], state[1][:1])
        assert best == torques[q.argmax()]


def test_action_values_are_reward_plus_discounted_value_of_the_next_state() -> None:
    values = np.add.outer(np.arange(5.0), 10 * np.arange(5.0))  # linear, so interpolation is exact away from ±π
    oracle = Oracle(values, Physics(), 0.5)
    state = np.array([0.3]), np.array([-1.0]), np.array([1.5])
    angle, velocity, reward = pendulum_step(*state, Physics())
    value = (angle / (2 * np.pi / 5) + 2) + 10 * (velocity + 8) / 4
    assert oracle.q(*state) == pytest.approx(reward + 0.5 * value)


def test_oracle_minds_the_physics_and_other_environments_have_none() -> None:
    starts = start_states(Config(), 50, 0)
    light, heavy = (optimal_returns(Config(mass=mass), starts) for mass in (0.3, 3.0))
    assert light is not None
    assert heavy is not None
    assert light.mean() > heavy.mean() + 100
    assert optimal_returns(Config(**CAR), start_states(Config(**CAR), 3, 0)) is None


def test_the_reference_returns_are_what_random_actions_and_the_oracle_get() -> None:
    rng = np.random.default_rng(0)
    starts = np.stack([rng.uniform(-np.pi, np.pi, 4000), rng.uniform(-1, 1, 4000)], axis=1)
    random_return, optimal_return = reference_returns(Config()) or (0, 0)
    best = optimal_returns(Config(), starts)
    assert best is not None
    assert best.mean() == pytest.approx(optimal_return, abs=4)
    angle, velocity = starts.T
    returns = np.zeros(len(starts))
    for _ in range(200):
        angle, velocity, reward = pendulum_step(angle, velocity, rng.uniform(-2, 2, len(starts)), Physics())
        returns += reward
    assert returns.mean() == pytest.approx(random_return, abs=15)
    assert reference_returns(Config(gravity=9.0)) is None


@pytest.mark.parametrize("gamma", [0.0, 0.95, 0.999, 1.0])
@pytest.mark.parametrize("physics", [Physics(), Physics(0.0, 0.1, 0.2), Physics(20.0, 5.0, 0.3)])
def test_every_allowed_physics_and_discount_is_solved_to_a_ten_thousandth(physics: Physics, gamma: float) -> None:
    told: list[float] = []
    oracle = solve_oracle(physics, 41, gamma, told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert oracle.gamma == min(gamma, 0.9999)
    assert oracle.error <= 1e-4 * np.abs(oracle.values).max()
    nodes = grid_nodes((41, 41))
    assert np.abs(oracle.value(*nodes) - oracle.values.ravel()).max() <= oracle.error * (1 - oracle.gamma) + 1e-9


def test_without_a_future_the_value_is_the_reward_of_no_torque() -> None:
    oracle = solve_oracle(Physics(), 21, 0.0, lambda share: None)
    angle, velocity = grid_nodes((21, 21))
    np.testing.assert_allclose(oracle.values.ravel(), -(angle**2 + 0.1 * velocity**2))
    assert (oracle.torque(angle, velocity) == 0).all()


def test_extrapolation_finds_what_plain_value_iteration_finds() -> None:
    oracle = solve_oracle(Physics(), 31, 0.97, lambda share: None)
    angle, velocity = (each[:, None] for each in grid_nodes((31, 31)))
    torques = np.linspace(-2, 2, 21)
    values = np.zeros((31, 31))
    for _ in range(700):  # 0.97^700 of at most 540 is less than a millionth
        next_angle, next_velocity, reward = pendulum_step(angle, velocity, torques, Physics())
        values = (reward + 0.97 * interpolated(values, next_angle, next_velocity)).max(axis=1).reshape(31, 31)
    np.testing.assert_allclose(oracle.values, values, atol=oracle.error + 1e-3)


def test_action_values_of_a_finer_grid_agree() -> None:
    rng = np.random.default_rng(0)
    states = rng.uniform(-np.pi, np.pi, 400), rng.uniform(-8, 8, 400)
    coarse, fine = (optimal_oracle(Physics(), points) for points in (101, 151))
    difference = np.abs(coarse.value(*states) - fine.value(*states))
    assert np.median(difference) < 1.5
    assert difference.mean() < 0.03 * np.abs(fine.value(*states)).mean()


def test_maps_have_the_shape_of_the_grid_and_the_values_of_single_states() -> None:
    oracle, grid = optimal_oracle(Physics()), state_grid(5)
    value, torque, q = oracle.value(*grid[2:4]), oracle.torque(*grid[2:4]), oracle.q(*grid[2:4], np.float64(1.0))
    assert value.shape == torque.shape == q.shape == (5, 5)
    one = grid.angle[3, 1:2], grid.velocity[3, 1:2]
    assert value[3, 1] == oracle.value(*one) == oracle.q(*one, oracle.torque(*one))
    assert q[3, 1] == oracle.q(*one, np.ones(1))
    assert (value >= q - 1e-9).all()


def test_threads_that_ask_at_once_share_one_solving(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, solved = threading.Event(), []

    def slow(*key: Any) -> Oracle:
        key[-1](0.5)
        assert gate.wait(10)
        solved.append(key[:-1])
        return Oracle(np.zeros((3, 3)), *key[:1], key[2])

    monkeypatch.setattr(ddpg_core.oracle, "solve_oracle", slow)
    asked = Physics(mass=0.77)
    assert oracle_progress(asked, 3) is None
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(optimal_oracle, asked, 3)
        while oracle_progress(asked, 3) != 0.5:
            pass
        others = [pool.submit(optimal_oracle, asked, 3) for _ in range(3)]
        assert not oracle_ready(asked, 3)
        gate.set()
        assert all(other.result() is first.result() for other in others)
    assert solved == [(asked, 3, 0.99)]
    assert oracle_ready(asked, 3)
    assert not oracle_ready(asked, 3, 0.5)


def test_a_progress_callback_that_raises_leaves_the_oracle_to_the_next_who_asks() -> None:
    asked = Physics(mass=0.78)

    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        optimal_oracle(asked, 11, progress=stop)
    assert oracle_progress(asked, 11) is None
    assert optimal_oracle(asked, 11).values.shape == (11, 11)


def test_who_waited_for_a_solving_that_failed_solves_it_oneself() -> None:
    asked, begun, gate = Physics(mass=0.79), threading.Event(), threading.Event()

    def fail(share: float) -> None:
        begun.set()
        assert gate.wait(10)
        raise InterruptedError

    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(optimal_oracle, asked, 11, 0.99, fail)
        assert begun.wait(10)
        waiting = pool.submit(optimal_oracle, asked, 11)
        gate.set()
        assert waiting.result().values.shape == (11, 11)
        assert isinstance(failing.exception(), InterruptedError)


def test_the_32_oracles_asked_for_last_are_kept() -> None:
    asked = [Physics(mass=1 + k / 100) for k in range(34)]
    for physics in asked[:32]:
        optimal_oracle(physics, 5)
    optimal_oracle(asked[0], 5)
    optimal_oracle(asked[32], 5)
    assert [oracle_ready(physics, 5) for physics in asked] == [True, False] + [True] * 31 + [False]
