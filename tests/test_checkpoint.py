from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

import ddpg_core.checkpoint
from ddpg_core.checkpoint import _digest, from_bytes, load_checkpoint, save_checkpoint, to_bytes, write_whole
from tests.helpers import CAR, IDLE, SMALL, assert_equal_runs, trained


@pytest.fixture(scope="module")
def saved() -> bytes:
    """The checkpoint of a run with a past, an intervention and an episode half done."""
    run = trained(230, SMALL.changed({"hidden": (4,)}))
    run.intervene({"tau": 0.5, "capacity": 50})
    run.advance(steps=5)
    return to_bytes(run)


def rebuilt(data: bytes, edit: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> bytes:
    """The checkpoint after `edit(header, tensors)`: a well-made file with other contents."""
    (length,) = struct.unpack_from("<Q", data)
    envelope = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["ddpg-lab"])
    header, tensors = json.loads(envelope["run"]), load(data)
    edit(header, tensors)
    envelope["run"] = json.dumps(header)
    envelope["sha256"] = _digest(envelope["run"], tensors)
    return save(tensors, metadata={"ddpg-lab": json.dumps(envelope)})


def assert_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^checkpoint must be ") as caught:
        from_bytes(data)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("config", [SMALL, IDLE.changed(CAR), SMALL.changed({"noise": "none", "hidden": (3, 4)})])
@pytest.mark.parametrize("steps", [0, 1, 33, 200, 230])
def test_checkpoint_reads_back_the_very_same_run(config: Any, steps: int, tmp_path: Path) -> None:
    run, path = trained(steps, config, 7, (999, {"tau": 0.3})), tmp_path / "deep" / "run.safetensors"
    save_checkpoint(run, path)
    again = load_checkpoint(path)
    assert_equal_runs(again, run)
    assert [snapshot.episode for snapshot in again.snapshots] == [snapshot.episode for snapshot in run.snapshots]
    assert to_bytes(again) == path.read_bytes() == to_bytes(run)


def test_failure_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.safetensors"
    write_whole(path, b"old")
    failing: list[tuple[Any, str]] = [(os, "fsync"), (Path, "replace"), (Path, "chmod")]
    for owner, name in failing:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                write_whole(path, b"new and longer")
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["run.safetensors"]
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_file_is_complete_on_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, order = tmp_path / "run", []
    write_whole(path, b"old")
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(handle: int) -> None:
        order.append(("fsync", os.fstat(handle).st_size))
        fsync(handle)

    def noting_replace(source: Path, target: Path) -> Path:
        order.append(("replace", source.stat().st_size))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    write_whole(path, b"newer")
    assert order == [("fsync", 5), ("replace", 5)]


def test_missing_unreadable_and_oversized_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ValueError, match=r"^checkpoint must be a readable file, got "):
            load_checkpoint(path)
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    monkeypatch.setattr(ddpg_core.checkpoint, "MAX_BYTES", 2 << 20)
    with pytest.raises(ValueError, match=r"^checkpoint must be at most 2 MiB, got "):
        load_checkpoint(tmp_path / "big")


def test_truncated_files_are_refused_at_every_length(saved: bytes) -> None:
    (header,) = struct.unpack_from("<Q", saved)
    lengths = {*range(24), *range(24, len(saved), 997), header + 7, header + 8, header + 9, len(saved) - 1}
    for length in lengths:
        assert_refused(saved[:length])
    assert_refused(saved + b"x")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(b"\xff" * 100, id="ones"),
        pytest.param(b"PK\x03\x04" + b"x" * 500, id="zip"),
        pytest.param(b"\x80\x04\x95pickle" * 20, id="pickle"),
        pytest.param(save({"x": np.zeros(3)}), id="foreign safetensors"),
        pytest.param(save({"x": np.zeros(3)}, metadata={"format": "pt"}), id="pytorch safetensors"),
        pytest.param(save({"x": np.zeros(3)}, metadata={"ddpg-lab": "{"}), id="no JSON"),
        pytest.param(save({"x": np.zeros(3)}, metadata={"ddpg-lab": "[1]"}), id="a list"),
        pytest.param(save({"x": np.zeros(3)}, metadata={"ddpg-lab": "[" * 50_000}), id="deep JSON"),
        pytest.param(save({"x": np.zeros(3)}, metadata={"ddpg-lab": '{"format": "ddpg-lab checkpoint 99"}'}), id="new"),
        pytest.param(struct.pack("<Q", 2) + b"[]", id="header is a list"),
        pytest.param(struct.pack("<Q", 1 << 62) + b"{}", id="header longer than the file"),
    ],
)
def test_foreign_files_are_refused(data: bytes) -> None:
    assert_refused(data)


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any], Any], None]:
    """An edit that sets header[path[0]][path[1]]… to a value."""

    def edit(header: dict[str, Any], _: Any) -> None:
        place: Any = header
        for key in path[:-1]:
            place = place[key]
        assert repr(place[path[-1]]) != repr(to)
        place[path[-1]] = to

    return edit


