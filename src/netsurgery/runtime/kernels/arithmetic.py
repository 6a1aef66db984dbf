"""Arithmetic of two values, and matrix products."""

from __future__ import annotations

import numpy as np

from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands


def _power(operands: Operands, _: Attributes) -> Doubles:
    """In float64, so that it is rounded once."""
    a, b = (np.asarray(one, np.float64) for one in operands)
    result: Doubles = np.power(a, b)
    return result


def _prelu(operands: Operands, _: Attributes) -> Array:
    x, slope = operands
    return np.where(x >= 0, x, x * slope)


KERNELS: dict[str, Kernel] = {
    "Add": lambda operands, _: np.add(*operands),
    "Mul": lambda operands, _: np.multiply(*operands),
    "Sub": lambda operands, _: np.subtract(*operands),
    "Div": lambda operands, _: np.divide(*operands),
    "Pow": _power,
    "Min": lambda operands, _: np.minimum(*operands),
    "Max": lambda operands, _: np.maximum(*operands),
    "Remainder": lambda operands, _: np.mod(*operands),
    "Fmod": lambda operands, _: np.fmod(*operands),
    "PRelu": _prelu,
    "MatMul": lambda operands, _: np.matmul(*operands),
}
