"""The film and the drive in a browser, on an app of their own: pace, steps, two runs on one clock, physics."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from playwright.sync_api import Locator

from pages.ui.theme import ROLES, RUN_COLOURS
from tests.e2e.conftest import ROOT, Server, Visitor, wait_until

Show = Callable[..., Locator]
PACE = 5.0
"""Steps a second of the run that is followed."""
PHONE = {"viewport": {"width": 390, "height": 844}}
WATCH = """(film, seconds) => new Promise(done => {
  const seen = [], began = performance.now()
  const look = now => {
    seen.push([now / 1000, Number(film.dataset.time), film.querySelector('.episode').textContent])
    now - began < 1000 * seconds ? requestAnimationFrame(look) : done(seen)
  }
  requestAnimationFrame(look)
})"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server of film_app.py, and its folder."""
    folder = tmp_path_factory.mktemp("film")
    shutil.copy(Path(__file__).with_name("film_app.py"), folder / "app.py")
    shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
    (folder / "static").mkdir()
    server = Server(folder)
    yield server, folder
    server.stop()


@pytest.fixture
def show(visit: Callable[..., Visitor], stage: tuple[Server, Path]) -> Show:
    """Opens the app on a film or a drive."""

    def opened(what: str, **options: Any) -> Locator:
        page = visit(stage[0].url, **options).open(f"?show={what}").page
        component = page.locator(".drive" if what == "drive" else ".film")
        component.wait_for(timeout=30_000)
        return component

    return opened


def time_of(film: Locator) -> float:
    """Where the film is, in steps."""
    return float(film.get_attribute("data-time") or 0)


def pendulum(state: Any, **physics: float) -> Any:
    """Gymnasium's own pendulum in a state."""
    env: Any = gymnasium.make("Pendulum-v1", disable_env_checker=True, g=physics.get("g", 10.0)).unwrapped
    env.m, env.l = physics.get("m", 1.0), physics.get("l", 1.0)
    env.reset()
    env.state = np.array(state, float)
    return env


# --- the film ---------------------------------------------------------------------------------------------------------


def test_a_film_that_follows_a_slow_run_glides_at_the_runs_pace(show: Show) -> None:
    film = show(f"follow&pace={PACE}")
    wait_until(lambda: time_of(film) > 2)
    seen = film.evaluate(WATCH, 5)
    moved = seen[-1][1] - seen[0][1]
    assert 0.6 * PACE < moved / (seen[-1][0] - seen[0][0]) < 1.4 * PACE
    strides = [after[1] - before[1] for before, after in pairwise(seen)]
    assert min(strides) >= 0, "the film jumped back"
    still = [sum(stride < 1e-9 for stride in strides[i : i + 30]) for i in range(0, len(strides) - 30, 10)]
    assert max(still, default=0) < 30, "the film waited for a refresh"
    paces = [stride / (after[0] - before[0]) for stride, (before, after) in zip(strides, pairwise(seen), strict=True)]
    assert np.percentile(paces, 95) < 2 * PACE, "the film played a batch at real time"
    assert film.get_by_role("combobox", name="Playing speed").is_disabled()


def test_a_film_goes_on_to_the_runs_next_episode_once_it_has_shown_the_last(show: Show) -> None:
    film = show(f"follow-on&pace={PACE}")
    seen = film.evaluate(WATCH, 10)
    turns = [(before, after) for before, after in pairwise(seen) if before[2] != after[2]]
    assert len(turns) == 1
    ((before, after),) = turns
    assert before[1] == 199
    assert after[1] < 1
    assert [row[1] for row in seen[: seen.index(after)]] == sorted(row[1] for row in seen[: seen.index(after)])


