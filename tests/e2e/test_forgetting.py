"""The Forgetting page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]
NEWEST_OF = "el._fullData.filter(trace => trace.mode == 'lines').map(trace => Math.max(...trace.x))"


def test_a_run_is_prepared_and_branched_and_both_branches_are_watched(visit: Visit) -> None:
    student = visit().open("forgetting")
    student.press("Prepare one")
    wait_until(lambda: int(student.status("episodes finished")) >= 12, 60)
    student.press("Pause")
    student.page.get_by_role("button", name="Branch and play", exact=True).wait_for(timeout=20_000)
    episode = int(student.status("episodes finished"))
    student.press("Branch and play")
    wait_until(lambda: student.page.locator(".film .stage").count() == 2, 20)
    ends = student.page.locator("#chart-parting-0[data-drawn]")
    ends.wait_for(timeout=20_000)

    def newest() -> list[float]:
        found = ends.evaluate(f"el => {NEWEST_OF}")
        assert isinstance(found, list)
        return found

    wait_until(lambda: len(newest()) == 3 and min(newest()[1:]) > episode, 60)
    trunk, kept, taken = newest()
    assert trunk <= episode
    assert abs(kept - taken) <= 1
    student.page.get_by_role("button", name=f"Train on to episode {episode + 40}").wait_for(timeout=60_000)
    assert newest()[1:] == [episode + 20] * 2
    metrics = student.page.get_by_test_id("stMetricValue")
    expect(metrics.first).to_have_text(re.compile("F = "), timeout=20_000)
    wait_until(lambda: all(re.search(r"F = (−?\d|–)", text) for text in metrics.all_inner_texts()), 20)
    cards = student.page.locator(".run")
    assert [card.evaluate("el => el.style.marginLeft") for card in cards.all()] == ["0px", "12px", "12px"]
