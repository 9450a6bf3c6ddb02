"""Train: the return curve growing, the knobs beside it, and what goes on inside the selected run."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.charts import inside_charts, return_chart
from pages.ui.controls import live_controls
from pages.ui.curves import curve_of
from pages.ui.doctor_panel import doctor_every_s, doctor_panel
from pages.ui.frame import knobs, need_run, page_head
from pages.ui.session import current_lab, refresh_s

lab = current_lab()
page_head("Train", "Does it get better, and what happens when you turn a knob?")
player = need_run(
    lab,
    "The return of every episode will appear here: about −1200 at first, near −150 once the agent has learned.",
    lambda: live.charts([return_chart([])], key="sketch"),
)


def draw_returns() -> None:
    """The hero: returns of all runs."""
    with lab.reading():
        curves = [curve_of(each, with_updates=False) for each in lab.players]
    live.charts([return_chart(curves, lab.cursor)], key="returns")


def draw_inside() -> None:
    """What goes on inside the selected run."""
    with lab.reading():
        curve = curve_of(player, with_updates=True)
    live.charts(inside_charts(curve, lab.cursor), key="inside", min_width=330)


refresh = refresh_s(lab)
picture, side = st.columns([3.1, 1], gap="medium")
with picture:
    st.fragment(draw_returns, run_every=refresh)()
    st.fragment(lambda: doctor_panel(lab, player), run_every=doctor_every_s(lab, player))()
    st.markdown(f"##### Inside {player.label}")
    st.fragment(draw_inside, run_every=refresh and 2 * refresh)()
with side, knobs():
    live_controls(lab, player)
