"""A policy as a safetensors file, this project's own format: the state of a plain torch module, and the card."""

from __future__ import annotations

import json
import struct
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ddpg_core.config import MAX_LAYERS, MAX_UNITS, shown
from ddpg_core.environment import Array
from ddpg_core.networks import MLP
from ddpg_core.policy import Card, Policy

CARD: Final = "card"
"""The name under which files hold the card's JSON."""
MAX_BYTES: Final = 16 << 20
MAX_JSON_BYTES: Final = 6 << 20
"""JSON may take 24 times as much memory as text."""
BUFFERS: Final = ("action_scale", "action_low", "action_high")


def tensors_of(policy: Policy) -> dict[str, Array]:
    """The policy's numbers by name: `actor.0.weight` [U, I], `actor.0.bias` [U], `actor.2.weight`, …, `BUFFERS` [A].

    The odd numbers are those of the activations, as torch counts the parts of a `Sequential`.
    """
    tensors = {}
    for index, (kernel, bias) in enumerate(policy.layers):
        tensors[f"actor.{2 * index}.weight"], tensors[f"actor.{2 * index}.bias"] = kernel, bias
    return tensors | {name: getattr(policy, name) for name in BUFFERS}


def policy_of(tensors: dict[str, Array], card: Card) -> Policy:
    """The policy that `tensors_of` took apart.

    Raises:
        ValueError: A tensor is missing or one too many, or of the wrong shape or type, or not finite.
    """
    depth = (len(tensors) - len(BUFFERS)) // 2
    names = [f"actor.{2 * index}.{part}" for index in range(depth) for part in ("weight", "bias")]
    if not 2 <= depth <= MAX_LAYERS + 1 or set(tensors) != {*names, *BUFFERS}:
        raise ValueError(f"policy must hold the layers of an actor and {', '.join(BUFFERS)}, got {shown([*tensors])}")
    wrong = [name for name, array in tensors.items() if array.dtype != np.float32 or not np.isfinite(array).all()]
    if wrong:
        raise ValueError(f"{wrong[0]} must hold finite float32 numbers, got others")
    kernels = [tensors[name] for name in names[::2]]
    if any(kernel.ndim != 2 or not all(1 <= size <= MAX_UNITS for size in kernel.shape) for kernel in kernels):
        raise ValueError(f"kernels must be of 1 to {MAX_UNITS} units, got {shown([k.shape for k in kernels])}")
    net = MLP((kernels[0].shape[1], *(kernel.shape[0] for kernel in kernels)), squash=True)
    shapes = [shape for kernel in net.shapes for shape in (kernel, kernel[:1])]
    if [tensors[name].shape for name in names] != shapes:
        raise ValueError(f"layers must fit each other, got {shown([tensors[name].shape for name in names])}")
    parameters = np.concatenate([tensors[name].ravel() for name in names])
    scale, low, high = (tensors[name] for name in BUFFERS)
    return Policy(net, parameters, scale, low, high, card)


def to_bytes(policy: Policy) -> bytes:
    """The policy as the bytes of a safetensors file; equal policies make equal files."""
    return save(tensors_of(policy), metadata={CARD: policy.card.to_json()})


def from_bytes(data: bytes) -> Policy:
    """The policy of a safetensors file. Nothing in it is ever executed.

    Raises:
        ValueError: Too large, truncated, corrupt or foreign.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"policy must be at most {MAX_BYTES >> 20} MiB, got {len(data) >> 20} MiB")
    length = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else 0
    if not 0 < length <= min(MAX_JSON_BYTES, len(data) - 8):
        raise ValueError("policy must be a whole safetensors file, got one with a broken header")
    try:
        tensors = load(data)
        text = json.loads(data[8 : 8 + length])["__metadata__"][CARD]
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, RecursionError, AttributeError):
        raise ValueError("policy must be a safetensors file with a card, as this project writes it") from None
    return policy_of(tensors, Card.from_json(text))
