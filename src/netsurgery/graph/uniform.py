"""Recognising whole numbers times a scale for each row, as uniform quantisation leaves them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int16]

MOST_COUNTS = 256
"""From the smallest to the largest of a constant: as many as 8 bits hold."""

_LARGEST = 255
_PARTS = 6
"""The smallest difference between entries of a row may be so many steps."""
_OFF = 0.05
"""Of a step: how far entries may lie beside whole steps before the step is known to the last bit."""
_NEIGHBOURS = 4
"""Floats to each side of a quotient that are tried for a scale."""
_FIRST_ROWS = 4


def recognised_uniform(matrix: Array) -> tuple[Counts, Array] | None:
    """(counts, scales) with matrix[r, c] the float32 product counts[r, c] * scales[r]; None if there are none.

    Rows of zeros have a scale of 1. Where rows have few entries, scales would say no less than the entries do: None.
    """
    rows, columns = matrix.shape
    if columns < 4 or not all(_step(row) for row in matrix[:_FIRST_ROWS]):
        return None
    counts, scales = np.zeros(matrix.shape, np.int16), np.ones(rows, np.float32)
    for place, row in enumerate(matrix):
        scale = _step(row)
        if scale is None:
            return None
        if row.any():
            scales[place] = scale
            counts[place] = np.rint(row.astype(np.float64) / np.float64(scale))
    if int(counts.max()) - int(counts.min()) >= MOST_COUNTS or 2 * rows > np.count_nonzero(counts):
        return None
    return counts, scales


def _step(row: Array) -> float | None:
    """The largest scale of which all entries are whole multiples, as float32 products; 1 for zeros, None if none is."""
    distinct = np.unique(np.abs(row))
    if len(distinct) > _LARGEST + 1 or not np.isfinite(distinct).all():
        return None
    if distinct[0] != 0:
        distinct = np.concatenate([np.zeros(1, np.float32), distinct])
    if len(distinct) == 1:
        return 1.0
    wide = distinct.astype(np.float64)
    smallest = np.diff(wide).min()
    for parts in range(1, _PARTS + 1):
        counts = np.rint(wide * parts / smallest)
        if counts[-1] > _LARGEST:
            return None
        if np.abs(wide * parts / smallest - counts).max() <= _OFF:
            scale = _exact(distinct, counts)
            if scale is not None:
                return float(scale)
    return None


def _exact(distinct: Array, counts: npt.NDArray[np.float64]) -> float | None:
    """The scale near the quotients that gives all of these floats back."""
    middle = np.float32(float(distinct[-1]) / counts[-1])
    if middle <= 0 or not np.isfinite(middle):
        return None
    around = middle.view(np.uint32).astype(np.int64) + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    for bits in around[np.argsort(np.abs(around - around[_NEIGHBOURS]), kind="stable")]:
        scale = np.uint32(max(int(bits), 1)).view(np.float32)
        if np.array_equal((counts * np.float64(scale)).astype(np.float32), distinct):
            return float(scale)
    return None
