from __future__ import annotations

import math

import numpy as np
import pytest

from ddpg_core.config import Config
from ddpg_core.environment import Environment, Physics, wrap_angle
from ddpg_core.noise import next_noise, theory_of
from ddpg_core.noise_bench import (
    autocorrelation,
    contenders,
    episode_density,
    episode_std,
    furthest_swings,
    noise_paths,
    normal_density,
    own_rhythm,
    root_mean_square,
)

TEXTBOOK = Config()
TRAP = Config(ou_dt=0.01)
NOTEBOOK = Config(noise="ou_notebook")
GAUSSIAN = Config(noise="gaussian")
STRONG = Config(ou_theta=0.5, ou_sigma=1.0, ou_mu=0.3)
SETTLING = [
    pytest.param(config, id=name)
    for name, config in {
        "textbook": TEXTBOOK,
        "trap": TRAP,
        "notebook": NOTEBOOK,
        "gaussian": GAUSSIAN,
        "strong, shifted": STRONG,
        "notebook, shifted": Config(noise="ou_notebook", ou_mu=0.6, ou_theta=0.8),
        "alternating": Config(ou_theta=1.6),
    }.items()
]
RUNAWAY = [Config(ou_theta=2.0), Config(noise="ou_notebook", ou_theta=1.0), Config(noise="ou_notebook", ou_theta=2.0)]


# --- theory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "mean", "std", "steps"),
    [
        (TEXTBOOK, 0, 0.3797, 6.153),  # −1/ln 0.85
        (TRAP, 0, 0.3653, 666.2),  # the default of Keras and SB3
        (NOTEBOOK, 0, 0.2023, 0.5271),  # −1/ln 0.15
        (GAUSSIAN, 0, 0.2, 0),
        (Config(noise="ou_notebook", ou_mu=0.6, ou_theta=0.5), 0.2, 0.2309, 1.4427),  # μθ/(1 + θ); −1/ln ½
        (Config(noise="none"), 0, 0, 0),
        (Config(ou_sigma=0.0), 0, 0, 6.153),
    ],
)
def test_closed_form_agrees_with_hand_computed_figures(config: Config, mean: float, std: float, steps: float) -> None:
    theory = theory_of(config)
    assert theory.settles
    assert theory.mean == pytest.approx(mean)
    assert theory.std == pytest.approx(std, abs=5e-5)
    assert theory.correlation_steps == pytest.approx(steps, rel=2e-4)


@pytest.mark.parametrize("config", RUNAWAY)
def test_noise_that_never_settles_has_no_long_run(config: Config) -> None:
    theory = theory_of(config)
    assert not theory.settles
    assert theory.std == theory.correlation_steps == theory_of(config).std == math.inf


def test_spread_grows_from_one_kick_to_the_long_run() -> None:
    spread = theory_of(TEXTBOOK).spread(200)
    np.testing.assert_allclose(spread[:2], [0.2, 0.2 * math.sqrt(1 + 0.85**2)])
    assert spread[-1] == pytest.approx(theory_of(TEXTBOOK).std, rel=1e-9)
    assert theory_of(TRAP).spread(200)[-1] == pytest.approx(0.2455, abs=1e-4)  # 0.3653·√(1 − 0.9985⁴⁰⁰)
    np.testing.assert_allclose(theory_of(Config(ou_theta=2.0)).spread(9), 0.2 * np.sqrt(np.arange(1, 10)))


def test_expected_value_drifts_to_the_mean() -> None:
    drift = theory_of(Config(noise="ou_notebook", ou_mu=0.6, ou_theta=0.5)).drift(0.6, 3)
    np.testing.assert_allclose(drift, [0.0, 0.3, 0.15], atol=1e-12)  # θ(μ − x) by hand, from 0.6
    np.testing.assert_allclose(theory_of(STRONG).drift(0.3, 3), 0.3)


@pytest.mark.parametrize("config", SETTLING)
def test_power_adds_up_to_the_variance(config: Config) -> None:
    theory = theory_of(config)
    frequencies = (np.arange(20_000) + 0.5) / 20_000 * np.pi
    mean = np.mean([theory.power(frequency) for frequency in frequencies])
    assert mean == pytest.approx(theory.std**2, rel=1e-3)


