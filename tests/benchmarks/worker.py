"""One side of the race in bench.py: trains DDPG on Pendulum-v1 in slices, and answers what each slice took.

    python -m tests.benchmarks.worker PEER HIDDEN BATCH        (PEER: a module of `peers`, or ours:ENGINE)

It makes its updates' first calls, writes a JSON line with its title when ready, then reads numbers of steps from stdin,
one a line, and answers each with a JSON line.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time

from tests.benchmarks.peers import FILL_STEPS

WARM_UP_STEPS = 50  # updates made before the clock starts: first calls load code, compile and allocate
RSS_UNITS_PER_MB = 1e6 if sys.platform == "darwin" else 1e3  # macOS counts bytes, Linux kB


def main(side: str, hidden: str, batch: str) -> None:
    """Fill the buffer, then serve slices until stdin ends."""
    peer, *engine = side.split(":")
    module = importlib.import_module(f"tests.benchmarks.peers.{peer}")
    advance, updates = module.make([int(units) for units in hidden.split("-")], int(batch), *engine)
    advance(FILL_STEPS + WARM_UP_STEPS)
    print(json.dumps({"title": ", ".join([module.TITLE, *engine])}), flush=True)
    for line in sys.stdin:
        before, wall, cpu = updates(), time.perf_counter(), time.process_time()
        advance(int(line))
        answer = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "updates": updates() - before,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_UNITS_PER_MB,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
