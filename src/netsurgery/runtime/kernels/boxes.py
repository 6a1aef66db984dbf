"""Boxes: bins of maps, and the best that don't overlap. In float32, as others round, where counts follow from it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands
from netsurgery.runtime.kernels.places import outside

_FURTHEST = 2.0**22
"""Entries: positions so far away are half an entry apart as float32."""
_ROUNDING = 4.0
"""Entries by which a position may be rounded."""


class _Side(NamedTuple):
    """Of a box: where it starts, how long a bin is, and how many samples that has."""

    start: np.float32
    bin: np.float32
    samples: float

    def at(self, number: int, samples: npt.NDArray[np.int64]) -> Array:
        whole = samples.astype(np.float32)
        within = (whole + np.float32(0.5)) * self.bin / np.float32(self.samples)
        return np.asarray(self.start + np.float32(number) * self.bin + within)

    def near(self, number: int, size: int, count: int) -> npt.NDArray[np.int64]:
        """All samples of a bin that may lie within x: of a box without bounds these are few."""
        if count:
            return np.arange(count)
        if self.samples < 1:
            return np.arange(0)
        begin, step = float(self.start) + number * float(self.bin), float(self.bin) / self.samples
        first = math.floor((-1 - _ROUNDING - begin) / step) - 1
        last = math.ceil((size + _ROUNDING - begin) / step) + 1
        return np.arange(min(max(first, 0), int(self.samples)), min(max(last, 0), int(self.samples)))


def _side(begin: Array, end: Array, bins: int, attributes: Attributes) -> _Side | None:
    """None for one that isn't anywhere."""
    scale, half = np.float32(attributes["scale"]), attributes["coordinates"] == "half_pixel"
    offset = np.float32(0.5 if half else 0)
    start, stop = begin * scale - offset, end * scale - offset
    length = stop - start
    if not half and not length >= 1:
        length = np.float32(1)
    if not (abs(start) <= _FURTHEST and abs(stop) <= _FURTHEST):
        return None
    each = length / np.float32(bins)
    return _Side(start, each, float(attributes["count"] or max(math.ceil(each), 0)))


def _roi_align(operands: Operands, attributes: Attributes) -> Doubles:
    x, indices, boxes = operands
    result = np.zeros((len(boxes), x.shape[1], *attributes["size"]))
    for number, (box, image) in enumerate(zip(boxes, indices.tolist(), strict=True)):
        if not -len(x) <= image < len(x):
            raise InputError(outside(image, len(x)))
        sides = [_side(box[1 - axis], box[3 - axis], attributes["size"][axis], attributes) for axis in range(2)]
        if sides[0] is not None and sides[1] is not None:
            result[number] = _bins(x[image].astype(np.float64), sides[0], sides[1], attributes)
    return result


def _bins(x: Doubles, rows: _Side, columns: _Side, attributes: Attributes) -> Doubles:
    """Of one box, for all channels: x (C, H, W)."""
    result = np.zeros((len(x), *attributes["size"]))
    for down, along in np.ndindex(*attributes["size"]):
        by_row = rows.near(down, x.shape[1], attributes["count"])
        by_column = columns.near(along, x.shape[2], attributes["count"])
        row, column = rows.at(down, by_row), columns.at(along, by_column)
        values = _samples(x, row, column, attributes["mode"]).reshape(len(x), -1)
        if attributes["mode"] == "mean":
            result[:, down, along] = values.sum(axis=1) / max(rows.samples * columns.samples, 1.0)
            continue
        left_out = len(by_row) < rows.samples or len(by_column) < columns.samples
        total = np.zeros(len(x)) if left_out or not values.shape[1] else values[:, 0]
        for value in values.T:
            total = np.where(total < value, value, total)
        result[:, down, along] = total
    return result


