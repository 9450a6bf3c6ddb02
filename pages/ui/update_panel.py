"""The page One update: which update is looked at, what can be done, the chosen sub-step opened, and the batch."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from ddpg_core.microscope import UpdateView
from ddpg_core.substeps import SUBSTEPS
from pages.ui import live
from pages.ui.controls import settings
from pages.ui.lab import Lab
from pages.ui.microscope import LISTED, Look, batch_table, in_log, most_surprising, not_finite, shown_by, take_look
from pages.ui.player import Player
from pages.ui.session import HERO_S, refresh_s
from pages.ui.update_figures import step_figures
from pages.ui.update_layers import layer_figures
from pages.ui.update_parts import DRAWN, thinning
from pages.ui.update_stream import draw_stream
from pages.ui.update_strip import chosen, code, formula, hold, next_button, numbers, strip, style

_COLUMNS: Final = {
    "step": "Env step of the transition: its row in the step log",
    "θ": "Angle in rad, 0 = upright",
    "θ̇": "Angular velocity in rad/s",
    "position": "Of the car",
    "velocity per step": "Of the car",
    "a": "The action that was taken, as it is stored",
    "r": "The reward that followed",
    "d": "Terminal: 1 if nothing comes after, so that y is the reward alone",
    "a′": "The target actor's action in the next state, μ′(s′)",
    "Q′": "What the target critic says of it, Q′(s′, a′)",
    "y": "Target: r + γ(1 − d)Q′",
    "Q": "The critic's value Q(s, a) before its step",
    "δ": "TD error y − Q",
    "Q after": "Q(s, a) after the critic's step",
    "μ(s)": "The policy's action before the actor's step",
    "∂Q/∂a": "Slope of the updated critic at the policy's action: where it rises",
    "Δμ": "How far the actor's step moved the policy's action",
}
_FORMATS: Final = {"step": "%d", "d": "%d", "Δμ": "%.5f"}


def draw_update(lab: Lab, player: Player) -> None:
    """The whole page below its title."""
    st.html(style())
    step = SUBSTEPS[chosen()]
    clicked = _clicked(step.name)
    look = _look(lab, player)
    _head(lab, player, look)
    strip(look.view)
    if look.view is None:
        with st.container(key="update-formula"):
            formula(step)
            code(step)
        return
    row = _row(look.view, clicked)
    with st.container(key="update-step"):
        text, pictures = st.columns([1, 1.25], gap="medium")
        with text.container(key="update-formula"):
            formula(step)
            numbers(step, look.view, row)
            code(step)
        with pictures:
            live.charts(step_figures(step.name, look.view, row), key=f"update-{step.name}", min_width=280, clicks=True)
    looked_at = look.view.update
    st.fragment(lambda: draw_stream(lab, player, looked_at), run_every=refresh_s(lab, HERO_S))()
    _batch(look.view)
    live.charts(layer_figures(look.view), key="update-layers", min_width=280)
    st.caption(
        "‖∇L‖ is what pulls at a layer, ‖Δw‖ / ‖w‖ how far it went. Adam scales each weight's step by its own recent "
        "gradients: at a pace of 1 they all point the same way, near 0 they cancel out."
    )


# --- which update -----------------------------------------------------------------------------------------------------


def _look(lab: Lab, player: Player) -> Look:
    """The look that is shown: always the newest, or the one held while the run trains on."""
    last: Look | None = st.session_state.get("update-look")
    if not _training(lab, player):
        st.session_state["update-follow"] = True
    held = not st.session_state.setdefault("update-follow", True)
    if not (held and last and last.run is player.run and last.view):
        last = st.session_state["update-look"] = take_look(lab, player, last)
    return last


def _training(lab: Lab, player: Player) -> bool:
    return player.playing and lab.cursor is None


def _head(lab: Lab, player: Player, look: Look) -> None:
    """Which update this is, and what can be done: step into it, hold it, or what to do where there is none."""
    with st.container(horizontal=True, vertical_alignment="center", key="update-head"):
        st.markdown(_which(lab, player, look), width="stretch")
        next_button()
        if _training(lab, player):
            _training_buttons(lab, player)
        elif lab.cursor is None and look.view and not player.over:
            _make_button(lab, player, look)
    if look.view is None:
        _what_to_do(lab, player, look)


def _training_buttons(lab: Lab, player: Player) -> None:
    st.toggle("Follow the run", key="update-follow", persist_state="session", help="A new look every few seconds")

    def next_look() -> None:
        hold()
        st.session_state.pop("update-look", None)

    st.button("Look at the next update", key="update-next", icon=":material/biotech:", on_click=next_look)
    if st.button("Pause and look", key="update-pause", icon=":material/pause:", type="primary"):
        lab.pause(player.id)
        st.rerun()


def _make_button(lab: Lab, player: Player, look: Look) -> None:
    if st.button("Make this update", key="update-make", icon=":material/skip_next:", type="primary"):
        _make(lab, player, look)
        st.rerun()


def _make(lab: Lab, player: Player, look: Look) -> None:
    """Let the run itself make the update that is looked at, and say whether it did so."""
    assert look.view is not None
    for _ in range(look.view.steps_ahead):
        lab.step_update(player.id)
    with lab.reading():
        same = in_log(look.run, look.view)
    if same:
        st.session_state["update-said"] = "The run made it: its log now holds the twin's numbers, bit for bit."


def _which(lab: Lab, player: Player, look: Look) -> str:
    """The headline, and in a second line what the run's log says of it."""
    view = look.view
    if view is None:
        return "**No update to look at here**"
    count = f"**Update {view.update + 1:,}**"
    where = f"env step {view.env_step:,}, episode {view.episode + 1:,}"
    several = look.run.config.updates_per_step
    part = f", the first of {several} that follow this step" if several > 1 and lab.cursor is None else ""
    if lab.cursor is not None:
        words = f"{count}, the first after episode {view.episode:,}: {where}"
    elif player.run.divergence:
        place = "the last before the run stopped"
        if several > 1:
            later = "" if view.divergence else ", which a later one broke"
            place = f"the first of {several} in the step at which the run stopped{later}"
        words = f"{count}, {place}: {where}"
    elif _training(lab, player):
        follows = st.session_state.get("update-follow", True)
        words = f"{count}, {'caught as the run trains' if follows else 'held while the run trains on'}: {where}"
    else:
        words = f"{count} is next: {where}{part}"
    return f"{words}  \n:small[{_proof(lab, look)}]"


