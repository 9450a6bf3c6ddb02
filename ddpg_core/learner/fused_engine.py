"""The compiled engine: `torch_engine`'s update as one function call, on the same vectors, the same but for rounding.

Of the pendulum it takes stretches of env steps, with the updates that follow them, in one call.
"""

from __future__ import annotations

import logging
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numba
import numpy as np
from numba import njit, types

from ddpg_core import environment
from ddpg_core.config import Config
from ddpg_core.environment import Array
from ddpg_core.learner import (
    ADAM_BETAS,
    ADAM_EPSILON,
    SATURATED,
    STATISTICS,
    Batch,
    LearnerState,
    Outcome,
    Stretch,
    fused_descent,
    fused_kernel,
    fused_layers,
    fused_loop,
    fused_plan,
    tiles,
    vectors,
)
from ddpg_core.learner.fused_plan import NOISES, Call, Learning, World, make_plan
from ddpg_core.replay import sample_rows

if TYPE_CHECKING:
    from ddpg_core.logs import Table

_INTEGERS: Final = types.int64[::1]
_FLOATS: Final = types.float32[::1]
_DOUBLES: Final = types.float64[::1]
_SIGNATURE: Final = cast(Any, types).Tuple([types.int64, types.int64])(
    _FLOATS,
    _INTEGERS,
    _FLOATS,
    _INTEGERS,
    _DOUBLES,
    _DOUBLES,
    types.Array(types.float32, 1, "C", readonly=True),
    types.float32[:, ::1],
    _INTEGERS,
    types.npy_rng,
    types.int64[:, ::1],
    _DOUBLES,
    types.float32[:, ::1],
    _DOUBLES,
    _DOUBLES,
    types.float64[:, ::1],
)
"""Of `fused_steps`."""

_TYPES: Final = [np.dtype(np.float32)] * (len(Batch._fields) + 1)
_NO_WINDOWS: Final = np.empty(0, np.int64)
_NO_GENERATOR: Final = np.random.default_rng(0)
_NOWHERE: Final = World(*[0.0] * len(World._fields))

Kernel = Callable[..., tuple[int, int]]
_LOG: Final = logging.getLogger(__name__)
_lock = threading.Lock()
_kernel: Kernel | None = None


