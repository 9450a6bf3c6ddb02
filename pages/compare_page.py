"""Compare: conditions over several seeds, their learning curves with intervals, and what can be said of them."""

from __future__ import annotations

import streamlit as st

from pages.ui.compare import desk_of
from pages.ui.compare_setup import draw_own, draw_setup
from pages.ui.compare_view import draw_curves, draw_downloads, draw_progress, draw_runs, draw_table
from pages.ui.frame import knobs, page_head
from pages.ui.session import current_lab, shared_s

lab = current_lab()
desk = desk_of(lab)
page_head("Compare", "Does it make a difference, or was it luck?")
st.markdown(
    "Two runs that differ only by chance may end far apart. So every condition is trained from several seeds, and all "
    "are judged from the same starts: only what stands out of the spread counts."
)

picture, side = st.columns([1.9, 1], gap="medium")
settled = desk.settled
every = None if settled else shared_s(0.5)
with side, knobs():
    draw_setup(desk)
    st.fragment(draw_progress, run_every=every)(desk)
with picture:
    st.fragment(draw_curves, run_every=every)(desk, settled)
with st.expander("Conditions of your own", icon=":material/tune:"):
    draw_own(desk)

st.markdown("##### Every run: its return after training, without noise")
st.fragment(draw_runs, run_every=every)(lab, desk)

st.markdown("##### What came out")
st.fragment(draw_table, run_every=every and 2 * every)(desk)
draw_downloads(desk)
