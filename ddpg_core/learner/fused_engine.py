"""The compiled engine: `torch_engine`'s update as one function call, on the same vectors, the same but for rounding."""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numba
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
    types.int64[::1],
    types.float32[:, ::1],
    types.float64[::1],
)
"""Of `fused_update`; it takes transitions in any memory layout, so that there is one machine code for all."""

_TYPES: Final = [np.dtype(np.float32)] * (len(Batch._fields) + 1)

_LOG: Final = logging.getLogger(__name__)
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
        self._obs, self._actions = state.actor_net.sizes[0], state.actor_net.sizes[-1]
        plan, self._work = make_plan(state.actor_net, state.critic_net)
        self._layout = np.array([*plan, *state.actor_net.sizes, *state.critic_net.sizes], np.int64)
        self._settings = np.empty(len(Settings._fields), np.float32)
        self._batch: Array = np.empty((0, 2 * self._obs + self._actions + 2), np.float32)

    def update(
        self,
        batch: Batch,
        config: Config,
        actor_lr: float,
        critic_lr: float,
        action_scale: Array,
        rows: Array | None = None,
    ) -> Array:
        """See `Engine.update`.

        Raises:
            ValueError: The batch does not fit the networks; the kernel itself would read beyond its ends.
            IndexError: One of `rows` lies outside it. Nothing is changed by then, nor by the other.
        """
        if rows is None:
            rows = np.arange(len(batch.reward))
        self._check(batch, action_scale, rows)
        (beta1, beta2), t = ADAM_BETAS, self._state.updates + 1
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
        if len(self._batch) != len(rows):
            self._batch = np.empty((len(rows), self._batch.shape[1]), np.float32)
        vector, settings, statistics = self._state.vector, self._settings, np.empty(len(STATISTICS))
        self._kernel(vector, self._layout, self._work, settings, action_scale, *batch, rows, self._batch, statistics)
        self._state.updates = t
        return statistics

    def _check(self, batch: Batch, action_scale: Array, rows: Array) -> None:
        """Raise unless all shapes and types are what the kernel takes them for."""
        if rows.dtype != np.int64 or rows.ndim != 1:
            raise ValueError(f"rows must be int64 [B], got {rows.dtype} {rows.shape}")
        size = len(batch.reward)
        parts = (*batch, action_scale)
        expected = [(size, self._obs), (size, self._actions), (size,), (size, self._obs), (size,), (self._actions,)]
        if len(rows) and [part.shape for part in parts] == expected and [part.dtype for part in parts] == _TYPES:
            return
        found = [f"{part.dtype} {part.shape}" for part in parts]
        raise ValueError(f"batch and action_scale must be float32 {expected} with rows, got {', '.join(found)}")


def is_prepared() -> bool:
    """Whether an engine can be made at once."""
    return _kernel is not None


def prepare() -> Callable[..., None]:
    """The kernel as machine code; the first call in a process loads it from disk or, if it isn't there, compiles it.

    Raises:
        ValueError: This machine cannot compile it.
    """
    global _kernel
    with _lock:
        if _kernel is None:
            _kernel = _from_disk() or _compiled()
    return _kernel


def load() -> bool:
    """Load the kernel if it is on disk, in half a second; whether it is prepared now. Never compiles."""
    global _kernel
    with _lock:
        _kernel = _kernel or _from_disk()
    return is_prepared()


def keeps_kernels() -> bool:
    """Whether there is a folder that Numba can keep machine code in: `NUMBA_CACHE_DIR`, beside the sources or ~."""
    return _cached() is not None


def use_folder(folder: str) -> None:
    """Keep machine code in this folder from now on; machine code in it is trusted, so it must be private."""
    numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]


def _from_disk() -> Callable[..., None] | None:
    """The kernel that is on disk; None if there is none, or none that can be read."""
    kernel = _cached()
    if kernel is None:
        return None
    try:
        # Asked for through `compile`, Numba would go on to compile what it does not find.
        found = kernel._cache.load_overload(_SIGNATURE, kernel.targetctx)
    except Exception:  # a damaged file raises whatever its bytes happen to mean
        kernel._cache.flush()
        return None
    if found is None:
        return None
    kernel.add_overload(found)
    kernel.disable_compile()
    return cast(Callable[..., None], kernel)


def _compiled() -> Callable[..., None]:
    """The kernel compiled anew, and kept on disk where that is possible."""
    _LOG.warning("compiling the fused engine, once on this machine: about ten seconds")
    kernel: Any = _cached() or njit(_update(), nogil=True)
    try:
        kernel.compile(_SIGNATURE)
    except Exception as error:  # the compiler has many words for a processor it does not know
        if not kernel.overloads:  # otherwise only keeping it failed: the disk is full
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ValueError(f"engine must be torch on a machine that cannot compile fused: {reason}") from None
    kernel.disable_compile()
    return cast(Callable[..., None], kernel)


def _cached() -> Any:
    """The kernel's Numba function, nothing compiled yet, that looks on disk first; None without a folder for it."""
    try:
        return njit(_update(), nogil=True, cache=True)
    except RuntimeError:
        return None


def _fingerprint() -> int:
    """A checksum of the sources that the kernel is made of."""
    modules = (fused_descent, fused_kernel, fused_layers, fused_plan, tiles, vectors)
    return zlib.crc32(b"".join(Path(str(module.__file__)).read_bytes() for module in modules))


def _update() -> Callable[..., None]:
    """`fused_update` for Numba to keep on disk.

    Numba knows a compiled function again by its own file alone, and by the variables it encloses: so it encloses the
    checksum of the others.
    """
    sources = _fingerprint()

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
        rows: Any,
        batch: Any,
        statistics: Any,
    ) -> None:
        if sources >= 0:
            fused_kernel.fused_update(
                vector,
                layout,
                work,
                settings,
                scale,
                obs,
                action,
                reward,
                next_obs,
                terminal,
                rows,
                batch,
                statistics,
            )

    return update
