"""Measures a class: sessions that speak the browser's protocol, all training flat out with Train open.

usage: python -m tests.benchmarks.classroom [--students 30] [--seconds 40] [--json]
Needs Linux. Server and students share the machine, so latencies are pessimistic. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import StringArray
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect

from tests.benchmarks.ui import memory_mb, told
from tests.e2e.conftest import Server

WARM_UP_S = 10
"""What the first visitor has the server to himself for: it imports and compiles."""
SETTLE_S = 15
MOVE_EVERY_S = 10
"""How often each student turns a knob, on average."""
TARGETS = {
    "steps of the slowest session as a share of the mean": (0.7, 1),
    "slider to mark in the chart's data, 95th percentile, ms": (500, -1),
    "memory of the server, GB": (2.5, -1),
}


class Student:
    """One session on the Train page, as a browser would hold it: it reruns fragments when the server says so.

    Attributes:
        steps: Env steps that the status line told last.
        latencies_s: From a moved slider to the chart's data with its mark.
    """

    def __init__(self, url: str) -> None:
        self.url = url.replace("http", "ws") + "/_stcore/stream"
        self.steps = 0
        self.latencies_s: list[float] = []
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._kept: dict[str, ForwardMsg] = {}
        self._marks, self._moved_at = 0, 0.0
        self._widgets: dict[str, WidgetState] = {}
        self._slider: Any = None
        self._query = ""
        self.started = asyncio.Event()

    async def attend(self) -> None:
        """Open the page, start a run and follow it."""
        async with connect(self.url, subprotocols=["streamlit"], max_size=None) as self._socket:  # type: ignore[list-item]
            await self._rerun()
            async for data in self._socket:
                message = ForwardMsg.FromString(data)
                await self._take(self._kept.get(message.ref_hash, message))

    async def move_slider(self) -> None:
        """Turn the target rate to another stop, and time until the mark is in the chart's data."""
        place = list(self._slider.options).index(self._slider.raw_value[0])
        value = self._slider.options[place - 1 if place else 1]
        self._widgets[self._slider.id] = WidgetState(id=self._slider.id, string_array_value=StringArray(data=[value]))
        self._moved_at = time.perf_counter()
        await self._rerun()

    @property
    def waiting(self) -> bool:
        """Whether the chart still lacks the mark of the slider moved last."""
        return bool(self._moved_at)

    async def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if message.metadata.cacheable:
            self._kept[message.hash] = message
        if kind == "new_session" and not message.metadata.run.fragment_ids:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            name = message.auto_rerun.fragment_id
            if name in self._timers:
                self._timers[name].cancel()
            self._timers[name] = asyncio.create_task(self._tick(name, message.auto_rerun.interval))
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            await self._see(message.delta.new_element)

    async def _see(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise RuntimeError(f"{element.exception.type}: {element.exception.message}")
        if kind == "button" and element.button.label == "Start training":
            await self._rerun(pressed=WidgetState(id=element.button.id, trigger_value=True))
        elif kind == "slider":
            self._hold(element.slider)
        elif kind == "bidi_component":
            name, text = element.bidi_component.component_name, element.bidi_component.json
            if name == "ddpg_status":
                self._read_status(json.loads(text)["items"])
            elif name == "ddpg_charts" and self._moved_at:
                self._look_for_mark(json.loads(text))

    def _hold(self, slider: Any) -> None:
        """Keep a slider's value, which a browser sends with every rerun."""
        state = WidgetState(id=slider.id)
        if slider.options:
            state.string_array_value.data.extend(slider.raw_value)
        else:
            state.double_array_value.data.extend(slider.value)
        self._widgets[slider.id] = state
        if slider.label.startswith("Target rate"):
            self._slider = slider

    def _read_status(self, items: list[dict[str, str]]) -> None:
        told = {item["label"]: item["value"] for item in items}
        self.steps = int(told["env steps"].replace(",", ""))
        if self.steps:
            self.started.set()

    def _look_for_mark(self, chart: dict[str, Any]) -> None:
        if chart["name"] == "returns":
            marks = len(chart["figures"][0]["layout"]["shapes"])
            if marks > self._marks:
                self.latencies_s.append(time.perf_counter() - self._moved_at)
                self._marks, self._moved_at = marks, 0.0

    async def _tick(self, fragment: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._rerun(fragment, auto=True)

    async def _rerun(self, fragment: str = "", *, pressed: WidgetState | None = None, auto: bool = False) -> None:
        message = BackMsg()
        wish = message.rerun_script
        wish.page_name, wish.query_string, wish.fragment_id, wish.is_auto_rerun = "train", self._query, fragment, auto
        wish.widget_states.widgets.extend([*self._widgets.values(), *([pressed] if pressed else [])])
        await self._socket.send(message.SerializeToString())


async def attended(server: Server, count: int, seconds: float) -> dict[str, float]:
    """A class of `count` students for so long; the figures of `TARGETS`."""
    students = [Student(server.url) for _ in range(count)]
    tasks = []
    for student in students:
        tasks.append(asyncio.create_task(student.attend()))
        await asyncio.sleep(0.3 if student is not students[0] else WARM_UP_S)
    started = asyncio.gather(*(student.started.wait() for student in students))
    await asyncio.wait({started, *tasks}, timeout=120, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
    assert started.done(), "not every session trains"
    await asyncio.sleep(SETTLE_S)
    before = [student.steps for student in students]
    began = time.perf_counter()

    async def play_about(student: Student) -> None:
        rng = random.Random(id(student))
        while time.perf_counter() - began < seconds:
            await asyncio.sleep(rng.uniform(0.5, 1.5) * MOVE_EVERY_S)
            await student.move_slider()
        await asyncio.sleep(MOVE_EVERY_S)  # the last one counts, too

    await asyncio.gather(*(play_about(student) for student in students))
    elapsed = time.perf_counter() - began
    for task in tasks:
        if task.done():
            task.result()
    advances = [student.steps - first for student, first in zip(students, before, strict=True)]
    assert not any(student.waiting for student in students), "a slider was not answered"
    latencies = sorted(1000 * each for student in students for each in student.latencies_s)
    for task in tasks:
        task.cancel()
    print(
        f"{count} sessions: {sum(advances) / elapsed:,.0f} steps/s in all, a session {min(advances) / elapsed:.0f} to "
        f"{max(advances) / elapsed:.0f}; {len(latencies)} sliders moved, median {statistics.median(latencies):.0f} ms",
        file=sys.stderr,
    )
    at_95 = latencies[int(0.95 * len(latencies))]
    figures = (min(advances) / statistics.mean(advances), at_95, memory_mb(server) / 1000)
    return dict(zip(TARGETS, figures, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    server = Server()
    try:
        figures = asyncio.run(attended(server, arguments.students, arguments.seconds))
    finally:
        server.stop()
    return told(figures, TARGETS, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
