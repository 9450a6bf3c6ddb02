"""The link that a Lab was last opened by: its run, and which controls it hides or locks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from ddpg_core.links import Link, View
from pages.ui.lab import Lab
from pages.ui.player import Player


@dataclass
class Opened:
    """A link that was opened in a Lab.

    Attributes:
        link: What was asked for.
        player_id, serial: The run that was made of it, while nobody has reset it.
        view: What is hidden and locked of the controls.
        landed: Whether the run has come to the link's episode.
    """

    link: Link
    player_id: int
    serial: int
    view: View
    landed: bool = False


_OPENED: Final[WeakKeyDictionary[Lab, Opened]] = WeakKeyDictionary()
"""By Lab, not by browser session: a reload keeps it."""


def remember(lab: Lab, opened: Opened) -> None:
    """Keep what was opened in a Lab, in place of what was opened before."""
    _OPENED[lab] = opened


def opened_in(lab: Lab) -> tuple[Opened, Player] | None:
    """The link last opened in a Lab and its run; None where there is none or the run was reset or removed."""
    opened = _OPENED.get(lab)
    if opened is None:
        return None
    found = (each for each in lab.players if each.id == opened.player_id and each.run.serial == opened.serial)
    return next(((opened, player) for player in found), None)


def view_of(lab: Lab) -> View:
    """What the link last opened hides and locks of the controls."""
    opened = _OPENED.get(lab)
    return opened.view if opened else View()


def held(lab: Lab, *names: str) -> bool:
    """Whether any of these settings is locked or hidden, so that no button may change it either."""
    view = view_of(lab)
    return any(view.locks(name) or view.hides(name) for name in names)


def show_all(lab: Lab) -> None:
    """Hide and lock nothing any more."""
    if opened := _OPENED.get(lab):
        opened.view = View()
