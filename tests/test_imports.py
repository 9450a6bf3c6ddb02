from __future__ import annotations

import json
import random
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import save

from ddpg_core import policy_file
from ddpg_core.__main__ import main
from ddpg_core.checkpoint import load_checkpoint
from ddpg_core.imports import MAX_BYTES, difference, read_file, read_path, recipe_of
from ddpg_core.policy import Policy, policy_at
from ddpg_core.recipe import Recipe
from ddpg_core.run import Run
from tests.export_helpers import CONFIGS, source, written
from tests.helpers import SMALL, assert_equal_runs, trained

NAMES = {"safetensors": "policy.safetensors", "onnx": "POLICY.ONNX", "recipe": "recipe.json"}


def files(name: str) -> dict[str, bytes]:
    """A valid file of each kind."""
    return {
        "safetensors": policy_file.to_bytes(source(name).policy),
        "onnx": written("onnx", name),
        "recipe": written("recipe", name),
    }


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_policy_comes_back_with_its_card_bit_for_bit(kind: str, name: str) -> None:
    policy, found = source(name).policy, read_file(NAMES[kind], files(name)[kind])
    assert isinstance(found, Policy)
    assert (found.net, found.card) == (policy.net, policy.card)
    for part in ("parameters", "action_scale", "action_low", "action_high"):
        np.testing.assert_array_equal(getattr(found, part), getattr(policy, part))
    assert difference(found, policy) == 0


def test_recipe_comes_back() -> None:
    assert read_file("a.json", files("car")["recipe"]) == source("car").policy.card.recipe


def test_equal_policies_make_equal_files() -> None:
    assert files("pendulum")["safetensors"] == policy_file.to_bytes(source("pendulum").policy)


# --- going on from a file ---------------------------------------------------------------------------------------------


def test_recipe_of_a_policy_trains_on_exactly_as_its_run_did() -> None:
    run = trained(450, SMALL, 2, (150, {"tau": 0.2}), (420, {"gamma": 0.5}))
    policy = read_file("p.safetensors", policy_file.to_bytes(policy_at(run, 2, starts=1)))
    assert isinstance(policy, Policy)
    again = Run(recipe_of(policy))
    again.advance(steps=policy.card.env_steps)
    assert difference(policy_at(again, starts=1), policy) == 0
    again.intervene({"gamma": 0.9})
    branch = run.branch(2, {"gamma": 0.9})
    for twin in (again, branch):
        twin.advance(steps=100)
    assert_equal_runs(again, branch)


def test_recipe_of_a_recipe_is_itself() -> None:
    recipe = trained(3, SMALL, 5).recipe
    assert recipe_of(recipe) == recipe


def test_difference_is_the_largest_of_any_action() -> None:
    one, other = source("pendulum").policy, policy_at(trained(400, CONFIGS["pendulum"], 9), starts=1)
    found = difference(one, other)
    assert 0.01 < found <= 4
    assert found == difference(other, one)


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "recipe"])
def test_command_line_trains_the_recipe_in_any_of_these_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES[kind]
    path.write_bytes(files("pendulum")[kind])
    assert main(["train", "--recipe", str(path), "--episodes", "2", "--out", str(tmp_path / "run")]) == 0
    assert_equal_runs(
        load_checkpoint(tmp_path / "run" / "checkpoint.safetensors"), trained(400, CONFIGS["pendulum"], 3)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "{missing}"], "can't be opened: No such file"),
        (["--recipe", "{recipe}", "--seed", "1", "--set", "tau=1"], "leave out --seed, --set"),
        (["--recipe", "{recipe}", "--resume", "{recipe}"], "leave out --recipe"),
    ],
)
def test_command_line_refuses_a_recipe_with_more(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"missing": tmp_path / "no.json", "recipe": tmp_path / "recipe.json"}
    paths["recipe"].write_bytes(files("car")["recipe"])
    arguments = [argument.format(**paths) for argument in arguments]
    assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err


# --- bad files --------------------------------------------------------------------------------------------------------


def tensors() -> dict[str, np.ndarray]:
    return policy_file.tensors_of(source("pendulum").policy)


def saved(changes: dict[str, Any], card: str | None = None) -> bytes:
    """A safetensors file with other tensors (None: without it) or another card."""
    changed = {name: array for name, array in (tensors() | changes).items() if array is not None}
    text = source("pendulum").policy.card.to_json() if card is None else card
    return save(changed, metadata={"card": text})


