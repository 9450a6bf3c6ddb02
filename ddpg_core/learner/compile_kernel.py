"""Compiles the fused engine's kernel and leaves it on disk: `python -m ddpg_core.learner.compile_kernel`, as a child.

It has a process of its own because compiling holds the interpreter's lock for seconds at a time. It ends with its
parent: as soon as its standard input is closed.
"""

from __future__ import annotations

import os
import sys
import threading


def main() -> int:
    """Compile, unless the kernel is on disk already; 0, or 1 with a line on standard error."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from ddpg_core.learner import fused_engine

    try:
        fused_engine.prepare()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):  # not `sys.stdin`: its lock, held while it waits, would abort the interpreter's own end
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
