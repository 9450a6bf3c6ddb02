"""Share: a link that opens the selected run at the cursor elsewhere, and what an instructor may hide or lock by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from ddpg_core.config import SETTINGS
from ddpg_core.links import GROUPS, MAX_EPISODE, Link, View
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.share_view import show_all, view_of
from pages.ui.theme import minus

_HIDE, _LOCK, _START = "share-hide", "share-lock", "share-start"
_LONG: Final = 400
"""A longer link than so many characters scrolls in its box."""


def draw_share(lab: Lab, pages: Sequence[StreamlitPage], page: StreamlitPage) -> None:
    """The link to the selected run, in a popover."""
    player = lab.selected
    if player is None:
        return
    place = st.popover("Share", icon=":material/link:", width="stretch", key="share", on_change="rerun")
    if place.open:
        with place:
            _draw(lab, player, pages, page)


def _draw(lab: Lab, player: Player, pages: Sequence[StreamlitPage], page: StreamlitPage) -> None:
    link = st.container()
    with st.expander("For a class"):
        start, view = _class_options(lab, pages, page)
    made = link_of(lab, player, view)
    with link:
        try:
            url = f"{base(st.context.url or '', page.url_path)}/{start.url_path}?{made.to_query()}"
        except ValueError as error:
            st.info(f"There is no link to this run: {error}.")
            return
        st.code(url, language=None, wrap_lines=True, height=150 if len(url) > _LONG else "content")
        st.caption(link_words(made, player.label, start.title))


def _class_options(lab: Lab, pages: Sequence[StreamlitPage], page: StreamlitPage) -> tuple[StreamlitPage, View]:
    """The page to start on, and what to hide and lock."""
    state, now = st.session_state, view_of(lab)
    state.setdefault(_HIDE, list(now.hidden))
    state.setdefault(_LOCK, list(now.locked))
    titles = {each.url_path: each.title for each in pages}
    chosen = st.selectbox(
        "Start on",
        [None, *titles],
        format_func=lambda path: "this page" if path is None else titles[path],
        key=_START,
        persist_state="session",
    )
    st.pills(
        "Hide knobs of",
        list(GROUPS),
        format_func=GROUPS.__getitem__,
        selection_mode="multi",
        key=_HIDE,
        persist_state="session",
        wrap=True,
    )
    st.multiselect(
        "Lock",
        list(SETTINGS),
        format_func=lambda name: SETTINGS[name].label,
        key=_LOCK,
        persist_state="session",
        placeholder="Settings that stay as they are",
        help="They are shown, and cannot be moved.",
    )
    if now != View():
        st.button("Show all knobs here", key="share-show-all", on_click=lambda: show_all(lab), width="stretch")
    start = next((each for each in pages if each.url_path == chosen), page)
    return start, View(tuple(state[_HIDE]), tuple(state[_LOCK]))


def link_of(lab: Lab, player: Player, view: View) -> Link:
    """The link to a run as far as it has come, at the cursor, with its return there."""
    with lab.reading():
        run, past = player.run, lab.past(player)
        episode = min(run.episode, MAX_EPISODE)
        cursor = None if lab.cursor is None else min(max(lab.cursor, past[0]), episode)
        moment = cursor or episode
        got = run.logs.episodes.read("episode_return", moment - 1, moment)
        recipe = run.recipe
    return Link(recipe, episode, cursor, float(got[0]) if len(got) else None, view)


def link_words(link: Link, label: str, start: str) -> str:
    """What whoever opens a link will see."""
    words = f"Opens **{start}** with {label}"
    if link.episode:
        words += f", trained to episode {link.episode:,}"
    if link.cursor is not None:
        words += f", at episode {link.cursor:,}"
    if link.sent_return is not None:
        words += f", and tells whether its return of episode {link.moment:,} is {link.sent_return:.1f} there too"
    return minus(f"{words}.")


def base(url: str, path: str) -> str:
    """The address of the app without the page's own `path`, also behind a proxy; no slash at its end."""
    return url.rstrip("/").removesuffix(f"/{path}" if path else "")
