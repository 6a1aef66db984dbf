"""Interpolation: along each axis an entry is a weighted sum of its neighbours."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np

from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands
from netsurgery.runtime.kernels.positions import resized_positions

Taps: TypeAlias = dict[int, float]  # place among the old entries -> its weight; none: outside of x


def _interpolate(operands: Operands, attributes: Attributes) -> Doubles:
    x: Array = operands[0]
    size = rule.interpolate([x.shape], attributes)[2:]
    result = x.astype(np.float64)
    outside = np.zeros((1,) * x.ndim, bool)
    for axis, new in enumerate(size, start=2):
        taps = _taps(axis - 2, x.shape[axis], new, attributes)
        result = _sums(result, axis, taps)
        column = (-1,) + (1,) * (x.ndim - axis - 1)
        outside = outside | np.array([not one for one in taps]).reshape(column)
    return np.where(outside, attributes["value"], result)


def _sums(x: Doubles, axis: int, taps: list[Taps]) -> Doubles:
    """Entry i is the sum of entries of x times the weights taps[i]."""
    column = (-1,) + (1,) * (x.ndim - axis - 1)
    shape = (*x.shape[:axis], len(taps), *x.shape[axis + 1 :])
    result = np.zeros(shape)
    for number in range(max(map(len, taps))):
        there = [list(one.items())[number] if number < len(one) else (0, None) for one in taps]
        weights = np.array([weight or 0.0 for _, weight in there]).reshape(column)
        nothing = np.array([weight is None for _, weight in there]).reshape(column)
        seen = x.take(np.array([place for place, _ in there]), axis) * weights
        result += np.where(nothing, 0.0, seen)  # infinity times nothing is nothing
    return result


def _taps(axis: int, old: int, new: int, attributes: Attributes) -> list[Taps]:
    """What each of `new` entries along a spatial axis is a sum of. Of neighbours beyond an end, that end is taken."""
    scale = attributes["scales"][axis] if attributes["scales"] else None
    factor = new / old if scale is None else scale
    if attributes["coordinates"] != "tf_crop_and_resize":
        positions = resized_positions(old, new, scale, attributes["coordinates"])
        return [_around(float(at), old, factor, attributes) for at in positions]
    begin, end = attributes["roi"][axis], attributes["roi"][len(attributes["roi"]) // 2 + axis]
    last = float(old - 1)
    steps = max(new - 1, 1)
    places = [begin * last + i * (end - begin) * last / steps for i in range(new)]
    places = [(begin + end) * last / 2] if new == 1 else places
    return [_around(at, old, factor, attributes) if 0 <= at <= last else {} for at in places]


def _around(at: float, old: int, scale: float, attributes: Attributes) -> Taps:
    narrowing = min(scale, 1.0) if attributes["antialias"] else 1.0
    reach = (1.0 if attributes["mode"] == "linear" else 2.0) / narrowing
    last = old - 1.0
    at = min(max(at, -reach - 1), last + reach + 1)  # further away there is only the same end
    taps: Taps = {}
    for place in range(math.floor(at - reach) + 1, math.ceil(at + reach)):
        weight = _weight((place - at) * narrowing, attributes)
        if weight != 0 and (not attributes["exclude_outside"] or 0 <= place <= last):
            kept = int(min(max(place, 0), last))
            taps[kept] = taps[kept] + weight if kept in taps else weight
    if not taps:
        return {int(min(max(_nearest(at), 0), last)): 1.0}
    if not attributes["antialias"] and not attributes["exclude_outside"]:
        return taps
    total = sum(taps.values())
    return {place: weight / total for place, weight in taps.items()}


def _nearest(number: float) -> int:
    return math.floor(number + 0.5)


def _weight(distance: float, attributes: Attributes) -> float:
    """How much a neighbour counts: Keys, "Cubic convolution interpolation", 1981, equation 15; or 1 - |distance|."""
    d, a = abs(distance), attributes["alpha"]
    if attributes["mode"] == "linear":
        return 1 - d if d < 1 else 0.0
    if d <= 1:
        return float(((a + 2) * d - (a + 3)) * d * d + 1)
    return float(((a * d - 5 * a) * d + 8 * a) * d - 4 * a) if d < 2 else 0.0


KERNELS: dict[str, Kernel] = {"Interpolate": _interpolate}
