from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.export_helpers import CONFIGS, expected, source, written


@pytest.mark.parametrize("name", CONFIGS)
def test_onnxruntime_gives_the_actions_for_batches_of_any_size(name: str) -> None:
    session = onnxruntime.InferenceSession(written("onnx", name), providers=["CPUExecutionProvider"])
    (inputs,), (outputs,) = session.get_inputs(), session.get_outputs()
    sizes = source(name).policy.net.sizes
    assert (inputs.name, inputs.shape, inputs.type) == ("observation", ["batch", sizes[0]], "tensor(float)")
    assert (outputs.name, outputs.shape, outputs.type) == ("action", ["batch", sizes[-1]], "tensor(float)")
    observations, actions = expected(source(name).policy)
    for count in (1, 7, 1000):
        (found,) = session.run(None, {"observation": observations[:count]})
        np.testing.assert_allclose(found, actions[:count], atol=1e-5)


def test_file_is_valid_onnx_of_a_few_standard_operations_and_carries_the_card() -> None:
    model = onnx.load_model_from_string(written("onnx", "pendulum"))
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Gemm", "Relu", "Gemm", "Relu", "Gemm", "Tanh", "Mul", "Max", "Min"]
    assert {item.key: item.value for item in model.metadata_props} == {"card": source("pendulum").policy.card.to_json()}
