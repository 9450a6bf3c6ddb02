from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from ddpg_core.environment import ENVIRONMENTS
from ddpg_core.frames import CELL_PX, CELL_UNITS, SHEET_COLUMNS, SHEET_FRAMES, pendulum_sheet, render_states
from ddpg_core.frames import without_ground as cut_out

POLE_UNITS = 4.4
"""Gymnasium draws the pendulum on a square of 4.4 pole lengths."""


def gymnasium_picture(env_id: str, state: Any, screen_px: int | None = None) -> Any:
    """What Gymnasium itself shows of a state: RGB [height, width, 3]."""
    env: Any = gymnasium.make(env_id, render_mode="rgb_array", disable_env_checker=True).unwrapped
    if screen_px:
        env.screen_dim = screen_px
    env.reset(seed=0)
    env.state, env.last_u = np.array(state), None
    picture = env.render()
    env.close()
    return picture


def on_white(picture: Any) -> Any:
    """RGBA [..., 4] put on a white ground, as floats."""
    colour, opacity = picture[..., :3].astype(float), picture[..., 3:] / 255
    return colour * opacity + 255 * (1 - opacity)


def cell(number: int) -> Any:
    """Cell `number` of the sheet."""
    row, column = divmod(number, SHEET_COLUMNS)
    sheet = pendulum_sheet()
    return sheet[row * CELL_PX : (row + 1) * CELL_PX, column * CELL_PX : (column + 1) * CELL_PX]


def centre_of_render(angle_rad: float) -> Any:
    """What a cell of the sheet should show, from Gymnasium."""
    screen = round(CELL_PX * POLE_UNITS / CELL_UNITS)
    picture = gymnasium_picture("Pendulum-v1", [angle_rad, 0.0], screen).astype(float)
    low = screen // 2 - CELL_PX // 2
    return picture[low : low + CELL_PX, low : low + CELL_PX]


@pytest.mark.parametrize("number", [0, 1, 10, 18, 37, SHEET_FRAMES - 1])
def test_cell_shows_what_gymnasium_renders_for_its_angle_and_for_no_other(number: int) -> None:
    step = 2 * np.pi / SHEET_FRAMES
    found = on_white(cell(number))
    expected, next_one, mirrored = (centre_of_render(angle * step) for angle in (number, number + 1, -number))
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - next_one).mean() > 2
    if number:
        assert np.abs(found - mirrored).mean() > 2


def test_sheet_holds_one_cell_an_angle_on_a_transparent_ground() -> None:
    assert pendulum_sheet().shape == (SHEET_FRAMES // SHEET_COLUMNS * CELL_PX, SHEET_COLUMNS * CELL_PX, 4)
    assert pendulum_sheet().dtype == np.uint8
    corner, pole = cell(0)[0, 0], cell(0)[CELL_PX // 4, CELL_PX // 2]
    assert corner[3] == 0
    assert pole[3] == 255
    np.testing.assert_array_equal(pole[:3], [204, 77, 77])


def test_cutting_out_the_ground_keeps_the_picture_when_put_back_on_white() -> None:
    picture = render_states("Pendulum-v1", np.array([[0.7, 0.0], [-2.0, 0.0]]))
    assert (picture < 250).any()
    np.testing.assert_allclose(on_white(cut_out(picture)), picture, atol=2)


def test_cutting_out_makes_white_clear_and_every_dark_colour_solid() -> None:
    colours = np.array([[255, 255, 255], [204, 77, 77], [0, 0, 0], [255, 0, 0]], dtype=np.uint8)
    rgba = cut_out(colours)
    np.testing.assert_array_equal(rgba[:, 3], [0, 255, 255, 255])
    np.testing.assert_array_equal(rgba[1:, :3], colours[1:])


STATES = {"Pendulum-v1": [[1.0, 0.0], [4.0, -3.0]], "MountainCarContinuous-v0": [[-0.5, 0.0], [0.3, 0.02]]}


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_frames_are_those_of_gymnasium_in_the_order_of_the_states(env_id: str) -> None:
    pendulum_sheet()
    frames = render_states(env_id, np.array(STATES[env_id]))
    for frame, state in zip(frames, STATES[env_id], strict=True):
        np.testing.assert_array_equal(frame, gymnasium_picture(env_id, state))
    assert (frames[0] != frames[1]).any()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "os:path", ""])
def test_no_other_environment_is_rendered(env_id: str) -> None:
    with pytest.raises(ValueError, match=r"^env_id must be one of Pendulum-v1, .*, got "):
        render_states(env_id, np.zeros((1, 2)))


def test_frames_are_rendered_without_a_screen() -> None:
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "SDL_VIDEODRIVER")}
    script = "import numpy as np; from ddpg_core.frames import *; print(render_states('Pendulum-v1', np.eye(2)).shape)"
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("(2, 500, 500, 3)")
