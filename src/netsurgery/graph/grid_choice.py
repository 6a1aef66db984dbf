"""Which grid rounds values with the least error: the one choice of calibration, and of training that rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netsurgery.graph.fixed_point import highest

FEWEST_BITS, MOST_BITS = 8, 12
"""Of rounded activations."""
FARTHEST_UNIT = 60
"""Of the exponents of units and of grids: no number on the way is subnormal."""
_STEPS = 8
"""So many times the grid is made finer, and values beyond it are cut, to see where the error is least."""


@dataclass(frozen=True)
class Choice:
    """A grid for values: which Quantize makes them.

    Whole numbers of `bits` bits times 2^exponent: from 0 on, or as many below 0 as above it where `signed` is true.
    """

    exponent: int
    bits: int
    signed: bool


def least_error(sample: npt.NDArray[np.float64], largest: float, bits: int, signed: bool) -> Choice:
    """The grid of least squared error over a sample. largest: magnitude of all values, sampled or not; signed: of any.

    Of grids from the one that reaches `largest` on to some that are finer, and cut what lies beyond them.
    """
    count = highest(bits, signed)
    if largest == 0:
        return Choice(0, bits, signed)
    coarsest = max(finest(largest, count), _STEPS - FARTHEST_UNIT)

    def error(exponent: int) -> float:
        counts = np.clip(np.rint(np.ldexp(sample, -exponent)), -count if signed else 0, count)
        return float(np.square(np.ldexp(counts, exponent) - sample).mean())

    return Choice(min(range(coarsest, coarsest - _STEPS, -1), key=error), bits, signed)


def finest(largest: float, count: int) -> int:
    """The least exponent with which `count` steps reach that far."""
    if not np.isfinite(largest) or largest <= 0:
        return 0
    return int(np.clip(np.ceil(np.log2(largest / count)), -FARTHEST_UNIT, FARTHEST_UNIT))
