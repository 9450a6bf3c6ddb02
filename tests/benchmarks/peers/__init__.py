"""Who takes part in bench.py: a module each, with `TITLE` and `make`, which imports from its own environment alone.

`NAME.txt` beside a module holds the exact releases of its environment; ours is the project's own and needs none. All
run the same algorithm at the same sizes and rates: one env step (Gymnasium's own Pendulum) and one update a step, OU
noise, learning from `FILL_STEPS` on, one thread.
"""

from __future__ import annotations

from collections.abc import Callable

FILL_STEPS = 1024
BUFFER, GAMMA, TAU, LEARNING_RATE, L2 = 100_000, 0.99, 0.01, 1e-3, 5e-7
OU_THETA, OU_SIGMA = 0.15, 0.2

Advance = Callable[[int], object]
"""Takes this many env steps."""
Updates = Callable[[], int]
"""Updates made so far."""
