"""The Replay page's table of transitions, and the one looked at: two frames and words."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import streamlit as st

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.frames import render_states, without_ground
from pages.ui.buffer import Draws, Memory, draws_of, on_screen, states, steps_of, surprise
from pages.ui.buffer_words import in_words
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.session import refresh_s

ROWS: Final = 200
ORDERS: Final = {
    "batch": "in the last batch",
    "newest": "newest",
    "surprise": "largest TD error",
    "reward": "best reward",
    "times": "drawn most often",
}
FRAME_PX: Final = 260
FRAME_WIDTH_PX: Final = 148
"""Two of them stand side by side in a window of 1,440 px, and on a phone."""
_PICKED, _FROZEN = "transition-looked-at", "transitions-shown"


def look_at(player: Player, number: int) -> None:
    """Take this row of the run's step log as the one looked at."""
    st.session_state[_PICKED] = (player.run.serial, number)


def looked_at(lab: Lab, player: Player, memory: Memory) -> tuple[int, Array] | None:
    """Number and row [1, widths] of the transition looked at, if the window at this moment holds it."""
    whose, number = st.session_state.get(_PICKED, (None, -1))
    return _held(lab, memory, number) if whose == player.run.serial else None


def _held(lab: Lab, memory: Memory, number: int) -> tuple[int, Array] | None:
    with lab.reading():
        if max(memory.first, memory.run.logs.steps.first) <= number < memory.stop:
            return number, steps_of(memory.run, np.array([number]))
    return None


def table(memory: Memory, numbers: Array, rows: Array, times: Array) -> dict[str, Array]:
    """The columns of the table by name, each [N], for rows of the step log."""
    part, pendulum = memory.columns, memory.moment.config.env_id == "Pendulum-v1"
    across, up = states(rows, part).T
    names = ("θ (rad)", "θ̇ (rad/s)", "torque (N·m)") if pendulum else ("position", "velocity", "force")
    terminated, truncated = (rows[:, part[name].start] > 0 for name in ("terminated", "truncated"))
    return {
        "step": numbers,
        "episode": memory.episodes(numbers),
        names[0]: across,
        names[1]: up,
        names[2]: rows[:, part["action"].start],
        "reward": rows[:, part["reward"].start],
        "|TD error|": surprise(memory, rows),
        "times drawn": times,
        "ended": np.where(terminated, "terminated", np.where(truncated, "out of time", "")),
    }


def chosen_rows(memory: Memory, order: str, batch: Array, times: Array) -> Array:
    """Numbers of the rows that the table holds, `ROWS` at most, in the order asked for.

    Args:
        memory: The window.
        order: One of `ORDERS`.
        batch: Rows of the last batch.
        times: How often each copied row was drawn [N].
    """
    if order == "batch":
        return np.unique(batch)[:ROWS]
    if order == "newest":
        return memory.numbers[::-1][:ROWS]
    if order == "surprise":
        values = surprise(memory, memory.rows)
    else:
        values = times if order == "times" else memory.rows[:, memory.columns["reward"].start]
    return memory.numbers[np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:ROWS]]


