from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import av
import gymnasium
import numpy as np
import pytest
from PIL import Image

from ddpg_core.export import Source, film
from ddpg_core.frames import CELL_UNITS, pendulum_close_ups
from ddpg_core.gallery import gallery
from ddpg_core.metrics import evaluate_policy
from ddpg_core.policy import policy_at
from ddpg_core.run import Run
from tests.helpers import CAR, IDLE, SMALL, trained
from tests.ui.helpers import diverged

POLE_UNITS = 4.4
"""Gymnasium draws the pendulum on a square of 4.4 pole lengths."""


@pytest.fixture(scope="module")
def run() -> Run:
    """A run in the middle of its third episode."""
    return trained(450, IDLE)


@pytest.fixture(scope="module")
def take() -> film.Take:
    """The trained agent of the gallery, from hanging."""
    return film.played(gallery()["fast"])


def gymnasium_picture(state: Any, torque: float, side_px: int) -> Any:
    """The middle of what Gymnasium itself shows after a step with this torque."""
    env: Any = gymnasium.make("Pendulum-v1", render_mode="rgb_array", disable_env_checker=True).unwrapped
    env.screen_dim = round(side_px * POLE_UNITS / CELL_UNITS)
    env.reset(seed=0)
    env.state, env.last_u = np.array(state), torque
    low = env.screen_dim // 2 - side_px // 2
    return env.render()[low : low + side_px, low : low + side_px]


# --- what is filmed ---------------------------------------------------------------------------------------------------


def test_a_logged_episode_is_filmed_as_it_was_executed(run: Run) -> None:
    take = film.take_of(Source(policy_at(run, starts=1), run, 1))
    assert len(take.states) == len(take.actions) == 200
    assert take.rewards.sum() == pytest.approx(run.logs.episodes.read("episode_return")[1], abs=0.01)
    np.testing.assert_array_equal(take.actions, run.logs.steps.read("action", 200, 400))
    obs = run.logs.steps.read("obs", 200, 400)
    np.testing.assert_allclose(np.cos(take.states[:, 0]), obs[:, 0], atol=1e-5)
    np.testing.assert_allclose(np.sin(take.states[:, 0]), obs[:, 1], atol=1e-5)
    np.testing.assert_array_equal(take.states[:, 1], obs[:, 2])
    assert take.title == "training episode 2, with noise"


def test_the_episode_going_on_is_filmed_as_far_as_it_is(run: Run) -> None:
    take = film.logged(run, 2)
    np.testing.assert_array_equal(take.rewards, run.logs.steps.read("reward", 400, 450))


@pytest.mark.parametrize("episode", [-1, 3, 10**9])
def test_an_episode_that_is_not_in_the_log_is_refused(run: Run, episode: int) -> None:
    with pytest.raises(ValueError, match=rf"^episode must be in \[0, 2\], got {episode}"):
        film.logged(run, episode)


def test_an_episode_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^episode must be one whose steps are in the log, got 1"):
        film.logged(trained(200, IDLE), 1)


def test_an_episode_in_which_a_run_diverged_is_filmed_up_to_there() -> None:
    run = diverged()
    assert run.episode_steps == 101
    take = film.logged(run, 1)
    assert len(take.rewards) == 100
    assert np.isfinite(take.actions).all()


def test_without_an_episode_the_policy_is_filmed_from_hanging_without_noise(take: film.Take) -> None:
    policy = gallery()["fast"]
    expected = evaluate_policy(policy, policy.card.config, np.array([[np.pi, 0.0]]))
    assert take.rewards.sum() == pytest.approx(expected[0])
    np.testing.assert_array_equal(take.states[0], [np.pi, 0])
    assert np.cos(take.states[-20:, 0]).min() > 0.95, "the gallery's agent must swing up"
    assert take.title == f"after episode {policy.card.episode}, without noise"


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_close_ups_are_the_middle_of_gymnasiums_pictures_with_the_torques_arrow() -> None:
    states, torques = np.array([[0.4, 0], [3.0, 1], [-2.0, 0]]), np.array([2.0, -0.7, 0.0])
    found = pendulum_close_ups(states, torques, 200)
    for picture, state, torque in zip(found, states, torques.tolist(), strict=True):
        np.testing.assert_array_equal(picture, gymnasium_picture(state, torque, 200))
    arrowless = pendulum_close_ups(states[:1], np.array([0.0]), 200)
    assert (found[0] != arrowless[0]).any()


def test_numbers_stand_below_the_picture_and_follow_the_episode(take: film.Take) -> None:
    few = replace(take, states=take.states[:3], actions=take.actions[:3], rewards=take.rewards[:3])
    richer = replace(few, rewards=few.rewards + np.array([0, 500, 0]))
    stronger = replace(few, actions=few.actions * np.array([1, 1, 0.5]))
    side = 240
    before, after, other = (film.frames(each, side) for each in (few, richer, stronger))
    assert before.shape[1] > side
    assert before.shape[1] % 2 == before.shape[2] % 2 == 0, "H.264 wants even sizes"
    changed = (before != after).any(axis=(2, 3))
    assert not changed[0].any(), "the return of the first step is the same"
    assert not changed[:, :side].any(), "the pictures are the same"
    assert changed[1].any()
    assert changed[2].any(), "the return adds up"
    left, right = (before[2, side:] != other[2, side:]).any(axis=(0, 2)).nonzero()[0][[0, -1]]
    assert left > side / 2, "the torque stands at the right"
    assert right < side


# --- files ------------------------------------------------------------------------------------------------------------


def test_gif_plays_for_ever_at_real_time_and_is_small_enough_to_send(take: film.Take) -> None:
    data = film.gif(take)
    assert len(data) < 2_000_000
    movie = Image.open(io.BytesIO(data))
    assert (movie.format, movie.n_frames, movie.info["loop"]) == ("GIF", 200, 0)
    durations, expected = [], film.frames(take, film.GIF_PX)[::40]
    for frame in range(200):
        movie.seek(frame)
        durations.append(movie.info["duration"])
        if frame % 40 == 0:
            shown = np.asarray(movie.convert("RGB")).astype(int)
            assert (shown[0] == 255).all(), "the ground is white"
            differences = [np.abs(shown - picture).mean() for picture in expected]
            assert int(np.argmin(differences)) == frame // 40
            assert min(differences) < 0.3
    assert durations == [50] * 199 + [1000]


def test_mp4_shows_every_step_at_real_time(take: film.Take) -> None:
    few = replace(take, states=take.states[:50], actions=take.actions[:50], rewards=take.rewards[:50])
    data = film.mp4(few, 160)
    assert data == film.mp4(few, 160)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 20)
        shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)]
    expected = film.frames(few, 160)
    assert len(shown) == 50
    assert np.abs(shown[-1] - expected[-1]).mean() < 4
    assert np.abs(shown[-1] - expected[20]).mean() > 4


def test_a_mountain_car_is_filmed_too() -> None:
    run = trained(12, SMALL.changed(CAR))
    run.logs.steps.read("obs")
    take = film.logged(run, 0)
    np.testing.assert_array_equal(take.states, run.logs.steps.read("obs"))
    movie = Image.open(io.BytesIO(film.gif(take)))
    assert movie.size[0] == film.GIF_PX
    assert (movie.n_frames, movie.info["duration"]) == (12, 30)