def test_arrow_keys_move_the_film_by_one_step(show: Show) -> None:
    film = show("one")
    film.get_by_role("button", name="Pause").click()
    slider = film.get_by_role("slider", name="Time in the episode")
    slider.fill("20.5")
    for key, expected in (
        ("ArrowRight", 21),
        ("ArrowRight", 22),
        ("ArrowLeft", 21),
        ("ArrowUp", 22),
        ("ArrowDown", 21),
    ):
        slider.press(key)
        wait_until(lambda expected=expected: time_of(film) == expected)
    assert slider.get_attribute("aria-valuetext") == "step 22 of 200, 1.1 s"


def test_arrow_keys_stop_a_playing_film_and_stay_within_the_episode(show: Show) -> None:
    film = show("one")
    slider = film.get_by_role("slider", name="Time in the episode")
    slider.press("ArrowRight")
    film.get_by_role("button", name="Play").wait_for()
    slider.fill("0")
    slider.press("ArrowLeft")
    wait_until(lambda: time_of(film) == 0)


@pytest.mark.parametrize("what", ["two", "cars"])
def test_two_runs_stand_side_by_side_on_one_clock(show: Show, what: str) -> None:
    film = show(what)
    assert film.locator(".episode").all_inner_texts() == ["fast #0 · episode 1", "fast #1 · episode 1"]
    left, right = (box.bounding_box() for box in film.locator(".stage").all())
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    film.get_by_role("button", name="Pause").click()
    slider = film.get_by_role("slider", name="Time in the episode")
    numbers = film.locator(".trace").first.locator("b")
    slider.fill("10")
    wait_until(lambda: time_of(film) == 10)
    before = numbers.all_inner_texts()
    assert len(set(before)) == 2
    slider.fill("60")
    wait_until(lambda: all(one != other for one, other in zip(before, numbers.all_inner_texts(), strict=True)))
    drawn = "el => new Set(el.getContext('2d').getImageData(0, 0, el.width, el.height).data).size"
    wait_until(lambda: all(canvas.evaluate(drawn) > 20 for canvas in film.locator("canvas").all()))


