"""The Export page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from ddpg_core.gallery import PIECES
from tests.e2e.conftest import Visitor, wait_until

Visit = Callable[..., Visitor]


def test_a_policy_is_downloaded_and_brought_back(visit: Visit, tmp_path: Path) -> None:
    student = visit().open("train").start()
    page = student.page
    wait_until(lambda: int(student.status("episodes finished")) >= 2, 60)
    student.press("Pause")
    page.get_by_role("button", name="Play", exact=True).first.wait_for(timeout=15_000)
    student.go_to("Export")
    ready = page.get_by_role("button", name=".onnx")
    ready.wait_for(timeout=40_000)
    number = page.get_by_test_id("stMetricValue").first
    mean = number.inner_text()
    with page.expect_download() as waiting:
        ready.click()
    name = waiting.value.suggested_filename
    assert re.fullmatch(r"fast-seed\d+-episode\d+-return-?\d+\.onnx", name)
    assert name.removesuffix(".onnx").rpartition("return")[2] == mean.replace("−", "-")
    file = tmp_path / name
    waiting.value.save_as(file)
    page.get_by_role("radio", name="Gallery: half-way").click()
    title = f"Half-way, after {PIECES['halfway'].episode} episodes"
    expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=20_000)
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("heading", name=name[-30:])).to_be_visible(timeout=20_000)
    expect(number).to_have_text(mean)
    expect(page.get_by_text("Its card says the same")).to_be_visible()
    assert page.locator(".film .episode").inner_text() == "from hanging, no noise"
