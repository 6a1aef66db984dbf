"""Fixed point: what rounds values to a grid."""

from __future__ import annotations

import numpy as np

from netsurgery.graph.fixed_point import limits
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands


def _quantize(operands: Operands, attributes: Attributes) -> Array:
    x, scale, shift = (*operands, None, None)[:3]
    along = (-1, *[1] * (x.ndim - 1 - attributes["axis"]))
    if scale is not None:
        x = x * scale.reshape(along)
    if shift is not None:
        x = x + shift.reshape(along)
    low, high = limits(attributes)
    counts = np.rint(np.ldexp(x.astype(np.float64), -attributes["exponent"]))
    counts = np.where(counts > low, counts, low)  # NaN is above nothing
    rounded: Array = np.ldexp(np.minimum(counts, high) + 0.0, attributes["exponent"])
    return rounded


KERNELS: dict[str, Kernel] = {"Quantize": _quantize}
