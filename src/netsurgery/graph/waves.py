"""Tables of sines: what Fourier transforms are matrix products with."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def waves(rows: int, count: int) -> tuple[Doubles, Doubles]:
    """Cosines and sines of 2 pi k t / count, for `rows` of k and all t: (rows, count) each."""
    angles = np.outer(np.arange(rows), np.arange(count)) % count * (2 * math.pi / count)
    return np.cos(angles), np.sin(angles)


def times_counted(rows: int, count: int) -> Doubles:
    """How often each of the first `rows` numbers of a transform of `count` entries counts: twice with its conjugate."""
    times = np.full(rows, 2.0)
    times[0] = 1.0
    if count % 2 == 0 and rows == count // 2 + 1:
        times[-1] = 1.0
    return times
