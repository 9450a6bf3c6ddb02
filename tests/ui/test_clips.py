from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpg_core import logs
from ddpg_core.environment import ENVIRONMENTS, pendulum_angles
from ddpg_core.frames import render_states
from pages.ui import live
from pages.ui.clips import FRAME_SIZE_PX, FRAMES_A_CLIP, clip_of, episode_of, film_settings, newest, pace, watchable
from pages.ui.lab import Lab
from pages.ui.player import SPEEDS, Player
from pages.ui.theme import ROLES
from tests.helpers import CAR, IDLE, trained
from tests.ui.helpers import on_stage, shown, strict_json, unpacked


def clip_at(player: Player, episode: int) -> Any:
    """The clip of an episode as a browser gets it."""
    return strict_json(json.dumps(clip_of(episode_of(player, episode))))


def values(clip: dict[str, Any]) -> list[Any]:
    """The traces' values [T] of a clip, in their order."""
    return [unpacked(trace["values"]) for trace in clip["traces"]]


@pytest.mark.parametrize(("episode", "start", "stop"), [(0, 0, 200), (1, 200, 400), (2, 400, 430)])
def test_traces_of_a_pendulum_clip_are_the_step_log_of_its_episode(episode: int, start: int, stop: int) -> None:
    run = trained(430, IDLE)
    clip = clip_at(shown(run), episode)
    steps = run.logs.steps
    obs, torque, reward = (steps.read(name, start, stop) for name in ("obs", "action", "reward"))
    for found, expected in zip(values(clip), [pendulum_angles(obs), torque, obs[:, 2], reward], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert {trace["length"] for trace in clip["traces"]} == {stop - start}
    assert clip["steps"] == 200
    assert clip["finished"] == (episode < 2)
    assert f"episode {episode + 1}" in clip["title"]
    total = abs(round(float(reward.sum())))
    assert clip["note"] == (f"return −{total}" if episode < 2 else f"so far −{total}")


def test_traces_stay_within_their_scales_and_have_the_colours_of_roles() -> None:
    clip = clip_at(shown(trained(430, IDLE)), 0)
    for trace, course in zip(clip["traces"], values(clip), strict=True):
        assert trace["low"] <= course.min() <= course.max() <= trace["high"], trace["name"]
        assert trace["colour"] in ROLES.values()
        assert all(trace["low"] <= value <= trace["high"] for value, _ in trace["ticks"])
    assert [trace["around"] for trace in clip["traces"]] == [True, False, False, False]


@pytest.mark.parametrize(
    ("changes", "names"),
    [({}, {"angle θ (0 = upright)": "rad", "torque u": "N·m"}), (CAR, {"position": "", "force": ""})],
)
def test_angle_and_torque_come_first_and_large(changes: dict[str, Any], names: dict[str, str]) -> None:
    clip = clip_at(shown(trained(30, IDLE.changed(changes))), 0)
    assert {trace["name"]: trace["unit"] for trace in clip["traces"][:2]} == names
    assert [trace["main"] for trace in clip["traces"]] == [True, True, False, False]


def test_a_clip_tells_its_runs_colour_and_environment() -> None:
    clip = clip_at(shown(trained(30, IDLE.changed(CAR))), 0)
    assert (clip["colour"], clip["env_id"]) == ("#0072B2", "MountainCarContinuous-v0")


def test_clips_of_two_episodes_and_of_two_runs_can_be_told_apart() -> None:
    run = trained(430, IDLE)
    clips = [clip_at(shown(run, number), episode) for number in (0, 1) for episode in (0, 1)]
    assert len({clip["id"] for clip in clips}) == 4


# --- which episode ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, range(0)), (1, range(1)), (199, range(1)), (200, range(1)), (201, range(2))]
)
def test_episode_going_on_can_be_watched_from_its_first_step(steps: int, expected: range) -> None:
    assert watchable(shown(trained(steps, IDLE))) == expected


def test_only_episodes_whose_steps_are_all_still_kept_can_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT_ROWS", 300)
    player = shown(trained(1030, IDLE.changed({"capacity": 100})))
    assert player.run.logs.steps.first == 730
    assert watchable(player) == range(4, 6)
    for episode, length in ((4, 200), (5, 30)):
        assert [len(course) for course in values(clip_at(player, episode))] == 4 * [length]


def test_an_episode_is_watchable_down_to_its_last_kept_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT_ROWS", 300)
    player = shown(trained(500, IDLE.changed({"capacity": 100})))
    assert watchable(player) == range(1, 3)
    player.run.step()
    assert watchable(player) == range(2, 3)


@pytest.mark.parametrize(
    ("speed", "playing", "steps", "expected"),
    [
        ("flat out", True, 430, 1),
        ("100 steps/s", True, 430, 1),
        ("real time", True, 430, 2),
        ("1 step/s", True, 430, 2),
        ("flat out", False, 430, 2),
        ("flat out", True, 400, 1),
        ("1 step/s", True, 400, 1),
        ("flat out", True, 30, 0),
        ("flat out", True, 0, None),
    ],
)
def test_live_follows_the_episode_going_on_only_where_the_eye_can(
    lab: Lab, speed: str, playing: bool, steps: int, expected: int | None
) -> None:
    assert speed in SPEEDS
    player = on_stage(lab, IDLE)
    player.run.advance(steps=steps)
    lab.speed, player.playing = speed, playing
    assert newest(lab, player) == expected


