"""What the doctor says: findings, the knobs they suggest, and numbers as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

SEVERITIES: Final = ("bad", "warning", "good", "info")
"""The order of the findings."""


class Knob(NamedTuple):
    """A setting of `Config` to change, and the value to try."""

    name: str
    value: Any


@dataclass(frozen=True)
class Finding:
    """What the doctor says about a run.

    Attributes:
        kind: Which check: stable, for tests and icons.
        severity: One of `SEVERITIES`.
        title: One plain sentence.
        evidence: What was measured, and when.
        advice: What to do, and why it helps.
        knob: The setting that the advice is about, or None.
    """

    kind: str
    severity: str
    title: str
    evidence: str
    advice: str
    knob: Knob | None = None


def number(value: float) -> str:
    """A measured number with a real minus sign: three figures, or whole above 100."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def share(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f} %" if value < 0.1 else f"{100 * value:.0f} %"