class Draw(NamedTuple):
    """Which rows updates learn from: `ages` [N, B] int64, to be drawn from `windows` [N] if there are any."""

    windows: Array
    rng: np.random.Generator
    ages: Array


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
        self._obs, self._actions = o, a = state.actor_net.sizes[0], state.actor_net.sizes[-1]
        plan, self._work = make_plan(state.actor_net, state.critic_net)
        self._layout = np.array([*plan, *state.actor_net.sizes, *state.critic_net.sizes], np.int64)
        self._batch: Array = np.empty((0, 2 * o + a + 2), np.float32)
        self._rows = self._batch
        self._columns = {"obs": 0, "action": o, "next_obs": o + a, "reward": 2 * o + a, "terminated": 2 * o + a + 1}

    def update(self, batch: Batch, config: Config, actor_lr: float, critic_lr: float, action_scale: Array) -> Array:
        """See `Engine.update`.

        Raises:
            ValueError: The batch does not fit the networks; the kernel itself would read beyond its ends.
        """
        self._check(batch, action_scale)
        size, o, a = len(batch.reward), self._obs, self._actions
        if len(self._rows) != size:
            self._rows = np.empty((size, self._rows.shape[1]), np.float32)
        rows = self._rows
        rows[:, :o], rows[:, o : o + a], rows[:, o + a : -2] = batch.obs, batch.action, batch.next_obs
        rows[:, -2], rows[:, -1] = batch.reward, batch.terminal
        call = Call(0, 1, self._state.updates, size - 1, policy_action=0, noise=0, truncated=0, **self._columns)
        learning = _learning(config, actor_lr, critic_lr)._replace(raw_action=0.0, time_limit_terminal=0.0)
        draw = Draw(_NO_WINDOWS, _NO_GENERATOR, np.arange(size - 1, -1, -1)[None])
        return self._run(call, learning, _NOWHERE, action_scale, rows, draw, np.empty(0), np.empty(0)).statistics[0]

    def take(self, log: Table, stretch: Stretch) -> Outcome:
        """See `Loop.take`."""
        config, steps = stretch.config, len(stretch.normals)
        log.make_room(steps)
        columns = {name: part.start for name, part in log.slices.items()}
        call = Call(steps, len(stretch.windows) // steps, self._state.updates, log.newest, **columns)
        world = World(
            NOISES.index(config.noise),
            config.ou_theta,
            config.ou_mu,
            config.ou_sigma,
            config.ou_dt,
            stretch.noise_amplitude,
            3 * config.gravity / (2 * config.length),
            3.0 / (config.mass * config.length**2),
            stretch.ends,
        )
        learning, draw = _learning(config, stretch.actor_lr, stretch.critic_lr), _draw(stretch)
        outcome = self._run(
            call, learning, world, stretch.action_scale, log.storage, draw, stretch.normals, stretch.state
        )
        log.count(len(outcome.rewards))
        return outcome

    def _run(
        self,
        call: Call,
        learning: Learning,
        world: World,
        action_scale: Array,
        rows: Array,
        draw: Draw,
        normals: Array,
        state: Array,
    ) -> Outcome:
        updates, size = draw.ages.shape
        if len(self._batch) != size:
            self._batch = np.empty((size, self._batch.shape[1]), np.float32)
        rewards, statistics = np.empty(len(normals)), np.empty((updates, len(STATISTICS)))
        steps, updates = self._kernel(
            self._state.vector,
            self._layout,
            self._work,
            np.array(call, np.int64),
            np.array(learning, np.float64),
            np.array(world, np.float64),
            action_scale,
            rows,
            *draw,
            normals,
            self._batch,
            state,
            rewards,
            statistics,
        )
        self._state.updates += updates
        return Outcome(rewards[:steps], statistics[:updates])

    def _check(self, batch: Batch, action_scale: Array) -> None:
        """Raise unless all shapes and types are what the kernel takes them for."""
        size = len(batch.reward)
        parts = (*batch, action_scale)
        expected = [(size, self._obs), (size, self._actions), (size,), (size, self._obs), (size,), (self._actions,)]
        if size and [part.shape for part in parts] == expected and [part.dtype for part in parts] == _TYPES:
            return
        found = [f"{part.dtype} {part.shape}" for part in parts]
        raise ValueError(f"batch and action_scale must be float32 {expected} with rows, got {', '.join(found)}")


def _draw(stretch: Stretch) -> Draw:
    """As `replay.sample_rows` draws; with replacement the kernel does it, without the interpreter's lock."""
    config, windows, rng = stretch.config, stretch.windows, stretch.sampling_rng
    if config.replay == "uniform" and config.replacement:
        return Draw(np.array(windows, np.int64), rng, np.empty((len(windows), config.batch_size), np.int64))
    size = min([config.batch_size, *windows[:1]])
    ages = np.array([sample_rows(window, config, rng) for window in windows], np.int64)
    return Draw(_NO_WINDOWS, rng, ages.reshape(len(windows), size))


def _learning(config: Config, actor_lr: float, critic_lr: float) -> Learning:
    return Learning(
        config.gamma,
        config.tau,
        config.l2,
        config.target_action_scaled,
        actor_lr,
        critic_lr,
        *ADAM_BETAS,
        ADAM_EPSILON,
        SATURATED,
        config.store_action == "raw",
        config.time_limit_terminal,
    )


def is_prepared() -> bool:
    """Whether an engine can be made at once."""
    return _kernel is not None


def prepare() -> Kernel:
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


def _from_disk() -> Kernel | None:
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
    return cast(Kernel, kernel)


def _compiled() -> Kernel:
    """The kernel compiled anew, and kept on disk where that is possible."""
    _LOG.warning("compiling the fused engine, once on this machine: about ten seconds")
    kernel: Any = _cached() or njit(_steps(), nogil=True)
    try:
        kernel.compile(_SIGNATURE)
    except Exception as error:  # the compiler has many words for a processor it does not know
        if not kernel.overloads:  # otherwise only keeping it failed: the disk is full
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ValueError(f"engine must be torch on a machine that cannot compile fused: {reason}") from None
    kernel.disable_compile()
    return cast(Kernel, kernel)


def _cached() -> Any:
    """The kernel's Numba function, nothing compiled yet, that looks on disk first; None without a folder for it."""
    try:
        return njit(_steps(), nogil=True, cache=True)
    except RuntimeError:
        return None


def _fingerprint() -> int:
    """A checksum of the sources that the kernel is made of."""
    modules = (environment, fused_descent, fused_kernel, fused_layers, fused_loop, fused_plan, tiles, vectors)
    return zlib.crc32(b"".join(Path(str(module.__file__)).read_bytes() for module in modules))


def _steps() -> Kernel:
    """`fused_steps` for Numba to keep on disk.

    Numba knows a compiled function again by its own file alone, and by the variables it encloses: so it encloses the
    checksum of the others.
    """
    sources = _fingerprint()

    def steps(
        vector: Any,
        layout: Any,
        work: Any,
        call: Any,
        learning: Any,
        world: Any,
        scale: Any,
        log: Any,
        windows: Any,
        sampling_rng: Any,
        ages: Any,
        normals: Any,
        batch: Any,
        state: Any,
        rewards: Any,
        statistics: Any,
    ) -> Any:
        if sources < 0:
            return 0, 0
        return fused_loop.fused_steps(
            vector,
            layout,
            work,
            call,
            learning,
            world,
            scale,
            log,
            windows,
            sampling_rng,
            ages,
            normals,
            batch,
            state,
            rewards,
            statistics,
        )

    return steps
