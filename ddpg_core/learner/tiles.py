"""Register-blocked products for the fused kernel: small tiles whose sums stay in vector registers, as LLVM IR.

Compilers vectorise the innermost loop only, and so write every partial sum of a matrix product back to memory. A tile
keeps a block of them in registers over the whole inner loop, as BLAS does; LLVM makes of it whatever vector
instructions the machine has. Matrices lie in flat float32 arrays: `x` begins at `work[x]`, and its rows, which hold a
number a transition, are `stride` apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from ddpg_core.learner.vectors import (
    INDEX,
    LANES,
    ZERO,
    broadcast,
    cgutils,
    index,
    lane_numbers,
    load,
    multiply_add,
    plus,
    row_at,
    splat,
    store,
    variables,
)

ROWS: Final = 8 if LANES == 16 else 4
"""Rows of a product's tile: with `COLUMNS`, as many sums as registers hold (32 with AVX-512, 16 with AVX)."""
COLUMNS: Final = 2 * LANES
"""Columns of a product's tile: loops over transitions work on whole multiples of it."""
OUTER_ROWS: Final = LANES // 4
OUTER_COLUMNS: Final = 4
"""Rows and columns of an outer product's tile: as many sums as lanes, so that they fold into one vector."""

_FLOATS: Final = types.float32[::1]
_INTEGERS: Final = [types.int64] * 5


def product_tile(rows: int) -> Callable[..., None]:
    """y = max(floor, b + W·x) for `rows` rows of W and `COLUMNS` columns of x; NaN stays NaN. Mutates y.

    W[r, i] is `weights[at + r * row_step + i * column_step]`, b[r] is `weights[bias + r]`.
    """
    signature = types.void(_FLOATS, *_INTEGERS, types.float32, _FLOATS, *_INTEGERS[:3])

    @intrinsic
    def product(
        typing: Any,
        weights: Any,
        at: Any,
        row_step: Any,
        column_step: Any,
        inputs: Any,
        bias: Any,
        floor: Any,
        work: Any,
        x: Any,
        y: Any,
        stride: Any,
    ) -> Any:
        return signature, partial(_generate, f"product_tile_{rows}", partial(_write_product, rows))

    return product


def masked_tile(rows: int) -> Callable[..., None]:
    """y = W·x where h > 0, else 0: what flows back through a ReLU whose output was h. Mutates y.

    W[r, i] is `weights[at + r * row_step + i * column_step]`.
    """
    signature = types.void(_FLOATS, *_INTEGERS[:4], _FLOATS, *_INTEGERS[:4])

    @intrinsic
    def masked_product(
        typing: Any,
        weights: Any,
        at: Any,
        row_step: Any,
        column_step: Any,
        inputs: Any,
        work: Any,
        x: Any,
        y: Any,
        h: Any,
        stride: Any,
    ) -> Any:
        return signature, partial(_generate, f"masked_tile_{rows}", partial(_write_masked, rows))

    return masked_product


@intrinsic
def _outer_tile(typing: Any, work: Any, d: Any, x: Any, stride: Any, columns: Any, g: Any, row_step: Any) -> Any:
    return types.void(_FLOATS, *_INTEGERS, types.int64), partial(_generate, "outer_tile", _write_outer)


outer_tile: Final[Callable[..., None]] = _outer_tile
"""g += d·xᵀ, summed over columns, for `OUTER_ROWS` rows of d and `OUTER_COLUMNS` rows of x. Mutates g.

Takes work, d, x, stride, columns, g, row_step; g[r, i] is `work[g + r * row_step + i]`.
"""


def _write_product(
    rows: int,
    builder: ir.IRBuilder,
    weights: ir.Value,
    at: ir.Value,
    row_step: ir.Value,
    column_step: ir.Value,
    inputs: ir.Value,
    bias: ir.Value,
    floor: ir.Value,
    work: ir.Value,
    x: ir.Value,
    y: ir.Value,
    stride: ir.Value,
) -> None:
    biases = [broadcast(builder, weights, plus(builder, bias, row)) for row in range(rows)]
    totals = variables(builder, [value for value in biases for _ in range(2)])
    _accumulate(builder, totals, (weights, at, row_step, column_step), inputs, work, x, stride)
    floors = splat(builder, floor)
    for number, total in enumerate(totals):
        value = builder.load(total)
        value = builder.select(builder.fcmp_ordered("<", value, floors), floors, value)
        store(builder, work, _cell(builder, y, number, stride), value)


