"""The training doctor's panel: findings about the selected run, each with its evidence and a knob to turn."""

from __future__ import annotations

import time
from typing import Final

import streamlit as st

from ddpg_core.config import SETTINGS, format_value
from ddpg_core.doctor import Finding, diagnose
from ddpg_core.environment import Physics
from ddpg_core.oracle import GAMMA, POINTS
from pages.ui.controls import LOCKED_WORDS
from pages.ui.jobs import oracle_of
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.session import refresh_s, shared_s
from pages.ui.share_view import held

PANEL_HEIGHT_PX: Final = 158
EVERY_S: Final = 4.0
_FOUND: Final = "doctor-found"
_SIGNS: Final = {
    "bad": ("red", "error", "Broken"),
    "warning": ("orange", "warning", "Look here"),
    "good": ("green", "check_circle", "Healthy"),
    "info": ("blue", "info", "Note"),
}


def doctor_every_s(lab: Lab, player: Player) -> float | None:
    """Seconds between the doctor's looks; None where nothing changes."""
    return refresh_s(lab, EVERY_S) if _oracle_at_hand(player) else 1.0


def doctor_panel(lab: Lab, player: Player) -> None:
    """What the doctor says about the run at the cursor, the worst first; a knob that is accepted is an intervention."""
    others: list[Finding] = []
    with st.container(height=PANEL_HEIGHT_PX, key="doctor"):
        if _oracle_at_hand(player):
            first, *others = _findings(lab, player)
            _finding(lab, player, first)
        else:
            st.caption("The doctor is working out how good this pendulum's episodes could have been …")
    with st.expander(f"Further findings: {len(others) or 'none'}", key="doctor-others"):
        for finding in others:
            _finding(lab, player, finding)


def _findings(lab: Lab, player: Player) -> list[Finding]:
    """The findings, worst first; while the run trains they are a few seconds old, however often the page is drawn."""
    whose, found, due = st.session_state.get(_FOUND, (None, [], 0.0))
    live = refresh_s(lab) is not None
    if not live or whose != player.run.serial or time.monotonic() >= due:
        with lab.reading():
            found = diagnose(player.run, lab.moment(player))
        due = time.monotonic() + 0.9 * shared_s(EVERY_S) if live else 0.0
        st.session_state[_FOUND] = player.run.serial, found, due
    return found


def _oracle_at_hand(player: Player) -> bool:
    """Whether the doctor can tell regrets at once; asks for the oracle where it can't."""
    config = player.run.config
    return config.env_id != "Pendulum-v1" or oracle_of(Physics.of(config), GAMMA, POINTS) is not None


def _finding(lab: Lab, player: Player, finding: Finding) -> None:
    colour, icon, word = _SIGNS[finding.severity]
    words, act = st.columns([5, 1.6], vertical_alignment="center")
    words.markdown(
        f":{colour}[:material/{icon}: **{word}**] &nbsp; **{finding.title}**  \n{finding.advice}  \n"
        f":gray[{finding.evidence}]"
    )
    if finding.knob is None or lab.cursor is not None:
        return
    name, value = finding.knob
    label = f"{SETTINGS[name].label} → {format_value(value)}"
    fixed = held(lab, name)
    told = LOCKED_WORDS if fixed else "Change it now, as moving its knob would"
    if act.button(label, key=f"doctor-{finding.kind}", help=told, disabled=fixed):
        lab.intervene(player.id, {name: value})
        del st.session_state[_FOUND]
        st.rerun()
