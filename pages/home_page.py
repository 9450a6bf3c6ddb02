"""Home: what this is, the DDPG loop with live numbers, and the presets to start from."""

from __future__ import annotations

import streamlit as st

from ddpg_core.config import PRESET_NOTES
from pages.ui import live
from pages.ui.controls import start_button
from pages.ui.frame import page_head
from pages.ui.loop import loop_parts
from pages.ui.session import current_lab, refresh_s

lab = current_lab()
page_head("How does a network learn to act?", "Watch every part of DDPG at work.")
st.markdown(
    "A small agent tries to swing a pendulum up and hold it there, knowing nothing. It remembers what happened, a "
    "**critic** learns how good each action was, and an **actor** learns to do what the critic likes. Start it, watch "
    "the return climb, then turn a knob and see what breaks."
)
if lab.selected is None:
    start_button(lab)


PAGE_OF = {
    "environment": "pages/pendulum_page.py",
    "replay": "pages/replay_page.py",
    "critic": "pages/critic_page.py",
    "actor": "pages/exploration_page.py",
    "targets": "pages/update_page.py",
}


def draw_loop() -> None:
    """The hero: five parts of the loop, each a way to its page."""
    with lab.reading():
        player = lab.selected
        parts = loop_parts(player, lab.moment(player) if player else None)
    chosen = live.loop(parts, live=lab.playing, key="loop")
    if chosen in PAGE_OF:
        st.switch_page(PAGE_OF[chosen])


st.fragment(draw_loop, run_every=refresh_s(lab))()

st.subheader("Start from a preset", anchor=False)
for column, (preset, note) in zip(st.columns(len(PRESET_NOTES)), PRESET_NOTES.items(), strict=True):
    with column.container(border=True, height=190):
        st.markdown(f"**{preset}**  \n{note}")
        start_button(lab, preset, label=f"Train {preset}", key=f"start-{preset}", main=False)
