"""Policy: a trained actor by itself, with the card that says where it comes from. What is exported and imported."""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from ddpg_core.config import Config, format_value, shown
from ddpg_core.environment import Array, Environment
from ddpg_core.metrics import evaluate, moving_average
from ddpg_core.moments import Moment
from ddpg_core.networks import MLP, forward
from ddpg_core.recipe import MAX_STEP, Recipe, check_whole, preset_of
from ddpg_core.run import Run

VERSION: Final = "0.1.0"
"""Of this project."""
CARD_VERSION: Final = 1
STARTS, STARTS_SEED = 20, 0
"""The fixed starts on which a card's evaluation is made."""
_WINDOW: Final = 10
_EVALUATION: Final = ("return_mean", "return_std", "regret_mean", "episodes", "seed")
_VERSIONS: Final = ("ddpg-lab", "python", "numpy", "torch", "gymnasium")


@dataclass(frozen=True)
class Card:
    """Where a policy comes from, and how good it was there.

    `Run(card.recipe)` after `card.env_steps` steps has the policy's weights, on the same machine bit for bit.

    Attributes:
        recipe: Of the run that trained it, interventions included.
        episode: Episodes finished when these were the weights.
        env_steps: Env steps taken by then.
        evaluation: Without noise on fixed starts: `return_mean`, `return_std`, `regret_mean` (None where no oracle is
            known), `episodes` (the number of starts) and `seed` (of the starts).
        versions: Of `ddpg-lab`, `python`, `numpy`, `torch` and `gymnasium`.

    Raises:
        ValueError: A name is missing or unknown, or a value is of the wrong kind or not finite.
    """

    recipe: Recipe
    episode: int
    env_steps: int
    evaluation: Mapping[str, Any]
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        _check_names("card evaluation", self.evaluation, _EVALUATION)
        _check_names("card versions", self.versions, _VERSIONS)
        check_whole("card episode", self.episode, MAX_STEP)
        check_whole("card env_steps", self.env_steps, MAX_STEP)
        for name in ("episodes", "seed"):
            check_whole(f"card {name}", self.evaluation[name], 2**32)
        for name in _EVALUATION[:3]:
            value = self.evaluation[name]
            if (name, value) != ("regret_mean", None) and not _is_finite(value):
                raise ValueError(f"card {name} must be a finite number, got {shown(value)}")
        for name, text in self.versions.items():
            if not isinstance(text, str) or len(text) > 40:
                raise ValueError(f"card version of {name} must be a short text, got {shown(text)}")

    @cached_property
    def config(self) -> Config:
        """The settings in force when these were the weights."""
        return self.recipe.config_at(self.env_steps)

    def to_json(self) -> str:
        """The card as indented JSON text."""
        card = {
            "version": CARD_VERSION,
            "episode": self.episode,
            "env_steps": self.env_steps,
            "evaluation": dict(self.evaluation),
            "versions": dict(self.versions),
            "recipe": self.recipe.to_dict(),
        }
        return json.dumps(card, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card that `to_json` wrote.

        Raises:
            ValueError: Not JSON, or unknown, missing or invalid values.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"card must be JSON, got text that is not: {str(error)[:100]}") from None
        _check_names("card", data, ("version", "episode", "env_steps", "evaluation", "versions", "recipe"))
        if data["version"] != CARD_VERSION:
            raise ValueError(f"card version must be {CARD_VERSION}, got {shown(data['version'])}")
        recipe = Recipe.from_dict(data["recipe"])
        return cls(recipe, data["episode"], data["env_steps"], data["evaluation"], data["versions"])


