"""Export to PyTorch: a plain module's state in safetensors with its loader, and the same as a `torch.export` program.

One zip with `policy.safetensors`, `load_policy.py`, `policy.pt2` and `card.json`. The first works without this
project, and is also what it imports; the second works without the loader's code.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ddpg_core import policy_file
from ddpg_core.environment import Array
from ddpg_core.export import TRACING, Source
from ddpg_core.export.archive import unzipped, zipped
from ddpg_core.policy import Policy

if TYPE_CHECKING:
    from torch.nn import Module

_ASSETS: Final = Path(__file__).parent / "assets"


def write(source: Source) -> bytes:
    """The bytes of the zip file."""
    state = policy_file.to_bytes(source.policy)
    files = {
        "policy.safetensors": state,
        "load_policy.py": (_ASSETS / "load_policy.py").read_bytes(),
        "card.json": source.policy.card.to_json().encode(),
    }
    with TRACING:
        return zipped(files | {"policy.pt2": _program(_loaded(state), source.policy.net.sizes[0])})


def largest_difference(data: bytes, policy: Policy, observations: Array) -> float:
    """How far actions of the module or the program in `data` are from the policy's."""
    import torch

    files = unzipped(data)
    with TRACING, torch.no_grad():
        program = torch.export.load(io.BytesIO(files["policy.pt2"])).module()
        module = _loaded(files["policy.safetensors"])
        actions = [actor(torch.from_numpy(observations)).numpy() for actor in (module, program)]
    return float(np.abs(np.stack(actions) - policy(observations)).max())


def _loaded(state: bytes) -> Module:
    """The module as the loader makes it."""
    from ddpg_core.export.assets.load_policy import load_policy

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "policy.safetensors").write_bytes(state)
        return load_policy(Path(folder))


def _program(module: Module, obs_size: int) -> bytes:
    """The module as a `torch.export` program for batches of any size."""
    import torch

    buffer = io.BytesIO()
    example = (torch.zeros(2, obs_size),)
    program = torch.export.export(module, example, dynamic_shapes={"obs": {0: torch.export.Dim("batch")}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names folders of this machine
    torch.export.save(program, buffer)
    return buffer.getvalue()
