"""The time machine in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]


def trained(visit: Visit, episodes: int = 3) -> Visitor:
    """A visitor on Train whose paused run has finished so many episodes."""
    student = visit().open().start()
    wait_until(lambda: int(student.status("episodes finished")) >= episodes, 40)
    student.press("Pause")
    student.go_to("Train")
    return student


def slider(student: Visitor) -> Locator:
    return student.page.get_by_role("slider", name="Episode shown on all pages")


def finished(student: Visitor) -> int:
    return int(student.status("episodes finished"))


def test_cursor_goes_back_by_arrow_keys_and_live_again(visit: Visit) -> None:
    student = trained(visit)
    last = finished(student)
    student.page.locator(".ddpg-chart").first.wait_for()
    student.page.evaluate("document.activeElement.blur()")
    for _ in range(2):
        student.page.keyboard.press("ArrowLeft")
    wait_until(lambda: finished(student) == last - 2)
    wait_until(lambda: student.chart("(el.layout.shapes ?? []).some(s => s.type == 'rect')"))
    student.page.keyboard.press("ArrowRight")
    wait_until(lambda: finished(student) == last - 1)
    slider(student).focus()
    slider(student).press("Home")
    wait_until(lambda: finished(student) == 0)
    student.go_to("Pendulum")
    wait_until(lambda: finished(student) == 0)
    student.press("Live")
    wait_until(lambda: finished(student) == last)


def test_cursor_plays_through_the_episodes_and_stops_at_the_last(visit: Visit) -> None:
    student = trained(visit)
    last = finished(student)
    student.page.get_by_role("button", name="Go through the episodes").click()
    seen: set[int] = set()
    wait_until(lambda: seen.add(finished(student)) or len(seen) >= min(3, last), 20)
    assert min(seen) == 0
    student.page.get_by_role("button", name="Go through the episodes").wait_for(timeout=60_000)
    wait_until(lambda: finished(student) == last)


def test_going_on_from_an_episode_makes_a_branch_that_trains(visit: Visit) -> None:
    student = trained(visit)
    slider(student).fill("1")
    wait_until(lambda: finished(student) == 1)
    student.press("Go on from here")
    student.page.locator(".run.selected", has_text="fast #0 from 1").wait_for()
    wait_until(lambda: finished(student) >= 2, 30)
    assert student.page.locator(".run").count() == 2
