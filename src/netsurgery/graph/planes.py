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
Doubles = npt.NDArray[np.float64]
Signs = npt.NDArray[np.uint8]

MOST_RECOGNISED = 3
"""With more planes the distinct values of a row are too many to tell the scales from."""


def sum_of_planes(scales: Array, signs: Signs) -> Array:
    """Scales (rows, m), signs (m, rows, columns; 0 is -1, 1 is +1) -> (rows, columns), summed plane by plane.

    A sum beyond float32 is infinite, and callers see it.
    """
    total: Array = np.where(signs[0] == 1, scales[:, :1], -scales[:, :1])
    with np.errstate(over="ignore", invalid="ignore"):
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
        with np.errstate(over="ignore", invalid="ignore"):
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
    values = np.unique(row).astype(np.float64)
    guessed = _guessed_scales(values[::-1], planes)
    if guessed is None:
        return None
    combinations = np.array(list(itertools.product((1, 0), repeat=planes)), np.uint8).T
    guess = np.where(combinations == 1, np.array(guessed)[:, None], -np.array(guessed)[:, None]).sum(axis=0)
    place = np.abs(guess - values[:, None]).argmin(axis=1)
    known = np.zeros(len(guess), bool)
    for places, sums in ((place, values), (len(guess) - 1 - place, -values)):  # the negative of a sum is a sum too
        guess[places], known[places] = sums, True
    scales = _solved(guess[: len(guess) // 2], known[: len(guess) // 2])
    return None if scales is None else (scales, combinations[:, place[np.searchsorted(values, row)]])


def _solved(sums: Doubles, known: npt.NDArray[np.bool_]) -> Array | None:
    """Scales (m,) of all sums with a + first, or None: sums[i] has - where bit m - 2, m - 3, ... of i is 1.

    Backwards: without the last plane, each two neighbours are one float32, their mean or a number beside it; the last
    scale lies in the middle of what these and rounding allow. Sums that aren't known allow anything.
    """
    if len(sums) == 1:
        return sums.astype(np.float32)
    slack = np.where(known, np.spacing(np.abs(sums).astype(np.float32)) / 2.0, np.inf)
    pairs = sums.reshape(-1, 2)
    for without in itertools.product(*(_neighbours(np.float32(mean)) for mean in pairs.mean(axis=1))):
        before = np.array(without, np.float32)
        scale = (pairs - before[:, None]) * (1, -1)
        low, high = (scale.ravel() - slack).max(), (scale.ravel() + slack).min()
        for last in _neighbours(np.float32((low + high) / 2))[:3]:
            after = np.stack([before + last, before - last], axis=1).ravel()
            if (after == sums)[known].all():
                first = _solved(before.astype(np.float64), np.ones(len(before), bool))
                if first is not None:
                    return np.append(first, last)
    return None


def _guessed_scales(values: Doubles, planes: int) -> list[float] | None:
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
