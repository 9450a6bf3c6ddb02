"""The exported page in a browser without a network: its network, its physics, and what a visitor does to it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

from ddpg_core.export import Source, check_observations, html_page
from ddpg_core.gallery import gallery
from tests.e2e.conftest import wait_until

Open = Callable[..., Page]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
STEPS = """count => new Promise(done => {
  const rows = []
  const look = () => {
    const {from, velocity, torque, rewards} = window.pendulum
    if (rewards.length !== rows.at(-1)?.[3]) rows.push([from, velocity, torque, rewards.length])
    rows.length < count ? requestAnimationFrame(look) : done(rows)
  }
  look()
})"""

ANGLES = """count => new Promise(done => {
  const seen = []
  const look = () => seen.push(window.pendulum.angle) < count ? requestAnimationFrame(look) : done(seen)
  look()
})"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the gallery's trained agent as a file."""
    path = tmp_path_factory.mktemp("export") / "agent.html"
    path.write_bytes(html_page.write(Source(gallery()["fast"])))
    return path.as_uri()


@pytest.fixture
def show(browser: Browser, address: str) -> Iterator[Open]:
    """Opens the page with the network off; fails the test if it asks for anything or reports an error."""
    faults: list[str] = []
    pages: list[Page] = []

    def only_itself(route: Route) -> None:
        if route.request.url == address:
            route.continue_()
            return
        faults.append(f"asked for {route.request.url}")
        route.abort()

    def opened(**options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_offline(True)
        context.route("**/*", only_itself)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.clock.install()
        page.goto(address)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.context.close()
    assert not faults


def tilt(page: Page) -> float:
    """How far the pole is from upright, in rad."""
    angle: float = page.evaluate("window.pendulum.angle")
    return math.acos(math.cos(angle))


def balanced(page: Page) -> None:
    """Let time fly until the pole has stood upright for two seconds."""
    newest = "window.pendulum.angles.slice(-40)"

    def stands() -> bool:
        page.clock.run_for(1_000)
        return bool(page.evaluate(f"{newest}.length === 40 && {newest}.every(angle => Math.cos(angle) > 0.95)"))

    wait_until(stands)


def test_pages_policy_is_the_policy(show: Open) -> None:
    policy = gallery()["fast"]
    observations = check_observations(policy)
    found = show().evaluate("all => all.map(obs => window.policy(obs))", observations.tolist())
    assert np.abs(np.array(found) - policy(observations)).max() < 1e-5
    assert np.ptp(found) > 3, "the policy hardly does anything"


@pytest.mark.parametrize("physics", [(10.0, 1.0, 1.0), (3.0, 0.4, 1.7)])
def test_pages_physics_are_gymnasiums(show: Open, physics: tuple[float, float, float]) -> None:
    env: Any = gymnasium.make("Pendulum-v1", disable_env_checker=True, g=physics[0]).unwrapped
    env.m, env.l = physics[1:]
    env.reset()
    env.state = np.array([math.pi, 0.5])
    torques = np.random.default_rng(0).uniform(-3, 3, 200)
    torques[:100] = np.sign(np.sin(np.arange(100) / 5))
    expected = []
    for torque in torques:
        reward = env.step(np.array([torque]))[1]
        expected.append([*env.state, reward])
    found = show().evaluate(
        """([torques, [gravity, mass, length]]) => {
          const rows = [[Math.PI, 0.5]]
          for (const torque of torques) rows.push(window.pendulumStep(rows.at(-1), torque, {gravity, mass, length}))
          return rows.slice(1)
        }""",
        [torques.tolist(), physics],
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert np.ptp([row[0] for row in expected]) > 1, "the pendulum hardly moved"


def test_agent_swings_up_from_hanging_and_comes_back_when_it_was_dragged_down(show: Open) -> None:
    page = show(viewport={"width": 1280, "height": 900})
    assert tilt(page) > 2.5
    balanced(page)
    assert page.locator("#word").inner_text() == "balanced"
    box = page.locator("#grip").bounding_box()
    assert box
    x, y, reach = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 0.38 * box["width"]
    page.mouse.move(x, y - reach)
    page.mouse.down()
    for degrees in range(0, 181, 20):
        page.mouse.move(x + reach * math.sin(math.radians(degrees)), y - reach * math.cos(math.radians(degrees)))
        page.clock.run_for(50)
    wait_until(lambda: tilt(page) > 3)
    assert page.locator("#word").inner_text() == "in your hand"
    assert page.evaluate("Math.sin(window.pendulum.angle)") < 0.2, "it went down on the hand's side"
    page.clock.run_for(300)
    assert np.ptp(page.evaluate(ANGLES, 20)) < 1e-6, "a hand that rests holds the pole still"
    assert abs(page.evaluate("window.pendulum.velocity")) < 0.5
    page.mouse.up()
    balanced(page)


def test_sliders_change_the_pendulum_and_reset_puts_it_right(show: Open) -> None:
    page = show()
    page.get_by_role("slider", name="Gravity").press("End")
    page.get_by_role("slider", name="Mass of the pole").press("Home")
    assert page.locator("#gravity-now").inner_text() == "trained with 10 20 m/s²"
    assert page.locator("#mass-now").inner_text() == "trained with 1 0.1 kg"
    rows = page.evaluate(STEPS, 12)
    changes = [
        (after[1] - before[1]) / 0.05 - (1.5 * 20 * math.sin(after[0]) + 3 / 0.1 * after[2])
        for before, after in pairwise(rows)
        if after[3] == before[3] + 1 and abs(after[1]) < 8
    ]
    assert changes
    np.testing.assert_allclose(changes, 0, atol=1e-6)
    page.get_by_role("button", name="Reset").click()
    assert page.locator("#gravity-now").inner_text() == "as in training 10 m/s²"
    assert page.get_by_role("slider", name="Mass of the pole").input_value() == "1"
    assert page.evaluate("window.pendulum.rewards.length") < 10


def test_pause_stops_the_clock_and_arrow_keys_push(show: Open) -> None:
    page = show()
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(150)
    steps = page.evaluate("window.pendulum.rewards.length")
    page.clock.run_for(200)
    assert page.evaluate("window.pendulum.rewards.length") == steps
    speed = page.evaluate("window.pendulum.velocity")
    page.get_by_role("application").press("ArrowLeft")
    assert page.evaluate("window.pendulum.velocity") == pytest.approx(speed - 5), "hanging, to the left is clockwise"
    page.get_by_role("button", name="Play").click()
    wait_until(lambda: page.evaluate("window.pendulum.rewards.length") > steps)


def test_return_is_the_sum_of_the_rewards_of_the_last_ten_seconds(show: Open) -> None:
    page = show()
    page.clock.run_for(1_000)
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(300)
    total = page.evaluate("window.pendulum.rewards.reduce((sum, reward) => sum + reward, 0)")
    assert int(page.locator("#return").inner_text().replace("−", "-")) == round(total)
    assert re.search("return of the first [12] s", page.locator(".return").inner_text())


def test_page_fits_a_phone_and_a_thumb_takes_the_pole(show: Open) -> None:
    page = show(**PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stage = page.locator(".stage").bounding_box()
    assert stage
    assert stage["y"] + stage["height"] < 844
    box = page.locator("#grip").bounding_box()
    assert box
    thumb = page.context.new_cdp_session(page)
    point = {"x": box["x"] + box["width"] * 0.85, "y": box["y"] + box["height"] / 2}
    thumb.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    wait_until(lambda: page.evaluate("Math.sin(window.pendulum.angle)") < -0.95)
    thumb.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_until(lambda: page.locator("#word").inner_text() != "in your hand")


def test_every_control_has_a_name_and_rest_begins_paused_for_who_wants_no_motion(show: Open) -> None:
    page = show(reduced_motion="reduce")
    page.get_by_role("button", name="Play").wait_for()
    assert page.evaluate("window.pendulum.rewards.length") == 0
    for role, name in (("application", "Pendulum"), ("slider", "Gravity"), ("img", "Torque of the agent")):
        assert page.get_by_role(role, name=name).count() == 1  # type: ignore[arg-type]


def test_the_page_may_not_ask_the_network_for_anything(browser: Browser, address: str, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    blocked = page.evaluate(
        """() => new Promise(done => {
          const seen = []
          document.addEventListener('securitypolicyviolation', event => {
            seen.push(event.effectiveDirective)
            if (seen.length === 2) done(seen)
          })
          fetch('https://example.invalid/').catch(() => {})
          new Image().src = 'https://example.invalid/picture.png'
        })"""
    )
    assert json.dumps(sorted(blocked)) == '["connect-src", "img-src"]'
    context.close()
