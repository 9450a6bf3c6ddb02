"""Widgets made from `Config`'s metadata: live settings that act at once, structural ones that make a new run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final

import streamlit as st
from streamlit.elements.lib.mutable_expander_container import ExpanderContainer

from ddpg_core.config import FIELDS, PRESETS, SETTINGS, Config, Setting, format_value, parse_value
from ddpg_core.recipe import Recipe
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.share_view import view_of

OPEN_GROUPS: Final = ("Learning",)
HIDDEN_WORDS: Final = "The link that you opened hides these knobs."
LOCKED_WORDS: Final = "Locked by the link that you opened."


def live_controls(lab: Lab, player: Player) -> None:
    """A widget a live setting of each open group; it shows the value in force and makes an intervention when moved."""
    past_note(lab)
    view = view_of(lab)
    live = [name for name, setting in SETTINGS.items() if setting.live and not view.hides(name)]
    if not live:
        st.caption(HIDDEN_WORDS)
    for group in dict.fromkeys(SETTINGS[name].group for name in live):
        place = _group(group)
        if place.open:
            with place:
                settings(lab, player, [name for name in live if SETTINGS[name].group == group])


def past_note(lab: Lab) -> None:
    """Say that knobs are of now, where the cursor is in the past."""
    if lab.cursor is not None:
        st.caption("You look at the past; knobs show and change the run as it is now.")


def settings(lab: Lab, player: Player, names: Iterable[str]) -> None:
    """The widgets of some live settings, one under the other, but for those that a link hides."""
    view = view_of(lab)
    drawn = [name for name in names if not view.hides(name)]
    for name in drawn:
        _live_widget(lab, player, name, locked=view.locks(name))
    if not drawn:
        st.caption(HIDDEN_WORDS)
    elif any(map(view.locks, drawn)):
        st.caption(f":material/lock: {LOCKED_WORDS}")


def _group(name: str) -> ExpanderContainer:
    """An expander that stays as the user left it when another page was opened."""
    key, kept = f"group-{name}", f"group-{name}-open"

    def keep() -> None:
        st.session_state[kept] = st.session_state[key]

    return st.expander(name, st.session_state.get(kept, name in OPEN_GROUPS), key=key, on_change=keep)


def _live_widget(lab: Lab, player: Player, name: str, *, locked: bool) -> None:
    key = f"set-{name}"
    st.session_state[key] = getattr(player.run.config, name)

    def apply() -> None:
        lab.intervene(player.id, {name: st.session_state[key]})

    _widget(name, key, st.session_state[key], locked=locked, on_change=apply)


def _widget(name: str, key: str, current: Any, *, locked: bool, **details: Any) -> Any:
    """The widget that fits the setting; `details` go to it, and `current` must be among what it offers."""
    setting, default = SETTINGS[name], FIELDS[name].default
    common: dict[str, Any] = {"key": key, "disabled": locked, **_told(setting, locked), **details}
    if isinstance(default, bool):
        return st.toggle(**common)
    if isinstance(default, str):
        words = {choice: _brief(meaning) for choice, meaning in setting.choices.items()}
        return st.selectbox(options=list(words), format_func=words.__getitem__, **common)
    if setting.log:
        return st.select_slider(options=log_options(name, current), format_func=format_value, **common)
    step: float = 1 if isinstance(default, int) else setting.step
    low = min(setting.low + step, current) if setting.low_open else setting.low
    bounds = (int(low), int(setting.high)) if isinstance(default, int) else (low, setting.high)
    return st.slider(
        min_value=bounds[0], max_value=bounds[1], step=step, format="%d" if step == 1 else "%.4g", **common
    )


def log_options(name: str, current: float) -> list[float]:
    """Stops of a logarithmic slider: 1, 2, 5 a decade within the bounds, all presets' values and the current one."""
    setting, whole = SETTINGS[name], isinstance(FIELDS[name].default, int)
    lowest = setting.low or (0.01 if setting.low_open else 1e-7)
    decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(setting.high)) + 1)
    series = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    stops = {value for value in series if lowest <= value <= setting.high}
    stops |= {getattr(preset, name) for preset in PRESETS.values()} | {current, setting.high}
    if not setting.low_open:
        stops.add(setting.low)
    return sorted({int(value) for value in stops} if whole else stops)


