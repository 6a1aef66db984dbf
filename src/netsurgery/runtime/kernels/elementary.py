"""Elementary functions of one entry, and the activations that are made of them."""

from __future__ import annotations

import math

import numpy as np

from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands, elementwise


def _error_function(x: Doubles, _: Attributes) -> Doubles:
    result: Doubles = np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)
    return result


def _elu(x: Doubles, attributes: Attributes) -> Doubles:
    falling: Doubles = attributes["alpha"] * np.expm1(attributes["input_scale"] * x)
    result: Doubles = np.where(x > 0, x, falling) * attributes["scale"]
    return result


def _softplus(x: Doubles, _: Attributes) -> Doubles:
    result: Doubles = np.logaddexp(x, 0)
    return result


def _mish(x: Doubles, _: Attributes) -> Doubles:
    """With e = exp(-|x|), tanh(log(1 + exp(x))) is (e² + 2e) / (e² + 2e + 2) below 0, (1 + 2e) / (1 + 2e + 2e²) above.

    Of infinities it is the limit.
    """
    e = np.exp(-np.abs(x))
    below, above = e * (e + 2) / (e * (e + 2) + 2), (1 + 2 * e) / (1 + 2 * e * (1 + e))
    result: Doubles = np.where(x == -np.inf, -0.0, x * np.where(x < 0, below, above))
    return result


def _shrink(operands: Operands, attributes: Attributes) -> Array:
    """What is below -threshold comes first, which matters where threshold is negative. NaN stays NaN."""
    x, threshold, bias = operands[0], np.float32(attributes["threshold"]), np.float32(attributes["bias"])
    inside = np.where(np.isnan(x), x, np.float32(0))
    result: Array = np.where(x < -threshold, x + bias, np.where(x > threshold, x - bias, inside))
    return result


KERNELS: dict[str, Kernel] = {
    "Exp": elementwise(lambda x, _: np.exp(x)),
    "Log": elementwise(lambda x, _: np.log(x)),
    "Sqrt": lambda operands, _: np.sqrt(operands[0]),
    "Erf": elementwise(_error_function),
    "Sin": elementwise(lambda x, _: np.sin(x)),
    "Cos": elementwise(lambda x, _: np.cos(x)),
    "Tan": elementwise(lambda x, _: np.tan(x)),
    "Asin": elementwise(lambda x, _: np.arcsin(x)),
    "Acos": elementwise(lambda x, _: np.arccos(x)),
    "Atan": elementwise(lambda x, _: np.arctan(x)),
    "Sinh": elementwise(lambda x, _: np.sinh(x)),
    "Cosh": elementwise(lambda x, _: np.cosh(x)),
    "Asinh": elementwise(lambda x, _: np.arcsinh(x)),
    "Acosh": elementwise(lambda x, _: np.arccosh(x)),
    "Atanh": elementwise(lambda x, _: np.arctanh(x)),
    "Sign": lambda operands, _: np.sign(operands[0]),
    "Floor": lambda operands, _: np.floor(operands[0]),
    "Ceil": lambda operands, _: np.ceil(operands[0]),
    "Round": lambda operands, _: np.rint(operands[0]),
    "Trunc": lambda operands, _: np.trunc(operands[0]),
    "Expm1": elementwise(lambda x, _: np.expm1(x)),
    "Log1p": elementwise(lambda x, _: np.log1p(x)),
    "Elu": elementwise(_elu),
    "Softplus": elementwise(_softplus),
    "Softsign": elementwise(lambda x, _: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x)))),
    "Mish": elementwise(_mish),
    "ThresholdedRelu": lambda operands, a: np.where(operands[0] <= np.float32(a["alpha"]), np.float32(0), operands[0]),
    "Shrink": _shrink,
}
