"""Conditions and comparisons: which agents are trained over how many seeds, as validated data with a JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import gymnasium

from ddpg_core.config import PRESETS, SETTINGS, Config, shown
from ddpg_core.logs import KEPT_EPISODES
from ddpg_core.recipe import MAX_SEED, MAX_STEP, Intervention, Recipe

MAX_CONDITIONS: Final = 100
MAX_SEEDS: Final = 1000
MAX_STARTS: Final = 1000
MAX_TEXT: Final = 500
MAX_NAME: Final = 60


@dataclass(frozen=True)
class Change:
    """Live settings changed while training, before an env step or when so many episodes are finished.

    Attributes:
        changes: Settings and their new values.
        step, episode: When; one of the two.

    Raises:
        ValueError: As `Intervention`, or not exactly one of `step` and `episode` is given.
    """

    changes: Mapping[str, Any]
    step: int | None = None
    episode: int | None = None

    def __post_init__(self) -> None:
        if (self.step is None) == (self.episode is None):
            raise ValueError(f"a change must name a step or an episode, got {shown((self.step, self.episode))}")
        if self.episode is not None:
            check_whole("episode of a change", self.episode, 0, KEPT_EPISODES)
        checked = Intervention(0 if self.step is None else self.step, self.changes)
        object.__setattr__(self, "changes", checked.changes)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready form."""
        when = {"step": self.step} if self.episode is None else {"episode": self.episode}
        return {**when, "set": dict(self.changes)}

    @classmethod
    def from_dict(cls, data: Any) -> Change:
        """The change that `to_dict` wrote."""
        _check_names("a change", data, {"step", "episode", "set"}, {"set"})
        return cls(data["set"], data.get("step"), data.get("episode"))


