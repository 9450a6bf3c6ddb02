"""Pendulum: what the agent does, live or at the cursor, one run or two side by side, and the reader's own try."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.clips import at_rest, clip_of, film_settings, on_screen, pace, watchable
from pages.ui.controls import pick_beside
from pages.ui.drive import HANGING, agent_episode, drive
from pages.ui.frame import need_run, page_head
from pages.ui.session import current_lab, refresh_s

lab = current_lab()
page_head("Pendulum", "What does the agent actually do?")
player = need_run(
    lab,
    "This is the pendulum at rest. Once an agent trains, you will see it move here, in real time.",
    lambda: live.film(clip_of(at_rest("Pendulum-v1")), film_settings("Pendulum-v1"), live=False, key="sketch"),
)
beside = pick_beside(lab, player)
env_id = player.run.config.env_id


def draw_film() -> None:
    """The hero: the film with its traces."""
    with lab.reading():
        episodes = [on_screen(lab, each) for each in (player, *beside)]
        kept = watchable(player)
    live.film(
        [clip_of(episode or at_rest(env_id)) for episode in episodes],
        film_settings(env_id),
        live=lab.cursor is None,
        pace=pace(lab, player) if lab.cursor is None else None,
        key=f"film-{env_id}-{len(episodes)}",
    )
    if episodes[0] is None and kept and lab.cursor:
        st.info(
            f"The log holds the steps of episodes {kept[0] + 1:,} to {kept[-1] + 1:,}: move the cursor to one of them."
        )
    elif episodes[0] is None:
        st.info("Nothing has happened yet at this moment. Press Play, or Update for a single step, or move the cursor.")


st.fragment(draw_film, run_every=refresh_s(lab))()

if env_id == "Pendulum-v1":
    st.subheader("You drive", anchor=False)
    st.caption("Swing it up and hold it there: arrow keys or the buttons push with all the motor has. Ten seconds.")
    with lab.reading():
        moment = lab.moment(player)
    drive(agent_episode(moment, HANGING, player.label, player.colour), moment.config, key="drive")
