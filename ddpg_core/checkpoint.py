"""Checkpoints: everything needed to resume a run exactly, in one safetensors file with a JSON header."""

from __future__ import annotations

import bisect
import hashlib
import json
import os
import struct
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ddpg_core.config import shown
from ddpg_core.environment import Array
from ddpg_core.logs import Logs
from ddpg_core.moments import Divergence, Snapshot
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run

FORMAT: Final = "ddpg-lab checkpoint 2"
MAX_BYTES: Final = 1 << 30
_FOREIGN: Final = (
    SafetensorError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)
"""What reading bytes that are no checkpoint may raise, besides ValueError."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: temporary file beside it, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def save_checkpoint(run: Run, path: Path) -> None:
    """Write `run` to `path`, so that `load_checkpoint` goes on exactly where it stands."""
    write_whole(path, to_bytes(run))


def load_checkpoint(path: Path) -> Run:
    """The run saved at `path`.

    Raises:
        ValueError: The file is not there, too large, truncated, corrupt, or not a checkpoint of this project.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"checkpoint must be at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"checkpoint must be a readable file, got {path}: {error.strerror}") from None
    return from_bytes(data)


def to_bytes(run: Run) -> bytes:
    """The checkpoint of `run` as the bytes of a safetensors file."""
    now, past = run.snapshot(), run.snapshots
    header = {
        "recipe": run.recipe.to_dict(),
        "divergence": asdict(run.divergence) if run.divergence else None,
        "first": [table.first for table in run.logs.tables().values()],
        "snapshots": [[s.episode, list(s.totals), s.counters] for s in (*past, now)],
    }
    tensors = {name: table.rows() for name, table in run.logs.tables().items()}
    tensors["learner"] = np.stack([snapshot.learner for snapshot in (*past, now)])
    text = json.dumps(header)
    envelope = {"format": FORMAT, "sha256": _digest(text, tensors), "run": text}
    # One entry only: safetensors writes several in random order, and equal runs should make equal files.
    return save(tensors, metadata={"ddpg-lab": json.dumps(envelope)})


def from_bytes(data: bytes) -> Run:
    """The run of a checkpoint's bytes. Nothing in them is ever executed.

    Raises:
        ValueError: Truncated, corrupt or foreign bytes.
    """
    try:
        header, tensors = _parse(data)
        recipe = Recipe.from_dict(header["recipe"])
        return _rebuild(recipe, header, tensors)
    except _FOREIGN as error:
        raise ValueError(
            f"checkpoint must be a whole file written by this project: {' '.join(str(error).split())}"[:300]
        ) from None
    except ValueError as error:
        raise ValueError(f"checkpoint must be valid: {' '.join(str(error).split())}"[:300]) from None


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """The JSON header and the tensors of a checkpoint's bytes."""
    (length,) = struct.unpack_from("<Q", data)
    envelope = json.loads(json.loads(data[8 : 8 + min(length, len(data))])["__metadata__"]["ddpg-lab"])
    if envelope["format"] != FORMAT:
        raise ValueError(f"format must be {FORMAT!r}, got {shown(envelope['format'])}")
    tensors = load(data)
    if envelope["sha256"] != _digest(envelope["run"], tensors):
        raise ValueError("content must have the checksum it was saved with, got another: the file is damaged")
    return json.loads(envelope["run"]), tensors


