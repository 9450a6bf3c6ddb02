"""Critic: what it believes about every state, what is true of its policy, and what the best policy could earn."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.critic_charts import sketch
from pages.ui.critic_study import draw_question, draw_state, renewed, take_pick
from pages.ui.critic_view import (
    draw_best,
    draw_compared,
    draw_cut,
    draw_elsewhere,
    draw_learned,
    draw_networks,
    draw_numbers,
    draw_surface,
)
from pages.ui.frame import need_run, page_head
from pages.ui.session import HERO_S, current_lab, refresh_s

lab = current_lab()
page_head("Critic", "What does the critic believe about every state?")
player = need_run(
    lab,
    "The critic's value of every state will appear here, at every angle and speed, beside what is true of its policy "
    "and the best that any policy could earn.",
    lambda: live.charts([sketch()], key="sketch"),
)
if player.run.config.env_id != "Pendulum-v1":
    st.info(
        "True and optimal values need the pendulum's equations, so this page shows what the critic of "
        f"{player.label} says alone. Select a run on the pendulum to compare."
    )
    st.fragment(draw_elsewhere, run_every=refresh_s(lab, 1.0))(lab, player)
    st.stop()

take_pick()
seen = renewed(lab, player, urgent=True)
slow = 0.3 if seen.waiting else refresh_s(lab, 2.0)

with_surface = draw_question()
first, rest = st.columns([1, 2], gap="small")
with first:
    st.fragment(draw_learned, run_every=refresh_s(lab, HERO_S))(lab, player)
    st.fragment(draw_numbers, run_every=slow)(lab, player)
with rest:
    st.fragment(draw_compared, run_every=slow)(lab, player, seen.waiting)
if with_surface:
    st.fragment(draw_surface, run_every=refresh_s(lab, 3.0))(lab, player)

st.markdown("##### What the actor makes of it, and what the target network still has to follow")
first, rest = st.columns([1, 2], gap="small")
with first:
    draw_best(seen)
with rest:
    st.fragment(draw_networks, run_every=refresh_s(lab, 2.0))(lab, player)

st.markdown("##### One state: what would each torque bring?")
state, picture = st.columns([1, 2.6], gap="medium")
with state:
    draw_state()
    st.caption("Or click a state on a map above: the white ring marks it.")
with picture:
    st.fragment(draw_cut, run_every=refresh_s(lab, 0.5))(lab, player)
