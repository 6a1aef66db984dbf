"""Arithmetic of two values, and matrix products."""

from __future__ import annotations

import numpy as np

from netsurgery.runtime.kernels.kernel import Kernel

KERNELS: dict[str, Kernel] = {
    "Add": lambda operands, _: np.add(*operands),
    "Mul": lambda operands, _: np.multiply(*operands),
    "Sub": lambda operands, _: np.subtract(*operands),
    "Div": lambda operands, _: np.divide(*operands),
    "MatMul": lambda operands, _: np.matmul(*operands),
}
