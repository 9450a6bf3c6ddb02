"""Measures the dashboard in a real browser: training beside headless, latencies, refreshes, first paint, memory.

usage: python -m tests.benchmarks.ui [--rounds 3] [--json]
Needs Linux and /usr/bin/chromium. Server and browser share the machine, so latencies are pessimistic. Exits 1 when a
target of the table is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS, Server, Visitor, wait_until

HEADLESS = """
import time
from ddpg_core.config import PRESETS
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
run = Run(Recipe(PRESETS["fast"]))
run.advance(steps=500)
began = time.perf_counter()
print(run.advance(steps=10**9, stop=lambda: time.perf_counter() - began > {seconds}) / {seconds})
"""
SECONDS = 8
LIVE_PAGES = {"Exploration": 0, "Replay": 0, "Critic": 0, "One update": 2}
"""And the chart on each that follows the run."""
CURSOR_PAGES = ("Train", *LIVE_PAGES, "Pendulum")
TARGETS = {
    "training rate with Train open, share of headless": (0.8, 1),
    "slider to mark on the chart, median ms": (300, -1),
    **{f"cursor key to redrawn picture on {page}, median ms": (300, -1) for page in CURSOR_PAGES},
    **{f"redraws of the live chart on {page} a second": (4, 1) for page in LIVE_PAGES},
    **{f"sent to {page} a redraw, live, kB": (100, -1) for page in LIVE_PAGES},
    "first paint of Home after the server is up, s": (3, -1),
    "start to first step, s": (5, -1),
    "an idle session more, MB": (10, -1),
    "a playing session more, MB": (40, -1),
}
_CHART = "document.querySelector('.ddpg-chart')"
_MARKS = f"JSON.stringify({_CHART}.layout.shapes)"
_DRAWN = f"{_CHART}.dataset.drawn"
_FILM = "window.filmRoot.querySelector('.episode').textContent"
_FIND_FILM = """() => {
  const roots = [...document.querySelectorAll('*')].flatMap(each => each.shadowRoot ?? [])
  window.filmRoot = roots.find(root => root.querySelector('.film'))
  return window.filmRoot
}"""
_LATENCY = """() => new Promise(done => {
  const began = performance.now()
  const state = () => STATE, before = state()
  const passed = () => performance.now() - began
  const look = () => state() === before && passed() < 5000 ? requestAnimationFrame(look) : done(passed())
  look()
})"""


def headless_rate() -> float:
    """Env steps a second of preset fast in a process of its own."""
    code = HEADLESS.format(seconds=SECONDS)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


class Meter(Visitor):
    """A visitor who counts the bytes that the server pushes.

    Attributes:
        received: Bytes so far.
    """

    def __init__(self, page: Page, url: str) -> None:
        super().__init__(page, url)
        self.received = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self._weigh))

    def _weigh(self, payload: str | bytes) -> None:
        self.received += len(payload)


def visit(browser: Browser, server: Server) -> Meter:
    return Meter(browser.new_context(viewport={"width": 1440, "height": 1000}).new_page(), server.url)


def live_rate(visitor: Visitor) -> float:
    """Env steps a second while Train is open and playing."""
    visitor.page.wait_for_timeout(2000)
    first, began = visitor.env_steps(), time.perf_counter()
    visitor.page.wait_for_timeout(SECONDS * 1000)
    return (visitor.env_steps() - first) / (time.perf_counter() - began)


def latency_ms(visitor: Visitor, state: str, control: str, times: int = 15) -> float:
    """Median time from an arrow key on the slider called `control` to another `state`, in JavaScript; 5 s if lost."""
    slider = visitor.page.get_by_role("slider", name=control)
    latencies = []
    for number in range(times):
        slider.focus()
        measure = _LATENCY.replace("STATE", state)
        waiting = visitor.page.evaluate_handle(f"({{done: null, start: ({measure})}})")
        visitor.page.evaluate("w => { w.done = w.start() }", waiting)
        visitor.page.keyboard.press("ArrowRight" if number % 2 else "ArrowLeft")
        latencies.append(float(visitor.page.evaluate("w => w.done", waiting)))
        visitor.page.wait_for_timeout(700)
    return statistics.median(latencies)


def cursor_ms(visitor: Visitor, page: str) -> float:
    """Median time from an arrow key on the cursor to the first chart of `page`, or its film, drawn anew."""
    visitor.go_to(page)
    if page == "Pendulum":
        visitor.page.wait_for_function(_FIND_FILM)
    else:
        visitor.chart("el.id")
    visitor.page.wait_for_timeout(3000)
    latency = latency_ms(visitor, _FILM if page == "Pendulum" else _DRAWN, "Episode shown on all pages")
    visitor.press("Live")
    return latency


def refreshes(visitor: Meter, page: str) -> tuple[float, float]:
    """Redraws a second of the chart of `page` that follows the run, and kilobytes received for each."""
    visitor.go_to(page)
    visitor.page.wait_for_timeout(3000)
    drawn, received = int(str(visitor.chart("el.dataset.drawn", LIVE_PAGES[page]))), visitor.received
    visitor.page.wait_for_timeout(SECONDS * 1000)
    redraws = int(str(visitor.chart("el.dataset.drawn", LIVE_PAGES[page]))) - drawn
    return redraws / SECONDS, (visitor.received - received) / 1000 / max(redraws, 1)


def memory_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def measure(rounds: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    names = iter(TARGETS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        server = Server()
        began = time.perf_counter()
        visitor = visit(browser, server)
        visitor.open()
        visitor.page.get_by_role("button", name="Start training").wait_for()
        visitor.page.locator(".loop .box").first.wait_for()
        paint = time.perf_counter() - began
        visitor.page.get_by_role("button", name="Start training").click()
        wait_until(lambda: visitor.page.locator(".status").count() and visitor.env_steps() > 0, 30)
        start = time.perf_counter() - began - paint
        visitor.go_to("Train")
        rates = []
        for _ in range(rounds):
            visitor.press("Play") if visitor.page.get_by_role("button", name="Play", exact=True).count() else None
            live = live_rate(visitor)
            visitor.press("Pause")
            visitor.page.get_by_role("button", name="Play", exact=True).wait_for()
            headless = headless_rate()
            print(f"live {live:.0f}, headless {headless:.0f} steps/s", file=sys.stderr)
            rates.append(live / headless)
        figures[next(names)] = statistics.median(rates)
        visitor.press("Play")
        figures[next(names)] = latency_ms(visitor, _MARKS, "Target rate τ")
        visitor.press("Pause")
        for page in CURSOR_PAGES:
            figures[next(names)] = cursor_ms(visitor, page)
        visitor.press("Play")
        live = [refreshes(visitor, page) for page in LIVE_PAGES]
        for column in zip(*live, strict=True):
            figures.update((next(names), figure) for figure in column)
        figures[next(names)] = paint
        figures[next(names)] = start
        visitor.press("Pause")
        before = memory_mb(server)
        idle = [visit(browser, server) for _ in range(6)]
        for each in idle:
            each.open()
            each.page.get_by_role("button", name="Start training").wait_for()
        figures[next(names)] = (memory_mb(server) - before) / len(idle)
        before = memory_mb(server)
        for each in idle[:3]:
            each.start()
        visitor.page.wait_for_timeout(25_000)
        figures[next(names)] = (memory_mb(server) - before) / 3
        browser.close()
        server.stop()
    return figures


def told(figures: dict[str, float], targets: dict[str, tuple[float, int]], *, as_json: bool) -> int:
    """Print figures beside their targets, a target and 1 (at least) or −1 (at most) by name; 1 if one is missed."""
    missed = [name for name, (target, sign) in targets.items() if sign * (figures[name] - target) < 0]
    if as_json:
        print(json.dumps({"figures": figures, "missed": missed}))
    else:
        print("| what | measured | target |", "|---|---|---|", sep="\n")
        for name, (target, sign) in targets.items():
            print(f"| {name} | {figures[name]:.3g} | {'≥' if sign > 0 else '≤'} {target:g} |")
    return int(bool(missed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    return told(measure(arguments.rounds), TARGETS, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