def _digest(text: str, tensors: dict[str, Array]) -> str:
    """SHA-256 of the JSON text and of every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()


def _rebuild(recipe: Recipe, header: dict[str, Any], tensors: dict[str, Array]) -> Run:
    """The run, after checking that all parts have the shapes and totals of the recipe's networks and logs."""
    blank = Run(recipe)
    *past, now = (
        Snapshot(episode, tuple(totals), vector, counters)
        for (episode, totals, counters), vector in zip(header["snapshots"], tensors["learner"], strict=True)
    )
    for snapshot in (*past, now):
        _check_snapshot(snapshot, blank)
    episodes = [snapshot.episode for snapshot in past]
    if episodes[:1] != [0] or episodes != sorted(set(episodes)) or episodes[-1] > now.episode:
        raise ValueError(f"snapshots must be of rising episodes from 0 to {now.episode}, got {shown(episodes)}")
    logs = Logs(blank.env.obs_size, blank.env.action_size)
    logs.steps.raise_bound(max(recipe.config_at(step).capacity for step in _changes_until(recipe, now.totals[0])))
    for (name, table), first, total in zip(logs.tables().items(), header["first"], now.totals, strict=True):
        kept = total - first
        if not min(total, 1) <= kept <= min(total, table.bound):
            raise ValueError(f"{name} must keep 1 to {table.bound} of {total} rows, got {kept}")
        _check_shape(name, tensors[name], (kept, sum(table.columns.values())), table.rows().dtype)
        table.load(tensors[name], total)
    if logs.steps.first > now.counters["window_first"]:
        raise ValueError(f"steps must keep the replay window, got rows from {logs.steps.first} on")
    run = Run.restored(recipe, logs, now, tuple(past))
    if header["divergence"] is not None:
        _check_like("divergence", header["divergence"], {"step": 0, "cause": ""})
        run.divergence = Divergence(**header["divergence"])
    return run


def _changes_until(recipe: Recipe, step: int) -> list[int]:
    """The steps up to `step` from which on the settings were others than before."""
    return [-1, *(item.step for item in recipe.interventions if item.step <= step)]


def _check_snapshot(snapshot: Snapshot, blank: Run) -> None:
    """Raise unless a snapshot is of a run like `blank` and its numbers agree with each other."""
    counters = snapshot.counters
    _check_like("totals", list(snapshot.totals), [0, 0, 0])
    _check_like("counters", counters, blank.snapshot().counters)
    _check_shape("learner", snapshot.learner, blank.learner.vector.shape, blank.learner.vector.dtype)
    steps, updates, episodes = snapshot.totals
    elapsed = counters["env"]["elapsed_steps"]
    if (snapshot.episode, counters["updates"], counters["first_step"]) != (episodes, updates, steps - elapsed):
        raise ValueError(f"counters of episode {shown(snapshot.episode)} must agree with each other, got others")
    if counters["env"]["dtype"] not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, got {shown(counters['env']['dtype'])}")
    steps_changed = [item.step for item in blank.recipe.interventions]
    if not bisect.bisect_left(steps_changed, steps) <= counters["due"] <= bisect.bisect_right(steps_changed, steps):
        raise ValueError(f"due must count the interventions up to step {steps}, got {shown(counters['due'])}")
    if not 0 <= counters["window_first"] <= steps:
        raise ValueError(f"window_first must be in [0, {steps}], got {shown(counters['window_first'])}")
    scratch = np.random.PCG64(0)
    for state in (counters["env"]["rng"], counters["noise_rng"], counters["sampling_rng"]):
        scratch.state = state  # raises for what is none
    if not 0 <= elapsed <= steps or updates < 0 or episodes < 0:
        raise ValueError(f"totals must be whole numbers from 0, got {shown(snapshot.totals)}")


def _check_like(name: str, value: Any, template: Any) -> None:
    """Raise unless JSON `value` has the keys, lengths and types of `template`; any text passes for a text."""
    if isinstance(template, dict):
        matches = isinstance(value, dict) and value.keys() == template.keys()
        parts = [(key, value[key], template[key]) for key in template] if matches else []
    elif isinstance(template, list):
        matches = isinstance(value, list) and len(value) == len(template)
        parts = [(name, *pair) for pair in zip(value, template, strict=True)] if matches else []
    else:
        matches = type(value) is type(template) or (isinstance(template, float) and type(value) is int)
        parts = []
    if not matches:
        raise ValueError(f"{name} must be like {shown(template)}, got {shown(value)}")
    for part in parts:
        _check_like(*part)


def _check_shape(name: str, array: Array, shape: tuple[int, ...], dtype: Any) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")
