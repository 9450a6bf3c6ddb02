"""The compiled engine on this server: made ready in the background at start, and what runs use until then."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal

LOADING_S: Final = 5.0
"""A run that is made waits so long for a kernel that is being loaded; PyTorch would take longer to import."""
_ROOT: Final = Path(__file__).parents[2]


class Kernel:
    """The kernel of the `fused` engine: loaded from disk, where a child process leaves it if it isn't there yet.

    Compiling in this process would hold up every page for seconds.

    Attributes:
        state: `asleep` until `fetch` is called; then `loading`, if need be `compiling`, and `ready` or `missing`.
        reason: Why it is missing, in words, or "".
    """

    def __init__(self) -> None:
        self.state: Literal["asleep", "loading", "compiling", "ready", "missing"] = "asleep"
        self.reason = ""
        self._settled, self._closed = threading.Event(), threading.Event()
        self._child: subprocess.Popen[str] | None = None

    def ready(self) -> bool:
        """Whether runs can use it; while it is being loaded, this waits."""
        if self.state == "loading":
            self._settled.wait(LOADING_S)
        return self.state == "ready"

    def offered(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with `torch` in place of an `auto` engine while the kernel is not ready.

        Raises:
            ValueError: The engine is `fused` and not ready.
        """
        engine = changes.get("engine", "torch")
        if engine not in ("auto", "fused") or self.ready():
            return dict(changes)
        if engine == "fused":
            raise ValueError(f"the fused engine is not there: {self.reason or 'it is still being compiled'}")
        return {**changes, "engine": "torch"}

    @property
    def pending(self) -> bool:
        """Whether it is on its way."""
        return self.state in ("loading", "compiling")

    @property
    def note(self) -> str:
        """What the user should know while runs do without it; "" if there is nothing to say."""
        if self.state == "compiling":
            return "Compiling the fast engine, once, for a few seconds. Runs made now use PyTorch."
        if self.state == "missing":
            return f"Runs use PyTorch: the fast engine is not there. {self.reason}"
        return ""

    def fetch(self, after_s: float = 0.0) -> None:
        """Make the kernel ready, or say why it is missing, beginning in a while; for a thread of its own."""
        self.state = "loading"
        self._closed.wait(after_s)
        try:
            self._fetch()
            self.state = "ready"
        except Exception as error:  # whatever is wrong with this machine's disk or compiler: PyTorch works without
            self.state, self.reason = "missing", " ".join(str(error).split())[:300]
        self._settled.set()

    def _fetch(self) -> None:
        from ddpg_core.learner import fused_engine

        if fused_engine.load():
            return
        with ExitStack() as stack:
            environment = dict(os.environ)
            if not fused_engine.keeps_kernels():
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ddpg-lab-"))
                environment["NUMBA_CACHE_DIR"] = folder
                fused_engine.use_folder(folder)
            self.state = "compiling"
            self._settled.set()
            words = self._compile(environment)
            if not fused_engine.load():
                raise OSError(words or "It was compiled, but could not be kept on disk.")

    def _compile(self, environment: dict[str, str]) -> str:
        """Let a child compile; its last words. It ends with this process, since it holds the other end of a pipe."""
        with subprocess.Popen(
            [sys.executable, "-m", "ddpg_core.learner.compile_kernel"],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as self._child:
            if self._closed.is_set():
                self._child.terminate()
            assert self._child.stderr is not None
            lines = self._child.stderr.read().splitlines()
        code = self._child.returncode
        return "" if not code else lines[-1] if code == 1 and lines else f"Its compiler ended with code {code}."

    def close(self) -> None:
        """Give up compiling."""
        self._closed.set()
        if self._child is not None:
            self._child.terminate()


KERNEL: Final = Kernel()
"""The one of this process."""