def test_power_agrees_with_the_periodogram_of_what_is_drawn() -> None:
    window = np.hanning(200)[:, None]
    paths = noise_paths(TEXTBOOK, 400)[200:] * window
    periodogram = (np.abs(np.fft.rfft(paths, axis=0)) ** 2).mean(axis=1) / (window**2).sum()
    for place in (3, 10, 40, 90):
        assert periodogram[place] == pytest.approx(theory_of(TEXTBOOK).power(2 * np.pi * place / 200), rel=0.2)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_contenders_have_equal_settings_and_the_gaussian_equal_strength() -> None:
    textbook, notebook, gaussian = contenders(STRONG.changed({"noise": "none"}))
    assert [each.noise for each in (textbook, notebook, gaussian)] == ["ou", "ou_notebook", "gaussian"]
    assert notebook.difference(textbook).keys() == {"noise"}
    assert theory_of(gaussian).std == pytest.approx(theory_of(STRONG).std) == pytest.approx(1.1547, abs=1e-4)
    assert gaussian.ou_mu == STRONG.ou_mu


@pytest.mark.parametrize(
    ("config", "std"),
    [
        (Config(ou_theta=0.01, ou_sigma=2.0), 2.0),  # 14.2 in the long run
        (Config(ou_theta=2.0), 2.0),  # ρ = −1: 0.2·√k after k steps, 0.2·√100.5 over 200
        (Config(ou_theta=2.0, ou_sigma=0.05), 0.05 * math.sqrt(100.5)),
        (Config(ou_sigma=0.0), 0.0),
    ],
)
def test_gaussian_of_equal_strength_exists_whatever_the_settings(config: Config, std: float) -> None:
    assert contenders(config)[2].ou_sigma == pytest.approx(std)


def test_paths_are_what_a_run_would_draw_and_the_same_each_time() -> None:
    paths = noise_paths(STRONG, 50, 3, seed=4)
    rng, x = np.random.default_rng(4), np.full(3, 0.3)
    for row in paths:
        x = next_noise(x, STRONG, rng)
        np.testing.assert_array_equal(row, x)
    np.testing.assert_array_equal(paths, noise_paths(STRONG, 50, 3, seed=4))
    assert not np.array_equal(paths, noise_paths(STRONG, 50, 3, seed=5))


@pytest.mark.parametrize("config", SETTLING)
def test_what_is_drawn_follows_theory(config: Config) -> None:
    theory, paths = theory_of(config), noise_paths(config)
    assert episode_std(paths) == pytest.approx(root_mean_square(theory.spread(200)), rel=0.08)
    lags = np.arange(61)
    np.testing.assert_allclose(autocorrelation(paths, 60), theory.autocorrelation(lags), atol=0.06)


@pytest.mark.parametrize("config", SETTLING)
def test_histogram_of_what_is_drawn_follows_the_density_of_an_episode(config: Config) -> None:
    paths = noise_paths(config)
    edges = config.ou_mu + np.linspace(-4, 4, 41) * theory_of(config).std
    shares = np.histogram(paths, edges)[0] / paths.size
    fine = np.linspace(edges[0], edges[-1], 40 * 50 + 1)
    density = episode_density(config, (fine[1:] + fine[:-1]) / 2)
    expected = density.reshape(40, 50).mean(axis=1) * (edges[1] - edges[0])
    assert np.abs(shares - expected).sum() < 0.1
    assert expected.sum() == pytest.approx(1, abs=0.01)


def test_normal_density_is_that_of_the_normal_distribution() -> None:
    np.testing.assert_allclose(normal_density(np.array([0.0, 1.0]), 0, 1), [0.39894, 0.24197], atol=1e-5)
    np.testing.assert_allclose(normal_density(np.array([5.0]), 1, 2), [0.026995], atol=1e-6)


