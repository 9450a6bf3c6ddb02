from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from ddpg_core.learner import fused_engine
from pages.ui.kernel import Kernel
from pages.ui.lab import Lab
from tests.helpers import IDLE
from tests.ui.helpers import ROOT, component, eventually, on_stage, opened


@pytest.fixture
def nothing_on_disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A disk without the kernel; a test appends whether it is there after compiling."""
    found: list[bool] = []
    monkeypatch.setattr(fused_engine, "load", lambda: found[-1] if found else False)
    return found


def test_only_auto_is_replaced_while_the_kernel_is_not_ready(kernel: Kernel) -> None:
    assert kernel.offered({"engine": "auto", "tau": 0.5}) == {"engine": "torch", "tau": 0.5}
    assert kernel.offered({"engine": "torch"}) == {"engine": "torch"}
    assert kernel.offered({"tau": 0.5}) == {"tau": 0.5}
    assert kernel.offered({"engine": "steam"}) == {"engine": "steam"}  # for `Config` to refuse
    kernel.state = "ready"
    assert kernel.offered({"engine": "auto"}) == {"engine": "auto"}
    assert kernel.offered({"engine": "fused"}) == {"engine": "fused"}


def test_kernel_is_ready_once_it_is_fetched(kernel: Kernel) -> None:
    assert (kernel.ready(), kernel.pending) == (False, False)
    kernel.fetch()
    assert (kernel.state, kernel.pending, kernel.reason, kernel.note) == ("ready", False, "", "")
    assert fused_engine.is_prepared()


def test_run_that_is_made_waits_while_the_kernel_is_loaded_but_not_while_it_is_compiled(
    kernel: Kernel, nothing_on_disk: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, goes_on, ready = threading.Event(), threading.Event(), []

    def compile_it(_: object) -> str:
        asked.set()
        goes_on.wait(20)
        return ""

    monkeypatch.setattr(kernel, "_compile", compile_it)
    thread = threading.Thread(target=kernel.fetch, args=(0.3,))
    thread.start()
    assert eventually(lambda: kernel.state == "loading")
    waiting = threading.Thread(target=lambda: ready.append(kernel.ready()))
    waiting.start()
    assert asked.wait(20)
    waiting.join(20)
    assert ready == [False]
    assert kernel.state == "compiling"
    assert "Runs made now use PyTorch" in kernel.note
    nothing_on_disk.append(True)
    goes_on.set()
    thread.join(20)
    assert (kernel.state, kernel.note) == ("ready", "")


def test_kernel_that_cannot_be_compiled_is_missing_with_the_compilers_last_words(
    kernel: Kernel, nothing_on_disk: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_compile", lambda _: "engine must be torch here")
    kernel.fetch()
    assert (kernel.state, kernel.ready()) == ("missing", False)
    assert kernel.note == "Runs use PyTorch: the fast engine is not there. engine must be torch here"


def test_kernel_that_was_compiled_but_not_kept_is_missing(
    kernel: Kernel, nothing_on_disk: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_compile", lambda _: "")
    kernel.fetch()
    assert kernel.reason == "It was compiled, but could not be kept on disk."


def test_where_nothing_can_be_kept_a_private_folder_serves_while_the_kernel_is_fetched(
    kernel: Kernel, nothing_on_disk: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    monkeypatch.setattr(fused_engine, "keeps_kernels", lambda: False)
    monkeypatch.setattr(fused_engine, "use_folder", used.append)

    def compile_it(environment: dict[str, str]) -> str:
        folder = Path(environment["NUMBA_CACHE_DIR"])
        assert folder.stat().st_mode & 0o777 == 0o700
        nothing_on_disk.append(used == [str(folder)])
        return ""

    monkeypatch.setattr(kernel, "_compile", compile_it)
    kernel.fetch()
    assert kernel.state == "ready"
    assert not Path(used[0]).exists()


def test_closing_ends_the_child_that_compiles(
    kernel: Kernel, nothing_on_disk: list[bool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    thread = threading.Thread(target=kernel.fetch)
    thread.start()
    assert eventually(lambda: kernel._child is not None)
    kernel.close()
    thread.join(20)
    assert not thread.is_alive()
    assert kernel._child is not None
    assert kernel._child.returncode not in (None, 0)
    assert kernel.state == "missing"


# --- in the frame -----------------------------------------------------------------------------------------------------


@pytest.fixture
def captions(lab: Lab) -> Callable[[], str]:
    return lambda: " ".join(caption.value for caption in opened(lab, "train").sidebar.caption)


def test_frame_says_what_runs_use_until_the_compiled_engine_is_there(
    captions: Callable[[], str], kernel: Kernel
) -> None:
    kernel.state = "compiling"
    assert "Compiling the fast engine" in captions()
    kernel.state, kernel.reason = "missing", "The disk is full."
    assert "the fast engine is not there. The disk is full." in captions()
    kernel.state = "ready"
    assert "engine" not in captions()


def test_status_line_names_the_engine_of_the_run_then_and_now(lab: Lab, kernel: Kernel) -> None:
    def engine(at: AppTest) -> str:
        (value,) = (item["value"] for item in component(at, "status")["items"] if item["label"] == "engine")
        return str(value)

    player = on_stage(lab, IDLE)
    player.run.advance(episodes=2)
    kernel.fetch()
    lab.intervene(player.id, {"engine": "fused"})
    player.run.advance(episodes=1)
    assert engine(opened(lab)) == "fused"
    lab.cursor = 1
    assert engine(opened(lab)) == "torch"


SHORT_VISIT = """
from streamlit.testing.v1 import AppTest
at = AppTest.from_file("app.py", default_timeout=60).run()
assert not at.exception
import time
time.sleep({seconds})
"""


@pytest.mark.parametrize("seconds", [0.0, 1.2])
def test_process_that_ends_while_it_warms_up_ends_quietly(seconds: float, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_VISIT.format(seconds=seconds)],
        cwd=ROOT,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "terminate" not in done.stderr
    assert "Traceback" not in done.stderr
