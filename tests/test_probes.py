from __future__ import annotations

import numpy as np
import pytest

import ddpg_core.probes
from ddpg_core.config import Config
from ddpg_core.environment import Physics, pendulum_step, reference_returns, start_states
from ddpg_core.metrics import evaluate_policy
from ddpg_core.probes import optimal_oracle, optimal_returns
from tests.helpers import CAR


def oracle_returns(points: int, starts: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Returns of the oracle found on a grid of `points`²."""
    with monkeypatch.context() as patch:
        patch.setattr(ddpg_core.probes, "optimal_oracle", lambda physics: optimal_oracle(physics, points))
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
    oracle = ddpg_core.probes.Oracle(values, Physics(), 0.5)
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