@pytest.mark.parametrize(
    ("speed", "playing", "expected"),
    [
        ("1 step/s", True, 1),
        ("5 steps/s", True, 5),
        ("real time", True, 20),
        ("100 steps/s", True, None),
        ("flat out", True, None),
        ("5 steps/s", False, None),
    ],
)
def test_a_live_film_keeps_the_pace_of_a_run_slow_enough_to_watch(
    lab: Lab, speed: str, playing: bool, expected: float | None
) -> None:
    player = on_stage(lab, IDLE)
    lab.speed, player.playing = speed, playing
    assert pace(lab, player) == expected


# --- what the film takes ----------------------------------------------------------------------------------------------


def clip_in(env_id: str) -> dict[str, Any]:
    """The clip of a short episode."""
    return clip_of(episode_of(shown(trained(3, IDLE.changed({"env_id": env_id}))), 0))


def test_a_film_takes_one_clip_or_a_list_of_one_or_two(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(live, "_component", lambda name: lambda *, key, data: sent.append((name, key, data)))
    clip = clip_in("Pendulum-v1")
    for clips in (clip, [clip], [clip, clip]):
        live.film(clips, film_settings("Pendulum-v1"), live=True, pace=5.0, key="film")
    assert [(data["clip"], len(data["beside"])) for _, _, data in sent] == [(clip, 0), (clip, 0), (clip, 1)]
    assert {(name, key, data["live"], data["pace"]) for name, key, data in sent} == {("film", "film", True, 5.0)}


@pytest.mark.parametrize("count", [0, 3])
def test_a_film_refuses_other_numbers_of_clips(count: int) -> None:
    with pytest.raises(ValueError, match=f"clips must be one or two, got {count}"):
        live.film([clip_in("Pendulum-v1")] * count, film_settings("Pendulum-v1"), live=False, key="film")


def test_a_film_refuses_two_environments_on_one_clock() -> None:
    clips = [clip_in(env_id) for env_id in ENVIRONMENTS]
    with pytest.raises(ValueError, match="of one environment, got Pendulum-v1 and MountainCarContinuous-v0"):
        live.film(clips, film_settings("Pendulum-v1"), live=False, key="film")


# --- other environments -----------------------------------------------------------------------------------------------


def test_mountain_car_clip_brings_its_traces_and_gymnasiums_frames() -> None:
    run = trained(1100, IDLE.changed(CAR))
    clip = clip_at(shown(run), 0)
    obs = run.logs.steps.read("obs", 0, 999)
    np.testing.assert_array_equal(values(clip)[0], obs[:, 0])
    np.testing.assert_array_equal(values(clip)[2], obs[:, 1])
    every, count = clip["every"], len(clip["frames"])
    assert FRAMES_A_CLIP / 2 < count <= FRAMES_A_CLIP
    assert (count - 1) * every < 999 <= count * every
    for frame, row in ((0, 0), (count - 1, (count - 1) * every)):
        kind, data = clip["frames"][frame].split(",", 1)
        assert kind == "data:image/webp;base64"
        found = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        assert found.size == FRAME_SIZE_PX
        (expected,) = render_states(run.config.env_id, obs[row : row + 1].astype(np.float64))
        difference = np.asarray(found, float) - np.asarray(Image.fromarray(expected).resize(FRAME_SIZE_PX), float)
        assert np.abs(difference).mean() < 2


def test_a_clip_of_few_steps_has_a_frame_for_each() -> None:
    clip = clip_at(shown(trained(3, IDLE.changed(CAR))), 0)
    assert (len(clip["frames"]), clip["every"]) == (3, 1)


def test_frames_of_an_episode_going_on_stay_where_they_are_as_it_grows() -> None:
    player = shown(trained(30, IDLE.changed(CAR)))
    before = clip_at(player, 0)
    player.run.advance(steps=30)
    after = clip_at(player, 0)
    assert (before["every"], after["every"]) == (1, 2)
    assert after["frames"][:15] == before["frames"][::2]


def test_a_copied_episode_does_not_change_while_training_goes_on() -> None:
    player = shown(trained(150, IDLE))
    episode = episode_of(player, 0)
    before = clip_of(episode)
    player.run.advance(steps=100)
    assert clip_of(episode) == before
    assert clip_at(player, 0) != before


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_film_plays_at_the_environments_own_pace(env_id: str) -> None:
    settings = strict_json(json.dumps(film_settings(env_id)))
    assert settings["rate"] == {"Pendulum-v1": 20, "MountainCarContinuous-v0": 30}[env_id]
    assert ("sheet" in settings) == (env_id == "Pendulum-v1")