def _write_masked(
    rows: int,
    builder: ir.IRBuilder,
    weights: ir.Value,
    at: ir.Value,
    row_step: ir.Value,
    column_step: ir.Value,
    inputs: ir.Value,
    work: ir.Value,
    x: ir.Value,
    y: ir.Value,
    h: ir.Value,
    stride: ir.Value,
) -> None:
    totals = variables(builder, [ZERO] * (2 * rows))
    _accumulate(builder, totals, (weights, at, row_step, column_step), inputs, work, x, stride)
    for number, total in enumerate(totals):
        active = builder.fcmp_ordered(">", load(builder, work, _cell(builder, h, number, stride)), ZERO)
        value = builder.select(active, builder.load(total), ZERO)
        store(builder, work, _cell(builder, y, number, stride), value)


def _write_outer(
    builder: ir.IRBuilder,
    work: ir.Value,
    d: ir.Value,
    x: ir.Value,
    stride: ir.Value,
    columns: ir.Value,
    g: ir.Value,
    row_step: ir.Value,
) -> None:
    totals = variables(builder, [ZERO] * LANES)
    with cgutils.for_range_slice(builder, index(0), columns, index(LANES), INDEX) as (column, _):
        d_column, x_column = builder.add(d, column), builder.add(x, column)
        left = [load(builder, work, row_at(builder, d_column, row, stride)) for row in range(OUTER_ROWS)]
        right = [load(builder, work, row_at(builder, x_column, i, stride)) for i in range(OUTER_COLUMNS)]
        for number, total in enumerate(totals):
            row, i = divmod(number, OUTER_COLUMNS)
            builder.store(multiply_add(builder, left[row], right[i], builder.load(total)), total)
    sums = _fold(builder, [builder.load(total) for total in totals])
    for row in range(OUTER_ROWS):
        part_lanes = range(row * OUTER_COLUMNS, (row + 1) * OUTER_COLUMNS)
        part, place = builder.shuffle_vector(sums, sums, lane_numbers(part_lanes)), row_at(builder, g, row, row_step)
        store(builder, work, place, builder.fadd(load(builder, work, place, part.type), part))


def _accumulate(
    builder: ir.IRBuilder,
    totals: list[ir.Value],
    matrix: tuple[ir.Value, ir.Value, ir.Value, ir.Value],
    inputs: ir.Value,
    work: ir.Value,
    x: ir.Value,
    stride: ir.Value,
) -> None:
    """Add W·x to a product tile's sums, two vectors a row."""
    weights, at, row_step, column_step = matrix
    with cgutils.for_range(builder, inputs) as loop:
        x_row = builder.add(x, builder.mul(loop.index, stride))
        halves = [load(builder, work, plus(builder, x_row, half * LANES)) for half in range(2)]
        column = builder.add(at, builder.mul(loop.index, column_step))
        for row in range(len(totals) // 2):
            weight = broadcast(builder, weights, row_at(builder, column, row, row_step))
            for half in range(2):
                total = totals[2 * row + half]
                builder.store(multiply_add(builder, weight, halves[half], builder.load(total)), total)


def _fold(builder: ir.IRBuilder, vectors: list[ir.Value]) -> ir.Value:
    """One vector whose lane j is the sum of the lanes of `vectors[j]`: neighbours are added until one is left."""
    even, odd = lane_numbers(range(0, 2 * LANES, 2)), lane_numbers(range(1, 2 * LANES, 2))
    while len(vectors) > 1:
        vectors = [
            builder.fadd(builder.shuffle_vector(one, other, even), builder.shuffle_vector(one, other, odd))
            for one, other in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def _generate(
    name: str, write: Callable[..., None], context: Any, builder: ir.IRBuilder, signature: Any, values: Any
) -> Any:
    """Call the tile `name`, arrays as pointers to their first number; `write` makes it where it isn't there yet.

    A function of its own, never inlined, makes the kernel compile several times as fast.
    """
    arguments = [
        context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, values, strict=True)
    ]
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        inside = ir.IRBuilder(function.append_basic_block())
        write(inside, *function.args)
        inside.ret_void()
    builder.call(function, arguments)
    return context.get_dummy_value()


def _cell(builder: ir.IRBuilder, start: ir.Value, number: int, stride: ir.Value) -> ir.Value:
    """The index of a product tile's sum: row number // 2, half number % 2."""
    row, half = divmod(number, 2)
    return plus(builder, row_at(builder, start, row, stride), half * LANES)
