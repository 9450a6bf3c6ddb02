from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from ddpg_core.config import PRESETS
from pages.ui import live
from pages.ui.clips import Episode, episode_of
from pages.ui.drive import HANGING, agent_episode, drive, start_of
from tests.helpers import CAR, IDLE, SMALL, trained
from tests.ui.helpers import shown, strict_json, unpacked

START = (2.5, -1.25)


def agent(changes: dict[str, Any] | None = None, steps: int = 260) -> tuple[Episode, Any]:
    """What a run's policy does from `START`, and the run."""
    run = trained(steps, SMALL.changed(changes or {}))
    return agent_episode(run.at(), START, "small #0", "#0072B2"), run


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the drive component gets; the browser answers with its last element, if that is a number or text."""
    calls: list[Any] = []

    def mount(*, key: str, data: Any, on_total_change: Any) -> Any:
        on_total_change()
        answer = calls.pop() if calls else None
        calls.append(strict_json(json.dumps(data)))
        return SimpleNamespace(total=answer)

    monkeypatch.setattr(live, "_component", lambda name: mount)
    return calls


@pytest.mark.parametrize("physics", [{}, {"gravity": 4.0, "mass": 0.5, "length": 1.5}, {"action_scale": "full"}])
def test_the_agent_drives_by_its_policy_in_gymnasiums_physics_without_noise(physics: dict[str, Any]) -> None:
    episode, run = agent(physics)
    env: Any = gymnasium.make("Pendulum-v1", g=physics.get("gravity", 10.0)).unwrapped
    env.m, env.l = physics.get("mass", 1.0), physics.get("length", 1.0)
    env.reset()
    env.state = np.array(START)
    for step in range(200):
        obs = env._get_obs()
        np.testing.assert_allclose(episode.columns["obs"][step], obs, atol=1e-4)
        action = np.clip(run.act(episode.columns["obs"][step]), -2, 2)
        np.testing.assert_allclose(episode.columns["action"][step], action[0], atol=1e-6)
        reward = env.step(episode.columns["action"][step : step + 1].astype(float))[1]
        assert episode.columns["reward"][step] == pytest.approx(reward, abs=1e-3)
    assert (episode.finished, episode.steps, episode.env_id) == (True, 200, "Pendulum-v1")
    assert episode.note == f"return −{-episode.columns['reward'].sum():.0f}"


def test_driving_looks_at_the_run_without_changing_it() -> None:
    run = trained(260, SMALL)
    before = run.snapshot()
    agent_episode(run.at(), HANGING, "small #0", "#0072B2")
    after = run.snapshot()
    np.testing.assert_array_equal(before.learner, after.learner)
    assert before.counters == after.counters


def test_two_moments_and_two_starts_give_episodes_that_can_be_told_apart() -> None:
    run = trained(430, SMALL)
    moments, starts = (run.at(1), run.at(2), run.at()), (START, HANGING)
    keys = {agent_episode(moment, start, "small #0", "#0072B2").key for moment in moments for start in starts}
    assert len(keys) == 6


def test_an_episode_of_the_log_starts_where_the_environment_did() -> None:
    run = trained(1, IDLE)
    cos, sin, velocity = run.logs.steps.read("obs", 0, 1)[0]
    start = start_of(episode_of(shown(run), 0))
    assert (math.cos(start[0]), math.sin(start[0]), start[1]) == pytest.approx((cos, sin, velocity), abs=1e-6)


def test_the_browser_gets_start_physics_and_the_agent(sent: list[Any]) -> None:
    config = SMALL.changed({"gravity": 4.0, "mass": 0.5, "length": 1.5})
    episode, _ = agent({"gravity": 4.0, "mass": 0.5, "length": 1.5})
    assert drive(episode, config, key="drive") is None
    (data,) = sent
    assert data["start"] == pytest.approx(START, abs=1e-6)
    assert (data["physics"], data["steps"], data["film"]["limit"]) == ([4.0, 0.5, 1.5], 200, 2.0)
    rewards = {trace["key"]: unpacked(trace["values"]) for trace in data["agent"]["traces"]}["reward"]
    np.testing.assert_array_equal(rewards, episode.columns["reward"])
    assert data["words"] == [[-2000, ""]], "no reference is known for this physics"


def test_returns_are_called_what_the_dashboard_calls_them(sent: list[Any]) -> None:
    drive(HANGING, PRESETS["fast"], key="drive")
    (data,) = sent
    assert data["words"][:3] == [[-200, "near optimal"], [-400, "swings up"], [-900, "learning to swing"]]
    assert data["agent"] is None
    assert data["start"] == [math.pi, 0.0]


@pytest.mark.parametrize(
    ("answer", "expected"), [(-734.25, -734.25), (-734, -734.0), ("−734", None), (math.nan, None), ([1], None)]
)
def test_only_a_finite_number_comes_back_from_the_browser(sent: list[Any], answer: Any, expected: float | None) -> None:
    sent.append(answer)
    assert drive(HANGING, PRESETS["fast"], key="drive") == expected


def test_only_the_pendulum_can_be_driven() -> None:
    with pytest.raises(ValueError, match="only Pendulum-v1 can be driven, got MountainCarContinuous-v0"):
        drive(HANGING, PRESETS["fast"].changed(CAR), key="drive")
    with pytest.raises(ValueError, match="only Pendulum-v1 can be driven, got MountainCarContinuous-v0"):
        drive(episode_of(shown(trained(3, IDLE.changed(CAR))), 0), PRESETS["fast"], key="drive")
