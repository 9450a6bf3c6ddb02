"""Export: a policy as a card, as files that work elsewhere, brought along from elsewhere, or from the gallery."""

from __future__ import annotations

import streamlit as st

from pages.ui.export import desk_of
from pages.ui.export_setup import draw_choice, draw_gallery, draw_import
from pages.ui.export_view import busy, draw_card, draw_files, draw_maps, every_s
from pages.ui.frame import page_head
from pages.ui.session import current_lab

lab = current_lab()
desk = desk_of(lab)
page_head("Export", "How do you take a trained policy with you?")
st.markdown(
    "What training leaves is a small network. Take it along for other tools to run, or the whole run as a recipe, a "
    "film or a report."
)
draw_choice(lab, desk)

waiting = busy(lab, desk)
every = every_s(waiting)
card, files = st.columns([1.75, 1], gap="large")
with card:
    st.fragment(draw_card, run_every=every)(lab, desk, waiting)
    st.fragment(draw_maps, run_every=every)(lab, desk, waiting)
with files:
    st.fragment(draw_files, run_every=every)(lab, desk, waiting)

st.markdown("##### Bring one along")
draw_import(lab, desk)
st.markdown("##### Three that come with the lab")
draw_gallery(desk)
