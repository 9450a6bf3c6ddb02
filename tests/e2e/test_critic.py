"""The Critic page in a real browser: live maps, a state chosen by a click, a camera that stays."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]
SLIDERS = ("angle θ in rad", "angular velocity θ̇ in rad/s")
SCALE = "el._fullData[0]?.type == 'heatmap' && [el._fullData[0].zmin, el._fullData[0].zmax].join()"


def on_critic(visit: Visit, episodes: int = 1) -> Visitor:
    """A visitor on the page, whose run trains and has finished so many episodes; all maps are there."""
    student = visit().open().start()
    student.go_to("Critic")
    wait_until(lambda: int(student.status("episodes finished")) >= episodes, 60)
    wait_until(lambda: all(shown(student, name, SCALE) for name in ("learned-0", "compared-0", "compared-1")), 60)
    return student


def chart(student: Visitor, name: str) -> Locator:
    return student.page.locator(f"#chart-{name}")


def shown(student: Visitor, name: str, expression: str) -> object:
    """A JavaScript expression of the chart element `el`; None before it is drawn."""
    found = chart(student, name)
    return found.evaluate(f"el => el._fullLayout ? {expression} : null") if found.count() else None


def redrawn(student: Visitor, name: str) -> int:
    return int(str(shown(student, name, "el.dataset.drawn") or 0))


def test_learned_map_is_drawn_again_and_again_on_the_scale_of_the_others(visit: Visit) -> None:
    student = on_critic(visit)
    element, before = chart(student, "learned-0").element_handle(), redrawn(student, "learned-0")
    wait_until(lambda: redrawn(student, "learned-0") >= before + 4, 30)
    assert element
    assert element.evaluate("el => el.isConnected"), "the map was mounted anew"
    student.press("Pause")
    maps = ("learned-0", "compared-0", "compared-1")
    wait_until(lambda: len({shown(student, name, SCALE) for name in maps}) == 1, 30)
    assert shown(student, "learned-0", "el._fullData[0].z.length") == 61
    student.page.get_by_text("one torque everywhere").click()
    student.page.get_by_role("slider", name="torque in N·m").wait_for()
    wait_until(lambda: len({shown(student, name, SCALE) for name in maps}) == 1, 30)


def test_click_on_a_map_chooses_the_state_of_the_cut(visit: Visit) -> None:
    student = on_critic(visit)
    student.press("Pause")
    area = chart(student, "learned-0").locator(".nsewdrag")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    student.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    angle, velocity = (student.page.locator(f'input[aria-label="{name}"]') for name in SLIDERS)
    wait_until(lambda: abs(float(angle.input_value()) - 1.57) < 0.2, 20)
    wait_until(lambda: abs(float(velocity.input_value()) - 4) < 0.4, 20)
    student.page.get_by_text("left of upright, turning at").wait_for(timeout=20_000)
    words = student.page.get_by_text("of upright, turning at")
    before = words.inner_text()
    angle.focus()
    angle.press("ArrowRight")
    wait_until(lambda: words.inner_text() != before, 20)


def test_camera_of_the_surface_stays_while_it_is_redrawn(visit: Visit) -> None:
    student = on_critic(visit)
    student.page.get_by_text("3-D surface").click()
    surface = chart(student, "surface-0")
    surface.scroll_into_view_if_needed(timeout=20_000)
    wait_until(lambda: redrawn(student, "surface-0") >= 1, 30)
    eye = "JSON.stringify(el._fullLayout.scene.camera.eye)"
    before = shown(student, "surface-0", eye)
    box = surface.bounding_box()
    assert box
    mouse = student.page.mouse
    mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"], steps=6)
    mouse.up()
    wait_until(lambda: shown(student, "surface-0", eye) != before, 20)
    turned, count = shown(student, "surface-0", eye), redrawn(student, "surface-0")
    wait_until(lambda: redrawn(student, "surface-0") >= count + 2, 60)
    assert shown(student, "surface-0", eye) == turned


def test_past_episode_is_shown_whole_and_stays_still(visit: Visit) -> None:
    student = on_critic(visit, episodes=2)
    student.press("Pause")
    student.page.get_by_role("slider", name="Episode shown on all pages").fill("1")
    wait_until(lambda: student.status("episodes finished") == "1")
    computing = "(el.layout.annotations ?? []).length"
    wait_until(lambda: shown(student, "compared-0", computing) == 0, 30)
    student.page.wait_for_timeout(1000)
    counts = [redrawn(student, name) for name in ("learned-0", "compared-0", "networks-0", "cut-0")]
    student.page.wait_for_timeout(3000)
    assert counts == [redrawn(student, name) for name in ("learned-0", "compared-0", "networks-0", "cut-0")]
