"""Link: a recipe, how far to train it and what to show of it, as the query of a URL; the dashboard shares these."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from ddpg_core.config import (
    ENVIRONMENT,
    LEARNING,
    NETWORKS,
    NOISE,
    PRESETS,
    QUIRKS,
    REPLAY,
    SETTINGS,
    format_value,
    parse_value,
    setting_of,
    shown,
)
from ddpg_core.recipe import Intervention, Recipe, check_whole, preset_of

VERSION: Final = 1
"""What a link means hangs on presets and defaults too: whoever changes one of those raises this."""
MAX_CHARS: Final = 7_000
"""Servers commonly take 8,192 characters of address."""
MAX_EPISODE: Final = 100_000
GROUPS: Final[dict[str, str]] = {
    "environment": ENVIRONMENT,
    "networks": NETWORKS,
    "learning": LEARNING,
    "replay": REPLAY,
    "noise": NOISE,
    "quirks": QUIRKS,
}
"""The heading of each group of settings, by the word for it in a link."""
_CHANGE, _VERSION, _PRESET = "at", "v", "preset"


@dataclass(frozen=True)
class View:
    """What an instructor lets others see of the controls: a teaching aid, no protection.

    Attributes:
        hidden: Words of `GROUPS` whose settings are not drawn.
        locked: Settings that are shown and cannot be moved.

    Raises:
        ValueError: An unknown group or setting.
    """

    hidden: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for word in self.hidden:
            if word not in GROUPS:
                raise ValueError(f"hide must hold some of {', '.join(GROUPS)}, got {shown(word)}")
        for name in self.locked:
            setting_of(name)
        object.__setattr__(self, "hidden", tuple(word for word in GROUPS if word in self.hidden))
        object.__setattr__(self, "locked", tuple(name for name in SETTINGS if name in self.locked))

    def hides(self, name: str) -> bool:
        """Whether the setting `name` is not drawn."""
        return any(GROUPS[word] == SETTINGS[name].group for word in self.hidden)

    def locks(self, name: str) -> bool:
        """Whether the setting `name` cannot be moved."""
        return name in self.locked


@dataclass(frozen=True)
class Link:
    """A run to open: its recipe, how far to train it, the moment to show, and what to draw of the controls.

    Attributes:
        recipe: The run.
        episode: Train until so many episodes are finished.
        cursor: Show the run when so many were finished, or None: live.
        sent_return: What the sender got in the last episode finished at `moment`, or None.
        view: Which controls are hidden or locked.

    Raises:
        ValueError: A number is out of range, the cursor lies beyond the episode, or a return is of no episode.
    """

    recipe: Recipe
    episode: int = 0
    cursor: int | None = None
    sent_return: float | None = None
    view: View = field(default_factory=View)

    def __post_init__(self) -> None:
        check_whole("episode", self.episode, MAX_EPISODE)
        if self.cursor is not None:
            check_whole("cursor", self.cursor, self.episode)
        if self.sent_return is not None and not math.isfinite(self.sent_return):
            raise ValueError(f"return must be a finite number, got {self.sent_return}")
        if self.sent_return is not None and not self.moment:
            raise ValueError("return must be of a finished episode, got one of episode 0")

    @property
    def moment(self) -> int:
        """Episodes finished at the moment that the link is about."""
        return self.cursor or self.episode

    def to_query(self) -> str:
        """The query of the link's URL, as `v=1&preset=fast&seed=0&tau=0.005&at=8000,replay:latest&episode=40`.

        Raises:
            ValueError: It would be too long for a URL.
        """
        text = urlencode(list(self._pairs()), safe=":,")
        if len(text) > MAX_CHARS:
            raise ValueError(
                f"a link must be of at most {MAX_CHARS:,} characters, got {len(text):,}: this run's settings were "
                f"changed {len(self.recipe.interventions):,} times"
            )
        return text

    def _pairs(self) -> Iterator[tuple[str, str]]:
        preset, difference = preset_of(self.recipe.config)
        yield _VERSION, str(VERSION)
        yield _PRESET, preset
        yield "seed", str(self.recipe.seed)
        for name, value in difference.items():
            yield name, format_value(value)
        for item in self.recipe.interventions:
            changes = (f"{name}:{format_value(value)}" for name, value in item.changes.items())
            yield _CHANGE, ",".join([str(item.step), *changes])
        if self.episode:
            yield "episode", str(self.episode)
        if self.cursor is not None:
            yield "cursor", str(self.cursor)
        if self.sent_return is not None:
            yield "return", repr(float(self.sent_return))
        if self.view.hidden:
            yield "hide", ",".join(self.view.hidden)
        if self.view.locked:
            yield "lock", ",".join(self.view.locked)

    @classmethod
    def from_query(cls, text: str) -> Link:
        """The link that `to_query` wrote.

        Raises:
            ValueError: It is too long or of another version, or a part is unknown, repeated, mistyped or out of range.
        """
        if len(text) > MAX_CHARS:
            raise ValueError(f"a link must be of at most {MAX_CHARS:,} characters, got {len(text):,}")
        pairs = parse_qsl(text, keep_blank_values=True)
        parts = _once((name, value) for name, value in pairs if name != _CHANGE)
        if parts.get(_VERSION) != str(VERSION):
            raise ValueError(f"the link's version v must be {VERSION}, got {shown(parts.get(_VERSION))}")
        if parts.get(_PRESET) not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {shown(parts.get(_PRESET))}")
        config = PRESETS[parts[_PRESET]].changed(
            {name: parse_value(name, value) for name, value in parts.items() if name not in _NAMES}
        )
        interventions = tuple(_intervention(value) for name, value in pairs if name == _CHANGE)
        return cls(
            Recipe(config, _whole("seed", parts.get("seed", "0")), interventions),
            _whole("episode", parts.get("episode", "0")),
            _whole("cursor", parts["cursor"]) if "cursor" in parts else None,
            _number("return", parts["return"]) if "return" in parts else None,
            View(_words(parts.get("hide", "")), _words(parts.get("lock", ""))),
        )


_NAMES: Final = frozenset((_VERSION, _PRESET, "seed", "episode", "cursor", "return", "hide", "lock"))


def is_link(text: str) -> bool:
    """Whether a URL's query means to be a link: other queries are none of ours."""
    return any(name in (_VERSION, _PRESET) for name, _ in parse_qsl(text[:MAX_CHARS], keep_blank_values=True))


def _once(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"a link must name each part once, got {shown(name)} twice")
        found[name] = value
    return found


def _intervention(text: str) -> Intervention:
    """The intervention that `8000,replay:latest,batch_size:1` means."""
    step, *items = text.split(",")
    named = _once((name, value) for name, _, value in (item.partition(":") for item in items))
    changes: dict[str, Any] = {name: parse_value(name, value) for name, value in named.items()}
    return Intervention(_whole("intervention step", step), changes)


def _whole(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError(f"{name} must be a whole number, got {shown(text)}")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {shown(text)}") from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
