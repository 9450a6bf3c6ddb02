"""The Export page's setup: which policy, of which episode; files brought along, and the gallery."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import streamlit as st

from ddpg_core.config import format_value
from ddpg_core.gallery import PIECES, gallery, path_of
from ddpg_core.imports import read_file, recipe_of
from ddpg_core.policy import Policy, file_stem
from ddpg_core.recipe import Intervention, Recipe
from pages.ui.export import EPISODES, RUN, Desk, choices, chosen
from pages.ui.export_view import EPISODE
from pages.ui.export_words import gallery_words
from pages.ui.kernel import KERNEL
from pages.ui.lab import MAX_RUNS, Lab
from pages.ui.player import Player
from pages.ui.words import plain

MAX_FILE_MB: Final = 4
_POLICY: Final = "export-policy"


# --- which policy -----------------------------------------------------------------------------------------------------


def draw_choice(lab: Lab, desk: Desk) -> None:
    """The policy on screen, of a run also its episode, and of a file the way back to a run."""
    state, names, choice = st.session_state, choices(lab, desk), chosen(lab, desk)
    state[_POLICY] = choice

    def choose() -> None:
        desk.choice = state[_POLICY]
        desk.problem = desk.told = ""

    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.pills(
            "Policy", list(names), format_func=lambda each: plain(names[each]), key=_POLICY, required=True,
            on_change=choose, wrap=True,
        )  # fmt: skip
        if choice == RUN:
            state.setdefault(EPISODE, next(iter(EPISODES)))
            st.segmented_control(
                "Episode", list(EPISODES), format_func=EPISODES.__getitem__, key=EPISODE, required=True,
                persist_state="session",
                help="*Best* is where the mean return of ten episodes was highest, of those whose weights are kept.",
            )  # fmt: skip
        else:
            _draw_again(lab, desk, policy_of_choice(desk, choice))


def policy_of_choice(desk: Desk, choice: str) -> Policy:
    """The policy of the gallery, or the imported one, that was chosen."""
    kind, _, name = choice.partition(":")
    return gallery()[name] if kind == "gallery" else desk.imports[choice][1]


def _draw_again(lab: Lab, desk: Desk, policy: Policy) -> None:
    """The way from a policy to a run with its critic and replay buffer."""
    full = len(lab.players) >= MAX_RUNS
    if st.button(
        "Train it again",
        key="export-again",
        icon=":material/replay:",
        disabled=full,
        help=f"A lab holds {MAX_RUNS} runs: remove one in the sidebar."
        if full
        else "An actor alone would forget within an episode, since its critic would know nothing. So its recipe is "
        "trained again, to the same weights, and goes on from there with critic and replay buffer.",
    ):
        train_again(lab, desk, policy)
        st.rerun()


def train_again(lab: Lab, desk: Desk, policy: Policy) -> None:
    """Train the recipe of a policy again, as far as the policy was, and look at that run."""
    player = open_recipe(lab, recipe_of(policy))
    if player:
        desk.choice, desk.again = RUN, (policy, player.run.serial)
        st.session_state[EPISODE] = next(iter(EPISODES))
        lab.hurry(player.id, max(policy.card.episode, 1))


def open_recipe(lab: Lab, recipe: Recipe) -> Player | None:
    """Put the run of a recipe on the stage; where the compiled engine is not there, PyTorch takes its place."""

    def offered(item: Intervention) -> Intervention:
        return replace(item, changes={**item.changes, "engine": "auto"}) if _fused(item.changes.get("engine")) else item

    if KERNEL.ready():
        return lab.add(recipe)
    config = recipe.config.changed({"engine": "auto"}) if _fused(recipe.config.engine) else recipe.config
    return lab.add(replace(recipe, config=config, interventions=tuple(map(offered, recipe.interventions))))


def _fused(engine: object) -> bool:
    return engine == "fused"


# --- files brought along ----------------------------------------------------------------------------------------------


def draw_import(lab: Lab, desk: Desk) -> None:
    """A place to drop a file, and what became of it."""
    key = f"export-import-{desk.loads}"

    def load() -> None:
        given = st.session_state[key]
        if given is not None:
            take(lab, desk, given.name, given.getvalue())

    place, words = st.columns(2, gap="large", vertical_alignment="bottom")
    place.file_uploader(
        "A policy (.safetensors, .onnx) or a recipe (.json), made by this lab",
        ["safetensors", "onnx", "json"],
        key=key,
        on_change=load,
        max_upload_size=MAX_FILE_MB,
    )
    if desk.problem:
        words.error(plain(desk.problem), icon=":material/error:")
    elif desk.told:
        words.success(plain(desk.told), icon=":material/check:")
    else:
        words.caption(
            "See what it does, hold it to the optimum, or train it again and go on. Nothing in a file is ever "
            "executed: it is taken apart, and every number in it is checked."
        )


def take(lab: Lab, desk: Desk, name: str, data: bytes) -> None:
    """Look at the policy of a file, or open the run of a recipe; a bad file is told, and changes nothing else."""
    desk.loads += 1
    desk.problem = desk.told = ""
    name = " ".join(name.split())[-40:]
    try:
        if len(data) > MAX_FILE_MB << 20:
            raise ValueError(f"{name} can't be opened: it must be at most {MAX_FILE_MB} MB on this page")
        found = read_file(name, data)
    except ValueError as error:
        desk.problem = f"{str(error).rstrip('.')}."
        return
    if isinstance(found, Policy):
        desk.bring(name, found)
        desk.told = f"{name} is on show above."
    elif player := open_recipe(lab, found):
        desk.choice = RUN
        desk.told = f"{name} is open as {player.label}: press Play to train it."


# --- the gallery ------------------------------------------------------------------------------------------------------


def draw_gallery(desk: Desk) -> None:
    """A small card for each policy that comes with the lab."""
    for column, (name, piece) in zip(st.columns(len(PIECES)), PIECES.items(), strict=True):
        policy = gallery()[name]
        with column.container(border=True, gap="small", height="stretch", vertical_alignment="distribute"):
            st.markdown(f"**{piece.title}**, {gallery_words(policy.card)}  \n:small[{piece.note}]")
            with st.container(horizontal=True, gap="small"):
                if st.button("Watch", key=f"gallery-{name}", icon=":material/play_arrow:"):
                    desk.choice, desk.problem, desk.told = f"gallery:{name}", "", ""
                    st.rerun()
                st.download_button(
                    ".safetensors", path_of(name).read_bytes(), f"{file_stem(policy)}.safetensors",
                    "application/octet-stream", key=f"gallery-{name}-file", on_click="ignore",
                    icon=":material/download:", help=f"Its {format_value(policy.net.sizes)} network, with its card.",
                )  # fmt: skip
