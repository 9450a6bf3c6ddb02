from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
import pytest

from ddpg_core.config import Config
from ddpg_core.environment import (
    ENVIRONMENTS,
    Environment,
    Physics,
    pendulum_angles,
    pendulum_obs,
    pendulum_step,
    start_states,
    wrap_angle,
)

CONFIGS = {env_id: Config(env_id=env_id) for env_id in ENVIRONMENTS}


def environment(config: Config, seed: int = 0) -> Environment:
    return Environment(config, np.random.default_rng(seed))


def played(env: Environment, actions: np.ndarray) -> list[Any]:
    """Everything seen while playing `actions`, starting anew whenever an episode ends."""
    seen: list[Any] = []
    for action in actions:
        next_obs, *rest = env.step(action)
        seen.append((next_obs.tolist(), *rest))
        if rest[1] or rest[2]:
            seen.append(env.reset().tolist())
    return seen


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_environment_is_gymnasiums_own(env_id: str) -> None:
    ours, theirs = environment(CONFIGS[env_id]), gymnasium.make(env_id)
    theirs.unwrapped.np_random = np.random.default_rng(0)
    np.testing.assert_array_equal(ours.reset(), theirs.reset()[0])
    actions = np.random.default_rng(1).uniform(ours.action_low, ours.action_high, (2 * ours.max_episode_steps + 60, 1))
    ends = []
    for number, action in enumerate(actions.astype(np.float32)):
        next_obs, reward, terminated, truncated, _ = theirs.step(action)
        after = ours.step(action)
        np.testing.assert_array_equal(after.next_obs, np.asarray(next_obs, np.float32))
        assert after[1:] == (reward, terminated, truncated)
        if terminated or truncated:
            ends.append(number)
            np.testing.assert_array_equal(ours.reset(), theirs.reset()[0])
    assert ends == [ours.max_episode_steps - 1, 2 * ours.max_episode_steps - 1]
    assert ours.max_episode_steps == theirs.spec.max_episode_steps
    assert (ours.obs_size, ours.action_size) == (theirs.observation_space.shape[0], 1)


def test_reaching_the_goal_in_the_last_step_is_both_ends_as_in_gymnasium() -> None:
    ours, theirs = environment(CONFIGS["MountainCarContinuous-v0"]), gymnasium.make("MountainCarContinuous-v0")
    ours.reset(), theirs.reset()
    push, before_the_goal = np.ones(1, np.float32), np.array([0.449, 0.07], np.float32)
    for _ in range(ours.max_episode_steps - 1):
        ours._raw.state = theirs.unwrapped.state = np.array([-0.5, 0.0], np.float32)
        assert (ours.step(push)[2:], theirs.step(push)[2:4]) == ((False, False), (False, False))
    ours._raw.state = theirs.unwrapped.state = before_the_goal
    assert (ours.step(push)[2:], theirs.step(push)[2:4]) == ((True, True), (True, True))


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_restored_snapshot_goes_on_exactly_through_json_and_over_episode_ends(env_id: str) -> None:
    config = CONFIGS[env_id]
    env, rng = environment(config), np.random.default_rng(1)
    env.reset()
    actions = rng.uniform(env.action_low, env.action_high, (env.max_episode_steps + 60, 1)).astype(np.float32)
    played(env, actions[:37])
    snapshot = json.loads(json.dumps(env.snapshot()))
    expected = played(env, actions[37:])
    assert any(isinstance(seen, list) for seen in expected), "no episode ended"
    for other in (env, environment(config, seed=9)):
        other.restore(snapshot)
        assert played(other, actions[37:]) == expected


@pytest.mark.parametrize("env_id", ["os:system", "CartPole-v1", "pendulum-v1", "", "Pendulum-v1 "])
def test_environment_outside_the_allow_list_is_refused_before_gymnasium_sees_it(
    env_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gymnasium, "make", lambda *_, **__: pytest.fail("gymnasium.make was called"))
    config = Config()
    object.__setattr__(config, "env_id", env_id)  # past Config's own check
    with pytest.raises(ValueError, match=r"^env_id must be one of Pendulum-v1, MountainCarContinuous-v0, got "):
        environment(config)
    with pytest.raises(ValueError, match=r"^env_id must be one of "):
        Config(env_id=env_id)


