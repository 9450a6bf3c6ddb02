"""Frames rendered by Gymnasium through pygame, headless: single states, and a sheet of all pendulum angles."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any, Final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from ddpg_core.environment import ENVIRONMENTS, Array

SHEET_FRAMES: Final = 72
SHEET_COLUMNS: Final = 9
CELL_PX: Final = 320
CELL_UNITS: Final = 2.4
"""What a cell of the sheet shows: a square of 2.4 pole lengths around the pivot."""
_SCREEN_UNITS: Final = 4.4
_ROD_DARKEST: Final = 77
_lock = threading.Lock()


def render_states(env_id: str, states: Array) -> NDArray[np.uint8]:
    """Gymnasium's pictures of simulator states [N, S]: RGB [N, height, width, 3].

    A pendulum's state is (angle in rad, velocity), a mountain car's (position, velocity).
    """
    with _lock:
        return np.array([_render(_renderer(env_id), state) for state in states], dtype=np.uint8)


def pendulum_close_ups(states: Array, torques: Array, side_px: int) -> NDArray[np.uint8]:
    """Gymnasium's pictures of pendulum states [N, 2] with the arrows of torques [N] in N·m: RGB [N, side, side, 3].

    Each shows what a cell of the sheet does: `CELL_UNITS` pole lengths around the pivot, on white.
    """
    with _lock:
        env = _new_renderer("Pendulum-v1")
        env.screen_dim = round(side_px * _SCREEN_UNITS / CELL_UNITS)
        low = env.screen_dim // 2 - side_px // 2
        part = slice(low, low + side_px)
        pictures = [_render(env, *shown)[part, part] for shown in zip(states, torques, strict=True)]
    return np.array(pictures, dtype=np.uint8)


def pendulum_sheet() -> NDArray[np.uint8]:
    """All pendulum angles in one picture: RGBA [rows × CELL_PX, SHEET_COLUMNS × CELL_PX, 4].

    Cell i, row by row, shows angle i · 2π / SHEET_FRAMES (0 = upright, counter-clockwise) on a transparent ground. A
    frame depends on the angle alone, so a browser can play any states from it, and no viewer needs a renderer.
    """
    sheet = np.empty((SHEET_FRAMES // SHEET_COLUMNS * CELL_PX, SHEET_COLUMNS * CELL_PX, 4), dtype=np.uint8)
    with _lock:
        env = _new_renderer("Pendulum-v1")
        env.screen_dim = round(CELL_PX * _SCREEN_UNITS / CELL_UNITS)
        start = env.screen_dim // 2 - CELL_PX // 2
        for index in range(SHEET_FRAMES):
            frame = _render(env, np.array([index * 2 * np.pi / SHEET_FRAMES, 0.0]))
            y, x = index // SHEET_COLUMNS * CELL_PX, index % SHEET_COLUMNS * CELL_PX
            cell = without_ground(frame[start : start + CELL_PX, start : start + CELL_PX])
            sheet[y : y + CELL_PX, x : x + CELL_PX] = cell
    return sheet


def _new_renderer(env_id: str) -> Any:
    if env_id not in ENVIRONMENTS:
        raise ValueError(f"env_id must be one of {', '.join(ENVIRONMENTS)}, got {env_id!r}")
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    env = gymnasium.make(env_id, render_mode="rgb_array", disable_env_checker=True).unwrapped
    env.reset(seed=0)
    return env


_renderer = functools.cache(_new_renderer)
"""One renderer an environment for the whole process; used under the lock."""


def _render(env: Any, state: Array, torque_nm: float | None = None) -> NDArray[np.uint8]:
    """The picture of one state, with the arrow of a pendulum's torque if given: RGB [height, width, 3]."""
    env.state, env.last_u = state, torque_nm
    picture: NDArray[np.uint8] = env.render()
    return picture


def without_ground(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGBA [..., 4] of RGB frames [..., 3] with the white ground made transparent and edges kept smooth."""
    colours = frames.astype(np.float32)
    opacity = np.clip((255 - colours.min(axis=-1, keepdims=True)) / (255 - _ROD_DARKEST), 0, 1)
    solid = np.where(opacity > 0, (colours - 255 * (1 - opacity)) / np.maximum(opacity, 1e-6), 0)
    return np.concatenate([solid.clip(0, 255), 255 * opacity], axis=-1).round().astype(np.uint8)
