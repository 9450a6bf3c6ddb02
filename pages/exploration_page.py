"""Exploration: what noise adds to the policy's actions, live, and a bench to compare kinds of noise on."""

from __future__ import annotations

import streamlit as st

from ddpg_core.config import Config
from pages.ui import live
from pages.ui.bench import draw_bench
from pages.ui.bench_charts import sketches
from pages.ui.controls import past_note, settings
from pages.ui.exploration import clipped_words, scale_words, spread_words, trail_chart
from pages.ui.frame import need_run, page_head
from pages.ui.session import HERO_S, current_lab, refresh_s
from pages.ui.trail import trail_of

lab = current_lab()
page_head("Exploration", "How does the agent try new things?")
player = need_run(
    lab,
    "To find out what works, the agent adds noise to what its policy wants. Both will be here, step by step, with what "
    "is left of them at the actuator's limits. Below: three kinds of noise, and how far each alone swings a pendulum.",
    lambda: live.charts(sketches(Config()), key="sketch", min_width=330),
)


def draw_trail() -> None:
    """The hero: noise, policy and executed action of the last steps, and three numbers on them."""
    with lab.reading():
        moment = lab.moment(player)
        trail = trail_of(player, moment)
        kept = player.run.logs.steps.first
    picture, numbers = st.columns([3.4, 1], gap="medium")
    with picture:
        live.charts([trail_chart(trail)], key="trail")
        if not moment.env_steps:
            st.info("No step has been taken at this moment. Press Play, or Update for a single step, or go Live.")
        elif not len(trail.noise):
            st.info(f"The log holds the steps from {kept + 1:,} on: move the cursor to a later episode.")
    with numbers:
        for label, (value, meaning) in {
            f"steps clipped, of the last {len(trail.noise)}": clipped_words(trail),
            "noise scale now": scale_words(trail, moment.config, moment.episode),
            "standard deviation of the noise": spread_words(trail),
        }.items():
            with st.container(gap=None):
                st.metric(label, value)
                st.caption(meaning)


def draw_noise_bench() -> None:
    """The bench; moving its knobs redraws it alone."""
    draw_bench(lab, player)


st.fragment(draw_trail, run_every=refresh_s(lab, HERO_S))()
with st.expander(f"Change the noise of {player.label}", icon=":material/tune:"):
    past_note(lab)
    settings(lab, player, ("noise", "noise_scale", "noise_decay", "noise_reset"))

st.subheader("Noise bench", anchor=False)
st.markdown(
    "Three kinds of noise with the same knobs, drawn by the very function that the agent explores with. Nothing here "
    "touches the run until you press **Use it in the run**."
)
past_note(lab)
st.fragment(draw_noise_bench)()
