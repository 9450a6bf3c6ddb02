"""Pendulum: the agent's pendulum in motion, live or any logged episode, with the quantities behind it."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.clips import AT_REST, clip_of, episode_of, film_settings, newest, watchable
from pages.ui.controls import pick_episode
from pages.ui.frame import need_run, page_head
from pages.ui.session import current_lab, refresh_s

lab = current_lab()
page_head("Pendulum", "What does the agent actually do?")
player = need_run(
    lab,
    "This is the pendulum at rest. Once an agent trains, you will see it move here, in real time.",
    lambda: live.film(clip_of(AT_REST), film_settings(AT_REST.env_id), live=False, key="sketch"),
)
chosen = pick_episode()


def draw_film() -> None:
    """The hero: the film with its traces."""
    with lab.reading():
        episodes = watchable(player)
        number = newest(lab, player) if chosen is None else chosen
        episode = episode_of(player, number) if number is not None and number in episodes else None
    if episode:
        settings = film_settings(episode.env_id)
        live.film(clip_of(episode), settings, live=chosen is None, key=f"film-{episode.env_id}")
    elif not episodes:
        st.info("No step has been taken yet. Press Play, or Update for a single step.", icon=":material/movie:")
    else:
        first, last = episodes[0] + 1, episodes[-1] + 1
        st.info(f"The log holds episodes {first} to {last}: choose one of these.", icon=":material/history:")


st.fragment(draw_film, run_every=refresh_s(lab))()
