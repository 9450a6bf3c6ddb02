"""Multi-layer perceptrons whose parameters are views into one flat float32 vector.

Dimension letters, here and in the learner: B batch, O observation, A action, I inputs and U units of a layer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from ddpg_core.environment import Array

if TYPE_CHECKING:  # importing torch takes seconds: only engines do, so that a page can be drawn before
    from torch import Tensor

_ZERO: Final = np.zeros((), np.float32)
TensorLayers = list[tuple["Tensor", "Tensor"]]
"""(kernel [U, I], bias [U, 1]) of each layer."""


@dataclass(frozen=True)
class MLP:
    """A fully connected ReLU network as a function of (flat parameters, inputs).

    The flat vector holds, layer by layer, the kernel [U, I] row by row and then the bias [U].

    Call                      Output
    `net(layers, x)`            torch: x [I, B] to outputs [U of the last layer, B], differentiable in both
    `net.numpy(parameters, x)`  NumPy: the same for x [I] or [B, I], without torch's overhead

    Attributes:
        sizes: Inputs, hidden units…, outputs.
        squash: Whether tanh bounds the outputs to [−1, 1].
    """

    sizes: tuple[int, ...]
    squash: bool

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """(U, I) of each layer's kernel."""
        return [(units, inputs) for inputs, units in itertools.pairwise(self.sizes)]

    @cached_property
    def split_sizes(self) -> list[int]:
        """Lengths of kernel, bias, kernel, bias, … in the flat vector."""
        return [length for units, inputs in self.shapes for length in (units * inputs, units)]

    @cached_property
    def parameter_count(self) -> int:
        """Length of the flat vector."""
        return sum(self.split_sizes)

    def __call__(self, layers: TensorLayers, x: Tensor) -> Tensor:
        """Outputs [U, B] of inputs x [I, B], features first, through (kernel [U, I], bias [U, 1]) of each layer."""
        (kernel, bias), *rest = layers
        x = bias.addmm(kernel, x)
        for kernel, bias in rest:
            x = bias.addmm(kernel, x.relu_())
        return x.tanh() if self.squash else x

    def kernel_mask(self) -> Array:
        """1 where the flat vector holds a kernel's weight, 0 where it holds a bias [parameter_count] float32."""
        is_kernel = np.arange(len(self.split_sizes)) % 2 == 0
        return np.repeat(is_kernel, self.split_sizes).astype(np.float32)

    def layers(self, parameters: Array) -> list[tuple[Array, Array]]:
        """(kernel [U, I], bias [U]) of each layer, as views into `parameters`."""
        parts = np.split(parameters, np.cumsum(self.split_sizes)[:-1])
        return [(parts[2 * i].reshape(shape), parts[2 * i + 1]) for i, shape in enumerate(self.shapes)]

    def numpy(self, parameters: Array, x: Array) -> Array:
        """Outputs of inputs x [I] or [B, I], float32, computed by NumPy."""
        return forward(self.layers(parameters), self.squash, x)

    def initial(self, rng: np.random.Generator, kernel_init: str) -> Array:
        """Freshly drawn parameters [parameter_count] float32.

        Args:
            rng: The run's initialisation generator; mutated.
            kernel_init: `glorot` (Glorot & Bengio 2010, eq. 16, zero biases: the notebook's `tf.layers.dense`) or
                `fan_in` (Lillicrap et al. 2016, section 7, biases included).
        """
        parts = []
        for layer, (units, inputs) in enumerate(self.shapes):
            if kernel_init == "glorot":
                bound = np.sqrt(6 / (inputs + units))
                bias = np.zeros(units)
            else:
                bound = 3e-3 if layer == len(self.shapes) - 1 else 1 / np.sqrt(inputs)
                bias = rng.uniform(-bound, bound, units)
            parts += [rng.uniform(-bound, bound, units * inputs), bias]
        return np.concatenate(parts).astype(np.float32)


def forward(layers: list[tuple[Array, Array]], squash: bool, x: Array) -> Array:
    """Outputs of inputs x [I] or [B, I] through `MLP.layers`: kept layers make acting step by step cheap."""
    (kernel, bias), *rest = layers
    x = x.dot(kernel.T)  # `@` takes twice as long for a single observation
    x += bias
    for kernel, bias in rest:
        x = np.maximum(x, _ZERO, out=x).dot(kernel.T)
        x += bias
    return np.tanh(x) if squash else x
