"""How far two sets of outputs lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netsurgery.graph.ir import Array


def largest_difference(given: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference as a share of the largest finite expected value; infinite where shapes or NaN differ."""
    worst = 0.0
    for one, other in zip(given, expected, strict=True):
        finite = np.isfinite(other)
        if one.shape != other.shape or not np.array_equal(one[~finite], other[~finite], equal_nan=True):
            return float("inf")
        if finite.any():
            scale = max(float(np.abs(other[finite]).max()), np.finfo(np.float32).tiny)
            worst = max(worst, float(np.abs(one[finite] - other[finite]).max()) / scale)
    return worst