BAD_TENSORS = {
    "a layer is missing": ({"actor.2.bias": None}, "must hold the layers of an actor"),
    "one too many": ({"extra": np.zeros(1, np.float32)}, "must hold the layers of an actor"),
    "float64": ({"actor.0.bias": np.zeros(8)}, "actor.0.bias must hold finite float32"),
    "whole numbers": ({"action_scale": np.array([2])}, "action_scale must hold finite float32"),
    "infinite": ({"actor.4.bias": np.array([np.inf], np.float32)}, "actor.4.bias must hold finite float32"),
    "not a number": ({"action_scale": np.array([np.nan], np.float32)}, "action_scale must hold finite float32"),
    "no matrix": ({"actor.0.weight": np.zeros(24, np.float32)}, "kernels must be of 1 to 512 units"),
    "too wide": ({"actor.0.weight": np.zeros((513, 3), np.float32)}, "kernels must be of 1 to 512 units"),
    "empty": ({"actor.0.weight": np.zeros((0, 3), np.float32)}, "kernels must be of 1 to 512 units"),
    "layers don't meet": ({"actor.2.weight": np.zeros((4, 7), np.float32)}, "layers must fit each other"),
    "bias too long": ({"actor.0.bias": np.zeros(9, np.float32)}, "layers must fit each other"),
    "other inputs": ({"actor.0.weight": np.zeros((8, 4), np.float32)}, "network must be 3-8-4-1"),
    "two scales": ({"action_scale": np.zeros(2, np.float32)}, "action_scale must be 1 finite"),
    "other limits": ({"action_low": np.array([-1], np.float32)}, "action_low must be"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_tensors_of_another_shape_type_or_value_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_file("policy.safetensors", saved(changes))


def bomb(opening: str, count: int) -> bytes:
    """A safetensors header of many small values in place of a card."""
    header = b'{"__metadata__":{"card":"[' + opening.encode() * count + b'1]"}}'
    return struct.pack("<Q", len(header)) + header


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("p.safetensors", b"", "broken header"),
    "short": ("p.safetensors", b"\x08\0\0", "broken header"),
    "header beyond the end": ("p.safetensors", struct.pack("<Q", 2**63) + b"{}", "broken header"),
    "header too long": ("p.safetensors", bomb("1,", 4 << 20), "broken header"),
    "card of a million lists": ("p.safetensors", bomb("[],", 1_900_000), "card must"),
    "card nested deeply": ("p.safetensors", bomb("[", 5_000_000), "card must"),
    "no card": ("p.safetensors", save({"a": np.zeros(1)}), "with a card"),
    "too large": ("p.onnx", bytes(MAX_BYTES + 1), "at most 16 MiB"),
    "empty ONNX": ("p.onnx", b"", "must hold one card"),
    "flood of fields": ("p.onnx", b"\x0a\x00" * (4 << 20), "fewer than 100 fields"),
    "flood of nodes": ("p.onnx", b"\x3a\xff\xff\x7f" + b"\x0a\x00" * (1 << 20), "must"),
    "endless number": ("p.onnx", b"\xff" * 100, "at most, got more"),
    "unknown kind of field": ("p.onnx", b"\x0b\x00", "known kind"),
    "recipe of bytes": ("p.json", b"\xff\xfe", "bytes that are no text"),
    "recipe nested deeply": ("p.json", b"[" * 1_000_000, "recipe must be JSON"),
    "recipe too long": ("p.json", b" " * (7 << 20), "at most 6 MiB"),
    "number of many digits": ("p.json", b"9" * 100_000, "recipe must be JSON"),
    "pickle": ("policy.pkl", b"\x80\x04.", "its name must end in .safetensors, .onnx, .json"),
}


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_ends_in_one_sentence(name: str, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_file(name, data)
    assert str(error.value).startswith(f"{name} can't be opened: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 300


def test_weights_too_large_to_add_up_are_refused() -> None:
    signs = np.random.default_rng(0)
    names = [name for name in tensors() if name.startswith("actor")]
    huge = {name: signs.choice([-3e38, 3e38], tensors()[name].shape).astype(np.float32) for name in names}
    with pytest.raises(ValueError, match="weights that are too large"):
        read_file("p.safetensors", saved(huge))


def test_card_that_lies_about_the_network_is_refused() -> None:
    card = json.loads(source("pendulum").policy.card.to_json())
    for name, value in (("hidden", [8]), ("env_id", "MountainCarContinuous-v0"), ("env_id", "os:system")):
        other = card | {"recipe": card["recipe"] | {"config": card["recipe"]["config"] | {name: value}}}
        with pytest.raises(ValueError, match="must be"):
            read_file("p.safetensors", saved({}, json.dumps(other)))


def onnx_changed(change: str) -> bytes:
    """An ONNX file that onnx itself finds valid, but that computes something else."""
    model = onnx.load_model_from_string(files("pendulum")["onnx"])
    nodes = model.graph.node
    if change == "activation":
        nodes[1].op_type = "Sigmoid"
    elif change == "attribute":
        nodes[0].attribute.append(helper.make_attribute("alpha", 2.0))
    elif change == "no transposition":
        del nodes[0].attribute[:]
    elif change == "wiring":
        nodes[-1].input[0] = "scaled"
    elif change == "one more":
        nodes.append(helper.make_node("Neg", ["action"], ["negative"]))
    elif change == "domain":
        nodes[1].domain = "com.example"
    elif change == "float64":
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((8, 3)), "actor.0.weight"))
    elif change == "elsewhere":
        model.graph.initializer[0].ClearField("raw_data")
        model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    elif change == "twice":
        model.graph.initializer.append(model.graph.initializer[0])
    elif change == "no card":
        del model.metadata_props[:]
    return bytes(model.SerializeToString())


CHANGES = [
    *("activation", "attribute", "no transposition", "wiring", "one more", "domain", "float64", "elsewhere", "twice"),
    "no card",
]


@pytest.mark.parametrize("change", CHANGES)
def test_onnx_file_that_computes_something_else_is_refused(change: str) -> None:
    assert isinstance(read_file("p.onnx", onnx_changed("nothing")), Policy)
    with pytest.raises(ValueError, match="must"):
        read_file("p.onnx", onnx_changed(change))


def test_file_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(ValueError, match="at most 16 MiB"):
        read_path(path)


# --- ten thousand mutated files ---------------------------------------------------------------------------------------

PIECES = [
    b"",
    b"\0",
    b"\xff",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"9" * 30,
    b"\xf0\x9f\x92\xa5",
    b"64",
]


def mutated(data: bytes, rng: random.Random, header: int) -> bytes:
    """`data` with one to four places changed, half of them within the first `header` bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        end = rng.choice([len(changed), min(header, len(changed))])
        at = rng.randrange(end + 1)
        length = rng.choice([0, 1, 1, 2, 8, 40])
        kind = rng.randrange(4)
        if kind == 0:
            changed[at : at + length] = rng.randbytes(length)
        elif kind == 1:
            changed[at : at + length] = rng.choice(PIECES)
        elif kind == 2:
            changed[at:at] = changed[at : at + length]
        elif at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.05 else changed)


def mutants(count: int) -> list[tuple[str, bytes]]:
    """Changed files of each kind, and whole safetensors files around changed cards."""
    rng, found = random.Random(0), []
    kinds = [(kind, data) for name in CONFIGS for kind, data in files(name).items()]
    card = source("pendulum").policy.card.to_json().encode()
    for index in range(count):
        if index % 4 == 3:
            text = mutated(card, rng, len(card)).decode(errors="replace")
            found.append((NAMES["safetensors"], saved({}, text)))
        else:
            kind, data = rng.choice(kinds)
            found.append((NAMES[kind], mutated(data, rng, 2500)))
    return found


def read(file: tuple[str, bytes]) -> Policy | Recipe | None:
    """What a file holds; None where it is refused, in one line."""
    try:
        return read_file(*file)
    except ValueError as error:
        return None if str(error).isprintable() else pytest.fail(f"the message must be one line, got {error}")


def test_ten_thousand_mutated_files_give_a_valid_object_or_one_sentence() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened = [found for found in map(read, mutants(10_000)) if found is not None]
    for found in opened:
        if isinstance(found, Policy):
            action = found(np.ones(found.net.sizes[0]))
            assert (found.action_low <= action).all()
            assert (action <= found.action_high).all()
            assert isinstance(read_file("p.safetensors", policy_file.to_bytes(found)), Policy)
        else:
            assert Recipe.from_json(found.to_json()) == found
    assert 200 < len(opened) < 5000, "mutations must leave some files valid, and break most"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
