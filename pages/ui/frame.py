"""What surrounds every page: the runs in the sidebar, the transport and the status line above the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.navigation.page import StreamlitPage

from ddpg_core.config import Config
from ddpg_core.metrics import moving_average
from pages.ui import live
from pages.ui.controls import new_run_form, start_button
from pages.ui.family import family_order
from pages.ui.kernel import KERNEL
from pages.ui.lab import Lab
from pages.ui.player import SPEEDS, Player
from pages.ui.session import shared_s
from pages.ui.share import draw_share
from pages.ui.share_open import draw_arrival
from pages.ui.theme import minus, verdict

FRAME_EVERY_S: Final = 1.0
_CSS = """
<style>
[data-testid="stMainBlockContainer"] { padding: 4.2rem 2.2rem 3rem; max-width: 1500px; }
[data-testid="stSidebarUserContent"] { padding-top: .2rem; }
.st-key-page-head { gap: 0; }
.st-key-page-head h1 { padding-top: 0; }
.st-key-page-head [data-testid="stCaptionContainer"] { font-size: 1.05rem; }
@media (min-width: 641px) { .st-key-knobs > :has(.handle) { display: none; } }
.st-key-transport { margin-bottom: -.4rem; }
.st-key-cursor { margin-top: -.7rem; }
@media (min-width: 1100px) { .st-key-transport { flex-wrap: nowrap; } }
.st-key-play button, .st-key-pause button { min-width: 6.2rem; }
@media (max-width: 640px) {
  [data-testid="stMainBlockContainer"] { padding: 3.6rem 1rem 5rem; }
  .st-key-transport { gap: .45rem; }
  .st-key-play button, .st-key-pause button { min-width: 0; }
  .st-key-transport .stButton [data-testid="stMarkdownContainer"] {
    position: absolute; clip-path: inset(50%); width: 1px; height: 1px;
  }
  .st-key-transport [data-testid="stNumberInput"] { max-width: 92px; }
  .st-key-transport [data-testid="stNumberInput"] button { display: none; }
  .st-key-transport [data-testid="stWidgetLabel"] { min-height: 0; }
  .st-key-knobs {
    position: fixed; inset: auto 0 0 0; z-index: 90; max-height: 3rem; overflow: hidden; padding: 0 1rem .6rem;
    background: var(--paper); border-top: 1px solid; border-radius: 1rem 1rem 0 0; transition: max-height .25s;
  }
  .st-key-knobs:focus-within, .st-key-knobs:hover { max-height: 68vh; overflow: auto; }
  .st-key-knobs .handle { display: block; padding: .65rem 0; text-align: center; font-weight: 600; cursor: pointer; }
}
</style>
"""
_PRESENTER_CSS = "<style>html { font-size: 21px !important; } .st-key-transport { flex-wrap: wrap !important; }</style>"


def draw_sidebar(lab: Lab, pages: Sequence[StreamlitPage], page: StreamlitPage) -> None:
    """Brand, the runs on the stage, the form for a new one, and the link to `page` of the selected one."""
    st.html(_CSS + (_PRESENTER_CSS if st.session_state.get("presenter") else ""))
    with st.sidebar:
        st.title("DDPG Lab", anchor=False)
        st.caption("A neural network learns to swing up a pendulum, live.")
        _ticking(_run_list, lab, FRAME_EVERY_S)
        _new_run(lab)
        draw_share(lab, pages, page)
        st.toggle("Presenter sizes", key="presenter", persist_state="session", help="Larger type, for a projector.")
        _kernel_note()


def _kernel_note() -> None:
    """What runs use while the compiled engine is not there; under everything else, so that nothing moves as it goes."""
    begun = KERNEL.pending

    def draw() -> None:
        if KERNEL.pending != begun:
            st.rerun()
        if KERNEL.note:
            st.caption(f":material/info: {KERNEL.note}")

    st.fragment(draw, run_every=FRAME_EVERY_S if begun else None)()


def _new_run(lab: Lab) -> None:
    """The form for a new run, in a popover that closes once it has made one."""
    if st.session_state.pop("new-run-made", False):
        st.session_state["new-run"] = False
    form = st.popover("New run", icon=":material/add:", width="stretch", key="new-run", on_change="rerun")
    if form.open:
        with form:
            made = new_run_form(lab)
        if made:
            st.session_state["new-run-made"] = True
            st.rerun()


def draw_transport(lab: Lab) -> None:
    """Buttons that move the selected run, and what it is doing."""
    notice = lab.take_notice()
    if notice:
        st.toast(notice, icon=":material/info:")
    player = lab.selected
    if player is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="transport"):
        _buttons(lab, player)
    _ticking(_status, lab, FRAME_EVERY_S)


def page_head(title: str, question: str) -> None:
    """The page's title and the one question that it answers."""
    with st.container(key="page-head"):
        st.title(title, anchor=False)
        st.caption(question)


def knobs() -> DeltaGenerator:
    """A place for a page's knobs beside its picture: a column, on a phone a sheet that a touch pulls up."""
    sheet = st.container(key="knobs")
    sheet.html('<div class="handle" tabindex="0">Knobs</div>')
    return sheet


def need_run(lab: Lab, promise: str, sketch: Callable[[], object]) -> Player:
    """The selected run; without one, says and sketches what the page will show, offers to start, and ends the page."""
    if lab.selected is None:
        st.markdown(promise)
        start_button(lab)
        sketch()
        st.stop()
    return lab.selected


