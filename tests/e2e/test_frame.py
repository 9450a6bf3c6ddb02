"""What surrounds every page, in a real browser: the form for a new run, knobs, presenter sizes, a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]
PHONE = {"viewport": {"width": 390, "height": 844}}


def test_the_form_for_a_new_run_closes_once_it_has_made_one(visit: Visit) -> None:
    student = visit().open().start()
    student.press("New run")
    student.press("Train this run")
    student.page.locator(".run.selected", has_text="fast #1").wait_for()
    student.page.get_by_role("button", name="Train this run").wait_for(state="hidden")
    student.press("New run")
    student.page.get_by_role("button", name="Train this run").wait_for()


def test_an_opened_group_of_knobs_is_still_open_after_another_page(visit: Visit) -> None:
    student = visit().open("train").start()
    student.page.get_by_text("Exploration noise", exact=True).first.click()
    scale = student.page.get_by_role("slider", name=re.compile("Noise scale"))
    scale.wait_for()
    student.go_to("Home")
    student.go_to("Train")
    scale.wait_for(timeout=15_000)


def test_presenter_sizes_enlarge_page_and_charts(visit: Visit) -> None:
    student = visit().open("train").start()
    usual = student.chart("el._fullLayout.font.size")
    student.page.get_by_text("Presenter sizes").click()
    wait_until(lambda: student.page.evaluate("getComputedStyle(document.documentElement).fontSize") == "21px")
    wait_until(lambda: abs(float(str(student.chart("el._fullLayout.font.size"))) - 1.4 * float(str(usual))) < 0.01)
    width = "el.querySelector('.main-svg').clientWidth <= el.offsetWidth"
    wait_until(lambda: student.chart(width))


def test_a_phone_pulls_the_knobs_up_as_a_sheet(visit: Visit) -> None:
    student = visit(**PHONE, has_touch=True).open("train").start()
    sheet = student.page.locator(".st-key-knobs")
    sheet.wait_for()

    def height() -> float:
        box = sheet.bounding_box()
        assert box
        return box["height"]

    wait_until(lambda: height() < 60)
    student.page.get_by_text("Knobs", exact=True).tap()
    wait_until(lambda: height() > 300)
    slider = student.page.get_by_role("slider", name="Target rate τ")
    slider.focus()
    slider.press("ArrowRight")
    student.page.locator(".status", has_text="target rate 0.02").wait_for(timeout=15_000)


def test_a_phones_sidebar_makes_way_for_the_page_chosen_in_it(visit: Visit) -> None:
    student = visit(**PHONE).open().start()
    student.page.get_by_test_id("stExpandSidebarButton").click()
    link = student.page.get_by_role("link", name="Pendulum").first
    link.click()
    student.page.locator(".film").wait_for(timeout=20_000)
    student.page.get_by_test_id("stExpandSidebarButton").wait_for()
    covered = "document.elementFromPoint(120, 400)?.closest('[data-testid=stSidebar]') != null"
    wait_until(lambda: not student.page.evaluate(covered))
