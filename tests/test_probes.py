from __future__ import annotations

import numpy as np
import pytest

from ddpg_core.config import Config
from ddpg_core.environment import Environment, Physics, pendulum_obs, pendulum_step, start_states
from ddpg_core.metrics import evaluate_policy
from ddpg_core.networks import MLP
from ddpg_core.probes import (
    policy_map,
    policy_returns,
    q_along_torque,
    q_map,
    state_grid,
    torque_gradient,
    true_q,
)
from tests.helpers import SMALL, trained

ACTOR, CRITIC = MLP((3, 8, 1), squash=True), MLP((4, 8, 6, 1), squash=False)
ZERO = np.zeros(ACTOR.parameter_count, np.float32)
HALF, FULL = np.array([2.0], np.float32), np.array([4.0], np.float32)


def drawn(net: MLP, seed: int = 0, gain: float = 1.0) -> np.ndarray:
    """Random parameters, biases included."""
    return np.random.default_rng(seed).normal(0, 0.5 * gain, net.parameter_count).astype(np.float32)


def rolled_out(actor: np.ndarray, scale: float, config: Config, start: np.ndarray, first: float | None) -> float:
    """Discounted reward of 1,500 steps of a policy, step by step in Gymnasium, started anew at its time limit."""
    env = Environment(config, np.random.default_rng(0))
    obs, total = env.reset(start), 0.0
    for step in range(1500):
        action = ACTOR.numpy(actor, obs) * scale if step or first is None else np.array([first], np.float32)
        obs, reward, _, truncated = env.step(np.clip(action, -2, 2))
        total += config.gamma**step * reward
        if truncated:
            obs = env.reset(env.state())
    return total


def test_grid_reaches_from_end_to_end_with_the_velocity_upwards() -> None:
    grid = state_grid(61)
    assert (grid.angles[0], grid.angles[-1], grid.velocities[0], grid.velocities[-1]) == (-np.pi, np.pi, -8, 8)
    assert grid.obs.shape == (61, 61, 3)
    np.testing.assert_allclose(grid.obs[30, 30], [1, 0, 0], atol=1e-7)
    np.testing.assert_allclose(grid.obs[60, 45], [0, 1, 8], atol=1e-7)  # a quarter turn, at full speed
    np.testing.assert_array_equal(grid.obs[:, :, 2], np.float32(grid.velocity))


