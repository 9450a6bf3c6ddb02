"""The oracle in the background: asked for by pages, computed once for all sessions, never in a page's way."""

from __future__ import annotations

import threading
from typing import Final

from ddpg_core.environment import Physics
from ddpg_core.oracle import optimal_oracle, oracle_progress

_ONE_AT_A_TIME: Final = threading.Lock()
_asked: set[tuple[Physics, float]] = set()


def ask_oracle(physics: Physics, gamma: float = 0.99) -> float:
    """How far the oracle is, 0 … 1, starting its computation in the background if nobody has; 1 is ready."""
    progress = oracle_progress(physics, gamma=gamma)
    if progress == 1:
        return 1.0
    wanted = (physics, gamma)
    if wanted not in _asked:
        _asked.add(wanted)
        threading.Thread(target=_solve, args=wanted, name="oracle", daemon=True).start()
    return progress or 0.0


def _solve(physics: Physics, gamma: float) -> None:
    try:
        with _ONE_AT_A_TIME:
            optimal_oracle(physics, gamma=gamma)
    finally:
        _asked.discard((physics, gamma))
