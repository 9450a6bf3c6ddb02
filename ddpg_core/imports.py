"""Files that someone brings: a policy (safetensors or ONNX) or a recipe, taken apart without ever trusting them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ddpg_core import policy_file
from ddpg_core.export import check_observations, onnx_file
from ddpg_core.policy import Policy
from ddpg_core.recipe import Recipe

MAX_BYTES: Final = policy_file.MAX_BYTES
SUFFIXES: Final = (".safetensors", ".onnx", ".json")
_SHOWN: Final = 300


def read_file(name: str, data: bytes) -> Policy | Recipe:
    """What the file called `name` holds; only the end of the name matters. Nothing in it is ever executed.

    Raises:
        ValueError: Not a file that this project wrote, in one sentence.
    """
    kind = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"it must be at most {MAX_BYTES >> 20} MiB, got {len(data) >> 20} MiB")
        if kind == ".safetensors":
            return _checked(policy_file.from_bytes(data))
        if kind == ".onnx":
            return _checked(onnx_file.read(data))
        if kind == ".json":
            return _recipe(data)
        raise ValueError(f"its name must end in {', '.join(SUFFIXES)}")
    except ValueError as error:
        raise ValueError(f"{name[-60:]} can't be opened: {' '.join(str(error).split())}"[:_SHOWN]) from None


def read_path(path: Path) -> Policy | Recipe:
    """What the file at `path` holds.

    Raises:
        ValueError: There is no such file, or as `read_file`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} can't be opened: {error.strerror}") from None
    return read_file(path.name, data)


def recipe_of(found: Policy | Recipe) -> Recipe:
    """The recipe to train to go on from a file: a policy's own, without what was changed after it.

    A run that started from the actor alone, with a critic that knows nothing yet, would forget the swing-up within an
    episode and learn it again no sooner than from scratch. Trained again to `card.env_steps`, a run has the critic and
    the replay buffer too, and on the same machine exactly the policy's weights; `difference` says what it has here.
    """
    return found if isinstance(found, Recipe) else found.card.recipe.until(found.card.env_steps)


def difference(one: Policy, other: Policy) -> float:
    """The largest difference of the actions of two policies for one environment, in its units."""
    observations = check_observations(other)
    return float(np.abs(one(observations) - other(observations)).max())


def _checked(policy: Policy) -> Policy:
    """The policy, unless its weights are so large that some sum of them is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(policy(check_observations(policy))).all()
    if not finite:
        raise ValueError("policy must give an action for every observation, got weights that are too large")
    return policy


def _recipe(data: bytes) -> Recipe:
    if len(data) > policy_file.MAX_JSON_BYTES:
        raise ValueError(f"recipe must be at most {policy_file.MAX_JSON_BYTES >> 20} MiB, got {len(data) >> 20} MiB")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError("recipe must be JSON, got bytes that are no text") from None
    return Recipe.from_json(text)
