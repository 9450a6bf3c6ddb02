"""Replay: what the agent remembers, which of it was drawn last, and why it is drawn at random."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.buffer import counting, draws_of, on_screen, seen
from pages.ui.buffer_charts import COLOURS, colour_name, content_charts, map_chart, points_shown, sketch
from pages.ui.buffer_words import WHY, cover_word, held, map_caption, next_step
from pages.ui.contrast import contrast, contrast_charts, quantities
from pages.ui.controls import past_note, settings
from pages.ui.frame import need_run, page_head
from pages.ui.session import HERO_S, current_lab, refresh_s
from pages.ui.transitions import draw_transitions, look_at, looked_at, point_number

lab = current_lab()
page_head("Replay", "What does the agent remember?")
player = need_run(
    lab,
    "Every step will appear here as a point, at the angle and speed where it began; what is learned from is ringed.",
    lambda: live.charts([sketch()], key="sketch"),
)
refresh = refresh_s(lab, HERO_S)
unfinished = refresh is None and counting(lab, player)


def draw_map() -> None:
    """The hero: the window on the map of states, with the last batch."""
    memory = on_screen(lab, player)
    draws = draws_of(lab, memory)
    found = looked_at(lab, player, memory)
    figure = map_chart(memory, draws, seen(memory), colour, found[1] if found else None)
    number = point_number(live.charts([figure], key="memory", clicks=True))
    st.caption(map_caption(memory, draws, COLOURS[colour].reading, points_shown(memory)))
    if todo := next_step(memory):
        st.info(todo)
    if number is not None:
        look_at(player, number)
        st.rerun()


def draw_numbers() -> None:
    """How much of the state space is covered, by how many transitions."""
    memory = on_screen(lab, player)
    cover = seen(memory).share
    st.metric("State space covered", f"{cover:.0%}", cover_word(cover), delta_color="off", delta_arrow="off")
    st.caption(held(memory))


def draw_content() -> None:
    """Ages and rewards of what is remembered and drawn."""
    memory = on_screen(lab, player)
    live.charts(content_charts(memory, draws_of(lab, memory)), key="content", min_width=330)


def draw_contrast() -> None:
    """What a batch of neighbours shows the critic, and what a random one does."""
    found = contrast(lab, on_screen(lab, player), quantity)
    live.charts(contrast_charts(found, names[quantity]), key="contrast", min_width=330)


picture, side = st.columns([3, 1], gap="medium")
with side:
    st.fragment(draw_numbers, run_every=refresh and 4 * refresh)()
    colour = st.selectbox(
        "Colour of the points", list(COLOURS), format_func=colour_name, key="replay-colour", persist_state="session"
    )
    past_note(lab)
    settings(lab, player, ["replay", "batch_size", "capacity"])
with picture:
    st.fragment(draw_map, run_every=0.3 if unfinished else refresh)()
draw_transitions(lab, player)
st.fragment(draw_content, run_every=refresh and 4 * refresh)()
st.markdown(WHY)
names = quantities(player.run.config.env_id)
quantity = st.selectbox("Correlation of", list(names), format_func=names.__getitem__, key="replay-of", width=300)
st.fragment(draw_contrast, run_every=refresh and 24 * refresh)()
