"""The Exploration page in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]
FIRST_STEP = "el._fullLayout.xaxis.range[0]"
NEWEST = "Math.max(...el._fullData.find(trace => trace.name == 'noise').x)"


def exploring(visit: Visit) -> Visitor:
    """A visitor on Exploration whose run trains."""
    student = visit().open("exploration").start()
    student.page.locator("#chart-trail-0[data-drawn]").wait_for(timeout=30_000)
    return student


def number(student: Visitor, expression: str) -> float:
    value = student.page.evaluate(f"(el => {expression})(document.querySelector('#chart-trail-0'))")
    assert isinstance(value, int | float)
    return value


def knob(student: Visitor, name: str) -> Locator:
    return student.page.get_by_role("slider", name=name).last


def test_trail_follows_the_training_run_and_the_cursor(visit: Visit) -> None:
    student = exploring(visit)
    wait_until(lambda: number(student, NEWEST) > 0, 20)
    before = number(student, NEWEST)
    chart = student.page.locator("#chart-trail-0").element_handle()
    wait_until(lambda: number(student, NEWEST) > before, 20)
    wait_until(lambda: number(student, FIRST_STEP) >= 400, 60)
    assert chart
    assert chart.evaluate("el => el.isConnected"), "the chart was mounted anew"
    student.press("Pause")
    student.page.get_by_role("slider", name="Episode shown on all pages").fill("1")
    wait_until(lambda: (number(student, FIRST_STEP), number(student, NEWEST)) == (0, 199))
    expect(student.page.get_by_test_id("stMetricLabel").first).to_have_text("steps clipped, of the last 200")


def test_the_dt_trap_shows_on_the_bench_while_the_run_goes_on(visit: Visit) -> None:
    student = exploring(visit)
    student.press("dt = 0.01, as in Keras and SB3")
    expect(student.page.get_by_text("The dt trap.")).to_be_visible(timeout=20_000)
    student.page.get_by_role("cell", name="666 steps").scroll_into_view_if_needed()
    student.page.locator("#chart-numbers-ou-0[data-drawn]").wait_for(timeout=20_000)
    drawn = student.page.evaluate("document.querySelector('#chart-numbers-ou-0')._fullData.map(trace => trace.name)")
    assert drawn == ["drawn", "theory, long run", "theory, an episode"]
    before = student.env_steps()
    wait_until(lambda: student.env_steps() > before, 20)
    knob(student, "Time step dt").focus()
    knob(student, "Time step dt").press("End")
    expect(student.page.get_by_role("cell", name="6.2 steps")).to_be_visible(timeout=20_000)
    assert student.page.locator(".status .item.name span").inner_text() == "as the preset"


def test_noise_of_the_bench_goes_into_the_run_at_a_press(visit: Visit) -> None:
    student = exploring(visit)
    student.press("Pause")
    student.press("dt = 0.01, as in Keras and SB3")
    expect(student.page.get_by_text("The dt trap.")).to_be_visible(timeout=20_000)
    student.press("Use it in the run")
    difference = student.page.locator(".status .item.name span")
    expect(difference).to_have_text("time step 0.01", timeout=20_000)
