"""Arithmetic of two values, and matrix products."""

from __future__ import annotations

import numpy as np

from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands


def _divide(operands: Operands, _: Attributes) -> Array:
    """Of whole numbers cut off towards zero, and 0 where the divisor is 0."""
    a, b = operands
    if a.dtype.kind == "f":
        quotients: Array = np.divide(a, b)
        return quotients
    below: Array = np.where(b == 0, 0, np.floor_divide(a, b))
    result: Array = below + ((b != 0) & (a != below * b) & ((a < 0) != (b < 0)))
    return result


def _power(operands: Operands, _: Attributes) -> Doubles:
    """In float64, so that it is rounded once."""
    a, b = (np.asarray(one, np.float64) for one in operands)
    result: Doubles = np.power(a, b)
    return result


def _prelu(operands: Operands, _: Attributes) -> Array:
    x, slope = operands
    result: Array = np.where(x >= 0, x, x * slope)
    return result


KERNELS: dict[str, Kernel] = {
    "Add": lambda operands, _: np.add(*operands),
    "Mul": lambda operands, _: np.multiply(*operands),
    "Sub": lambda operands, _: np.subtract(*operands),
    "Div": _divide,
    "Pow": _power,
    "Min": lambda operands, _: np.minimum(*operands),
    "Max": lambda operands, _: np.maximum(*operands),
    "Remainder": lambda operands, _: np.mod(*operands),
    "Fmod": lambda operands, _: np.fmod(*operands),
    "PRelu": _prelu,
    "MatMul": lambda operands, _: np.matmul(*operands),
}
