"""Fixed point: what rounds values to a grid."""

from __future__ import annotations

import numpy as np

from netsurgery.graph.fixed_point import limits
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands


def _quantize(operands: Operands, attributes: Attributes) -> Array:
    x, scale, shift = (*operands, None, None)[:3]
    if scale is not None:
        x = x * _along(scale, x, attributes)
    return _on_grid(x, shift, attributes)


def _quantize_planes(operands: Operands, attributes: Attributes) -> Array:
    x, scale, shift = (*operands, None)[:3]
    axis, planes = attributes["axis"], attributes["planes"]
    products = x * _along(scale, x, attributes)
    parts = products.reshape(*x.shape[:axis], x.shape[axis] // planes, planes, *x.shape[axis + 1 :])
    total: Array = parts.take(0, axis + 1)
    for plane in range(1, planes):
        total = total + parts.take(plane, axis + 1)
    return _on_grid(total, shift, attributes)


def _along(numbers: Array, x: Array, attributes: Attributes) -> Array:
    """(C,) as what entries of the axis are combined with."""
    return numbers.reshape(-1, *[1] * (x.ndim - 1 - attributes["axis"]))


def _on_grid(x: Array, shift: Array | None, attributes: Attributes) -> Array:
    if shift is not None:
        x = x + _along(shift, x, attributes)
    low, high = limits(attributes)
    counts = np.rint(np.ldexp(x.astype(np.float64), -attributes["exponent"]))
    counts = np.where(counts > low, counts, low)  # NaN is above nothing
    rounded: Array = np.ldexp(np.minimum(counts, high) + 0.0, attributes["exponent"])
    return rounded


KERNELS: dict[str, Kernel] = {"Quantize": _quantize, "QuantizePlanes": _quantize_planes}
