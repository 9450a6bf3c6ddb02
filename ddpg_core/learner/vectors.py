"""Vectors of float32 in LLVM IR: the vocabulary in which `ddpg_core.learner.tiles` writes its loops.

Functions that take a `builder` add instructions where it stands, and return the value these compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba.core import cgutils as _cgutils

cgutils: Any = _cgutils  # untyped

_FEATURES: Final = llvm.get_host_cpu_features()
LANES: Final = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx") else 4
"""float32 numbers in a vector register."""
FLOAT: Final = ir.FloatType()
INDEX: Final = ir.IntType(64)
VECTOR: Final = ir.VectorType(FLOAT, LANES)
ZERO: Final = ir.Constant(VECTOR, [0.0] * LANES)


def variables(builder: ir.IRBuilder, vectors: list[ir.Value]) -> list[ir.Value]:
    """Variables that start as `vectors`; LLVM keeps them in registers."""
    return [cgutils.alloca_once_value(builder, vector) for vector in vectors]


def multiply_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """a·b + c, rounded once where the machine can (`llvm.fma` would call a slow function where it can't)."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
    return builder.call(function, [a, b, c])


def splat(builder: ir.IRBuilder, number: ir.Value) -> ir.Value:
    """A vector full of one number."""
    first = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, lane_numbers([0] * LANES))


def broadcast(builder: ir.IRBuilder, base: ir.Value, index: ir.Value) -> ir.Value:
    """A vector full of the number at base[index]."""
    return splat(builder, builder.load(builder.gep(base, [index])))


def load(builder: ir.IRBuilder, base: ir.Value, index: ir.Value, kind: ir.Type = VECTOR) -> ir.Value:
    """The numbers from base[index] on, a `VECTOR` or another `kind` of vector."""
    return builder.load(builder.bitcast(builder.gep(base, [index]), kind.as_pointer()), align=4)


def store(builder: ir.IRBuilder, base: ir.Value, index: ir.Value, value: ir.Value) -> None:
    """Write a vector to base[index] and what follows."""
    builder.store(value, builder.bitcast(builder.gep(base, [index]), value.type.as_pointer()), align=4)


def row_at(builder: ir.IRBuilder, start: ir.Value, row: int, step: ir.Value) -> ir.Value:
    """The index start + row·step."""
    return builder.add(start, builder.mul(index(row), step))


def plus(builder: ir.IRBuilder, start: ir.Value, distance: int) -> ir.Value:
    """The index start + distance."""
    return builder.add(start, index(distance))


def index(value: int) -> ir.Constant:
    """A constant index."""
    return ir.Constant(INDEX, value)


def lane_numbers(numbers: Iterable[int]) -> ir.Constant:
    """Which lanes a shuffle takes, of both vectors counted on."""
    numbers = list(numbers)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
