"""Export as one Python file that needs NumPy alone: the weights, the policy, and an episode when it is executed."""

from __future__ import annotations

import base64
import importlib.util
import tempfile
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np

from ddpg_core.environment import Array
from ddpg_core.export import Source
from ddpg_core.policy import Policy, file_stem

_ASSETS: Final = Path(__file__).parent / "assets"
_PHYSICS: Final = {"Pendulum-v1": "numpy_pendulum.txt", "MountainCarContinuous-v0": "numpy_car.txt"}
_WIDTH: Final = 100


def write(source: Source) -> bytes:
    """The bytes of the Python file."""
    policy = source.policy
    config = policy.card.config
    physics = (_ASSETS / _PHYSICS[config.env_id]).read_text(encoding="utf-8")
    weights = base64.b64encode(policy.parameters.astype("<f4").tobytes()).decode()
    text = (_ASSETS / "numpy_policy.txt").read_text(encoding="utf-8")
    filled = text.format(
        environment=config.env_id,
        name=f"{file_stem(policy)}.py",
        sizes=policy.net.sizes,
        action_scale=policy.action_scale.tolist(),
        action_low=policy.action_low.tolist(),
        action_high=policy.action_high.tolist(),
        card=_quoted(policy.card.to_json().splitlines(keepends=True), 4),
        parameters=_quoted(textwrap.wrap(weights, _WIDTH), 8),
        physics=physics.format(gravity=config.gravity, mass=config.mass, length=config.length),
    )
    return filled.encode()


def largest_difference(data: bytes, policy: Policy, observations: Array) -> float:
    """How far the actions of the file's own `policy` are from the policy's."""
    return float(np.abs(_module(data).policy(observations) - policy(observations)).max())


def _quoted(lines: list[str], indent: int) -> str:
    """Lines of text as Python's string literals, one after the other: no text gets out of its quotes."""
    return f"\n{' ' * indent}".join(map(repr, lines))


def _module(data: bytes) -> ModuleType:
    """The file that this process wrote, as a module."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported_policy.py"
        path.write_bytes(data)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
