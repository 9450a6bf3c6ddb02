"""Pendulum: the agent's pendulum in motion, live or any logged episode, with the quantities behind it."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.clips import AT_REST, clip_of, episode_of, film_settings, newest, watchable
from pages.ui.frame import need_run, page_head
from pages.ui.session import current_lab, refresh_s

lab = current_lab()
page_head("Pendulum", "What does the agent actually do?")
player = need_run(
    lab,
    "This is the pendulum at rest. Once an agent trains, you will see it move here, in real time.",
    lambda: live.film(clip_of(AT_REST), film_settings(AT_REST.env_id), live=False, key="sketch"),
)
with lab.reading():
    episodes = watchable(player)
if not episodes:
    st.info("No step has been taken yet. Press Play, or Update for a single step.", icon=":material/hourglass_empty:")
    st.stop()

LIVE = "live"
stops = [str(episode + 1) for episode in episodes[:: 1 + len(episodes) // 400]]
choice = st.select_slider(
    "Episode",
    [*stops, LIVE],
    value=LIVE,
    key=f"clip-{player.id}",
    help="Drag to watch any episode of the log again; live shows the newest.",
    persist_state="session",
)


def draw_film() -> None:
    """The hero: the film with its traces."""
    with lab.reading():
        number = newest(lab, player) if choice == LIVE else int(choice) - 1
        episode = episode_of(player, number) if number is not None and number in watchable(player) else None
    if episode is None:
        st.info("This episode is older than the steps kept. Choose a later one.", icon=":material/history:")
        return
    env_id = episode.env_id
    live.film(clip_of(episode), film_settings(env_id), live=choice == LIVE, key=f"film-{env_id}")


st.fragment(draw_film, run_every=refresh_s(lab))()
