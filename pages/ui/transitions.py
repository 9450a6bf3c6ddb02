"""The Replay page's table of transitions, and the one looked at: two frames and words."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import streamlit as st

from ddpg_core.environment import ENVIRONMENTS, Array
from ddpg_core.frames import render_states, without_ground
from pages.ui.buffer import Draws, Memory, draws_of, on_screen, states, steps_of, surprise
from pages.ui.lab import Lab
from pages.ui.player import Player
from pages.ui.session import refresh_s
from pages.ui.theme import minus

ROWS: Final = 200
ORDERS: Final = {
    "batch": "in the last batch",
    "newest": "newest",
    "surprise": "largest TD error",
    "reward": "best reward",
    "times": "drawn most often",
}
FRAME_PX: Final = 260
_PICKED, _FROZEN = "transition-looked-at", "transitions-shown"


def look_at(player: Player, number: int) -> None:
    """Take this row of the run's step log as the one looked at."""
    st.session_state[_PICKED] = (id(player.run), number)


def looked_at(lab: Lab, player: Player, memory: Memory) -> tuple[int, Array] | None:
    """Number and row [1, widths] of the transition looked at, if the window at this moment holds it."""
    whose, number = st.session_state.get(_PICKED, (None, -1))
    if whose != id(player.run) or not memory.first <= number < memory.stop:
        return None
    with lab.reading():
        if number < memory.run.logs.steps.first:
            return None
        return number, steps_of(memory.run, np.array([number]))


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
    """The table, a choice of what it holds, and the transition looked at; outside all fragments, as it never ticks."""
    left, right = st.columns([2.1, 1], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            columns = _frozen(lab, player, _order())
        _draw_table(player, columns)
    with right:
        _draw_detail(lab, player, columns)


def _order() -> str:
    st.session_state.setdefault("transitions-order", "batch")
    order = st.segmented_control(
        "Transitions", list(ORDERS), format_func=ORDERS.__getitem__, key="transitions-order", persist_state="session"
    )
    return order or "batch"


def _frozen(lab: Lab, player: Player, order: str) -> dict[str, Array]:
    """The table's columns: those of the moment, or those taken before while the run trains on.

    A table that changes four times a second can be neither sorted nor read.
    """
    moving = refresh_s(lab) is not None
    anew = moving and st.button("Take anew", icon=":material/refresh:", key="transitions-anew")
    memory = on_screen(lab, player)
    stamp = (id(player.run), order, memory.moment.env_steps, memory.moment.updates)
    kept, columns = st.session_state.get(_FROZEN, ((), {}))
    if stamp != kept and (anew or not moving or stamp[:2] != kept[:2] or not len(columns["step"])):
        draws = draws_of(lab, memory)
        kept, columns = stamp if draws.share == 1 else (), _columns(lab, memory, order, draws)
        st.session_state[_FROZEN] = (kept, columns)
    if moving and kept:
        st.caption(f"as of step {kept[2]:,}")
    return columns


def _columns(lab: Lab, memory: Memory, order: str, draws: Draws) -> dict[str, Array]:
    numbers = chosen_rows(memory, order, draws.batch, draws.recount.counts(memory.numbers))
    with lab.reading():
        numbers = numbers[numbers >= memory.run.logs.steps.first]
        rows = steps_of(memory.run, numbers)
    return table(memory, numbers, rows, draws.recount.counts(numbers))


def _draw_table(player: Player, columns: Mapping[str, Array]) -> None:
    if not len(columns["step"]):
        st.info("Nothing here yet: the table fills once transitions are remembered and, for a batch, learning starts.")
        return
    key = f"transitions-{id(player.run)}-{hash(columns['step'].tobytes())}"

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
        number = int(columns["step"][0])
        with lab.reading():
            if memory.first <= number < memory.stop and number >= player.run.logs.steps.first:
                found = number, steps_of(memory.run, np.array([number]))
    if found is None:
        st.caption("Click a point on the map or a row of the table to see it here.")
        return
    number, row = found
    config = memory.moment.config
    frames = [frame(config.env_id, *map(float, states(row, memory.columns, name)[0])) for name in ("obs", "next_obs")]
    with st.container(horizontal=True, gap="small"):
        for name, picture in zip(("s", "s′"), frames, strict=True):
            st.image(picture, caption=f"{name}, step {number + (name != 's'):,}", width=165)
    st.markdown(in_words(memory, number, row))


def in_words(memory: Memory, number: int, row: Array) -> str:
    """A transition [1, widths] in two sentences."""
    part = memory.columns
    (across, up), (after, speed) = states(row, part)[0], states(row, part, "next_obs")[0]
    action, reward = float(row[0, part["action"].start]), float(row[0, part["reward"].start])
    if memory.moment.config.env_id == "Pendulum-v1":
        place, then = (f"{_where(angle)}, {_turning(velocity)}" for angle, velocity in ((across, up), (after, speed)))
        push = f"a torque of {abs(action):.2f} N·m {_way(action)}"
    else:
        place, then = (f"at {x:.2f}, moving {'right' if v > 0 else 'left'}" for x, v in ((across, up), (after, speed)))
        push = f"a force of {abs(action):.2f} to the {'right' if action > 0 else 'left'}"
    end = " The episode ended here." if row[0, [part["terminated"].start, part["truncated"].start]].any() else ""
    per_second = ENVIRONMENTS[memory.moment.config.env_id].steps_per_second
    return minus(
        f"**Episode {int(memory.episodes(np.array([number]))[0]):,}.** {place.capitalize()}; {push}; 1/{per_second} s "
        f"later {then}. Reward **{reward:.3g}**.{end}"
    )


def _where(angle_rad: float) -> str:
    degrees = abs(np.degrees(angle_rad))
    if degrees < 12:
        return "upright"
    return "hanging" if degrees > 168 else f"{degrees:.0f}° to the {'left' if angle_rad > 0 else 'right'} of upright"


def _turning(velocity_rad_s: float) -> str:
    return (
        "at rest" if abs(velocity_rad_s) < 0.1 else f"turning {_way(velocity_rad_s)} at {abs(velocity_rad_s):.1f} rad/s"
    )


def _way(value: float) -> str:
    return "counter-clockwise" if value > 0 else "clockwise"


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
