"""Recipe: Config + seed + Interventions, the pure data that fully determines a run, and its JSON form."""

from __future__ import annotations

import bisect
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ddpg_core.config import PRESETS, SETTINGS, Config, setting_of, shown

VERSION: Final = 1
MAX_SEED: Final = 2**32 - 1
MAX_STEP: Final = 2**24 - 1
MAX_INTERVENTIONS: Final = 10_000


@dataclass(frozen=True)
class Intervention:
    """Settings changed while training: before env step `step` (0-based) is taken, `changes` come into force.

    Raises:
        ValueError: `step` is out of range, a setting is unknown or may not change while a run trains.
    """

    step: int
    changes: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_whole("intervention step", self.step, MAX_STEP)
        if not isinstance(self.changes, Mapping) or not self.changes:
            raise ValueError(f"intervention changes must be settings with values, got {shown(self.changes)}")
        for name in self.changes:
            if not setting_of(name).live:
                raise ValueError(f"{name} must be set before the run starts, got a change at step {self.step}")
        checked = Config().changed(self.changes)
        object.__setattr__(self, "changes", {name: getattr(checked, name) for name in self.changes})


@dataclass(frozen=True)
class Recipe:
    """What fully determines a run: same recipe, engine and machine give equal logs, bit for bit.

    Attributes:
        config: The settings at step 0.
        seed: 0 … 2³² − 1.
        interventions: In the order of their steps.

    Raises:
        ValueError: The seed is out of range or the interventions are out of order.
    """

    config: Config
    seed: int = 0
    interventions: tuple[Intervention, ...] = ()

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, MAX_SEED)
        object.__setattr__(self, "interventions", tuple(self.interventions))
        if len(self.interventions) > MAX_INTERVENTIONS:
            raise ValueError(f"interventions must be at most {MAX_INTERVENTIONS}, got {len(self.interventions)}")
        steps = [item.step for item in self.interventions]
        if steps != sorted(steps):
            raise ValueError(f"interventions must be in the order of their steps, got steps {steps[:20]}")

    def with_intervention(self, intervention: Intervention) -> Recipe:
        """This recipe plus one intervention, placed after those of the same step."""
        items = list(self.interventions)
        bisect.insort_right(items, intervention, key=operator.attrgetter("step"))
        return replace(self, interventions=tuple(items))

    def until(self, step: int) -> Recipe:
        """This recipe without the interventions at or after env step `step`."""
        return replace(self, interventions=tuple(i for i in self.interventions if i.step < step))

    def config_at(self, step: int) -> Config:
        """The settings in force while env step `step` is taken."""
        config = self.config
        for intervention in self.interventions:
            if intervention.step <= step:
                config = config.changed(intervention.changes)
        return config

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready form; `from_dict` reads it back exactly."""
        return {
            "version": VERSION,
            "seed": self.seed,
            "config": {name: getattr(self.config, name) for name in SETTINGS},
            "interventions": [{"step": i.step, "changes": dict(i.changes)} for i in self.interventions],
        }

    def to_json(self) -> str:
        """The recipe as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, data: Any) -> Recipe:
        """The recipe that `to_dict` wrote.

        Raises:
            ValueError: Unknown, missing, wrongly typed, non-finite or out-of-range values.
        """
        _check_keys("recipe", data, {"version", "seed", "config", "interventions"})
        if data["version"] != VERSION:
            raise ValueError(f"recipe version must be {VERSION}, got {shown(data['version'])}")
        _check_keys("config", data["config"], set(SETTINGS))
        if not isinstance(data["interventions"], list):
            raise ValueError(f"interventions must be a list, got {shown(data['interventions'])}")
        for item in data["interventions"]:
            _check_keys("intervention", item, {"step", "changes"})
        return cls(
            Config(**data["config"]),
            data["seed"],
            tuple(Intervention(**item) for item in data["interventions"]),
        )

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
            ValueError: Not JSON, or as `from_dict`.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"recipe must be JSON, got text that is not: {str(error)[:100]}") from None
        return cls.from_dict(data)


def preset_of(config: Config) -> tuple[str, dict[str, Any]]:
    """The preset nearest to `config`, and the settings in which `config` differs from it."""
    name = min(PRESETS, key=lambda preset: len(config.difference(PRESETS[preset])))
    return name, config.difference(PRESETS[name])


def check_whole(name: str, value: Any, high: int) -> None:
    """Raise a ValueError unless `value` is a whole number in [0, `high`]."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise ValueError(f"{name} must be a whole number in [0, {high}], got {shown(value)}")


def _check_keys(what: str, data: Any, expected: set[str]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be an object, got {shown(data)}")
    unknown, missing = sorted(set(data) - expected), sorted(expected - set(data))
    if unknown:
        raise ValueError(f"{what} must hold known names only, got {', '.join(map(repr, unknown[:5]))}")
    if missing:
        raise ValueError(f"{what} must hold {', '.join(missing[:5])}, got none")