def _told(setting: Setting, locked: bool) -> dict[str, Any]:
    """Label and help of a setting's widget, with why it cannot be moved if it is locked."""
    if locked:
        return {"label": f"{_label(setting)} :material/lock:", "help": f"{LOCKED_WORDS} {_help(setting)}"}
    return {"label": _label(setting), "help": _help(setting)}


def _label(setting: Setting) -> str:
    symbol = f" {setting.symbol}" if setting.symbol else ""
    return f"{setting.label}{symbol}" + (f" ({setting.unit})" if setting.unit else "")


def _brief(meaning: str) -> str:
    """The beginning of what a choice means: enough to tell it from the others in a narrow column."""
    return re.split("[,:(]", meaning)[0].strip()


def _help(setting: Setting) -> str:
    """The setting's help, with the meaning of each choice."""
    return "\n\n".join([setting.help, *(f"**{choice}**: {meaning}" for choice, meaning in setting.choices.items())])


def new_run_form(lab: Lab) -> bool:
    """A form for the structural settings; makes a run from a preset or from the selected one. True if it did."""
    selected = lab.selected
    own = "the selected run's settings"
    start = st.selectbox("Start from", [*PRESETS, *([own] if selected else [])], key="new-start")
    base: Config = selected.run.config if start == own and selected else PRESETS.get(start, Config())
    origin = f"run-{selected.id}" if start == own and selected else start
    problem, view = st.container(), view_of(lab)
    with st.form("new-run", border=False):
        seed = st.number_input("Seed", 0, 2**32 - 1, lab.next_seed(base), help="Same seed, same run, bit for bit.")
        changes: dict[str, Any] = {}
        for name, setting in SETTINGS.items():
            if setting.live or view.hides(name):
                continue
            key, locked = f"new-{name}-{origin}", view.locks(name)
            if name == "hidden":
                told = _told(setting, locked)
                changes[name] = st.text_input(value=format_value(base.hidden), key=key, disabled=locked, **told)
                continue
            value = getattr(base, name)
            start_at = {"index": list(setting.choices).index(value)} if setting.choices else {"value": value}
            changes[name] = _widget(name, key, value, locked=locked, **start_at)
        made = st.form_submit_button("Train this run", type="primary", width="stretch")
    if not made:
        return False
    try:
        if "hidden" in changes:
            changes["hidden"] = parse_value("hidden", changes["hidden"])
        recipe = Recipe(base.changed(changes), int(seed))
    except ValueError as error:
        problem.error(str(error))
        return False
    return lab.add(recipe, play=True) is not None


def pick_beside(lab: Lab, player: Player) -> list[Player]:
    """The run to watch beside `player`, if there is another of its environment and it was chosen."""
    others = [each for each in lab.players if each is not player and each.run.config.env_id == player.run.config.env_id]
    if not others:
        return []
    names = {each.id: each.label for each in others}
    chosen = st.selectbox(
        "Beside it",
        [-1, *names],
        format_func=lambda number: names.get(number, "no other run"),
        key=f"beside-{player.id}-{'-'.join(map(str, names))}",
        width=260,
        persist_state="session",
    )
    return [each for each in others if each.id == chosen]


def start_button(
    lab: Lab, preset: str = "fast", *, label: str = "Start training", key: str = "start", main: bool = True
) -> None:
    """A button that puts a run of `preset` on the stage and trains it."""
    config = PRESETS[preset]

    def start() -> None:
        lab.add(Recipe(config, lab.next_seed(config)), play=True)

    st.button(label, key=key, icon=":material/play_arrow:", type="primary" if main else "secondary", on_click=start)
