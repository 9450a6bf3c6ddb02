"""What the fused kernel does with one network: forward, backward, and tanh, for compiled callers.

Activations lie features first in one flat array `work`, `stride` float32 from row to row; places are indices into it.
`sizes` are a network's inputs, hidden units…, outputs; its parameters begin at `vector[at]` (see `networks.MLP`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from ddpg_core.environment import Array
from ddpg_core.learner import fused_plan
from ddpg_core.learner.tiles import COLUMNS, OUTER_COLUMNS, OUTER_ROWS, ROWS, masked_tile, outer_tile, product_tile

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
NOWHERE: Final = np.int64(-1)
"""Where a gradient goes that nobody needs."""
_NO_FLOOR: Final = np.float32(-np.inf)
_TANH_IS_ONE: Final = np.float32(9.02)
_QUARTER: Final = np.float32(0.25)
_NUMERATOR: Final = tuple(np.float32(x) for x in (34459425, 4729725, 135135, 990))
_DENOMINATOR: Final = tuple(np.float32(x) for x in (34459425, 16216200, 945945, 13860, 45))

_product_rows, _product_row = product_tile(ROWS), product_tile(1)
_masked_rows, _masked_row = masked_tile(ROWS), masked_tile(1)

# Sums may be reordered, or loops over the batch would not vectorise; NaN and infinity keep their meaning.
COMPILED: Final[dict[str, Any]] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
compiled: Callable[[Callable[..., Any]], Any] = njit(**COMPILED)

padded = compiled(fused_plan.padded)


@compiled
def row_of(work: Array, start: int, row: int, stride: int, columns: int) -> Array:
    """A row of the matrix at `start`, as a view: loops over it vectorise, over places in `work` they would not."""
    return work[start + row * stride :][:columns]


@compiled
def squash(values: Array) -> None:
    """tanh of values, in place, to 3 units in the last place.

    Lambert's continued fraction for tanh(x / 4), cut off after its 9th term, then twice
    tanh 2a = 2·tanh a / (1 + tanh² a): no branch and no table, so that the loop vectorises.
    """
    (n0, n1, n2, n3), (d0, d1, d2, d3, d4) = _NUMERATOR, _DENOMINATOR
    for i in range(len(values)):
        x = values[i]
        x = _TANH_IS_ONE if x > _TANH_IS_ONE else (-_TANH_IS_ONE if x < -_TANH_IS_ONE else x)
        x *= _QUARTER
        square = x * x
        numerator = x * (n0 + square * (n1 + square * (n2 + square * (n3 + square))))
        t = numerator / (d0 + square * (d1 + square * (d2 + square * (d3 + square * d4))))
        for _ in range(2):
            t = TWO * t / (ONE + t * t)
        values[i] = t


@compiled
def forward(
    vector: Array, at: int, sizes: Array, work: Array, x: int, hidden: int, out: int, stride: int, columns: int
) -> None:
    """Outputs, before any tanh, of the inputs at `x`; the hidden layers' stay at `hidden`, one after the other."""
    last = len(sizes) - 2
    for layer in range(last + 1):
        inputs, units = sizes[layer], sizes[layer + 1]
        y, floor = (out, _NO_FLOOR) if layer == last else (hidden, ZERO)
        _dense(vector, at, inputs, units, floor, work, x, y, stride, columns)
        at += units * (inputs + 1)
        x = y
        hidden += padded(units) * stride


@compiled
def backward(
    vector: Array,
    at: int,
    sizes: Array,
    work: Array,
    x: int,
    hidden: int,
    delta: int,
    spare: int,
    gradient: int,
    stride: int,
    columns: int,
) -> int:
    """Carry `delta`, a gradient by the outputs, back to the outputs of the first layer; where it then lies.

    Adds each layer's gradient to that at `gradient`, unless this is `NOWHERE`.
    """
    layers, learns = len(sizes) - 1, gradient != NOWHERE
    for layer in range(layers):
        inputs, units = sizes[layer], sizes[layer + 1]
        at += units * (inputs + 1)
        gradient += padded(units) * (padded(inputs) + 1)
        hidden += padded(inputs) * stride if layer else 0
    for layer in range(layers - 1, -1, -1):
        inputs, units = sizes[layer], sizes[layer + 1]
        at -= units * (inputs + 1)
        gradient -= padded(units) * (padded(inputs) + 1)
        hidden -= padded(inputs) * stride if layer else 0
        below = hidden if layer else x
        if learns:
            _add_gradient(work, delta, units, below, inputs, gradient, stride, columns)
        if layer:
            dense_backward(vector, at, inputs, units, inputs, work, delta, spare, below, stride, columns)
            delta, spare = spare, delta
    return delta


@compiled
def _dense(
    vector: Array,
    at: int,
    inputs: int,
    units: int,
    floor: float,
    work: Array,
    x: int,
    y: int,
    stride: int,
    columns: int,
) -> None:
    """y = max(floor, W·x + b) of the layer at `at`."""
    bias = at + units * inputs
    for c in range(0, columns, COLUMNS):
        if units < ROWS:
            for u in range(units):
                w, place = at + u * inputs, y + u * stride + c
                _product_row(vector, w, inputs, 1, inputs, bias + u, floor, work, x + c, place, stride)
        else:
            for start in range(0, units, ROWS):
                u = min(start, units - ROWS)
                w, place = at + u * inputs, y + u * stride + c
                _product_rows(vector, w, inputs, 1, inputs, bias + u, floor, work, x + c, place, stride)


@compiled
def dense_backward(
    vector: Array,
    at: int,
    inputs: int,
    units: int,
    rows: int,
    work: Array,
    delta: int,
    y: int,
    h: int,
    stride: int,
    columns: int,
) -> None:
    """y = Wᵀ·delta where h > 0, else 0, for `rows` of the layer's inputs; W[0, i] of the first is at `at`."""
    for c in range(0, columns, COLUMNS):
        if rows < ROWS:
            for i in range(rows):
                place = i * stride + c
                _masked_row(vector, at + i, 1, inputs, units, work, delta + c, y + place, h + place, stride)
        else:
            for start in range(0, rows, ROWS):
                i = min(start, rows - ROWS)
                place = i * stride + c
                _masked_rows(vector, at + i, 1, inputs, units, work, delta + c, y + place, h + place, stride)


@compiled
def _add_gradient(
    work: Array, delta: int, units: int, x: int, inputs: int, gradient: int, stride: int, columns: int
) -> None:
    """Add a layer's gradient: delta·xᵀ for the kernel, and behind it, for the biases, the sums of delta's rows."""
    width = padded(inputs)
    for u in range(0, units, OUTER_ROWS):
        for i in range(0, inputs, OUTER_COLUMNS):
            place = gradient + u * width + i
            outer_tile(work, delta + u * stride, x + i * stride, stride, columns, place, width)
    biases = gradient + padded(units) * width
    for u in range(units):
        row, total = row_of(work, delta, u, stride, columns), ZERO
        for c in range(columns):
            total += row[c]
        work[biases + u] += total
