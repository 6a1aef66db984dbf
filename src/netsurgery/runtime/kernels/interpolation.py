"""Interpolation: along each axis an entry is a weighted sum of its neighbours, at places known or computed."""

from __future__ import annotations

import math
from functools import reduce
from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands
from netsurgery.runtime.kernels.positions import resized_positions

Places: TypeAlias = npt.NDArray[np.int64]
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
    return float(_weights(np.float64(distance), attributes["mode"], attributes["alpha"]))


def _weights(distance: Doubles | np.float64, mode: str, a: float) -> Doubles:
    """How much a neighbour counts: Keys, "Cubic convolution interpolation", 1981, equation 15; or 1 - |distance|."""
    d = np.abs(distance)
    if mode == "linear":
        return np.where(d < 1, 1 - d, 0.0)
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


_FAR = 2.0**40
"""Beyond any size."""


def _grid_sample(operands: Operands, attributes: Attributes) -> Doubles:
    x, grid = operands
    mode = attributes["mode"]
    along: list[list[tuple[Places, Doubles]]] = []  # for each axis: places, -1 for none, and what they count
    for axis, size in enumerate(x.shape[2:]):
        position = _positions(grid[..., x.ndim - 3 - axis], size, attributes)
        if mode == "nearest":
            taps = [(np.rint(position), np.ones(position.shape))]
        else:
            before = np.floor(position)
            around = range(2) if mode == "linear" else range(-1, 3)
            taps = [(before + i, _weights(i - (position - before), mode, -0.75)) for i in around]
        along.append([(_inside(place.astype(np.int64), size, attributes), weight) for place, weight in taps])
    result = np.zeros((*grid.shape[:-1], x.shape[1]))
    images = np.arange(len(x)).reshape(-1, *(1,) * (x.ndim - 2))
    for chosen in product(*along):
        places = [place for place, _ in chosen]
        weight = reduce(np.multiply, [weight for _, weight in chosen])
        nothing = (weight == 0) | np.any([place < 0 for place in places], axis=0)
        there = (images, *places)
        seen = np.moveaxis(x, 1, -1)[there].astype(np.float64)
        result += np.where(nothing[..., None], 0.0, seen * weight[..., None])
    return np.moveaxis(result, -1, 1)


def _positions(at: Array, size: int, attributes: Attributes) -> Doubles:
    """In float32, as those round who made the grid: half-way between two entries stays half-way."""
    one, two, length = np.float32(1), np.float32(2), np.float32(size)
    if attributes["coordinates"] == "align_corners":
        found = (at + one) / two * (length - one)
    else:
        found = ((at + one) * length - one) / two
    finite: Doubles = np.nan_to_num(found.astype(np.float64), nan=-_FAR, posinf=_FAR, neginf=-_FAR)
    return np.clip(finite, -_FAR, _FAR)


def _inside(places: Places, size: int, attributes: Attributes) -> Places:
    """The entries that stand at these places; -1: none."""
    if attributes["padding"] == "zeros":
        return np.where((places >= 0) & (places < size), places, -1)
    if attributes["padding"] == "border" or size == 1:
        return np.clip(places, 0, size - 1)
    once = 1 if attributes["coordinates"] == "align_corners" else 0  # the outermost entries stand there once, or twice
    period = 2 * (size - once)
    within = places % period
    return np.where(within < size, within, period - 1 + once - within)


KERNELS: dict[str, Kernel] = {"Interpolate": _interpolate, "GridSample": _grid_sample}
