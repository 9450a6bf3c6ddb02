"""The Replay page in a real browser: live points, clicks, the table and the time machine."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]


def training(visit: Visit, **options: object) -> Visitor:
    """A visitor on Replay whose run trains and whose map is drawn."""
    student = visit(**options).open("replay").start()
    student.page.locator("#chart-memory-0[data-drawn]").wait_for(timeout=40_000)
    wait_until(lambda: remembered(student) > 0, 40)
    return student


def test_table_fills_while_the_run_trains_and_its_frames_stand_side_by_side(visit: Visit) -> None:
    student = training(visit)
    student.page.locator("[data-testid=stDataFrame]").wait_for(timeout=20_000)
    wait_until(lambda: on_map(student, "rings.x.length") == 128, 60)
    student.page.get_by_text("Until then these are the newest").wait_for(state="detached", timeout=20_000)
    frames = student.page.locator("[data-testid=stImage] img, [data-testid=stImageContainer] img")
    wait_until(lambda: frames.count() == 2, 20)
    tops = frames.evaluate_all("images => images.map(image => image.getBoundingClientRect().top)")
    assert tops[0] == tops[1]


def pause(student: Visitor) -> None:
    student.press("Pause")
    wait_until(lambda: student.status("steps per second") == "paused", 30)


def on_map(student: Visitor, expression: str) -> object:
    """A JavaScript expression of the map's traces: `cells`, `points`, `rings` and `mark`."""
    return student.page.evaluate(
        f"(([cells, points, rings, mark]) => {expression})(document.querySelector('#chart-memory-0')?._fullData ?? [])"
    )


def remembered(student: Visitor) -> int:
    """Points on the map."""
    return int(str(on_map(student, "points?.x?.length ?? 0")))


def test_memory_fills_live_and_the_last_batch_is_ringed(visit: Visit) -> None:
    student = training(visit)
    seen = remembered(student)
    wait_until(lambda: remembered(student) > seen, 30)
    wait_until(lambda: on_map(student, "rings.x.length") == 128, 60)
    pause(student)


def test_a_clicked_point_is_marked_and_shown_as_two_frames(visit: Visit) -> None:
    student = training(visit)
    wait_until(lambda: remembered(student) > 100, 40)
    pause(student)
    student.page.locator("#chart-memory-0 .scatterlayer .trace").first.locator(".point").nth(40).click(force=True)
    wait_until(lambda: on_map(student, "mark.x.length") == 1, 30)
    words = student.page.get_by_text("rad/s; a torque of")
    words.wait_for(timeout=20_000)
    frames = student.page.locator("[data-testid=stImage] img, [data-testid=stImageContainer] img")
    wait_until(lambda: frames.count() == 2, 20)
    assert len({frames.nth(index).get_attribute("src") for index in range(2)}) == 2


def test_a_row_of_the_table_is_shown_and_marked(visit: Visit) -> None:
    student = training(visit, viewport={"width": 1440, "height": 1500})
    wait_until(lambda: remembered(student) > 100, 40)
    pause(student)
    student.page.get_by_text("best reward").click()
    wait_until(lambda: chose_a_row(student), 40)


def chose_a_row(student: Visitor) -> bool:
    """Click the box of the table's second row, unless the map marks a transition; whether it does."""
    box = student.page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
    if box and on_map(student, "mark.x.length") == 0:
        student.page.mouse.click(box["x"] + 16, box["y"] + 87)
        student.page.wait_for_timeout(2_000)
    return on_map(student, "mark.x.length") == 1


def test_colour_and_capacity_change_the_map_and_the_cursor_takes_it_back(visit: Visit) -> None:
    student = training(visit)
    wait_until(lambda: int(student.status("episodes finished")) >= 2, 60)
    pause(student)
    student.page.get_by_role("combobox", name="Colour of the points").click()
    student.page.get_by_role("option", name="times drawn").click()
    wait_until(lambda: on_map(student, "points.marker.colorbar.title.text") == "times drawn", 20)
    capacity = student.page.get_by_role("slider", name="Buffer capacity N")
    capacity.focus()
    capacity.press("Home")
    difference = student.page.locator(".status .item.name span")
    wait_until(lambda: difference.inner_text() == "buffer capacity 1", 20)
    student.press("Update")
    wait_until(lambda: remembered(student) == 1, 20)
    student.page.get_by_role("slider", name="Episode shown on all pages").fill("1")
    wait_until(lambda: remembered(student) == 200, 20)