def test_a_critic_linear_in_its_inputs_gives_the_plane_worked_out_by_hand() -> None:
    linear, weights = MLP((4, 1), squash=False), np.array([1.0, 2.0, 3.0, 0.5, -7.0], np.float32)
    grid = state_grid(5)
    torque = np.arange(25.0).reshape(5, 5)
    expected = np.cos(grid.angle) + 2 * np.sin(grid.angle) + 3 * grid.velocity + 0.5 * torque - 7
    np.testing.assert_allclose(q_map(linear, weights, grid.obs, torque), expected, atol=1e-5)
    np.testing.assert_allclose(q_map(linear, weights, grid.obs, -2.0), expected - 0.5 * torque - 1, atol=1e-5)
    np.testing.assert_allclose(torque_gradient(linear, weights, grid.obs, torque), np.full((5, 5), 0.5))
    along = q_along_torque(linear, weights, np.array([1, 0, 0], np.float32), np.array([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(along, [-7, -6, -5])


def test_a_critic_of_zeros_is_flat_and_pushes_nowhere() -> None:
    zero, grid = np.zeros(CRITIC.parameter_count, np.float32), state_grid(7)
    assert (q_map(CRITIC, zero, grid.obs, 1.0) == 0).all()
    assert (torque_gradient(CRITIC, zero, grid.obs, 1.0) == 0).all()


def test_maps_are_what_the_run_itself_says_state_by_state() -> None:
    run, grid = trained(600), state_grid(9)
    actor_net, critic_net = run.learner.actor_net, run.learner.critic_net
    torque = policy_map(actor_net, run.learner.actor, run.action_scale, grid.obs)
    q = q_map(critic_net, run.learner.critic, grid.obs, torque)
    for row, column in ((0, 0), (2, 7), (8, 4)):
        obs = grid.obs[row, column]
        assert torque[row, column] == pytest.approx(run.act(obs)[0], abs=1e-5)
        assert q[row, column] == pytest.approx(run.q(obs, run.act(obs)), abs=1e-4)


def test_the_notebooks_torques_are_clipped_to_what_the_actuator_does() -> None:
    actor, grid = drawn(ACTOR, gain=3), state_grid(11)
    said = policy_map(ACTOR, actor, FULL, grid.obs, executed=False)
    assert np.abs(said).max() > 2.5
    np.testing.assert_allclose(said, 2 * policy_map(ACTOR, actor, HALF, grid.obs), atol=1e-5)
    np.testing.assert_array_equal(policy_map(ACTOR, actor, FULL, grid.obs), np.clip(said, -2, 2))


def test_gradient_along_the_torque_is_the_finite_difference() -> None:
    critic = drawn(CRITIC, 3).astype(float)
    obs = pendulum_obs(*np.random.default_rng(0).uniform(-3, 3, (2, 6, 7))).astype(float)
    torque = np.random.default_rng(1).uniform(-2, 2, (6, 7))
    step = 1e-6
    difference = q_map(CRITIC, critic, obs, torque + step) - q_map(CRITIC, critic, obs, torque - step)
    gradient = torque_gradient(CRITIC, critic, obs, torque)
    np.testing.assert_allclose(gradient, difference / (2 * step), rtol=1e-6, atol=1e-8)
    assert gradient.shape == (6, 7)
    assert np.ptp(gradient) > 1e-3
    np.testing.assert_allclose(
        q_along_torque(CRITIC, critic, obs[2, 3], torque[2, 3:4]), q_map(CRITIC, critic, obs, torque)[2, 3]
    )


@pytest.mark.parametrize("scale", [HALF, FULL])
@pytest.mark.parametrize("first", [None, -1.5])
@pytest.mark.parametrize("physics", [{}, {"gravity": 6.0, "mass": 0.7, "length": 1.2, "gamma": 0.985}])
def test_true_values_are_those_of_a_long_loop_over_gymnasium(
    physics: dict[str, float], first: float | None, scale: np.ndarray
) -> None:
    config, actor = Config(**physics), drawn(ACTOR, 5)
    angle, velocity = np.array([[0.4, -2.0]]), np.array([[-1.0, 3.0]])
    values = true_q(ACTOR, actor, scale, Physics.of(config), config.gamma, angle, velocity, first)
    assert values.shape == (1, 2)
    for column in range(2):
        start = np.array([angle[0, column], velocity[0, column]])
        expected = rolled_out(actor, float(scale[0]), config, start, first)
        assert values[0, column] == pytest.approx(expected, abs=0.01 * abs(expected))


def test_hanging_still_for_ever_costs_pi_squared_over_one_minus_gamma() -> None:
    hanging, still = np.array([np.pi]), np.zeros(1)
    for gamma in (0.0, 0.9, 0.99):
        value = true_q(ACTOR, ZERO, HALF, Physics(gravity=0.0), gamma, hanging, still)
        assert value == pytest.approx(-(np.pi**2) / (1 - gamma), rel=1e-6)
    cut_off = -(np.pi**2) * (1 - 0.99**200) / (1 - 0.99)
    assert value < cut_off - 100


def test_the_future_after_the_rollout_goes_on_even_at_the_highest_discount() -> None:
    upright, still = np.zeros(1), np.zeros(1)
    assert true_q(ACTOR, ZERO, HALF, Physics(), 1.0, upright, still) == pytest.approx(0, abs=1e-6)
    turning = true_q(ACTOR, ZERO, HALF, Physics(gravity=0.0), 1.0, still, np.array([8.0]))
    assert turning == pytest.approx(-(np.pi**2 / 3 + 6.4) / 1e-4, rel=0.01)  # the mean of θ² over a turn, and 0.1·8²


def test_a_chosen_torque_counts_only_in_the_first_step() -> None:
    state = np.array([0.5, 2.0]), np.array([1.0, -3.0])
    actor = drawn(ACTOR, 2)
    angle, velocity, reward = pendulum_step(*state, np.full(2, 1.2), Physics())
    later = true_q(ACTOR, actor, HALF, Physics(), 0.98, angle, velocity)
    chosen = true_q(ACTOR, actor, HALF, Physics(), 0.98, *state, 1.2)
    np.testing.assert_allclose(chosen, reward + 0.98 * later, atol=0.3)
    own = policy_map(ACTOR, actor, HALF, pendulum_obs(*state))
    np.testing.assert_allclose(
        true_q(ACTOR, actor, HALF, Physics(), 0.98, *state, own), true_q(ACTOR, actor, HALF, Physics(), 0.98, *state)
    )


def test_networks_that_diverged_give_values_that_are_not_finite_and_no_warning() -> None:
    grid = state_grid(3)
    for bad in (np.nan, np.inf):
        actor, critic = np.full(ACTOR.parameter_count, bad), np.full(CRITIC.parameter_count, bad)
        assert np.isnan(true_q(ACTOR, actor, HALF, Physics(), 0.99, grid.angle, grid.velocity)).all()
        assert not np.isfinite(q_map(CRITIC, critic, grid.obs, 0.0)).all()
        assert not np.isfinite(torque_gradient(CRITIC, critic, grid.obs, 0.0)).all()
        assert policy_map(ACTOR, actor, HALF, grid.obs).shape == (3, 3)


def test_evaluating_all_starts_at_once_gives_what_gymnasium_gives() -> None:
    run = trained(400, SMALL.changed({"gravity": 9.0}))
    starts = start_states(run.config, 8, 3)
    oracle = evaluate_policy(run.act, run.config, starts)
    ours = policy_returns(run.learner.actor_net, run.learner.actor, run.action_scale, Physics.of(run.config), starts)
    np.testing.assert_allclose(ours, oracle, rtol=1e-3)