@dataclass(frozen=True)
class Condition:
    """One way to train an agent: settings, and what changes on the way.

    Attributes:
        name: Tells it from the others of a comparison.
        config: The settings at the start.
        changes: Any number, in any order.

    Raises:
        ValueError: The name is empty, too long or not printable.
    """

    name: str
    config: Config
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        _check_text("condition name", self.name, MAX_NAME)
        if not self.name.strip():
            raise ValueError("condition name must not be empty, got ''")
        object.__setattr__(self, "changes", tuple(self.changes))

    def recipe(self, seed: int) -> Recipe:
        """What a run of it starts from; changes at episodes come to it while it runs."""
        steps = [Intervention(item.step, item.changes) for item in self.changes if item.step is not None]
        return Recipe(self.config, seed, tuple(sorted(steps, key=lambda item: item.step)))

    def changes_at(self, episode: int) -> list[Change]:
        """The changes to make when `episode` episodes are finished."""
        return [item for item in self.changes if item.episode == episode]

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready form, every setting named, so that it means the same whatever presets come to be."""
        settings = {name: getattr(self.config, name) for name in SETTINGS}
        return {"name": self.name, "set": settings, "at": [item.to_dict() for item in self.changes]}

    @classmethod
    def from_dict(cls, data: Any) -> Condition:
        """The condition of `{"name": …, "preset": "fast", "set": {…}, "at": [{"episode": 40, "set": {…}}]}`.

        All but the name may be left out; `preset` is `fast` then.

        Raises:
            ValueError: Unknown names or values; the message begins with the condition's name.
        """
        _check_names("a condition", data, {"name", "preset", "set", "at"}, {"name"})
        preset, settings, at = data.get("preset", "fast"), data.get("set", {}), data.get("at", [])
        try:
            if not isinstance(preset, str) or preset not in PRESETS:
                raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {shown(preset)}")
            if not isinstance(settings, dict):
                raise ValueError(f"set must be an object of settings, got {shown(settings)}")
            if not isinstance(at, list):
                raise ValueError(f"at must be a list of changes, got {shown(at)}")
            return cls(data["name"], PRESETS[preset].changed(settings), tuple(Change.from_dict(item) for item in at))
        except ValueError as error:
            raise ValueError(f"condition {shown(data['name'])}: {error}") from None


@dataclass(frozen=True)
class Comparison:
    """Conditions × seeds, trained for as many episodes each and evaluated on the same fixed starts.

    Attributes:
        conditions: The first is the one that others are compared with.
        episodes: Episodes of training a run.
        seeds: Of the runs, the same for every condition.
        evaluate_at: Episodes after which policies are evaluated without noise, rising. The last episode and those at
            which any condition changes are always among them, so that "before" and "after" are known of all.
        starts: Start states of an evaluation.
        title, note: What a reader is told of it.

    Raises:
        ValueError: What the message says.
    """

    conditions: tuple[Condition, ...]
    episodes: int = 60
    seeds: tuple[int, ...] = tuple(range(8))
    evaluate_at: tuple[int, ...] = ()
    starts: int = 64
    title: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        _check_text("title", self.title, MAX_TEXT)
        _check_text("note", self.note, MAX_TEXT)
        for name in ("conditions", "seeds", "evaluate_at"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_distinct("conditions", [condition.name for condition in self.conditions], MAX_CONDITIONS)
        check_whole("episodes", self.episodes, 1, KEPT_EPISODES)
        check_whole("starts", self.starts, 1, MAX_STARTS)
        for seed in self.seeds:
            check_whole("seed", seed, 0, MAX_SEED)
        _check_distinct("seeds", self.seeds, MAX_SEEDS)
        for condition in self.conditions:
            self._check_length(condition)
        for episode in self.evaluate_at:
            check_whole("evaluate_at", episode, 0, self.episodes)
        changes = {item.episode for each in self.conditions for item in each.changes if item.episode is not None}
        object.__setattr__(self, "evaluate_at", tuple(sorted({*self.evaluate_at, *changes, self.episodes})))

    @property
    def branch_episode(self) -> int | None:
        """The first episode at which a condition changes: what forgetting is measured from; None where none does."""
        return min((item.episode for each in self.conditions for item in each.changes if item.episode), default=None)

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready form."""
        return {
            "title": self.title,
            "note": self.note,
            "episodes": self.episodes,
            "seeds": list(self.seeds),
            "evaluate_at": list(self.evaluate_at),
            "starts": self.starts,
            "conditions": [condition.to_dict() for condition in self.conditions],
        }

    @classmethod
    def from_dict(cls, data: Any, **given: Any) -> Comparison:
        """The comparison that `to_dict` wrote, or that a person did: all but `conditions` may be left out.

        Args:
            data: Parsed JSON: an object, or the list of conditions alone.
            given: Attributes that replace those of `data` where they are not None.

        Raises:
            ValueError: Unknown names or values.
        """
        data = {"conditions": data} if isinstance(data, list) else data
        known = {"title", "note", "episodes", "seeds", "evaluate_at", "starts", "conditions"}
        _check_names("a comparison", data, known, {"conditions"})
        for name in {"conditions", "seeds", "evaluate_at"} & set(data):
            if not isinstance(data[name], list):
                raise ValueError(f"{name} must be a list, got {shown(data[name])}")
        chosen = {name: value for name, value in given.items() if value is not None}
        conditions = tuple(Condition.from_dict(item) for item in data["conditions"])
        return cls(**{**data, "conditions": conditions, **chosen})

    @classmethod
    def from_json(cls, text: str, **given: Any) -> Comparison:
        """As `from_dict`, from JSON text."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"conditions must be JSON, got text that is not: {str(error)[:100]}") from None
        return cls.from_dict(data, **given)

    def _check_length(self, condition: Condition) -> None:
        """Raise if a run would be too long, or end before one of its changes."""
        steps = self.episodes * (gymnasium.spec(condition.config.env_id).max_episode_steps or MAX_STEP)
        if steps > MAX_STEP:
            raise ValueError(f"episodes must fit into {MAX_STEP} steps, got {self.episodes} of {condition.name!r}")
        for change in condition.changes:
            if (change.episode or 0) >= self.episodes or (change.step or 0) >= steps:
                when = f"step {change.step}" if change.episode is None else f"episode {change.episode}"
                raise ValueError(
                    f"condition {condition.name!r}: changes must come before the end at episode {self.episodes} "
                    f"(at most {steps} steps), got one at {when}"
                )


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """Raise a ValueError unless `value` is a whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number in [{low}, {high}], got {shown(value)}")


def _check_text(name: str, value: Any, longest: int) -> None:
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise ValueError(f"{name} must be at most {longest} printable characters, got {shown(value)}")


def _check_distinct(name: str, values: Any, most: int) -> None:
    if not 1 <= len(values) <= most or len(set(values)) < len(values):
        raise ValueError(f"{name} must be 1 to {most}, all different, got {len(values)}: {shown(list(values))}")


def _check_names(what: str, data: Any, known: set[str], needed: set[str]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be an object, got {shown(data)}")
    if unknown := sorted(set(data) - known):
        raise ValueError(f"{what} must hold {', '.join(sorted(known))} only, got {shown(unknown[0])}")
    if missing := sorted(needed - set(data)):
        raise ValueError(f"{what} must hold {', '.join(missing)}, got {shown(data)}")
