"""Functions of one entry."""

from __future__ import annotations

import math

import numpy as np

from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands, elementwise


def _leaky_relu(operands: Operands, attributes: Attributes) -> Array:
    x: Array = operands[0]
    return np.where(x >= 0, x, np.float32(attributes["alpha"]) * x)


def _gelu(x: Doubles, attributes: Attributes) -> Doubles:
    """Phi(x) is erfc(-x / sqrt 2) / 2, and 1/2 + tanh(y) / 2 is 1 / (1 + exp(-2y)): neither cancels for x < 0."""
    if attributes["approximate"] == "tanh":
        falling: Doubles = np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        return x / (1 + falling)
    tails = map(math.erfc, (x / -math.sqrt(2)).ravel().tolist())
    doubled_phi: Doubles = np.fromiter(tails, np.float64, x.size).reshape(x.shape)
    return x / 2 * doubled_phi


KERNELS: dict[str, Kernel] = {
    "Relu": lambda operands, _: np.maximum(operands[0], 0),
    "Clip": lambda operands, a: np.minimum(np.maximum(operands[0], a["minimum"]), a["maximum"]),
    "HardSwish": elementwise(lambda x, _: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Sigmoid": elementwise(lambda x, _: 1 / (1 + np.exp(-x))),
    "HardSigmoid": elementwise(lambda x, a: np.clip(a["alpha"] * x + a["beta"], 0, 1)),
    "Silu": elementwise(lambda x, _: x / (1 + np.exp(-x))),
    "Gelu": elementwise(_gelu),
    "LeakyRelu": _leaky_relu,
    "Tanh": elementwise(lambda x, _: np.tanh(x)),
    "Abs": lambda operands, _: np.abs(operands[0]),
}
