"""The parts of the Critic page that redraw themselves, each a fragment at a pace of its own."""

from __future__ import annotations

import streamlit as st

from pages.ui import live
from pages.ui.critic import GRID, belief_of
from pages.ui.critic_charts import compared_maps, cut_charts, lag_map, learned_map, surface, torque_map
from pages.ui.critic_elsewhere import elsewhere_charts
from pages.ui.critic_study import Look, cut_scales, lag_scale, look, pick, renewed
from pages.ui.critic_words import caveats, cut_words, error_words, loss_words, next_step
from pages.ui.curves import curve_of
from pages.ui.lab import Lab
from pages.ui.player import Player


def draw_learned(lab: Lab, player: Player) -> None:
    """What the critic says, live."""
    pick(live.charts([learned_map(look(lab, player))], key="learned", clicks=True))


def draw_compared(lab: Lab, player: Player, waiting: bool) -> None:
    """True and optimal values, and the differences under them; runs the page anew once nothing is waited for."""
    seen = renewed(lab, player)
    if waiting and not seen.waiting:
        st.rerun()
    pick(live.charts(compared_maps(seen), key="compared", clicks=True))


def draw_numbers(lab: Lab, player: Player) -> None:
    """The means of both differences, in words, and what to know when reading the maps."""
    seen = look(lab, player)
    for label, (value, meaning) in {"learned − true": error_words(seen), "true − optimal": loss_words(seen)}.items():
        with st.container(gap=None):
            st.metric(f"{label}, mean of the map", value)
            st.caption(meaning)
    for caveat in caveats(seen.belief):
        st.caption(caveat)
    if todo := next_step(seen.belief):
        st.info(todo)


def draw_surface(lab: Lab, player: Player) -> None:
    """The learned map as a surface."""
    live.charts([surface(look(lab, player))], key="surface")


def draw_best(seen: Look) -> None:
    """The best policy, which does not change while training."""
    torque = seen.oracle.torque(GRID.angle, GRID.velocity) if seen.oracle else None
    live.charts([torque_map(torque, "Best: the torque it should apply", "solving for the best policy …")], key="best")


def draw_networks(lab: Lab, player: Player) -> None:
    """What the actor does, and how far the target network lags behind."""
    belief = belief_of(lab, player)
    ahead = belief.ahead(None)
    figures = [torque_map(belief.torque(), "Policy: the torque it applies"), lag_map(ahead, lag_scale(ahead))]
    live.charts(figures, key="networks")


def draw_cut(lab: Lab, player: Player) -> None:
    """Q against torque in one state, and the push on the actor."""
    seen = look(lab, player)
    cut = seen.cut
    st.markdown(cut_words(cut, seen.question))
    live.charts(cut_charts(cut, *cut_scales(cut)), key="cut", min_width=330)


def draw_elsewhere(lab: Lab, player: Player) -> None:
    """What can be shown where there is no pendulum."""
    belief = belief_of(lab, player)
    with lab.reading():
        curve = curve_of(player, with_updates=True)
    live.charts(elsewhere_charts(belief, curve, lab.cursor), key="elsewhere", min_width=420)
    if todo := next_step(belief):
        st.info(todo)
