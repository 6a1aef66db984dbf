"""Pictures: pools, nearest neighbours, and channels that become pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands, cut, mean
from netsurgery.runtime.kernels.positions import resized_positions
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
    for axis, new in enumerate(rule.resize([x.shape], attributes)[2:]):
        old, scale = x.shape[2 + axis], attributes["scales"][axis] if attributes["scales"] else None
        position = _ROUNDING[attributes["rounding"]](resized_positions(old, new, scale, attributes["coordinates"]))
        x = x.take(np.clip(position, 0, old - 1).astype(np.intp), axis=2 + axis)
    return x


def _depth_to_space(operands: Operands, attributes: Attributes) -> Array:
    """(N, C, *B, *S), or (N, *B, C, *S), to (N, C, S_0, B_0, S_1, B_1 ...)."""
    x: Array = operands[0]
    blocks = attributes["blocks"]
    result = rule.depth_to_space([x.shape], attributes)
    channels = 1 if attributes["order"] == "crd" else len(blocks) + 1
    inner = (result[1], *blocks) if attributes["order"] == "crd" else (*blocks, result[1])
    of_blocks = [axis for axis in range(1, len(blocks) + 2) if axis != channels]
    of_sizes = range(len(blocks) + 2, x.ndim + len(blocks))
    pairs = [axis for pair in zip(of_sizes, of_blocks, strict=True) for axis in pair]
    apart: Array = x.reshape(x.shape[0], *inner, *x.shape[2:]).transpose(0, channels, *pairs)
    return apart.reshape(result)


def _space_to_depth(operands: Operands, attributes: Attributes) -> Array:
    """(N, C, S_0, B_0, S_1, B_1 ...) to (N, C, *B, *S), or (N, *B, C, *S)."""
    x: Array = operands[0]
    blocks = attributes["blocks"]
    result = rule.space_to_depth([x.shape], attributes)
    apart = [part for pair in zip(result[2:], blocks, strict=True) for part in pair]
    of_sizes, of_blocks = range(2, 2 + len(apart), 2), range(3, 3 + len(apart), 2)
    inner = (1, *of_blocks) if attributes["order"] == "crd" else (*of_blocks, 1)
    moved: Array = x.reshape(*x.shape[:2], *apart).transpose(0, *inner, *of_sizes)
    return moved.reshape(result)


KERNELS: dict[str, Kernel] = {
    "MaxPool": _max_pool,
    "AdaptiveAveragePool": _adaptive_pool(mean),
    "AveragePool": _average_pool,
    "AdaptiveMaxPool": _adaptive_pool(np.max),
    "Resize": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
