"""What surrounds every page: the runs in the sidebar, the transport and the status line above the page."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import streamlit as st

from ddpg_core.metrics import moving_average
from pages.ui import live
from pages.ui.controls import new_run_form, start_button
from pages.ui.lab import SPEEDS, Lab, Player
from pages.ui.theme import verdict

TICK_S: Final = 1.0
_CSS = """
<style>
[data-testid="stMainBlockContainer"] { padding: 4.2rem 2.2rem 3rem; max-width: 1500px; }
[data-testid="stSidebarUserContent"] { padding-top: .2rem; }
.lab-brand { font: 600 1.5rem var(--st-heading-font); line-height: 1.1; }
.lab-brand small { display: block; font: 400 .85rem/1.4 var(--st-font); opacity: .75; margin-top: .3rem; }
.lab-title { font: 600 1.7rem/1.15 var(--st-heading-font); margin: 0; }
.lab-question { font-size: 1.05rem; opacity: .8; margin: .1rem 0 0; }
@media (max-width: 640px) { [data-testid="stMainBlockContainer"] { padding: 4rem 1rem 2rem; } }
</style>
"""


def draw_sidebar(lab: Lab) -> None:
    """Brand, the runs on the stage, and the form for a new one."""
    st.html(_CSS)
    with st.sidebar:
        st.html(
            '<div class="lab-brand">DDPG Lab<small>A neural network learns to swing up a pendulum, live.</small></div>'
        )
        _ticking(_run_list, lab)
        with st.popover("New run", icon=":material/add:", width="stretch"):
            if new_run_form(lab):
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
    _ticking(_status, lab)


def page_head(title: str, question: str) -> None:
    """The page's title and the one question that it answers."""
    st.html(f'<h1 class="lab-title">{title}</h1><p class="lab-question">{question}</p>')


def need_run(lab: Lab, promise: str) -> Player:
    """The selected run; without one, says what the page will show, offers to start, and ends the page."""
    if lab.selected is None:
        st.info(promise, icon=":material/hourglass_empty:")
        start_button(lab)
        st.stop()
    return lab.selected


def _buttons(lab: Lab, player: Player) -> None:
    number, over = player.id, player.run.divergence is not None
    if player.playing:
        st.button("Pause", key="pause", icon=":material/pause:", type="primary", on_click=lab.pause, args=(number,))
    else:
        st.button(
            "Play",
            key="play",
            icon=":material/play_arrow:",
            type="primary",
            on_click=lab.play,
            args=(number,),
            disabled=over,
        )
    idle = {"disabled": over or player.playing}
    st.button("Update", key="step", icon=":material/skip_next:", on_click=lab.step_update, args=(number,), **idle)
    st.button(
        "Episode", key="episode", icon=":material/fast_forward:", on_click=lab.step_episode, args=(number,), **idle
    )
    until = st.number_input("to episode", 1, 100_000, 60, key="until", width=130, persist_state="session")
    st.button(
        "Run to it", key="run-to", icon=":material/flag:", on_click=lab.play, args=(number, int(until)), disabled=over
    )
    st.session_state["speed"] = lab.speed

    def change_speed() -> None:
        lab.speed = st.session_state["speed"]

    st.select_slider("speed", list(SPEEDS), key="speed", width=260, on_change=change_speed)
    st.button("Reset", key="reset", icon=":material/replay:", on_click=lab.reset, args=(number,))


def _ticking(draw: Any, lab: Lab) -> None:
    """Draw now, and each second while anything trains; every tick renews the Lab's lease."""
    drawn = _stage(lab)

    def tick() -> None:
        lab.renew()
        if _stage(lab) != drawn:
            st.rerun()
        draw(lab)

    st.fragment(tick, run_every=TICK_S if lab.playing else None)()


def _stage(lab: Lab) -> list[tuple[int, bool, bool]]:
    """What buttons and pages depend on besides the numbers."""
    return [(player.id, player.playing, player.run.divergence is not None) for player in lab.players]


def _run_list(lab: Lab) -> None:
    with lab.reading():
        runs = [_card(player, player is lab.selected) for player in lab.players]
    action = live.run_list(runs, key="runs") if runs else None
    if action:
        {"select": lab.select, "play": lab.play, "pause": lab.pause, "remove": lab.remove}[action["kind"]](action["id"])
        st.rerun()


def _card(player: Player, selected: bool) -> dict[str, Any]:
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
        "playing": player.playing,
        "state": f"{state}, episode {run.episode + 1}",
        "result": _minus(f"last return {returns[-1]:.0f}") if len(returns) else "no episode finished",
        "curve": [round(float(value), 1) for value in means[:: 1 + len(means) // 60]],
    }


def _status(lab: Lab) -> None:
    player = lab.selected
    if player is None:
        return
    with lab.reading():
        run = player.run
        returns = run.logs.episodes.read("episode_return")[-10:]
        items = [
            {"value": player.label, "label": player.difference or "as the preset", "colour": player.colour},
            {"value": f"{run.episode + 1}", "label": "episode"},
            {"value": f"{run.env_steps:,}", "label": "env steps"},
            _mean_item(returns, run.config.env_id),
            {"value": f"{player.steps_per_second:,.0f}" if player.playing else "paused", "label": "steps per second"},
        ]
        divergence, waiting = run.divergence, run.config.warmup_steps - run.env_steps
    if waiting > 0 and not divergence:
        items.append({"value": f"{waiting}", "label": "steps until learning starts"})
    live.status(items, key="status")
    if divergence:
        st.error(
            f"This run stopped at step {divergence.step:,}: {divergence.cause}. Change the setting, then press Reset.",
            icon=":material/error:",
        )


def _mean_item(returns: Any, env_id: str) -> dict[str, str]:
    if not len(returns):
        return {"value": "…", "label": "mean of 10 returns"}
    mean = float(np.mean(returns))
    return {"value": _minus(f"{mean:.0f}, {verdict(mean, env_id)}"), "label": f"mean of {len(returns)} returns"}


def _minus(text: str) -> str:
    return text.replace("-", "−")
