from __future__ import annotations

import math

import numpy as np
import pytest

from ddpg_core.config import Config
from ddpg_core.noise import next_noise, noise_amplitude, theory_of
from tests.helpers import IDLE, trained

PROCESSES = 4000


def simulated(config: Config, steps: int) -> np.ndarray:
    """[steps, PROCESSES] values of independent processes that start at the mean."""
    rng, x, path = np.random.default_rng(0), np.full(PROCESSES, config.ou_mu), []
    for _ in range(steps):
        x = next_noise(x, config, rng)
        path.append(x)
    return np.array(path)


def autocorrelation(path: np.ndarray, lag: int) -> float:
    """Of the last value with the one `lag` steps before, over the processes."""
    return float(np.corrcoef(path[-1], path[-1 - lag])[0, 1])


# Standard deviation and lag-1 autocorrelation from theory: an AR(1) process x ← ρx + kick·N(0,1) settles at
# kick/√(1 − ρ²) with autocorrelation ρ. Figures for θ = 0.15, σ = 0.2.
THEORY = [
    pytest.param(Config(noise="ou"), 0.3797, 0.85, id="textbook"),
    pytest.param(Config(noise="ou_notebook"), 0.2023, -0.15, id="notebook"),
    pytest.param(Config(noise="gaussian"), 0.2, 0.0, id="gaussian"),
    pytest.param(Config(noise="ou", ou_theta=0.5, ou_sigma=1.0, ou_mu=0.3), 1.1547, 0.5, id="stronger pull"),
    pytest.param(Config(noise="ou", ou_theta=1.5, ou_dt=0.5), 0.1461, 0.25, id="half time step"),
]


@pytest.mark.parametrize(("config", "std", "correlation"), THEORY)
def test_statistics_follow_theory(config: Config, std: float, correlation: float) -> None:
    path = simulated(config, 80)
    assert path[-1].std() == pytest.approx(std, rel=0.04)
    assert path[-1].mean() == pytest.approx(config.ou_mu, abs=4 * std / math.sqrt(PROCESSES))
    assert autocorrelation(path, 1) == pytest.approx(correlation, abs=0.04)
    assert theory_of(config).std == pytest.approx(std, abs=1e-4)


def test_notebooks_noise_alternates_in_sign_more_often_than_not() -> None:
    path = simulated(Config(noise="ou_notebook"), 20)
    changes = (np.sign(path[-1]) != np.sign(path[-2])).mean()
    assert changes == pytest.approx(math.acos(-0.15) / math.pi, abs=0.03)  # 0.548, for a Gaussian pair


def test_small_time_step_makes_noise_that_outlives_an_episode() -> None:
    trap = Config(noise="ou", ou_dt=0.01)
    assert theory_of(trap).std == pytest.approx(0.365, abs=5e-4)
    path = simulated(trap, 2500)
    assert autocorrelation(path, 200) == pytest.approx(math.exp(-200 / 666), abs=0.04)
    assert path[199].std() < 0.8 * path[-1].std()  # a whole episode is too short for it to spread out


def test_no_noise_is_zero_and_draws_nothing() -> None:
    rng = np.random.default_rng(5)
    before = rng.bit_generator.state
    assert next_noise(np.ones(2), Config(noise="none"), rng).tolist() == [0, 0]
    assert rng.bit_generator.state == before
    assert theory_of(Config(noise="none")).std == 0


def test_pull_of_two_never_settles() -> None:
    assert theory_of(Config(ou_theta=2.0)).std == math.inf


@pytest.mark.parametrize(("reach", "expected"), [("half", [1.0, 3.0]), ("full", [2.0, 6.0])])
def test_amplitude_is_scale_times_range_and_decays_by_episode(reach: str, expected: list[float]) -> None:
    config = Config(noise_scale=0.5, noise_decay=0.9, noise_range=reach)
    low, high = np.array([-2.0, -4.0]), np.array([2.0, 8.0])
    np.testing.assert_allclose(noise_amplitude(config, 0, low, high), expected)
    np.testing.assert_allclose(noise_amplitude(config, 7, low, high), np.array(expected) * 0.9**7)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("kind", ["ou", "ou_notebook"])
def test_noise_in_the_log_is_the_recursion_reset_each_episode_or_never(kind: str, reset: bool) -> None:
    config = IDLE.changed(
        {
            "noise": kind,
            "noise_reset": reset,
            "ou_mu": 0.4,
            "noise_scale": 0.5,
            "noise_decay": 0.9,
            "noise_range": "full",
        }
    )
    normal = np.random.default_rng(np.random.SeedSequence(3).spawn(4)[2]).standard_normal
    expected, x = [], 0.0
    for step in range(450):
        if reset and step % 200 == 0:
            x = 0.4
        x = 0.15 * (0.4 - x) + 0.2 * normal(1)[0] + (x if kind == "ou" else 0)
        expected.append(0.5 * 0.9 ** (step // 200) * 4.0 * x)
    np.testing.assert_allclose(trained(450, config, 3).logs.steps.read("noise"), expected, rtol=1e-5, atol=1e-6)
