"""The compiled engine: `torch_engine`'s update as one function call, on the same vectors, the same but for rounding."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit, types

from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import (
    ADAM_BETAS,
    ADAM_EPSILON,
    SATURATED,
    STATISTICS,
    Batch,
    LearnerState,
    fused_descent,
    fused_kernel,
    fused_layers,
    fused_plan,
    tiles,
    vectors,
)
from ddpg_core.learner.fused_plan import Settings, make_plan

_ROWS: Final = types.Array(types.float32, 2, "A", readonly=True)
_VALUES: Final = types.Array(types.float32, 1, "A", readonly=True)
_FLOATS: Final = types.float32[::1]
_SIGNATURE: Final = types.void(
    _FLOATS,
    types.int64[::1],
    _FLOATS,
    _FLOATS,
    _VALUES,
    _ROWS,
    _ROWS,
    _VALUES,
    _ROWS,
    _VALUES,
    types.float64[::1],
)
"""Of `fused_update`; it takes batches in any memory layout, so that there is one machine code for all."""

_lock = threading.Lock()
_kernel: Callable[..., None] | None = None


class FusedEngine:
    """DDPG's update, Lillicrap et al. 2016, algorithm 1, by `fused_kernel`.

    Engines may work in several threads at once: the kernel lets go of the interpreter's lock, and the memory for
    intermediate results belongs to the engine. The first engine of a process waits for `prepare`.

    Args:
        state: Parameters and moments, updated in place.
    """

    def __init__(self, state: LearnerState) -> None:
        self._kernel = prepare()
        self._state = state
        plan, self._work = make_plan(state.actor_net, state.critic_net)
        self._layout = np.array([*plan, *state.actor_net.sizes, *state.critic_net.sizes], np.int64)
        self._settings = np.empty(len(Settings._fields), np.float32)

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """See `Engine.update`."""
        self._state.updates += 1
        (beta1, beta2), t = ADAM_BETAS, self._state.updates
        correction = 1 - beta1**t
        self._settings[:] = Settings(
            gamma=config.gamma,
            tau=config.tau,
            l2=config.l2,
            target_scaled=config.target_action_scaled,
            actor_step=actor_lr / correction,
            critic_step=critic_lr / correction,
            weight1=1 - beta1,
            weight2=1 - beta2,
            correction2=1 - beta2**t,
            epsilon=ADAM_EPSILON,
            saturated=SATURATED,
        )
        statistics = np.empty(len(STATISTICS))
        self._kernel(self._state.vector, self._layout, self._work, self._settings, action_scale, *batch, statistics)
        return statistics


def is_prepared() -> bool:
    """Whether an engine can be made at once."""
    return _kernel is not None


def prepare() -> Callable[..., None]:
    """The kernel as machine code; the first call in a process loads it from disk or, if it isn't there, compiles it."""
    global _kernel
    with _lock:
        if _kernel is None:
            _kernel = _machine_code(_fingerprint())
    return _kernel


def _fingerprint() -> int:
    """A checksum of the sources that the kernel is made of."""
    modules = (fused_descent, fused_kernel, fused_layers, fused_plan, tiles, vectors)
    return zlib.crc32(b"".join(Path(str(module.__file__)).read_bytes() for module in modules))


def _machine_code(sources: int) -> Callable[..., None]:
    """`fused_update` with machine code for `_SIGNATURE`.

    Numba knows a compiled function again by its own file alone, and by the variables it encloses: so it encloses the
    checksum of the others.
    """

    def update(
        vector: Any,
        layout: Any,
        work: Any,
        settings: Any,
        scale: Any,
        obs: Any,
        action: Any,
        reward: Any,
        next_obs: Any,
        terminal: Any,
        statistics: Any,
    ) -> None:
        if sources >= 0:
            fused_kernel.fused_update(
                vector, layout, work, settings, scale, obs, action, reward, next_obs, terminal, statistics
            )

    try:
        return njit(_SIGNATURE, nogil=True, cache=True)(update)
    except RuntimeError:  # no folder to keep it in
        return njit(_SIGNATURE, nogil=True)(update)
