"""An app with nothing but a film or a drive on it, for tests/e2e/test_film.py; `?show=` says which.

It runs in a folder of its own, so that nothing is taken for a page of the dashboard.
"""

import time
from dataclasses import replace
from pathlib import Path

import streamlit as st

from ddpg_core.config import PRESETS
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui import assets, live
from pages.ui.clips import clip_of, episode_of, film_settings
from pages.ui.drive import HANGING, agent_episode, drive
from pages.ui.player import Player
from pages.ui.theme import RUN_COLOURS

assets._STATIC = Path.cwd() / "static"
IDLE = PRESETS["fast"].changed({"updates_per_step": 0})
REFRESH_S = 0.5


@st.cache_resource
def players(env_id: str) -> list[Player]:
    """Two runs of two episodes each, without learning."""
    found = []
    for number in (0, 1):
        run = Run(Recipe(IDLE.changed({"env_id": env_id}), number))
        run.advance(stop=lambda run=run: run.episode == 2)
        found.append(Player(number, run, RUN_COLOURS[number]))
    return found


def follow() -> None:
    """A run that takes `?pace=` steps a second: its second episode begins when the first is over."""
    (player, _) = players("Pendulum-v1")
    steps = FIRST_STEPS + int((time.monotonic() - st.session_state["began"]) * PACE)
    number, taken = divmod(steps, 200)
    if number > 0 and taken < 4:
        number, taken = number - 1, 200
    episode = episode_of(player, min(number, 1))
    columns = {name: values[:taken] for name, values in episode.columns.items()}
    episode = replace(episode, finished=taken == 200, columns=columns)
    live.film(clip_of(episode), film_settings("Pendulum-v1"), live=True, pace=PACE, key="film")


st.set_page_config(layout="wide")
show = st.query_params.get("show", "one")
PACE = float(st.query_params.get("pace", "5"))
FIRST_STEPS = 1 if show == "follow" else 175
if show.startswith("follow"):
    st.session_state.setdefault("began", time.monotonic())
    st.fragment(follow, run_every=REFRESH_S)()
elif show == "drive":
    player = players("Pendulum-v1")[0]
    agent = agent_episode(player.run.at(), HANGING, player.label, player.colour)
    total = drive(agent, player.run.config, key="drive")
    st.text(f"Python was told {total}")
    st.html("<div style='height: 1500px'></div>")
else:
    env_id = "MountainCarContinuous-v0" if show == "cars" else "Pendulum-v1"
    clips = [clip_of(episode_of(player, 0)) for player in players(env_id)]
    live.film(clips[0] if show == "one" else clips, film_settings(env_id), live=False, key="film")
