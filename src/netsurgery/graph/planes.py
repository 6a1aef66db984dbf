"""Binary planes: a row as a sum of ±scale (network sketching, Guo et al. 2017), told from its values alone.

With m planes, row r is w[c] = s_0 b_0[c] + s_1 b_1[c] + ... with b in {-1, +1}, summed in float32 from the first plane
on. Scales as `methods.expansion` makes them are whole multiples of a power of two, so that nothing rounds: then 1 to 8
planes are told, without doubt (`plane_scales`). Of sums that round it is at most 3 (`rounded_planes`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from netsurgery.graph.plane_relations import Doubles, signed_sums
from netsurgery.graph.plane_scales import MANTISSA, exact_scales, unit_of
from netsurgery.graph.rounded_planes import rounded_scales

Array = npt.NDArray[np.float32]
Signs = npt.NDArray[np.uint8]

MOST_RECOGNISED = 8
"""As many as a file holds."""
_SCALE_BITS = 32
_FLOAT_BITS = 24
"""Of an entry that is written as a float, roughly."""


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
    """(scales, signs) whose sum equals the matrix bit for bit, or None.

    matrix: (rows, columns), finite, rows >= 1. m is what the row with most planes takes, and no more than what is worth
    its scales; other rows have scales of 0, a row of zeros no others. A matrix that is no such sum, and one with a zero
    beside other values, is given up at the first row that isn't.
    """
    columns = matrix.shape[1]
    most = min(MOST_RECOGNISED, (_FLOAT_BITS * columns - 1) // (columns + _SCALE_BITS))
    found: list[Doubles] = []
    known: dict[bytes, Doubles | None] = {}  # rows of one codebook have the same magnitudes
    for row in matrix:
        if not row.any():
            found.append(np.zeros(0))
            continue
        magnitudes = np.unique(np.abs(row)).astype(np.float64)
        name = magnitudes.tobytes()
        if name not in known:
            known[name] = _scales_of(magnitudes, most) if most and magnitudes[0] > 0 else None
        scales = known[name]
        if scales is None:
            return None
        found.append(scales)
    planes = max(1, *map(len, found))
    padded = np.stack([np.pad(scales, (0, planes - len(scales))) for scales in found]).astype(np.float32)
    signs = np.ones((planes, *matrix.shape), np.uint8)
    for place, (row, scales) in enumerate(zip(matrix, found, strict=True)):
        if len(scales):
            signs[: len(scales), place] = _signs_of(row, scales)
    same = np.array_equal(sum_of_planes(padded, signs).view(np.uint32), matrix.view(np.uint32))
    return (padded, signs) if same else None


def on_grid(scales: Doubles) -> Array:
    """Scales (rows, m), float64, as multiples of a power of two in each row so coarse that their sums don't round.

    That is 2^-24 of the sum of a row's magnitudes, or up to half of it: a scale moves by as much as float32 may round.
    """
    units = np.array([unit_of(total) if total > 0 else 1.0 for total in np.abs(scales).sum(axis=1)])[:, None]
    steps = np.abs(np.round(scales / units)).sum(axis=1, keepdims=True)
    units = np.where(steps <= 2**MANTISSA, units, 2 * units)  # rounding up may take the sum beyond
    gridded: Array = (np.round(scales / units) * units).astype(np.float32)
    return gridded


def _scales_of(magnitudes: Doubles, most: int) -> Doubles | None:
    """Scales (m,), falling, of the fewest planes that make a row of these magnitudes, or None."""
    exact = exact_scales(magnitudes, most)
    return rounded_scales(magnitudes, most) if exact is None else exact


def _signs_of(row: Array, scales: Doubles) -> Signs:
    """The planes (m, columns) of a row of these scales: for each entry those of the sum that lies closest to it."""
    sums = signed_sums(scales)
    order = np.argsort(sums)
    borders = (sums[order][1:] + sums[order][:-1]) / 2
    combination = order[np.searchsorted(borders, row)]
    return (~combination >> np.arange(len(scales))[::-1, None] & 1).astype(np.uint8)