def test_two_films_stack_on_a_phone_above_one_bar(show: Show) -> None:
    film = show("two", **PHONE)
    upper, lower = (box.bounding_box() for box in film.locator(".stage").all())
    bar = film.locator(".bar").bounding_box()
    assert upper
    assert lower
    assert bar
    assert upper["y"] + upper["height"] <= lower["y"]
    assert lower["y"] + lower["height"] <= bar["y"]
    assert bar["y"] + bar["height"] <= PHONE["viewport"]["height"]
    assert film.evaluate("el => document.documentElement.scrollWidth <= innerWidth && el.scrollWidth <= el.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_of_every_run_stand_out_from_the_page(show: Show, stage: tuple[Server, Path], scheme: str) -> None:
    film = show("two", color_scheme=scheme)
    (script,) = (stage[1] / "static").glob("*/shared.js")
    colours = film.evaluate(
        """async (film, [url, colours]) => {
          const {css, legible} = await import(url)
          return [css(film, '--st-background-color'), ...colours.map(colour => legible(film, colour))]
        }""",
        [f"{stage[0].url}/app/static/{script.parent.name}/shared.js", [*RUN_COLOURS, *ROLES.values()]],
    )
    ground, *lines = map(luminance, colours)
    for line, colour in zip(lines, colours[1:], strict=True):
        assert (max(line, ground) + 0.05) / (min(line, ground) + 0.05) > 3, colour


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of #rrggbb or rgb(…)."""
    rgb = (
        [int(part, 16) for part in re.findall("[0-9a-f]{2}", colour)]
        if colour[0] == "#"
        else re.findall(r"\d+", colour)
    )
    shares = np.array(rgb, float)[:3] / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


# --- you drive --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("physics", [{}, {"g": 3.0, "m": 0.4, "l": 1.7}])
def test_physics_in_the_browser_are_gymnasiums(
    show: Show, stage: tuple[Server, Path], physics: dict[str, float]
) -> None:
    (script,) = (stage[1] / "static").glob("*/drive.js")
    torques = np.random.default_rng(0).uniform(-3, 3, 200)
    torques[:100] = np.sign(np.sin(np.arange(100) / 5))
    env = pendulum((np.pi, 0.5), **physics)
    expected = [[*(env.state), 0.0]]
    for torque in torques:
        reward = env.step(np.array([torque]))[1]
        expected.append([*env.state, reward])
    found = show("drive").evaluate(
        """async (_, [url, torques, physics]) => {
          const {step} = await import(url)
          const rows = [[Math.PI, 0.5, 0]]
          for (const torque of torques) rows.push(step(rows.at(-1), torque, physics))
          return rows
        }""",
        [
            f"{stage[0].url}/app/static/{script.parent.name}/drive.js",
            torques.tolist(),
            [physics.get("g", 10.0), physics.get("m", 1.0), physics.get("l", 1.0)],
        ],
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert np.ptp([row[0] for row in expected]) > 1, "the pendulum hardly moved"


def test_a_drive_starts_with_the_first_push_and_ends_with_both_returns(show: Show) -> None:
    drive = show("drive")
    page = drive.page
    page.wait_for_timeout(500)
    assert drive.get_attribute("data-phase") == "ready"
    drive.locator(".you").click()
    page.keyboard.press("ArrowDown")
    assert drive.get_attribute("data-phase") == "ready"
    for key in ("ArrowRight", "ArrowLeft"):
        page.keyboard.down(key)
        wait_until(
            lambda key=key: drive.evaluate("el => el.state.torques.at(-1)") == (2 if key == "ArrowRight" else -2)
        )
        page.wait_for_timeout(400)
        page.keyboard.up(key)
    wait_until(lambda: drive.evaluate("el => el.state.torques.at(-1)") == 0)
    wait_until(lambda: drive.get_attribute("data-phase") == "done", 40)
    assert page.get_by_test_id("stMain").evaluate("el => el.scrollTop") == 0
    torques = drive.evaluate("el => el.state.torques")
    assert len(torques) == 200
    assert set(torques) == {-2, 0, 2}
    env = pendulum((np.pi, 0.0))
    expected = sum(env.step(np.array([torque]))[1] for torque in torques)
    text = drive.locator(".result").inner_text().replace("−", "-")
    returns = re.search(r"You (-?\d+).*agent (-?\d+)", text)
    assert returns
    assert int(returns[1]) == round(expected)
    assert re.search("The agent is better by|You beat the agent by|Level with the agent", text)
    page.get_by_text(re.compile(r"Python was told -\d+")).wait_for()
    told = page.get_by_text(re.compile("Python was told")).inner_text()
    assert float(told.rsplit(" ", 1)[1]) == pytest.approx(expected)
    drive.get_by_role("button", name="Restart").click()
    assert drive.get_attribute("data-phase") == "ready"
    page.keyboard.press("ArrowLeft")
    wait_until(lambda: drive.get_attribute("data-phase") == "driving")


def test_a_thumb_drives_on_a_phone_and_lets_go(show: Show) -> None:
    drive = show("drive", **PHONE, has_touch=True, is_mobile=True)
    button = drive.get_by_role("button", name="push →")
    box = button.bounding_box()
    assert box
    assert min(box["width"], box["height"]) >= 44
    assert box["y"] + box["height"] <= PHONE["viewport"]["height"]
    touch = drive.page.context.new_cdp_session(drive.page)
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    wait_until(lambda: drive.evaluate("el => el.state.torques.at(-1)") == 2)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_until(lambda: drive.evaluate("el => el.state.torques.at(-1)") == 0)


def test_a_push_ends_when_the_focus_goes_elsewhere(show: Show) -> None:
    drive = show("drive")
    drive.locator(".you").click()
    drive.page.keyboard.down("ArrowRight")
    wait_until(lambda: drive.evaluate("el => el.state.torques.at(-1)") == 2)
    drive.evaluate("el => el.blur()")
    wait_until(lambda: drive.evaluate("el => el.state.torques.at(-1)") == 0)
