from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddpg_core import policy as policy_module
from ddpg_core.config import PRESETS, Config
from ddpg_core.metrics import evaluate
from ddpg_core.networks import MLP
from ddpg_core.policy import Card, Policy, best_episode, file_stem, policy_at
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from tests.helpers import CAR, IDLE, SMALL, trained

ROOT = Path(__file__).parent.parent
EVALUATION = {"return_mean": -152.4, "return_std": 3.0, "regret_mean": None, "episodes": 2, "seed": 0}
VERSIONS = dict.fromkeys(("ddpg-lab", "python", "numpy", "torch", "gymnasium"), "1.0")


def card_of(config: Config, **changes: Any) -> Card:
    return dataclasses.replace(Card(Recipe(config), 40, 8000, EVALUATION, VERSIONS), **changes)


def one_unit(scale: float) -> Policy:
    """3 observations, one hidden unit with weights 0.5, −1, 0.25 and bias 0.1, an output of weight 2 and bias −0.3."""
    config = Config(hidden=(1,), action_scale="full" if scale == 4 else "half")
    limits = np.array([2], np.float32)
    parameters = np.array([0.5, -1, 0.25, 0.1, 2, -0.3], np.float32)
    return Policy(MLP((3, 1, 1), True), parameters, np.array([scale], np.float32), -limits, limits, card_of(config))


@pytest.mark.parametrize(
    ("scale", "obs", "action"),
    [
        (2, [1, 0, 0], 2 * np.tanh(2 * 0.6 - 0.3)),
        (2, [0, 1, 0], 2 * np.tanh(-0.3)),
        (4, [0, 1, 0], 4 * np.tanh(-0.3)),
        (4, [1, 0, 8], 2.0),
    ],
)
def test_policy_computes_what_the_environment_executes(scale: float, obs: list[float], action: float) -> None:
    policy = one_unit(scale)
    found = policy(np.array(obs))
    assert (found.shape, found.dtype) == ((1,), np.float32)
    assert found[0] == pytest.approx(action, rel=1e-6)
    np.testing.assert_allclose(policy(np.array([obs, obs])), [[action], [action]], rtol=1e-6)


@pytest.mark.parametrize("config", [SMALL, SMALL.changed(CAR), SMALL.changed({"action_scale": "full"})])
def test_policy_of_a_run_acts_as_the_run_does_within_limits(config: Config) -> None:
    run = trained(300, config)
    policy = policy_at(run, starts=1)
    low, high = run.env.action_low, run.env.action_high
    for obs in run.logs.steps.read("obs"):
        np.testing.assert_array_equal(policy(obs), np.clip(run.act(obs), low, high))


def test_card_tells_the_recipe_the_moment_and_the_evaluation() -> None:
    run = trained(500, SMALL, 3, (100, {"tau": 0.5}))
    policy = policy_at(run, 2, starts=3)
    expected = evaluate(run.act, run.config, 3, 0)
    assert policy_at(run, starts=3).card.evaluation["return_mean"] == pytest.approx(expected.returns.mean())
    assert (policy.card.recipe, policy.card.episode, policy.card.env_steps) == (run.recipe, 2, 400)
    assert policy.card.config.tau == 0.5
    assert policy.card.versions["numpy"] == np.__version__


def test_recipe_of_a_card_trains_the_same_weights_again() -> None:
    run = trained(450, SMALL, 1, (210, {"action_scale": "full"}))
    for policy in (policy_at(run, starts=1), policy_at(run, 1, starts=1)):
        twin = Run(policy.card.recipe)
        twin.advance(steps=policy.card.env_steps)
        np.testing.assert_array_equal(twin.learner.actor, policy.parameters)
        assert policy.action_scale[0] == (4 if policy.card.env_steps > 210 else 2)


def test_card_names_the_kept_episode_whose_weights_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpg_core.moments.SNAPSHOT_BYTES", 6_000)
    run = trained(200 * 7)
    kept = [snapshot.episode for snapshot in run.snapshots]
    assert 5 not in kept, "the test must ask for one that is gone"
    policy = policy_at(run, 5, starts=1)
    assert policy.card.episode == max(episode for episode in kept if episode < 5)
    assert policy.card.env_steps == 200 * policy.card.episode


def test_best_episode_ends_the_ten_with_the_highest_mean_return() -> None:
    run = trained(200 * 25, IDLE, 4)
    returns = run.logs.episodes.read("episode_return").tolist()
    means = {end: np.mean(returns[end - 10 : end]) for end in range(10, 26)}
    best = max(means, key=lambda end: means[end])
    assert best_episode(run) == best
    assert len({round(mean) for mean in means.values()}) > 10


def test_best_episode_is_the_newest_while_there_are_fewer_than_ten() -> None:
    assert best_episode(trained(200 * 9, IDLE)) == 9
    assert best_episode(trained(3, IDLE)) == 0


def test_weights_that_are_not_finite_make_no_policy() -> None:
    run = trained(250)
    run.learner.actor[0] = np.nan
    with pytest.raises(ValueError, match="before the run diverged"):
        policy_at(run)
    assert policy_at(run, 1, starts=1).card.episode == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": MLP((3, 2, 1), True)}, "network must be 3-1-1, got 3-2-1"),
        ({"net": MLP((3, 1, 1), False)}, "network must be"),
        ({"parameters": np.zeros(5, np.float32)}, "parameters must be 6 finite float32 numbers"),
        ({"parameters": np.zeros(6)}, "parameters must be 6 finite float32 numbers"),
        ({"parameters": np.full(6, np.inf, np.float32)}, "parameters must be 6 finite float32 numbers"),
        ({"action_scale": np.zeros(2, np.float32)}, "action_scale must be 1 finite"),
        ({"action_high": np.array([3], np.float32)}, "action_high must be"),
        ({"card": card_of(PRESETS["fast"])}, "network must be 3-64-64-1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(one_unit(2), **changes)


def test_card_survives_json() -> None:
    card = policy_at(trained(200, SMALL, 0, (7, {"tau": 0.1})), starts=2).card
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("version", 2, "card version must be 1"),
        ("episode", -1, "card episode must be a whole number"),
        ("episode", True, "card episode must be a whole number"),
        ("env_steps", 1e3, "card env_steps must be a whole number"),
        ("evaluation", {}, "card evaluation must hold"),
        ("evaluation", EVALUATION | {"return_mean": None}, "card return_mean must be a finite number"),
        ("evaluation", EVALUATION | {"return_mean": float("nan")}, "card return_mean must be a finite number"),
        ("evaluation", EVALUATION | {"return_std": 10**400}, "card return_std must be a finite number"),
        ("evaluation", EVALUATION | {"seed": "0"}, "card seed must be a whole number"),
        ("versions", VERSIONS | {"torch": "2" * 41}, "card version of torch must be a short text"),
        ("versions", [], "card versions must hold"),
        ("recipe", {}, "recipe must hold"),
    ],
)
def test_card_refuses_what_it_cannot_be(name: str, value: Any, message: str) -> None:
    data = json.loads(card_of(SMALL).to_json()) | {name: value}
    with pytest.raises(ValueError, match=message):
        Card.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "{}"])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="card must"):
        Card.from_json(text)


def test_file_name_says_run_episode_and_return() -> None:
    policy = one_unit(2)
    fast = trained(1, PRESETS["fast"], 7)
    assert file_stem(policy) == "textbook-changed-seed0-episode40-return-152"
    assert file_stem(policy_at(fast, 0, starts=1)).startswith("fast-seed7-episode0-return-")


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == policy_module.VERSION