NOW = ("snapshots", -1, 2)


@pytest.mark.parametrize(
    "edit",
    [
        _set("recipe", to={}),
        _set("recipe", "config", "hidden", to=[5]),
        _set("recipe", "config", "env_id", to="MountainCarContinuous-v0"),
        _set("recipe", "config", "env_id", to="os:system"),
        _set("recipe", "config", "tau", to=float("nan")),
        _set("recipe", "seed", to=-1),
        _set("recipe", "interventions", 0, "changes", to={"capacity": 0}),
        _set("divergence", to={"step": "1", "cause": "x"}),
        _set("divergence", to={"step": 1}),
        _set("divergence", to=7),
        _set("snapshots", to=[]),
        _set("snapshots", -1, 0, to=5),
        _set("snapshots", 1, 0, to=0),
        _set("snapshots", 0, 0, to=True),
        _set("snapshots", -1, 1, to=[235, 204]),
        _set("snapshots", -1, 1, 0, to=234),
        _set("snapshots", -1, 1, 0, to=-235),
        _set("snapshots", -1, 1, 0, to=235.0),
        _set("snapshots", -1, 1, 0, to=10**30),
        _set("first", to=[0, 0]),
        _set("first", 0, to=1),
        _set("first", 0, to=-1),
        _set("first", 0, to="0"),
        _set(*NOW, to={}),
        _set(*NOW, "noise", to=[0.0, 0.0]),
        _set(*NOW, "noise", to=["x"]),
        _set(*NOW, "obs", to=[0.0]),
        _set(*NOW, "obs", to=None),
        _set(*NOW, "due", to=2),
        _set(*NOW, "due", to=-1),
        _set(*NOW, "window_first", to=-1),
        _set(*NOW, "window_first", to=10**6),
        _set(*NOW, "updates", to=-1),
        _set(*NOW, "updates", to=3.5),
        _set(*NOW, "first_step", to=10**6),
        _set(*NOW, "discount", to="1"),
        _set(*NOW, "discount", to=True),
        _set(*NOW, "env", "state", to=[1.0]),
        _set(*NOW, "env", "dtype", to="object"),
        _set(*NOW, "env", "dtype", to="nonsense"),
        _set(*NOW, "env", "elapsed_steps", to=-3),
        _set(*NOW, "env", "rng", to={}),
        _set(*NOW, "noise_rng", "bit_generator", to="MT19937"),
        _set(*NOW, "noise_rng", "state", "state", to=-1),
        _set(*NOW, "noise_rng", "state", "state", to=1 << 200),
        _set(*NOW, "sampling_rng", "has_uint32", to="1"),
        _set(*NOW, "sampling_rng", "uinteger", to=1 << 80),
        lambda header, _: header.pop("first"),
        lambda header, _: header.pop("divergence"),
        lambda header, _: header["snapshots"].pop(0),
        lambda header, _: header["snapshots"][-1][2].pop("obs"),
        lambda _, tensors: tensors.pop("learner"),
        lambda _, tensors: tensors.pop("steps"),
        lambda _, tensors: tensors.update(learner=tensors["learner"][:, 1:]),
        lambda _, tensors: tensors.update(learner=tensors["learner"][:-1]),
        lambda _, tensors: tensors.update(learner=tensors["learner"].astype(np.float64)),
        lambda _, tensors: tensors.update(learner=np.array(1, np.float32)),
        lambda _, tensors: tensors.update(steps=tensors["steps"][1:]),
        lambda _, tensors: tensors.update(steps=tensors["steps"][:, 1:]),
        lambda _, tensors: tensors.update(updates=tensors["updates"].astype(np.float16)),
        lambda _, tensors: tensors.update(episodes=tensors["episodes"].ravel()),
    ],
)
def test_well_made_files_with_wrong_contents_are_refused(saved: bytes, edit: Callable[..., Any]) -> None:
    assert_equal_runs(from_bytes(rebuilt(saved, lambda *_: None)), from_bytes(saved))
    assert_refused(rebuilt(saved, edit))


@pytest.mark.parametrize("place", ["anywhere", "header"])
def test_damaged_files_are_refused_unless_the_damage_means_nothing(saved: bytes, place: str) -> None:
    (length,) = struct.unpack_from("<Q", saved)
    dice, messages, whole = random.Random(place), [], from_bytes(saved)
    for _ in range(300):
        damaged = bytearray(saved)
        for _ in range(dice.choice((1, 1, 1, 4))):
            end = len(saved) if place == "anywhere" else length + 8
            damaged[dice.randrange(end)] ^= 1 << dice.randrange(8)
        try:
            run = from_bytes(bytes(damaged))
        except ValueError as error:
            messages.append((type(error), str(error)))
        else:
            assert_equal_runs(run, whole)
    assert len(messages) > 290
    for kind, message in messages:
        assert kind is ValueError
        assert message.startswith("checkpoint must be ")
        assert "\n" not in message