def _proof(lab: Lab, look: Look) -> str:
    """That looking changes nothing, what the log has to say to it, and whose numbers are shown."""
    assert look.view is not None
    return f"{_compared(lab, look, look.view)}{shown_by(look.view)}"


def _compared(lab: Lab, look: Look, view: UpdateView) -> str:
    said = st.session_state.pop("update-said", "")
    if said:
        return str(said)
    if view.divergence:
        return f"It broke here. No longer finite: {not_finite(view)}."
    with lab.reading():
        same = in_log(look.run, view)
    if same is None:
        return "A twin of the run makes it: looking changes nothing."
    return (
        "A twin made it again; the run's log holds the same numbers, bit for bit."
        if same
        else "A twin made it again; the run's log differs in the last digits."
    )


def _what_to_do(lab: Lab, player: Player, look: Look) -> None:
    """Why there is no update, in one sentence, and the way to one."""
    reason = look.reason[:1].upper() + look.reason[1:]
    if lab.cursor is not None:
        st.info(f"{reason}. Move the cursor to a later episode, or press Live.", icon=":material/history:")
    elif look.missing_steps is not None:
        st.info(f"{reason}. Train through the warm-up, then look again.", icon=":material/hourglass_empty:")
        if not player.playing:
            until = player.run.episode + 1 + look.missing_steps // max(player.run.env.max_episode_steps, 1)
            if st.button("Train through the warm-up", key="update-warm-up", type="primary"):
                lab.play(player.id, until)
                st.rerun()
    elif not player.over and not player.run.config.updates_per_step:
        st.info(f"{reason}. Turn it up to see one.", icon=":material/tune:")
        settings(lab, player, ["updates_per_step"])
    else:
        st.info(f"{reason}. Move the cursor to an earlier episode, or press Reset.", icon=":material/history:")


# --- the batch --------------------------------------------------------------------------------------------------------


def _clicked(name: str) -> int | None:
    """The row of the batch whose point was clicked in a figure of the sub-step `name`, if one just was."""
    events: Any = st.session_state.get(f"update-{name}") or {}
    row = (events.get("click") or {}).get("data")
    if not isinstance(row, int):
        return None
    hold()
    return row


def _row(view: UpdateView, clicked: int | None) -> int:
    """The row that the formulas are about: chosen in a figure or in the table, or else the most surprising one."""
    listed = range(min(len(view.rows), LISTED))
    if clicked in listed:
        st.session_state["update-rows"] = {"selection": {"rows": [clicked]}}
    selected: Any = st.session_state.get("update-rows", {})
    rows = [row for row in selected.get("selection", {}).get("rows", []) if row in listed]
    return rows[0] if rows else most_surprising(view)


def _batch(view: UpdateView) -> None:
    """The batch as a table; a row that is chosen goes into the formulas."""
    count = len(view.rows)
    listed = f" These are its first {LISTED:,} rows." if count > LISTED else ""
    thinned = f" Figures draw 1 row in {thinning(view)}." if count > DRAWN else ""
    st.markdown(
        f"##### The batch\nChoose a row, or a point above, to put it into the formulas; until then it is the one with "
        f"the largest |δ|.{listed}{thinned}"
    )
    st.dataframe(
        batch_table(view),
        key="update-rows",
        on_select=hold,
        selection_mode="single-row",
        height=260,
        column_config={
            name: st.column_config.NumberColumn(name, help=text, format=_FORMATS.get(name, "%.3f"))
            for name, text in _COLUMNS.items()
        },
    )
