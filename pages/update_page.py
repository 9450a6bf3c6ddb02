"""One update: the next gradient update of the run, sub-step by sub-step, with every number in it."""

from __future__ import annotations

import streamlit as st

from pages.ui.frame import need_run, page_head
from pages.ui.session import current_lab, refresh_s
from pages.ui.update_panel import draw_update
from pages.ui.update_strip import sketch

LOOK_EVERY_S = 2.5

lab = current_lab()
page_head("One update", "What happens in a single update?")
player = need_run(
    lab,
    "Learning is this, over and over. Once there is a run, its next update stands here with all its numbers, before it "
    "is made.",
    sketch,
)
st.fragment(lambda: draw_update(lab, player), run_every=refresh_s(lab, LOOK_EVERY_S))()
