"""Forgetting: a trained run goes on with replay and without; what it loses, where, and over how many seeds."""

from __future__ import annotations

import streamlit as st

from pages.ui.forgetting_repeats import draw_seeds, seeds_every_s
from pages.ui.forgetting_setup import draw_setup, need_trained
from pages.ui.forgetting_view import choose_watched, draw_films, draw_index, draw_maps, draw_returns, renewed
from pages.ui.frame import page_head
from pages.ui.session import HERO_S, current_lab, refresh_s

lab = current_lab()
page_head("Forgetting", "What does an agent forget when its replay is taken away?")
cast = need_trained(lab)
st.markdown(
    "Replay mixes old experience into every batch. Without it, a trained agent learns only from where it is now, and "
    "overwrites what it knew of everywhere else."
)
draw_setup(lab, cast)

picture, films = st.columns([1, 1.35], gap="medium")
with picture:
    st.fragment(draw_returns, run_every=refresh_s(lab, HERO_S))(lab, cast)
with films:
    choose_watched(lab, cast)
    st.fragment(draw_films, run_every=refresh_s(lab))(lab, cast)

if cast.branches:
    st.markdown("##### How much was forgotten, and where")
    st.caption(
        "The policy without noise on the same 64 starts, before and now. "
        "F = (R before − R now) / (R before − R random): 0 is nothing forgotten, 1 is as bad as random actions."
    )
    _, waiting = renewed(lab, cast)
    st.fragment(draw_index, run_every=refresh_s(lab, 1.0) or (0.3 if waiting else None))(lab, cast, waiting)

    st.markdown("##### What changed since the branch: it forgets where it has not been")
    st.caption(
        "ΔQ: the critic's value, now minus before, of what the policy did before. Δπ: the policy's torque, now minus "
        "before. The line is the episode on screen: the newest experience."
    )
    st.fragment(draw_maps, run_every=refresh_s(lab, 2.0))(lab, cast)

st.subheader("Over several seeds", anchor=False)
st.markdown(
    "One run proves little. This repeats it from new seeds: 40 episodes of preset fast, then 20 more with replay kept "
    "and with the newest transition alone."
)
every = seeds_every_s()
st.fragment(draw_seeds, run_every=every)(every is not None)
