"""The Pendulum page in a real browser: two runs side by side, and the reader's own try."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]


def test_two_runs_are_watched_side_by_side_at_the_cursor(visit: Visit) -> None:
    student = visit().open()
    for preset in ("fast", "textbook"):
        student.press(f"Train {preset}")
        student.page.locator(".run.selected", has_text=preset).wait_for()
    wait_until(lambda: int(student.status("episodes finished")) >= 2, 60)  # the slower of the two
    student.go_to("Pendulum")
    student.page.locator(".film").wait_for(timeout=20_000)
    assert student.page.locator(".film .stage").count() == 1
    student.page.get_by_role("combobox", name="Beside it").click()
    student.page.get_by_role("option", name="fast #0").click()
    wait_until(lambda: student.page.locator(".film .stage").count() == 2)
    student.page.get_by_role("slider", name="Episode shown on all pages").fill("1")
    shown = student.page.locator(".film .episode")
    wait_until(lambda: shown.all_inner_texts() == ["textbook #0 · episode 1", "fast #0 · episode 1"])


def test_the_reader_drives_against_the_agent(visit: Visit) -> None:
    student = visit().open("pendulum").start()
    student.press("Pause")
    drive = student.page.locator(".drive")
    drive.scroll_into_view_if_needed(timeout=20_000)
    wait_until(lambda: drive.get_attribute("data-phase") == "ready")
    drive.locator(".you").click()
    student.page.keyboard.down("ArrowRight")
    wait_until(lambda: drive.get_attribute("data-phase") == "driving")
    student.page.keyboard.up("ArrowRight")
