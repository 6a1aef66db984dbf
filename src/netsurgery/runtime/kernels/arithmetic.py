"""Arithmetic of two values, and matrix products."""

from __future__ import annotations

import numpy as np

from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands


def _divide(operands: Operands, _: Attributes) -> Array:
    """Of whole numbers cut off towards zero, and 0 where the divisor is 0."""
    a, b = operands
    if a.dtype.kind == "f":
        return np.divide(a, b)
    below: Array = np.where(b == 0, 0, np.floor_divide(a, b))
    return below + ((b != 0) & (a != below * b) & ((a < 0) != (b < 0)))


KERNELS: dict[str, Kernel] = {
    "Add": lambda operands, _: np.add(*operands),
    "Mul": lambda operands, _: np.multiply(*operands),
    "Sub": lambda operands, _: np.subtract(*operands),
    "Div": _divide,
    "MatMul": lambda operands, _: np.matmul(*operands),
}
