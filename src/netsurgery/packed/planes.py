"""Binary planes: a row as a sum of ±scale (network sketching, Guo et al. 2017), told from its values alone.

With m planes, row r is w[c] = s_0 b_0[c] + s_1 b_1[c] + ... with b in {-1, +1}, summed in float32 from the first plane
on. Whoever has such a row has at most 2^m distinct values, and they give the scales back: the largest is the sum of all
scales, and each next one that isn't explained yet lacks twice a new scale.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Signs = npt.NDArray[np.uint8]

MOST_RECOGNISED = 3
"""With more planes the distinct values of a row are too many to tell the scales from."""


def sum_of_planes(scales: Array, signs: Signs) -> Array:
    """Scales (rows, m), signs (m, rows, columns; 0 is -1, 1 is +1) -> (rows, columns), summed plane by plane."""
    total: Array = np.where(signs[0] == 1, scales[:, :1], -scales[:, :1])
    for plane in range(1, len(signs)):
        scale = scales[:, plane : plane + 1]
        total = total + np.where(signs[plane] == 1, scale, -scale)
    return total


def recognised_planes(matrix: Array) -> tuple[Array, Signs] | None:
    """(scales, signs) whose sum equals the matrix bit for bit, or None. matrix: (rows, columns) without zeros."""
    for planes in range(1, MOST_RECOGNISED + 1):
        if matrix.shape[1] < 2 ** (planes + 1):
            return None
        if len(np.unique(matrix[0])) > 2**planes:
            continue
        rows = [_row(row, planes) for row in matrix]
        if any(row is None for row in rows):
            continue
        found = [row for row in rows if row is not None]
        scales = np.stack([scale for scale, _ in found])
        signs = np.ascontiguousarray(np.stack([sign for _, sign in found], axis=1))
        if np.array_equal(sum_of_planes(scales, signs).view(np.uint32), matrix.view(np.uint32)):
            return scales, signs
    return None


def _row(row: Array, planes: int) -> tuple[Array, Signs] | None:
    """Scales (m,) and signs (m, columns) of one row, or None."""
    values = np.unique(row)[::-1]
    guessed = _guessed_scales(values.astype(np.float64), planes)
    if guessed is None:
        return None
    combinations = np.array(list(itertools.product((1, 0), repeat=planes)), np.uint8).T[:, None, :]
    near = [_neighbours(np.float32(scale)) for scale in guessed]
    for scales in itertools.product(*near):
        candidate = np.array(scales, np.float32)
        sums = sum_of_planes(candidate[None], combinations)[0]
        if np.isin(values, sums).all():
            place = np.array([int(np.flatnonzero(sums == value)[0]) for value in values])
            code = place[len(values) - 1 - np.searchsorted(values[::-1], row)]
            return candidate, combinations[:, 0, code]
    return None


def _guessed_scales(values: npt.NDArray[np.float64], planes: int) -> list[float] | None:
    """Scales, largest first, from distinct values in falling order; None unless they show `planes` of them."""
    if len(values) == 1:
        return [abs(values[0])] if planes == 1 else None
    tolerance = 1e-5 * abs(values[0])
    scales: list[float] = []
    explained = [0.0]  # what the values seen so far lack of the largest
    for lack in values[0] - values[1:]:
        if any(abs(lack - known) <= tolerance for known in explained):
            continue
        if len(scales) == planes:
            return None
        scales.append(lack / 2)
        explained += [known + lack for known in explained]
    return sorted(scales, reverse=True) if len(scales) == planes else None


def _neighbours(scale: np.float32) -> list[np.float32]:
    """The number itself and those up to two places beside it, the nearest first."""
    up, down = np.float32(np.inf), np.float32(-np.inf)
    above, below = np.nextafter(scale, up), np.nextafter(scale, down)
    return [scale, above, below, np.nextafter(above, up), np.nextafter(below, down)]
