"""Opening a share link: its run is made, trained to its episode, shown at its moment, held to the sender's return."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import streamlit as st

from ddpg_core.links import Link, is_link
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from pages.ui.kernel import KERNEL
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.session import forget_query, query
from pages.ui.share_view import Opened, opened_in, remember
from pages.ui.theme import minus

WAIT_S: Final = 0.5
_PROBLEM: Final = "link-problem"


def open_link(lab: Lab) -> None:
    """Open the link in the address, if there is one, once in this Lab; at its episode, move the cursor."""
    state, text = st.session_state, query()
    if lab.selected is not None:
        state.pop(_PROBLEM, None)
    if is_link(text):
        try:
            link = Link.from_query(text)
        except ValueError as error:
            state[_PROBLEM] = str(error).replace("`", "'")
            forget_query()
        else:
            if not _opened(lab, link):
                st.fragment(_wait, run_every=WAIT_S)()
                return
            forget_query()
    if problem := state.get(_PROBLEM):
        st.warning(f"This link cannot be opened: `{problem}`. Everything else works as without it.")
    _land(lab)


def _opened(lab: Lab, link: Link) -> bool:
    """Put the link's run on the stage, or select it where it is there already; False while its engine is not there."""
    found = opened_in(lab)
    if found and found[0].link == link:
        lab.select(found[1].id)
        return True
    if _coming() and engines(link.recipe) != {"torch"}:
        return False
    player = lab.add(_within_reach(link.recipe))
    if player is None:
        return True
    remember(lab, Opened(link, player.id, player.run.serial, link.view))
    if link.episode:
        st.session_state["until"] = link.episode
        lab.hurry(player.id, link.episode)
    return True


def _wait() -> None:
    """Until the compiled engine is there: a link is opened with it, so that returns are the sender's."""
    if not _coming():
        st.rerun()
    st.info("This link opens in a few seconds, when the fast engine is ready.", icon=":material/link:")


def _coming() -> bool:
    """Whether the compiled engine is on its way; asleep, it is about to be fetched."""
    return KERNEL.state in ("asleep", "loading", "compiling")


def engines(recipe: Recipe) -> set[str]:
    """The engines that a recipe names."""
    return {recipe.config.engine} | {
        str(item.changes.get("engine", recipe.config.engine)) for item in recipe.interventions
    }


def _within_reach(recipe: Recipe) -> Recipe:
    """The recipe, with PyTorch in place of a compiled engine that this server has not got."""
    if KERNEL.ready():
        return recipe
    torch = {"engine": "torch"}
    changed = (
        replace(i, changes={**i.changes, **torch} if "engine" in i.changes else i.changes) for i in recipe.interventions
    )
    return replace(recipe, config=recipe.config.changed(torch), interventions=tuple(changed))


def _land(lab: Lab) -> None:
    """Show the link's moment as its run comes to rest there, unless the reader looks at something else by then."""
    found = opened_in(lab)
    if found is None or found[0].landed:
        return
    opened, player = found
    if _arrived(lab, opened, player):
        opened.landed = True
        if not player.playing and player is lab.selected and lab.cursor is None:
            lab.cursor = opened.link.cursor


def _arrived(lab: Lab, opened: Opened, player: Player) -> bool:
    """Whether the run has come to the link's episode, or will never."""
    with lab.reading():
        return player.run.episode >= opened.link.episode or player.over


def draw_arrival(lab: Lab, player: Player) -> None:
    """A line on the selected run, if it was opened from a link: how far it is, or whether it is the sender's."""
    found = opened_in(lab)
    if found is None or found[1] is not player:
        return
    opened, _ = found
    if not opened.landed and _arrived(lab, opened, player):
        st.rerun()
    with lab.reading():
        words = arrival_words(opened.link, player)
    st.caption(f":material/link: {words}")


def arrival_words(link: Link, player: Player) -> str:
    """What is left to do for a link's run, or how its return compares with the sender's."""
    run = player.run
    if run.episode < link.episode:
        aim = f"episode {link.episode:,}"
        if player.over:
            return f"Opened from a link: it stopped before {aim}."
        return f"Opened from a link: {'training' if player.playing else 'press Run to it to train on'} to {aim}."
    got = run.logs.episodes.read("episode_return", link.moment - 1, link.moment)
    if link.sent_return is None or not len(got):
        return "Opened from a link."
    own, sent = float(got[0]), link.sent_return
    place = f"Opened from a link: the return of episode {link.moment:,}"
    if own == sent:
        return minus(f"{place} equals the sender's: {own:.1f}.")
    digits = ".1f" if f"{own:.1f}" != f"{sent:.1f}" else ".9g"
    return minus(f"{place} differs from the sender's: {own:{digits}} here, {sent:{digits}} there. {_reason(link, run)}")


def _reason(link: Link, run: Run) -> str:
    """The likeliest reason for another return than the sender's."""
    first_step, length = (
        run.logs.episodes.read(name, link.moment - 1, link.moment)[0] for name in ("first_step", "length")
    )
    if _turned(run.recipe, first_step + length) != _turned(link.recipe, first_step + length):
        return "Its knobs were turned differently here."
    if engines(run.recipe) != engines(link.recipe) and "auto" not in engines(link.recipe):
        return "It was computed by another engine than the sender's."
    return "Another machine or version rounds differently, and learning makes small differences large."


def _turned(recipe: Recipe, end: float) -> list[tuple[int, dict[str, Any]]]:
    """The settings changed before env step `end`, besides the engine."""
    made = [(item.step, dict(item.changes)) for item in recipe.interventions if item.step < end]
    for _, changes in made:
        changes.pop("engine", None)
    return [each for each in made if each[1]]