def draw_transitions(lab: Lab, player: Player) -> None:
    """The table, a choice of what it holds, and the transition looked at; it ticks only until its draws are counted."""
    left, right = st.columns([2.1, 1], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            order = _order()
            frozen = _frozen(lab, player, order)
        _await_rest(lab, player, order, frozen)
        _draw_table(player, frozen.columns)
    with right:
        _draw_detail(lab, player, frozen.columns)


def _order() -> str:
    st.session_state.setdefault("transitions-order", "batch")
    order = st.segmented_control(
        "Transitions", list(ORDERS), format_func=ORDERS.__getitem__, key="transitions-order", persist_state="session"
    )
    return order or "batch"


class Frozen(NamedTuple):
    """A `table`, without times drawn until `counted`; not `filled`: the newest rows for want of those asked for."""

    stamp: tuple[int, str, int, int, Config]  # serial of the run, order, env steps, updates, settings
    columns: dict[str, Array]
    counted: bool
    filled: bool


def _frozen(lab: Lab, player: Player, order: str) -> Frozen:
    """The table of the moment, or the one taken before while the run trains on; one not whole is always taken anew.

    A table that changes four times a second can be neither sorted nor read.
    """
    moving = refresh_s(lab) is not None
    anew = moving and st.button("Take anew", icon=":material/refresh:", key="transitions-anew")
    memory = on_screen(lab, player)
    config = memory.moment.config
    stamp = (player.run.serial, order, memory.moment.env_steps, memory.moment.updates, config)
    kept: Frozen | None = st.session_state.get(_FROZEN)
    same = slice(2) if moving and not anew else slice(None)
    if kept is None or kept.stamp[same] != stamp[same] or not (kept.counted and kept.filled):
        draws = draws_of(lab, memory)
        counted, filled = draws.share == 1, _can_fill(memory, draws, order)
        kept = Frozen(stamp, _columns(lab, memory, order if filled else "newest", draws), counted, filled)
        st.session_state[_FROZEN] = kept
    if moving:
        st.caption(f"as of step {kept.stamp[2]:,}")
    return kept


def _can_fill(memory: Memory, draws: Draws, order: str) -> bool:
    """Whether the table can hold rows in this order yet."""
    if order == "batch":
        return len(draws.batch) > 0
    return memory.stop > memory.first and (order != "times" or draws.share == 1)


def _await_rest(lab: Lab, player: Player, order: str, frozen: Frozen) -> None:
    """Say what the table lacks, and draw the page anew once it is there."""

    def look() -> None:
        memory = on_screen(lab, player)
        draws = draws_of(lab, memory)
        if draws.share == 1 and (not frozen.counted or (not frozen.filled and _can_fill(memory, draws, order))):
            st.rerun()
        instead = "" if frozen.filled or not len(frozen.columns["step"]) else " Until then these are the newest."
        if draws.share < 1:
            st.caption(f"Counting the draws: {draws.share:.0%} …{instead}")
        elif instead:
            st.caption(f"No batch has been drawn yet.{instead}")

    if not (frozen.counted and frozen.filled):
        st.fragment(look, run_every=0.5 if refresh_s(lab) or not frozen.counted else None)()


def _columns(lab: Lab, memory: Memory, order: str, draws: Draws) -> dict[str, Array]:
    numbers = chosen_rows(memory, order, draws.batch, draws.recount.counts(memory.numbers))
    with lab.reading():
        numbers = numbers[numbers >= memory.run.logs.steps.first]
        rows = steps_of(memory.run, numbers)
    columns = table(memory, numbers, rows, draws.recount.counts(numbers))
    if draws.share < 1:
        del columns["times drawn"]
    return columns


def _draw_table(player: Player, columns: Mapping[str, Array]) -> None:
    if not len(columns["step"]):
        st.info("Nothing here yet: the table fills once transitions are remembered.")
        return
    key = f"transitions-{player.run.serial}-{hash(columns['step'].tobytes())}"

    def pick() -> None:
        chosen = st.session_state[key].selection.rows
        if chosen:
            look_at(player, int(columns["step"][chosen[0]]))

    digits = "%.4f" if "velocity" in columns else "%.2f"
    numbers = {name: st.column_config.NumberColumn(format=digits) for name in list(columns)[2:7]}
    whole = {name: st.column_config.NumberColumn(format="%d") for name in ("step", "episode", "times drawn")}
    st.dataframe(
        dict(columns),
        key=key,
        height=336,
        hide_index=True,
        column_config=numbers | whole,
        on_select=pick,
        selection_mode="single-row",
    )


def _draw_detail(lab: Lab, player: Player, columns: Mapping[str, Array]) -> None:
    memory = on_screen(lab, player)
    found = looked_at(lab, player, memory)
    if found is None and len(columns["step"]):
        found = _held(lab, memory, int(columns["step"][0]))
    if found is None:
        st.caption("Click a point on the map or a row of the table to see it here.")
        return
    number, row = found
    config, told = memory.moment.config, ("obs", "action", "reward", "next_obs")
    if not all(np.isfinite(row[:, memory.columns[name]]).all() for name in told):
        st.caption(
            f"Step {number:,} holds numbers that are not finite: the run diverged, and nothing can be drawn of it."
        )
        return
    frames = [frame(config.env_id, *map(float, states(row, memory.columns, name)[0])) for name in ("obs", "next_obs")]
    with st.container(horizontal=True, gap="small"):
        for name, picture in zip(("s", "s′"), frames, strict=True):
            st.image(picture, caption=f"{name}, step {number + (name != 's'):,}", width=FRAME_WIDTH_PX)
    st.markdown(in_words(memory, number, row))


@functools.lru_cache(maxsize=512)
def frame(env_id: str, across: float, up: float) -> str:
    """Gymnasium's picture of a state, its middle, as a data URI."""
    from PIL import Image

    file = io.BytesIO()
    (pixels,) = render_states(env_id, np.array([[across, up]]))
    if env_id == "Pendulum-v1":
        pixels = without_ground(pixels)
    picture = Image.fromarray(pixels)
    if env_id == "Pendulum-v1":
        margin = picture.width // 5
        picture = picture.crop((margin, margin, picture.width - margin, picture.height - margin))
    picture.thumbnail((FRAME_PX, FRAME_PX))
    picture.save(file, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def point_number(click: Mapping[str, Any] | None) -> int | None:
    """The row of the step log that a clicked point stands for, or None."""
    data = None if click is None else click.get("data")
    return int(data) if isinstance(data, int | float) else None
