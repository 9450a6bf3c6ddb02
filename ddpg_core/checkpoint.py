"""Checkpoints: everything needed to resume a run exactly, in one safetensors file with a JSON header."""

from __future__ import annotations

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

from ddpg_core.environment import Array
from ddpg_core.logs import Logs
from ddpg_core.recipe import Recipe
from ddpg_core.run import Divergence, Run, Snapshot

FORMAT: Final = "ddpg-lab checkpoint 1"
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
        "snapshots": [[s.episode, list(s.totals), s.counters] for s in (*past, now)],
    }
    tensors = {name: table.rows() for name, table in run.logs.tables().items()}
    tensors["learner"] = np.stack([snapshot.learner for snapshot in (*past, now)])
    return save(tensors, metadata={"format": FORMAT, "run": json.dumps(header)})


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
        raise ValueError(f"checkpoint must be a whole file written by this project: {error}"[:200]) from None
    except ValueError as error:
        raise ValueError(f"checkpoint must be valid: {error}"[:300]) from None


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """The JSON header and the tensors of a checkpoint's bytes."""
    (length,) = struct.unpack_from("<Q", data)
    metadata = json.loads(data[8 : 8 + min(length, len(data))]).get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format must be {FORMAT!r}, got {str(metadata.get('format'))[:40]!r}")
    return json.loads(metadata["run"]), load(data)


def _rebuild(recipe: Recipe, header: dict[str, Any], tensors: dict[str, Array]) -> Run:
    """The run, after checking that all parts have the shapes and totals of the recipe's networks and logs."""
    blank = Run(recipe)
    vectors = tensors["learner"]
    _check_shape("learner", vectors, (len(header["snapshots"]), len(blank.learner.vector)), np.float32)
    snapshots = [
        Snapshot(episode, (totals[0], totals[1], totals[2]), vector, counters)
        for (episode, totals, counters), vector in zip(header["snapshots"], vectors, strict=True)
    ]
    *past, now = snapshots
    logs = Logs(blank.env.obs_size, blank.env.action_size)
    logs.steps.raise_bound(max([recipe.config.capacity, *_capacities(recipe)]))
    for (name, table), total in zip(logs.tables().items(), now.totals, strict=True):
        rows = tensors[name]
        kept = min(int(total), table.bound)
        width = sum(table.columns.values())
        _check_shape(name, rows, (kept, width), table.rows().dtype)
        table.load(rows, int(total))
    run = Run.restored(recipe, logs, now, tuple(past))
    if header["divergence"] is not None:
        run.divergence = Divergence(**header["divergence"])
    return run


def _capacities(recipe: Recipe) -> list[int]:
    return [item.changes["capacity"] for item in recipe.interventions if "capacity" in item.changes]


def _check_shape(name: str, array: Array, shape: tuple[int, ...], dtype: Any) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")
