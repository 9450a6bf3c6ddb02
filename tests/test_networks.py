from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ddpg_core.networks import MLP


def as_modules(net: MLP, parameters: np.ndarray) -> nn.Sequential:
    """The same network built from PyTorch's own layers: an oracle that shares no code with `MLP`."""
    layers: list[nn.Module] = []
    rest = torch.from_numpy(parameters.copy())
    for inputs, units in zip(net.sizes[:-1], net.sizes[1:], strict=True):
        linear = nn.Linear(inputs, units)
        kernel, bias, rest = rest[: units * inputs], rest[units * inputs :][:units], rest[units * (inputs + 1) :]
        with torch.no_grad():
            linear.weight.copy_(kernel.reshape(units, inputs))
            linear.bias.copy_(bias)
        layers += [linear, nn.ReLU()]
    assert not len(rest)
    layers[-1:] = [nn.Tanh()] if net.squash else []
    return nn.Sequential(*layers)


@pytest.mark.parametrize("sizes", [(3, 8, 8, 8, 1), (4, 5, 2), (2, 1, 1)])
@pytest.mark.parametrize("squash", [True, False])
def test_both_forward_passes_equal_pytorchs_own_layers(sizes: tuple[int, ...], squash: bool) -> None:
    net, rng = MLP(sizes, squash), np.random.default_rng(0)
    parameters = net.initial(rng, "fan_in") + rng.normal(0, 0.5, net.parameter_count).astype(np.float32)
    x = rng.normal(size=(7, sizes[0])).astype(np.float32)
    expected = as_modules(net, parameters)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(net.numpy(parameters, x), expected, atol=1e-5)
    np.testing.assert_allclose(net.numpy(parameters, x[2]), expected[2], atol=1e-5)
    layers = [(torch.from_numpy(kernel), torch.from_numpy(bias[:, None])) for kernel, bias in net.layers(parameters)]
    np.testing.assert_allclose(net(layers, torch.from_numpy(x.T)).numpy().T, expected, atol=1e-5)
    assert net.numpy(parameters, x[2]).dtype == np.float32


def test_kernel_mask_leaves_out_the_biases() -> None:
    net = MLP((2, 3, 1), squash=False)
    assert net.parameter_count == 13
    assert net.kernel_mask().tolist() == [1] * 6 + [0] * 3 + [1] * 3 + [0]


def test_layers_are_views_into_the_flat_vector() -> None:
    net = MLP((2, 3, 1), squash=False)
    parameters = np.arange(13, dtype=np.float32)
    (kernel, bias), (last_kernel, last_bias) = net.layers(parameters)
    assert kernel.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert (bias.tolist(), last_kernel.tolist(), last_bias.tolist()) == ([6, 7, 8], [[9, 10, 11]], [12])
    parameters[0] = -1
    assert kernel[0, 0] == -1


def test_glorot_fills_its_bounds_evenly_and_zeroes_biases() -> None:
    net = MLP((100, 200, 1), squash=False)
    (kernel, bias), (last, last_bias) = net.layers(net.initial(np.random.default_rng(0), "glorot"))
    for weights, bound in ((kernel, np.sqrt(6 / 300)), (last, np.sqrt(6 / 201))):
        assert 0.95 * bound < np.abs(weights).max() <= bound * 1.000001
        assert weights.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
    assert not bias.any()
    assert not last_bias.any()


def test_fan_in_follows_lillicrap_section_7() -> None:
    net = MLP((100, 200, 50, 1), squash=False)
    layers = net.layers(net.initial(np.random.default_rng(0), "fan_in"))
    for (kernel, bias), bound in zip(layers, (1 / 10, 1 / np.sqrt(200), 0.003), strict=True):
        assert 0.9 * bound < np.abs(kernel).max() <= bound * 1.000001
        assert 0 < np.abs(bias).max() <= bound * 1.000001


def test_numpys_forward_pass_changes_neither_inputs_nor_parameters() -> None:
    net, rng = MLP((3, 4, 4, 2), squash=True), np.random.default_rng(0)
    parameters = net.initial(rng, "fan_in")
    x = rng.normal(size=3).astype(np.float32)
    seen = x.copy(), parameters.copy()
    first = net.numpy(parameters, x)
    np.testing.assert_array_equal(net.numpy(parameters, x), first)
    np.testing.assert_array_equal(x, seen[0])
    np.testing.assert_array_equal(parameters, seen[1])