@dataclass(frozen=True, eq=False)
class Policy:
    """A trained actor as a function: obs [O] to the action [A] that the environment executes, or [B, O] to [B, A].

    Actions are float32, in the environment's units, without noise and within the actuator's limits.

    Attributes:
        net: The actor's shape.
        parameters: Its flat vector [P] float32.
        action_scale: What its outputs in [−1, 1] are multiplied by [A] float32.
        action_low, action_high: The actuator's limits [A] float32.
        card: Where it comes from.

    Raises:
        ValueError: The parts don't fit each other or the card's environment, or a number is not finite.
    """

    net: MLP
    parameters: Array
    action_scale: Array
    action_low: Array
    action_high: Array
    card: Card

    def __post_init__(self) -> None:
        config = self.card.config
        env = Environment(config, np.random.default_rng(0))
        expected = MLP((env.obs_size, *config.hidden, env.action_size), squash=True)
        if self.net != expected:
            raise ValueError(f"network must be {format_value(expected.sizes)}, got {format_value(self.net.sizes)}")
        for name, size in (("parameters", expected.parameter_count), ("action_scale", env.action_size)):
            array = getattr(self, name)
            if array.shape != (size,) or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"{name} must be {size} finite float32 numbers, got {array.dtype} {array.shape}")
        for name in ("action_low", "action_high"):
            if not np.array_equal(getattr(self, name), getattr(env, name)):
                raise ValueError(f"{name} must be {getattr(env, name)}, got {shown(getattr(self, name))}")

    @cached_property
    def layers(self) -> list[tuple[Array, Array]]:
        """(kernel [U, I], bias [U]) of each layer, as views into `parameters`."""
        return self.net.layers(self.parameters)

    def __call__(self, obs: Array) -> Array:
        """The action [A] for obs [O], or [B, A] for [B, O]."""
        action = forward(self.layers, True, np.asarray(obs, np.float32)) * self.action_scale
        return np.asarray(np.minimum(np.maximum(action, self.action_low), self.action_high))


def policy_at(run: Run, episode: int | None = None, starts: int = STARTS) -> Policy:
    """The policy of `run` when `episode` episodes were finished, or now, evaluated on `starts` fixed starts.

    Of a past episode whose weights are not kept, it is that of the nearest earlier one; the card names it.

    Raises:
        ValueError: `episode` is not in the run's log, or its weights are not finite.
    """
    moment = run.at(episode)
    if moment.weights_of != moment.episode:
        moment = run.at(moment.weights_of)
    return policy_from(run.recipe, run.learner.actor_net, moment, starts)


def policy_from(recipe: Recipe, net: MLP, moment: Moment, starts: int = STARTS) -> Policy:
    """The policy of a moment that has its own episode's weights, evaluated; the run may go on meanwhile.

    Raises:
        ValueError: Its weights are not finite.
    """
    if not np.isfinite(moment.actor).all():
        raise ValueError("episode must be one before the run diverged: these weights are not finite numbers")
    env = Environment(moment.config, np.random.default_rng(0))
    card = Card(recipe, moment.episode, moment.env_steps, dict.fromkeys(_EVALUATION, 0), _versions())
    return evaluated(Policy(net, moment.actor, moment.action_scale, env.action_low, env.action_high, card), starts)


def evaluated(policy: Policy, starts: int = STARTS) -> Policy:
    """The policy with a card that says how good it is here on `starts` fixed starts, whatever it said before."""
    found = evaluate(policy, policy.card.config, starts, STARTS_SEED).summary()
    return replace(policy, card=replace(policy.card, evaluation={name: found[name] for name in _EVALUATION}))


def best_episode(run: Run) -> int:
    """The kept episode before which the mean return of ten episodes was highest; the newest while there are fewer.

    The mean of ten, since a single return says more about where the episode began than about the policy.
    """
    episodes = run.logs.episodes
    means = moving_average(episodes.read("episode_return"), _WINDOW)
    full = range(episodes.first + _WINDOW, episodes.total + 1)
    kept = [snapshot.episode for snapshot in run.snapshots if snapshot.episode in full]
    newest = max(snapshot.episode for snapshot in run.snapshots)
    return max(kept, key=lambda episode: float(means[episode - episodes.first - 1]), default=newest)


def file_stem(policy: Policy) -> str:
    """What a file with this policy is called: `fast-seed0-episode40-return-152`."""
    card = policy.card
    preset, changed = preset_of(card.recipe.config)
    name = f"{preset}-changed" if changed.keys() - {"engine"} or card.recipe.interventions else preset
    mean = round(card.evaluation["return_mean"])
    return f"{name}-seed{card.recipe.seed}-episode{card.episode}-return{mean}"


def _versions() -> dict[str, str]:
    own = {"ddpg-lab": VERSION, "python": platform.python_version()}
    return own | {name: importlib.metadata.version(name) for name in _VERSIONS[2:]}


def _check_names(what: str, data: Any, expected: tuple[str, ...]) -> None:
    if not isinstance(data, Mapping) or set(data) != set(expected):
        raise ValueError(f"{what} must hold {', '.join(expected)}, got {shown(data)}")


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30 and math.isfinite(value)
