"""A real server and a real Chromium for the tests in this folder."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STREAMLIT_SAYS = (
    "Cannot send rerun backMessage when disconnected",  # its timers while a connection is down
    "requested does not seem to exist",  # its first visit ever, before st.navigation has named the pages
)
ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.browser)
        item.add_marker(pytest.mark.flaky(reruns=1))  # a starved machine; a second failure is ours
        if not CHROMIUM.exists() and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=f"no Chromium at {CHROMIUM}: the browser tests were left out"))


class Server:
    """The dashboard in a process of its own, or another app.py that lies in `folder`."""

    def __init__(self, folder: Path = ROOT) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = [f"--server.port={port}", "--server.headless=true", "--server.address=127.0.0.1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.is_up, 30)

    def is_up(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
        return False

    def cpu_seconds(self) -> float:
        """Processor time of the server so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Poll until `condition()` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.1)


class Visitor:
    """A browser tab on the dashboard, and what its tests read from it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.faults: list[str] = []
        page.on("console", lambda message: self._hear(message.type, message.text, message.location["url"]))
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("request", lambda request: self._see(request.url))

    def _hear(self, kind: str, text: str, source: str) -> None:
        # A deep link makes Streamlit probe /<page>/_stcore/… and get two 404s.
        if kind == "error" and "/_stcore/" not in source and not any(known in text for known in STREAMLIT_SAYS):
            self.faults.append(text)

    def _see(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:", "ws")):
            self.faults.append(f"asked for {url}")

    def open(self, path: str = "") -> Visitor:
        self.page.goto(f"{self.url}/{path}")
        self.page.get_by_test_id("stAppViewContainer").wait_for(timeout=30_000)
        return self

    def leave(self) -> None:
        """Close the tab; what still trains is paused, or it would go on beside the next test until its lease ends."""
        with contextlib.suppress(Error):
            pause = self.page.get_by_role("button", name="Pause", exact=True).first
            if pause.is_visible():
                pause.click(timeout=1000)
                self.page.wait_for_timeout(200)
        self.page.context.close()

    def start(self) -> Visitor:
        self.page.get_by_role("button", name="Start training").click()
        self.page.get_by_role("button", name="Pause", exact=True).first.wait_for(timeout=15_000)
        return self

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).first.click()

    def go_to(self, title: str) -> None:
        self.page.get_by_role("link", name=title).first.click()
        self.page.get_by_role("heading", name=re.compile(title if title != "Home" else "How does")).wait_for()

    def status(self, label: str) -> str:
        """The value over `label` in the status line."""
        item = self.page.locator(".status .item", has=self.page.get_by_text(label, exact=True))
        return item.locator("b").inner_text(timeout=10_000)

    def env_steps(self) -> int:
        return int(self.status("env steps").replace(",", ""))

    def chart(self, expression: str, index: int = 0) -> object:
        """A JavaScript expression of the chart element `el`, scrolled into view and drawn, as a rerun may redo it."""
        look = f"""() => {{
            const el = document.querySelectorAll('.ddpg-chart')[{index}]
            el?.scrollIntoView({{block: 'nearest'}})
            return el?.dataset.drawn && {{value: {expression}}}
        }}"""
        return self.page.wait_for_function(look, timeout=30_000).evaluate("seen => seen.value")

    def points(self) -> int:
        """Episodes on the return chart."""
        count = self.chart("el._fullData[0]?.x?.length ?? 0")
        assert isinstance(count, int)
        return count


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def fresh_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors, each in a browser context of its own; fails the test if any saw an error in its console."""
    visitors: list[Visitor] = []

    def make(url: str = server.url, beside: Visitor | None = None, **options: object) -> Visitor:
        options = {"viewport": {"width": 1440, "height": 1000}, **options}
        context = beside.page.context if beside else browser.new_context(**options)  # type: ignore[arg-type]
        visitors.append(Visitor(context.new_page(), url))
        return visitors[-1]

    yield make
    faults = [fault for visitor in visitors for fault in visitor.faults]
    for visitor in visitors:
        visitor.leave()
    assert not faults