def _buttons(lab: Lab, player: Player) -> None:
    number, over = player.id, player.over
    busy = over or player.playing
    if player.playing:
        _button("Pause", "pause", "pause", lambda: lab.pause(number), main=True)
    else:
        _button("Play", "play", "play_arrow", lambda: lab.play(number), main=True, disabled=over)
    _button(
        "Update",
        "step",
        "skip_next",
        lambda: lab.step_update(number),
        disabled=busy,
        help="One env step, and its update once the warm-up is over",
    )
    _button("Episode", "episode", "fast_forward", lambda: lab.step_episode(number), disabled=busy, help="To its end")
    st.session_state.setdefault("until", 60)
    st.number_input(
        "to episode", 1, 100_000, key="until", width=130, persist_state="session", help="A number from 1 to 100,000"
    )
    _button("Run to it", "run-to", "flag", lambda: lab.play(number, st.session_state["until"]), disabled=over)
    st.session_state["speed"] = lab.speed

    def change_speed() -> None:
        lab.speed = st.session_state["speed"]

    st.select_slider("speed", list(SPEEDS), key="speed", width=190, on_change=change_speed)
    _button(
        "Reset",
        "reset",
        "replay",
        lambda: lab.reset(number),
        help="Back to step 0, same seed, settings as they are now",
    )


def _button(
    label: str,
    key: str,
    icon: str,
    act: Callable[[], None],
    *,
    main: bool = False,
    disabled: bool = False,
    help: str | None = None,
) -> None:
    kind: Literal["primary", "secondary"] = "primary" if main else "secondary"
    st.button(label, key=key, icon=f":material/{icon}:", type=kind, on_click=act, disabled=disabled, help=help)


def _ticking(draw: Callable[[Lab], None], lab: Lab, every_s: float) -> None:
    """Draw now, and again and again while anything trains; every tick renews the Lab's lease."""
    drawn = _stage(lab)

    def tick() -> None:
        lab.renew()
        if _stage(lab) != drawn:
            st.rerun()
        draw(lab)

    st.fragment(tick, run_every=shared_s(every_s) if lab.playing else None)()


def _stage(lab: Lab) -> list[tuple[int, bool, bool]]:
    """What buttons and pages depend on besides the numbers."""
    return [(player.id, player.playing, player.over) for player in lab.players]


def _run_list(lab: Lab) -> None:
    with lab.reading():
        family = family_order(lab.players)
        runs = [_card(player, player is lab.selected, generation) for player, generation in family]
    action = live.run_list(runs, key="runs") if runs else None
    if action:
        acts = {"select": lab.select, "play": lab.play, "pause": lab.pause, "remove": lab.remove}
        acts.get(str(action.get("kind")), lab.select)(int(action.get("id", -1)))
        st.rerun()


def _card(player: Player, selected: bool, generation: int) -> dict[str, Any]:
    run = player.run
    returns = run.logs.episodes.read("episode_return")
    state = "diverged" if run.divergence else "training" if player.playing else "paused"
    means = moving_average(returns, 10)
    return {
        "id": player.id,
        "label": player.label,
        "colour": player.colour,
        "difference": player.difference,
        "selected": selected,
        "generation": generation,
        "playing": player.playing,
        "state": f"{state}, {run.episode} episode{'' if run.episode == 1 else 's'}",
        "result": minus(f"last return {returns[-1]:.0f}") if len(returns) else "no episode finished",
        "curve": [round(float(value), 1) for value in means[:: 1 + len(means) // 60]],
    }


def _status(lab: Lab) -> None:
    player = lab.selected
    if player is None:
        return
    with lab.reading():
        run, moment, past = player.run, lab.moment(player), lab.past(player)
        returns = run.logs.episodes.read("episode_return", moment.episode - 10, moment.episode)
        items = [
            {"value": player.label, "label": player.differs(moment.config) or "as the preset", "colour": player.colour},
            {"value": f"{moment.episode:,}", "label": "episodes finished"},
            {"value": f"{moment.env_steps:,}", "label": "env steps"},
            _mean_item(returns, moment.config),
            {"value": f"{player.steps_per_second:,.0f}" if player.playing else "paused", "label": "steps per second"},
            {"value": moment.config.engine, "label": "engine"},
        ]
        divergence, waiting = run.divergence, run.config.warmup_steps - run.env_steps
    if waiting > 0 and not divergence:
        items.append({"value": f"{waiting}", "label": "steps until learning starts"})
    live.status(items, key="status")
    _cursor(lab, player, past)
    draw_arrival(lab, player)
    if divergence:
        st.error(
            f"This run stopped at step {divergence.step:,}: {divergence.cause}. Change the setting, then press Reset.",
            icon=":material/error:",
        )


def _cursor(lab: Lab, player: Player, past: range) -> None:
    """The time machine, and a word where the run has nothing to show at the cursor."""
    span = {"first": past[0], "last": past[-1], "episode": lab.cursor}
    action = live.cursor(span, key="cursor")
    if action:
        episode = action.get("episode")
        if action.get("kind") == "branch" and isinstance(episode, int):
            lab.branch(player.id, episode)
        else:
            lab.cursor = episode if isinstance(episode, int) else None
        st.rerun()
    if lab.cursor is not None and lab.cursor not in past:
        nearest = min(max(lab.cursor, past[0]), past[-1])
        st.info(
            f"The log of {player.label} holds episodes {past[0]:,} to {past[-1]:,}, so you see episode {nearest:,}: "
            f"move the cursor, press Live, or train on to episode {lab.cursor:,}.",
            icon=":material/history:",
        )


def _mean_item(returns: Any, config: Config) -> dict[str, str]:
    if not len(returns):
        return {"value": "…", "label": "mean of 10 returns"}
    mean = float(np.mean(returns))
    words = ", ".join(filter(None, [f"{mean:.0f}", verdict(mean, config)]))
    return {"value": minus(words), "label": f"mean of {len(returns)} returns"}
