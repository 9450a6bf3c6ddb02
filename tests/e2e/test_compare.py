"""The Compare page in a real browser."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]
TINY = {"hidden": [8], "batch_size": 16, "warmup_steps": 32, "updates_per_step": 0}
PLAN = {
    "title": "Tiny",
    "starts": 1,
    "episodes": 3,
    "seeds": [4, 5, 6],
    "conditions": [{"name": "noisy", "set": TINY}, {"name": "quiet", "set": {**TINY, "noise": "none"}}],
}


def test_a_file_of_conditions_is_compared_and_a_run_of_it_is_opened(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(PLAN))
    student = visit().open("compare")
    page = student.page
    page.get_by_text("Conditions of your own").click()
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Compare: 6 runs").click(timeout=20_000)
    page.get_by_text("Finished: what came out stands below.").wait_for(timeout=30_000)
    lines = page.locator("#chart-compare-curves-one-0[data-drawn]")
    wait_until(lambda: lines.evaluate("el => el._fullData.filter(trace => trace.uid.endsWith('iqm')).length") == 2, 20)
    rows = page.locator(".compare tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(2)).to_contain_text(re.compile(r"quiet.*−\d+ \[−\d+, −\d+\].*too few seeds to tell"))
    with page.expect_download() as waiting:
        page.get_by_role("button", name="results.csv").click()
    with Path(waiting.value.path()).open(newline="") as table:
        found = list(csv.reader(table))
    assert len(found) == 1 + 2 * 3 * 3
    grid = page.locator("#chart-compare-grid-0[data-drawn]")
    grid.scroll_into_view_if_needed()
    place = "el => { const {left, top} = el.getBoundingClientRect(), {xaxis, yaxis} = el._fullLayout; "
    place += "return [left + xaxis._offset + xaxis.d2p(2), top + yaxis._offset + yaxis.d2p(1)] }"
    page.mouse.click(*grid.evaluate(place))
    expect(page.get_by_role("combobox", name="seed")).to_have_value("6", timeout=20_000)
    student.press("Open this run")
    wait_until(lambda: student.status("episodes finished") == "3", 30)
    last = round(float(next(row[3] for row in found if row[:3] == ["quiet", "6", "2"])))
    expect(page.locator(".run")).to_contain_text(f"last return −{-last}")