def _samples(x: Doubles, rows: Array, columns: Array, mode: str) -> Doubles:
    """X (C, H, W) between its entries, 0 further than 1 outside of them: (C, rows, columns)."""
    low, high, of_low, of_high, within = zip(
        *(_between(*one) for one in ((rows, x.shape[1]), (columns, x.shape[2]))), strict=True
    )
    parts = []
    for i, of_row in ((low[0], of_low[0]), (high[0], of_high[0])):
        for j, of_column in ((low[1], of_low[1]), (high[1], of_high[1])):
            weight = np.outer(of_row, of_column)
            parts.append(np.where(weight == 0, 0.0, weight * x[:, i[:, None], j]))
    a, b, c, d = parts
    value = a + b + c + d if mode == "mean" else _larger(_larger(a, b), _larger(c, d))
    return np.where(within[0][:, None] & within[1], value, 0.0)


def _larger(a: Doubles, b: Doubles) -> Doubles:
    return np.where(a < b, b, a)


def _between(at: Array, size: int) -> tuple[Any, Any, Doubles, Doubles, Any]:
    """The neighbours of samples, how much each counts, and which samples lie within x."""
    within = (at >= -1) & (at <= size)
    place = np.where(within, np.maximum(at.astype(np.float64), 0), 0)
    low = np.minimum(place.astype(np.int64), size - 1)
    share = np.where(low >= size - 1, 0.0, place - low)
    return low, np.minimum(low + 1, size - 1), 1 - share, share, within


def _non_max_suppression(operands: Operands, attributes: Attributes) -> npt.NDArray[np.int64]:
    boxes, scores = operands
    rows = []
    for image, of in np.ndindex(*scores.shape[:2]):
        kept = _best(_corners(boxes[image], attributes["order"]), scores[image, of], attributes)
        rows += [(image, of, number) for number in kept]
    if attributes["result"] == "count":
        return np.array([len(rows)])
    result = np.zeros((scores.shape[0] * scores.shape[1] * min(attributes["count"], scores.shape[2]), 3), np.int64)
    result[: len(rows)] = np.array(rows, np.int64).reshape(-1, 3)
    return result


def _corners(boxes: Array, order: str) -> Array:
    """(B, low and high, axis)."""
    one, other = boxes[:, :2], boxes[:, 2:]
    if order == "center":
        half = other / np.float32(2)
        return np.stack([one - half, one + half], 1)
    return np.stack([np.where(one >= other, other, one), np.where(one >= other, one, other)], 1)


def _best(boxes: Array, scores: Array, attributes: Attributes) -> list[int]:
    numbers = np.arange(len(scores))
    if attributes["minimum"] != -math.inf:
        numbers = numbers[scores > np.float32(attributes["minimum"])]
    order = numbers[np.lexsort((numbers, -scores[numbers], np.isnan(scores[numbers])))]
    kept: list[int] = []
    for number in order.tolist():
        if len(kept) == attributes["count"]:
            break
        if not kept or not _overlap(boxes[number], boxes[kept], np.float32(attributes["threshold"])).any():
            kept.append(number)
    return kept


def _overlap(box: Array, others: Array, threshold: np.float32) -> npt.NDArray[np.bool_]:
    """Whether the intersection over union is above the threshold, compared in this order, as ONNX Runtime does it."""
    low = np.where(box[0] < others[:, 0], others[:, 0], box[0])
    high = np.where(others[:, 1] < box[1], others[:, 1], box[1])
    both, areas, area = _area(low, high), _area(others[:, 0], others[:, 1]), _area(box[:1], box[1:])
    union = area + areas - both
    none = (high <= low).any(axis=1) | (both <= 0) | (area <= 0) | (areas <= 0) | (union <= 0)
    return ~none & (both / union > threshold)


def _area(low: Array, high: Array) -> Array:
    sides = high - low
    return np.asarray(sides[:, 0] * sides[:, 1])


KERNELS: dict[str, Kernel] = {
    "RoiAlign": _roi_align,
    "NonMaxSuppression": _non_max_suppression,
    "FirstEntries": lambda operands, _: operands[0],
}
