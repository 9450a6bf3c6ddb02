"""Words that several pages share: settings by name and value, powers of ten, and text that Markdown leaves alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ddpg_core.config import SETTINGS, format_value
from pages.ui.theme import minus

_RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def raised(number: int) -> str:
    """A whole number as an exponent: ⁻¹²."""
    return str(number).translate(_RAISED)


def settings_in_words(changes: Mapping[str, Any]) -> list[str]:
    """Each setting with its value, as `target rate 0.005`."""
    return [f"{SETTINGS[name].label.lower()} {minus(format_value(value))}" for name, value in changes.items()]


def plain(text: str) -> str:
    """User's text that Markdown shows as it is: no links, pictures or formulas."""
    return re.sub(r"([\\`*_{}\[\]()#+.!~$:<>|-])", r"\\\1", text)
