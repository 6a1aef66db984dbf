"""Translation of ONNX's Det, of matrices of up to three rows: sums of products of their entries."""

from __future__ import annotations

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value
from netsurgery.graph.from_onnx.constants import AnyArray

LARGEST = 3
"""Rows of the largest matrix whose determinant is written out."""


def determinant(call: Call) -> Value:
    """Det, along the first row."""
    rank, size = len(call.x.shape), call.x.shape[-1]
    if call.x.shape[-2] != size:
        raise UnsupportedOperatorError(
            f"has matrices of {call.x.shape[-2]} x {size} entries; only square ones have a determinant"
        )
    if size not in range(1, LARGEST + 1):
        raise UnsupportedOperatorError(f"has matrices of {size} rows; determinants of up to {LARGEST} are supported")

    def entry(row: int, column: int) -> Value:
        cut = call.node("Slice", [call.x], axis=rank - 2, start=row, stop=row + 1)
        return call.node("Slice", [cut], axis=rank - 1, start=column, stop=column + 1)

    def of(rows: list[int], columns: list[int]) -> Value:
        if len(rows) == 1:
            return entry(rows[0], columns[0])
        total: Value | None = None
        for place, column in enumerate(columns):
            rest = of(rows[1:], columns[:place] + columns[place + 1 :])
            term = call.node("Mul", [entry(rows[0], column), rest])
            total = term if total is None else call.node("Sub" if place % 2 else "Add", [total, term])
        return total  # type: ignore[return-value]

    return call.reshaped(of([*range(size)], [*range(size)]), call.x.shape[:-2])


def of_known(call: Call) -> AnyArray:
    """Det of a constant, of any size."""
    x = call.array(0, "an operand")
    return np.asarray(np.linalg.det(x.astype(np.float64)), x.dtype)
