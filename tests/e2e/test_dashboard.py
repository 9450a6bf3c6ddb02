"""What only a browser shows: live charts, gestures, tabs, reloads and lost connections."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import WebSocketRoute

from pages.ui.lab import LEASE_S
from tests.e2e.conftest import Server, Visitor, wait_until

Visit = Callable[..., Visitor]


def test_start_makes_the_curve_grow(visit: Visit) -> None:
    student = visit().open().start()
    student.go_to("Train")
    wait_until(lambda: student.points() >= 1, 20)
    before = student.points()
    wait_until(lambda: student.points() >= before + 2, 20)


def test_zoom_survives_updates_and_pages_until_a_double_click(visit: Visit) -> None:
    student = visit().open().start()
    student.go_to("Train")
    wait_until(lambda: student.points() >= 2, 20)
    box = student.page.locator(".ddpg-chart .nsewdrag").first.bounding_box()
    assert box
    mouse = student.page.mouse
    mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    mouse.up()
    zoomed = student.chart("el._fullLayout.xaxis.range")
    assert zoomed != [0, 40]
    seen, element = student.points(), student.page.locator(".ddpg-chart").first.element_handle()
    wait_until(lambda: student.points() >= seen + 2, 20)
    assert student.chart("el._fullLayout.xaxis.range") == zoomed
    assert element
    assert element.evaluate("el => el.isConnected"), "the chart was mounted anew"
    student.go_to("Home")
    student.go_to("Train")
    assert student.chart("el._fullLayout.xaxis.range") == zoomed
    student.page.locator(".ddpg-chart .nsewdrag").first.dblclick()
    wait_until(lambda: student.chart("el._fullLayout.xaxis.range[0]") == 0)


def test_a_legend_choice_survives_updates_and_stays_with_its_run(visit: Visit) -> None:
    student = visit().open()
    for preset in ("textbook", "fast"):
        student.press(f"Train {preset}")
        student.page.locator(".run.selected", has_text=preset).wait_for()
    student.go_to("Train")
    wait_until(lambda: student.points() >= 1, 20)
    hidden = "el._fullData.filter(trace => trace.visible === 'legendonly').map(trace => trace.uid).sort()"
    entries = student.page.locator(".ddpg-chart").first.locator(".legendtoggle")
    wait_until(lambda: entries.count() == 2, 20)
    entries.last.click()
    wait_until(lambda: student.chart(hidden) == ["1-mean", "1-points"])
    drawn = int(str(student.chart("el.dataset.drawn")))
    wait_until(lambda: int(str(student.chart("el.dataset.drawn"))) >= drawn + 3, 20)
    assert student.chart(hidden) == ["1-mean", "1-points"]
    student.go_to("Home")
    student.go_to("Train")
    assert student.chart(hidden) == ["1-mean", "1-points"]
    student.page.locator(".run .cross").first.click()
    wait_until(lambda: student.chart("el._fullData.length") == 2)
    assert student.chart(hidden) == ["1-mean", "1-points"]


def test_a_slider_acts_on_the_run_and_sticks_across_pages(visit: Visit) -> None:
    student = visit().open().start()
    student.go_to("Train")
    slider = student.page.get_by_role("slider", name="Target rate τ")
    slider.focus()
    slider.press("ArrowLeft")
    difference = student.page.locator(".status .item.name span")
    wait_until(lambda: difference.inner_text() == "target rate 0.005")
    dotted = "el.layout.shapes.filter(shape => shape.line.dash === 'dot').length"
    wait_until(lambda: student.chart(dotted) == 1)
    assert student.chart(dotted, 1) == 1
    student.go_to("Home")
    student.go_to("Train")
    assert difference.inner_text() == "target rate 0.005"
    value = student.page.get_by_role("slider", name="Target rate τ").get_attribute("aria-valuetext")
    assert value == "0.005"


def test_pause_really_pauses_and_reset_resets(visit: Visit) -> None:
    student = visit().open().start()
    wait_until(lambda: student.env_steps() > 0)
    student.press("Pause")
    student.page.get_by_role("button", name="Play", exact=True).wait_for()
    wait_until(lambda: student.status("steps per second") == "paused")
    steps = student.env_steps()
    student.press("Update")
    wait_until(lambda: student.env_steps() == steps + 1)
    student.press("Reset")
    wait_until(lambda: student.env_steps() == 0)


def test_run_to_an_episode_stops_there(visit: Visit) -> None:
    student = visit().open().start()
    student.press("Pause")
    student.page.get_by_role("button", name="Play", exact=True).wait_for()
    student.press("Reset")
    student.page.get_by_role("spinbutton", name="to episode").fill("3")
    student.press("Run to it")
    wait_until(lambda: student.env_steps() == 600, 30)
    student.page.get_by_role("button", name="Play", exact=True).wait_for()
    assert student.status("steps per second") == "paused"


def test_two_tabs_stay_apart_even_with_the_same_address(visit: Visit) -> None:
    one = visit().open().start()
    wait_until(lambda: "lab=" in one.page.url)
    other = visit(beside=one)
    other.page.goto(one.page.url)
    other.page.get_by_role("button", name="Start training").wait_for(timeout=20_000)
    assert other.page.locator(".run").count() == 0
    wait_until(lambda: "lab=" in other.page.url and other.page.url != one.page.url)
    other.start()
    other.press("Pause")
    wait_until(lambda: other.status("steps per second") == "paused")
    other.press("Reset")
    wait_until(lambda: other.env_steps() == 0)
    steps = one.env_steps()
    wait_until(lambda: one.env_steps() > steps)
    assert other.env_steps() == 0


def test_a_reload_brings_the_run_back(visit: Visit) -> None:
    student = visit().open().start()
    wait_until(lambda: student.env_steps() > 200)
    student.press("Pause")
    wait_until(lambda: student.status("steps per second") == "paused")
    steps = student.env_steps()
    student.page.reload()
    wait_until(lambda: student.page.locator(".status").count() == 1, 20)
    assert student.env_steps() == steps


def test_a_short_drop_of_the_connection_stops_nothing(visit: Visit) -> None:
    student = visit()
    routes: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()
        routes.append(route)

    student.page.route_web_socket(re.compile("_stcore/stream"), through)
    student.open().start()
    wait_until(lambda: student.env_steps() > 0)
    steps, connections = student.env_steps(), len(routes)
    routes[-1].close()
    wait_until(lambda: student.page.title() and len(routes) > connections)
    wait_until(lambda: student.env_steps() > steps + 100)


def test_a_closed_tab_stops_training(visit: Visit, fresh_server: Server) -> None:
    student = visit(fresh_server.url).open().start()
    wait_until(lambda: student.env_steps() > 200, 30)
    student.page.context.close()
    time.sleep(LEASE_S + 2)
    before = fresh_server.cpu_seconds()
    time.sleep(2)
    assert fresh_server.cpu_seconds() - before < 0.4


@pytest.mark.parametrize("page", ["home", "train", "pendulum"])
def test_a_deep_link_works_on_a_fresh_server(visit: Visit, fresh_server: Server, page: str) -> None:
    student = visit(fresh_server.url).open("" if page == "home" else page).start()
    hero = {"home": ".loop", "train": ".ddpg-chart", "pendulum": ".film"}[page]
    student.page.locator(hero).first.wait_for(timeout=20_000)
    assert student.page.get_by_test_id("stException").count() == 0


def test_a_new_run_starts_from_the_presets_physics(visit: Visit) -> None:
    student = visit().open().start()
    student.press("Pause")
    student.page.get_by_role("button", name="Play", exact=True).wait_for()
    student.press("New run")
    for name, value in (("Gravity g (m/s²)", "10"), ("Pole mass m (kg)", "1"), ("Pole length l (m)", "1")):
        assert student.page.get_by_role("slider", name=name).get_attribute("aria-valuetext") == value
    student.press("Train this run")
    student.page.locator(".run.selected", has_text="fast #1").wait_for()
    assert student.page.locator(".run.selected .difference").inner_text() == ""


def test_the_film_appears_with_the_first_step_and_follows_the_cursor(visit: Visit) -> None:
    student = visit().open().start()
    wait_until(lambda: int(student.status("episodes finished")) >= 3, 30)
    student.press("Pause")
    student.go_to("Pendulum")
    title = student.page.locator(".film .episode").first
    title.wait_for(timeout=20_000)
    slider = student.page.get_by_role("slider", name="Episode shown on all pages")
    slider.fill("2")
    wait_until(lambda: title.inner_text() == "fast #0 · episode 2")
    student.press("Reset")
    student.page.get_by_text("Nothing has happened yet").wait_for()
    student.press("Play")
    wait_until(lambda: "episode" in title.inner_text(), 20)


def test_the_film_plays_pauses_and_scrubs(visit: Visit) -> None:
    student = visit().open("pendulum").start()
    film = student.page.locator(".film")
    film.wait_for(timeout=20_000)

    def time_shown() -> float:
        return float(film.get_attribute("data-time") or 0)

    before = time_shown()
    wait_until(lambda: time_shown() != before)
    film.get_by_role("button", name="Pause").click()
    paused = time_shown()
    time.sleep(0.5)
    assert time_shown() == paused
    film.get_by_role("slider", name="Time in the episode").fill("20")
    wait_until(lambda: time_shown() == 20)
    drawn = "el => new Set(el.getContext('2d').getImageData(0, 0, el.width, el.height).data).size"
    assert student.page.locator(".film canvas").first.evaluate(drawn) > 20


def test_dark_mode_reaches_the_charts(visit: Visit) -> None:
    student = visit(color_scheme="dark").open("train").start()
    colour = str(student.chart("el._fullLayout.font.color"))
    assert int(colour[1:3], 16) > 180
    background = student.page.get_by_test_id("stApp").evaluate("el => getComputedStyle(el).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 60


def test_a_phone_does_not_scroll_sideways(visit: Visit) -> None:
    student = visit(viewport={"width": 390, "height": 844}).open("train").start()
    for name in (
        "Discount γ",
        "Target rate τ",
        "Actor learning rate αμ",
        "Critic learning rate αQ",
        "Weight penalty λ",
    ):
        slider = student.page.get_by_role("slider", name=name)
        slider.focus()
        slider.press("ArrowLeft")
        student.page.wait_for_timeout(300)
    for title in ("home", "train", "pendulum"):
        student.page.goto(f"{student.url}/{'' if title == 'home' else title}?lab={student.page.url.split('lab=')[1]}")
        student.page.locator(".status").wait_for(timeout=20_000)
        main = student.page.get_by_test_id("stMain")
        assert main.evaluate("el => el.scrollWidth <= innerWidth")


def test_the_loop_on_home_leads_to_the_pages(visit: Visit) -> None:
    student = visit().open().start()
    student.page.locator(".loop [data-part=environment]").click()
    student.page.locator(".film").wait_for(timeout=20_000)
    assert "/pendulum" in student.page.url
    assert "lab=" in student.page.url


def test_runs_are_selected_and_removed_in_the_sidebar(visit: Visit) -> None:
    student = visit().open().start()
    student.press("Train textbook")
    cards = student.page.locator(".run")
    wait_until(lambda: cards.count() == 2)
    wait_until(lambda: student.page.locator(".run.selected b").inner_text() == "textbook #0")
    cards.first.locator(".pick").click()
    wait_until(lambda: student.status("as the preset").strip() == "fast #0")
    cards.last.locator(".cross").click()
    wait_until(lambda: cards.count() == 1)
