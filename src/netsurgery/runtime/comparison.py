"""How far two sets of outputs lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netsurgery.graph.ir import Array

TOLERANCE = 2e-4
"""Largest difference allowed between outputs of a network and of what was made of it, as `largest_difference` says it.

Folding batch norm and leaving out dead units change the order of float32 sums, and so does another runtime; over a
hundred layers that adds up to some 1e-5 of the largest output. A wrong network is off by orders of magnitude more.
"""


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