@pytest.mark.parametrize(
    ("physics", "acceleration"),
    [
        ({}, 3 * 10 / 2 + 3 * 1.5),  # 3g/(2l)·sin θ + 3/(ml²)·u at θ = π/2, u = 1.5 N·m
        ({"gravity": 4.0}, 3 * 4 / 2 + 3 * 1.5),
        ({"mass": 3.0}, 3 * 10 / 2 + 1 * 1.5),
        ({"length": 2.0}, 3 * 10 / 4 + 3 / 4 * 1.5),
        ({"gravity": 0.0, "mass": 0.5, "length": 0.5}, 3 / (0.5 * 0.25) * 1.5),
    ],
)
def test_gravity_mass_and_length_reach_the_simulator(physics: dict[str, float], acceleration: float) -> None:
    env = environment(Config(**physics))
    env.reset(np.array([np.pi / 2, 0.0]))
    after = env.step(np.array([1.5], np.float32))
    velocity = min(acceleration * 0.05, 8.0)
    np.testing.assert_allclose(env.state(), [np.pi / 2 + velocity * 0.05, velocity], rtol=1e-6)
    assert after.reward == pytest.approx(-((np.pi / 2) ** 2) - 0.001 * 1.5**2)


@pytest.mark.parametrize("physics", [{}, {"gravity": 3.7, "mass": 2.0, "length": 0.6}])
def test_pendulum_step_on_arrays_is_gymnasiums_step(physics: dict[str, float]) -> None:
    config, rng = Config(**physics), np.random.default_rng(2)
    env = environment(config)
    angle, velocity = rng.uniform(-10, 10, 300), rng.uniform(-8, 8, 300)
    torque = rng.uniform(-3, 3, 300)
    ours = pendulum_step(angle, velocity, torque, Physics.of(config))
    for row, (state, action) in enumerate(zip(np.stack([angle, velocity], 1), torque, strict=True)):
        env.reset(state)
        reward = env.step(np.array([action])).reward
        np.testing.assert_allclose([column[row] for column in ours], [*env.state(), reward], rtol=1e-9, atol=1e-12)


def test_pendulum_observations_and_angles_are_inverse_and_gymnasiums() -> None:
    env = environment(Config())
    angle, velocity = np.linspace(-3.1, 3.1, 9), np.linspace(-8, 8, 9)
    obs = pendulum_obs(angle, velocity)
    assert obs.dtype == np.float32
    for row in range(9):
        np.testing.assert_array_equal(obs[row], env.reset(np.array([angle[row], velocity[row]])))
    np.testing.assert_allclose(pendulum_angles(obs), angle, atol=1e-6)
    np.testing.assert_allclose(wrap_angle(angle + 6 * np.pi), angle)
    assert wrap_angle(np.array(np.pi)) == -np.pi


def test_start_state_may_be_chosen_and_counts_from_step_zero() -> None:
    car = environment(CONFIGS["MountainCarContinuous-v0"])
    np.testing.assert_array_equal(car.reset(np.array([0.3, 0.01])), np.array([0.3, 0.01], np.float32))
    pendulum = environment(Config())
    for start in (np.array([0.1, 0.2]), None):
        pendulum.reset(start)
        ends = [pendulum.step(np.zeros(1, np.float32)).truncated for _ in range(200)]
        assert ends == [False] * 199 + [True]


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_start_states_are_fixed_by_their_seed(env_id: str) -> None:
    config = CONFIGS[env_id]
    states = start_states(config, 5, 3)
    np.testing.assert_array_equal(states, start_states(config, 8, 3)[:5])
    assert not np.array_equal(states, start_states(config, 5, 4))
    env = environment(config, seed=3)
    for state in states:
        env.reset()
        np.testing.assert_array_equal(env.state(), state)
