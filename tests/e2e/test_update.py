"""One update in a real browser: walking through it, choosing rows, holding it while the run trains."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]


def looking(visit: Visit) -> Visitor:
    """A visitor who looks at the updates of a run that trains."""
    student = visit().open().start()
    wait_until(lambda: int(student.status("episodes finished")) >= 2, 40)
    student.go_to("One update")
    student.page.get_by_text("caught as the run trains").wait_for(timeout=20_000)
    return student


def paused(visit: Visit) -> Visitor:
    """A visitor who looks at the next update of a run that rests."""
    student = looking(visit)
    student.press("Pause and look")
    student.page.get_by_role("button", name="Make this update").wait_for(timeout=20_000)
    return student


def update(student: Visitor) -> int:
    """The number of the update that is shown."""
    (number,) = re.findall(r"Update ([\d,]+)", student.page.locator(".st-key-update-head").inner_text())
    return int(number.replace(",", ""))


def card(student: Visitor, name: str) -> Locator:
    return student.page.locator(f".st-key-substep-{name} button")


def test_walking_through_an_update_and_into_the_next(visit: Visit) -> None:
    student = paused(visit)
    steps, number = student.env_steps(), update(student)
    for function in ("sample_rows", "targets", "critic_step", "actor_step", "polyak_step"):
        student.page.get_by_text(
            f"Computed by {'' if function == 'sample_rows' else 'TorchEngine.'}{function}"
        ).wait_for()
        expect(student.page.locator(".katex-display")).to_have_count(2)
        student.press("Next sub-step")
    student.page.get_by_text("Computed by sample_rows").click()
    student.page.get_by_text("def sample_rows(", exact=False).first.wait_for()
    assert (student.env_steps(), update(student)) == (steps, number)
    student.press("Make this update")
    student.page.get_by_text("The run made it: its log now holds the twin's numbers, bit for bit.").wait_for()
    wait_until(lambda: student.env_steps() == steps + 1)
    assert update(student) == number + 1


def test_a_point_or_a_row_of_the_table_goes_into_the_formulas(visit: Visit) -> None:
    student = paused(visit)
    card(student, "critic").click()
    student.page.get_by_text("Computed by TorchEngine.critic_step").wait_for()
    words = student.page.locator(".st-key-update-formula")
    wait_until(lambda: student.chart("el.layout.xaxis.title.text") == "target y")
    student.chart("el.on('plotly_click', ({points}) => { window.clickedRow = points[0].customdata })")
    place = student.chart(
        "(t => { const a = el._fullLayout, box = el.getBoundingClientRect(), i = t.y.indexOf(Math.min(...t.y));"
        " return {x: box.x + a.xaxis._offset + a.xaxis.l2p(t.x[i]), y: box.y + a.yaxis._offset + a.yaxis.l2p(t.y[i])}"
        " })(el._fullData[2])"
    )
    assert isinstance(place, dict)
    student.page.mouse.move(place["x"] - 3, place["y"])
    student.page.mouse.move(place["x"], place["y"], steps=3)
    wait_until(lambda: student.page.locator(".ddpg-chart .hovertext").count() > 0)
    student.page.mouse.down()
    student.page.mouse.up()
    wait_until(lambda: student.page.evaluate("window.clickedRow") is not None)
    row = student.page.evaluate("window.clickedRow")  # where points lie on each other, any of them
    wait_until(lambda: f"With the numbers of row {row}," in words.inner_text())
    table = student.page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    table.click(position={"x": 18, "y": 35 + 52})
    wait_until(lambda: "With the numbers of row 1," in words.inner_text())


def test_a_run_that_trains_is_followed_until_somebody_looks_closer(visit: Visit) -> None:
    student = looking(visit)
    first = update(student)
    wait_until(lambda: update(student) > first, 30)
    card(student, "actor").click()
    student.page.get_by_text("held while the run trains on").wait_for()
    held, steps = update(student), student.env_steps()
    wait_until(lambda: student.env_steps() > steps + 300, 30)
    assert update(student) == held
    student.page.get_by_text("the run's log holds the same numbers, bit for bit").wait_for(timeout=20_000)
    student.press("Look at the next update")
    wait_until(lambda: update(student) > held)


def test_cursor_takes_the_page_to_the_first_update_of_an_episode(visit: Visit) -> None:
    student = paused(visit)
    student.page.get_by_role("slider", name="Episode shown on all pages").fill("1")
    student.page.get_by_text("the first after episode 1: env step 200, episode 2").wait_for(timeout=20_000)
    student.page.get_by_text("the run's log holds the same numbers, bit for bit").wait_for()
    assert student.page.get_by_role("button", name="Make this update").count() == 0


def test_cards_are_as_tall_with_long_numbers_as_with_short_ones(visit: Visit) -> None:
    student = paused(visit)
    page = student.page
    for width, text_px in ((1280, 16), (1920, 16), (1280, 21), (1920, 21), (390, 16)):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate("px => document.documentElement.style.setProperty('font-size', `${px}px`, 'important')", text_px)
        heights = []
        for number in ("−206.0052 → −206.0034", "0.5"):
            page.locator('[class*="st-key-substep-"] code').evaluate_all(
                "(cards, text) => cards.forEach(card => { card.textContent = text })", number
            )
            heights.append(
                page.locator('[class*="st-key-substep-"] button').evaluate_all(
                    "cards => cards.map(card => [card.clientHeight, card.scrollWidth - card.clientWidth])"
                )
            )
        assert heights[0] == heights[1], (width, text_px)
        assert all(beyond <= 0 for _, beyond in heights[0])
