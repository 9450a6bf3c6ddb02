"""Export to ONNX, and import of such a file: input `observation` [batch, O], output `action` [batch, A] in env units.

The graph is a chain of a few standard nodes, so it is put together by `onnx.helper` in milliseconds. Reading needs no
library: a file that isn't exactly the graph that `write` makes for its own layers is refused.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from ddpg_core.config import shown
from ddpg_core.environment import Array
from ddpg_core.export import Source
from ddpg_core.policy import Card, Policy
from ddpg_core.policy_file import BUFFERS, CARD, MAX_BYTES, MAX_JSON_BYTES, policy_of, tensors_of
from ddpg_core.protobuf import Message

OPSET: Final = 13
IR_VERSION: Final = 8
"""Old enough for every runtime of the last years."""
_FLOAT: Final = 1
"""ONNX's number for float32."""


class Node(NamedTuple):
    """One operation of the graph: what it computes, from which values, into which value."""

    operation: str
    inputs: tuple[str, ...]
    output: str


def nodes_of(depth: int) -> list[Node]:
    """The graph of an actor with `depth` layers; the layers' and buffers' names are those of `tensors_of`."""
    nodes, value = [], "observation"
    for index in range(0, 2 * depth, 2):
        nodes.append(Node("Gemm", (value, f"actor.{index}.weight", f"actor.{index}.bias"), f"layer.{index}"))
        activation = "Relu" if index < 2 * depth - 2 else "Tanh"
        nodes.append(Node(activation, (f"layer.{index}",), f"layer.{index + 1}"))
        value = f"layer.{index + 1}"
    return [
        *nodes,
        Node("Mul", (value, "action_scale"), "scaled"),
        Node("Max", ("scaled", "action_low"), "bounded"),
        Node("Min", ("bounded", "action_high"), "action"),
    ]


def write(source: Source) -> bytes:
    """The bytes of the ONNX file."""
    from onnx import TensorProto, helper, numpy_helper

    policy = source.policy
    sizes = {"observation": policy.net.sizes[0], "action": policy.net.sizes[-1]}
    obs, action = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in sizes.items()
    )
    nodes = [helper.make_node(node.operation, node.inputs, [node.output]) for node in nodes_of(len(policy.layers))]
    for node in nodes:
        if node.op_type == "Gemm":
            node.attribute.append(helper.make_attribute("transB", 1))
    numbers = [numpy_helper.from_array(array, name) for name, array in tensors_of(policy).items()]
    graph = helper.make_graph(nodes, "policy", [obs], [action], numbers)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="ddpg-lab", ir_version=IR_VERSION, opset_imports=[opset])
    helper.set_model_props(model, {CARD: policy.card.to_json()})
    return bytes(model.SerializeToString(deterministic=True))


def largest_difference(data: bytes, policy: Policy, observations: Array) -> float:
    """How far onnxruntime's actions are from the policy's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (actions,) = session.run(["action"], {"observation": observations})
    return float(np.abs(actions - policy(observations)).max())


def read(data: bytes) -> Policy:
    """The policy of an ONNX file that `write` wrote. Nothing in it is ever executed.

    Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.

    Raises:
        ValueError: Too large, truncated or corrupt; or another graph, or one without a card.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"policy must be at most {MAX_BYTES >> 20} MiB, got {len(data) >> 20} MiB")
    model = Message(memoryview(data))
    cards = [entry.part(2) for entry in model.messages(14) if entry.text(1) == CARD]
    if len(cards) != 1 or len(cards[0]) > MAX_JSON_BYTES:
        raise ValueError(f"ONNX file must hold one card, as this project writes it, got {len(cards)}")
    graph = model.message(7)
    named = [_tensor(message) for message in graph.messages(5)]
    tensors = dict(named)
    depth = (len(tensors) - len(BUFFERS)) // 2
    found = [_node(message) for message in graph.messages(1)]
    if found != nodes_of(depth) or len(named) != len(tensors):
        raise ValueError("ONNX file must be an actor as this project writes it, got another graph")
    return policy_of(tensors, Card.from_json(str(cards[0], "utf-8", "replace")))


def _node(node: Message) -> Node:
    """A node; a `Gemm` counts as one only with a transposed kernel and nothing else special."""
    operation = node.text(4)
    attributes = [(item.text(1), item.number(3)) for item in node.messages(5)]
    if attributes != ([("transB", 1)] if operation == "Gemm" else []) or any(node.parts(7)):
        operation += " with attributes"
    return Node(operation, tuple(node.texts(1)), node.text(2))


def _tensor(tensor: Message) -> tuple[str, Array]:
    """An initializer's name and its numbers."""
    shape, raw = tensor.numbers(1), tensor.part(9)
    if tensor.number(2) != _FLOAT or not 1 <= len(shape) <= 2 or 4 * math.prod(shape) != len(raw):
        raise ValueError(f"tensors must be whole, float32, and of one or two dimensions, got {shown(shape)}")
    return tensor.text(8), np.frombuffer(raw, "<f4").reshape(shape).astype(np.float32)
