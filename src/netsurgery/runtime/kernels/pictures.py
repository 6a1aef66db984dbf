"""Pictures: pools and resizing."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands, cut, mean
from netsurgery.runtime.windows import inside, taps


def _max_pool(operands: Operands, attributes: Attributes) -> Array:
    x, kernel = operands[0], attributes["kernel"]
    windows = rule.pool([x.shape], attributes)[2:]
    return reduce(np.maximum, (seen for _, seen in taps(x, kernel, windows, attributes, -math.inf)))


def _average_pool(operands: Operands, attributes: Attributes) -> Doubles:
    x, kernel = operands[0], attributes["kernel"]
    shape = rule.pool([x.shape], attributes)
    ones, seen_by = inside(x.shape[2:], attributes)
    total, count = np.zeros(shape), np.zeros((1, 1, *shape[2:]))
    for _, seen in taps(x, kernel, shape[2:], attributes, 0.0):
        total += seen
    for _, seen in taps(ones, kernel, shape[2:], seen_by, 0.0):
        count += seen
    return total / count


def _adaptive_pool(of_window: Callable[..., Any]) -> Kernel:
    def kernel(operands: Operands, attributes: Attributes) -> Doubles:
        x, size = operands[0], attributes["size"]
        result = np.empty(rule.adaptive_pool([x.shape], attributes))
        for place in np.ndindex(*size):
            window = x
            for axis, (i, parts) in enumerate(zip(place, size, strict=True), start=2):
                begin, end = i * x.shape[axis] // parts, -(-(i + 1) * x.shape[axis] // parts)
                window = cut(window, axis, begin, end)
            here = (..., *place)
            result[here] = of_window(window, axis=tuple(range(2, x.ndim)))
        return result

    return kernel


_ROUNDING: dict[str, Callable[[Doubles], Doubles]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda position: np.ceil(position - 0.5),
    "round_prefer_ceil": lambda position: np.floor(position + 0.5),
}


def _resize(operands: Operands, attributes: Attributes) -> Array:
    x: Array = operands[0]
    for axis, new in enumerate(attributes["size"]):
        old, scale = x.shape[2 + axis], attributes["scales"][axis] if attributes["scales"] else None
        position = _ROUNDING[attributes["rounding"]](_positions(old, new, scale, attributes["coordinates"]))
        x = x.take(np.clip(position, 0, old - 1).astype(np.intp), axis=2 + axis)
    return x


def _positions(old: int, new: int, scale: float | None, coordinates: str) -> Doubles:
    """Where each of `new` entries lies among the `old` ones: ONNX's equations for coordinate_transformation_mode.

    An exact quotient of whole numbers, rounded once, never crosses a whole number, as i / (new / old) would.
    """
    i = np.arange(new, dtype=np.float64)

    def unscaled(place: Doubles) -> Doubles:
        return place * old / new if scale is None else place / scale

    if coordinates == "align_corners":
        return i * (old - 1) / max(new - 1, 1)
    if coordinates == "asymmetric":
        return unscaled(i)
    if coordinates == "pytorch_half_pixel" and new == 1:
        return i
    if coordinates == "half_pixel_symmetric" and scale is not None:
        # ONNX adds old / 2 * (1 - new / (scale * old)) to half_pixel; as one quotient it is rounded once.
        return (2 * i + 1 - new + (old - 1) * scale) / (2 * scale)
    return unscaled(i + 0.5) - 0.5


KERNELS: dict[str, Kernel] = {
    "MaxPool": _max_pool,
    "AdaptiveAveragePool": _adaptive_pool(mean),
    "AveragePool": _average_pool,
    "AdaptiveMaxPool": _adaptive_pool(np.max),
    "Resize": _resize,
}