def test_autocorrelation_of_alternating_signs_alternates() -> None:
    signs = np.outer((-1.0) ** np.arange(20), [1, -1, 2, -2])
    np.testing.assert_allclose(autocorrelation(signs, 3), [1, -1, 1, -1])
    assert np.isnan(autocorrelation(np.ones((20, 4)), 3)).all()


@pytest.mark.parametrize("config", RUNAWAY)
def test_noise_that_never_settles_stays_a_number(config: Config) -> None:
    for contender in contenders(config):
        paths = noise_paths(contender)
        assert np.isfinite(paths).all()
        assert np.isfinite(autocorrelation(paths, 60)).all()
        assert np.isfinite(furthest_swings(paths, 2.0, Physics())).all()


# --- the pendulum -----------------------------------------------------------------------------------------------------


def test_furthest_swing_is_the_one_gymnasiums_pendulum_makes() -> None:
    config = Config(mass=0.8, length=1.2)
    paths = noise_paths(STRONG, 200, 3)
    expected = []
    for path in paths.T:
        env = Environment(config, np.random.default_rng(0))
        env.reset(np.array([np.pi, 0.0]))
        swings = []
        for noise in path:
            env.step(np.array([1.5 * noise], np.float64))
            swings.append(env.state()[0] - np.pi)
        furthest = max(swings, key=abs)
        expected.append(np.clip(furthest, -np.pi, np.pi))
    np.testing.assert_allclose(furthest_swings(paths, 1.5, Physics.of(config)), expected, rtol=1e-5)


def test_a_pendulum_without_torque_hangs_and_one_without_gravity_goes_over_the_top() -> None:
    still = furthest_swings(np.zeros((200, 2)), 2.0, Physics())
    np.testing.assert_allclose(still, 0, atol=1e-9)
    pushed = np.tile([1.0, -1.0], (200, 1))
    np.testing.assert_allclose(furthest_swings(pushed, 2.0, Physics(gravity=0.0)), [np.pi, -np.pi])


@pytest.mark.parametrize("physics", [Physics(), Physics(gravity=5.0, length=2.0)])
def test_own_rhythm_is_that_of_a_small_free_swing(physics: Physics) -> None:
    env = Environment(Config(gravity=physics.gravity, length=physics.length), np.random.default_rng(0))
    env.reset(np.array([np.pi + 0.05, 0.0]))
    angles = []
    for _ in range(200):
        env.step(np.zeros(1))
        angles.append(float(wrap_angle(env.state()[0] - np.pi)))
    crossings = np.flatnonzero(np.diff(np.sign(angles)))
    half_swing = float(np.diff(crossings).mean())
    assert own_rhythm(physics) == pytest.approx(np.pi / half_swing, rel=0.02)


def test_small_noise_swings_a_pendulum_by_its_power_at_the_pendulums_rhythm() -> None:
    rhythm, swings, power = own_rhythm(Physics()), [], []
    for config in (TEXTBOOK, GAUSSIAN, Config(ou_theta=0.5)):
        swings.append(root_mean_square(furthest_swings(noise_paths(config, 200, 2000), 0.05, Physics())) ** 2)
        power.append(theory_of(config).power(rhythm))
    np.testing.assert_allclose(np.divide(swings, swings[0]), np.divide(power, power[0]), rtol=0.15)


def test_correlated_noise_gets_further_than_white_or_alternating_noise_of_equal_strength() -> None:
    strength = theory_of(TEXTBOOK).std
    white, alternating = contenders(TEXTBOOK)[2], NOTEBOOK.changed({"ou_sigma": strength * math.sqrt(1 - 0.15**2)})
    trap = TRAP.changed({"ou_sigma": 0.2 * strength / theory_of(TRAP).std})
    assert theory_of(alternating).std == pytest.approx(strength) == pytest.approx(theory_of(trap).std)
    reached = {
        name: np.degrees(np.median(np.abs(furthest_swings(noise_paths(config), 2.0, Physics()))))
        for name, config in {"ou": TEXTBOOK, "white": white, "alternating": alternating, "trap": trap}.items()
    }
    assert reached["ou"] > 2 * reached["white"]
    assert reached["white"] > reached["alternating"] > reached["trap"]
