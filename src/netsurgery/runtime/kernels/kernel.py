"""What a kernel is, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Array

Operands: TypeAlias = Sequence[Any]  # of Array, or None where an optional operand is left out
Attributes: TypeAlias = Mapping[str, Any]
Kernel: TypeAlias = Callable[[Operands, Attributes], Any]
Doubles: TypeAlias = npt.NDArray[np.float64]

mean = partial(np.mean, dtype=np.float64)


def elementwise(function: Callable[[Doubles, Attributes], Doubles]) -> Kernel:
    """A kernel of one operand, which it gets as float64."""
    return lambda operands, attributes: function(operands[0].astype(np.float64), attributes)


def cast(x: npt.NDArray[Any] | np.generic, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The same numbers as another type: whole numbers cut off towards zero and kept within their bounds, 0 for NaN."""
    array = np.asarray(x)
    if array.dtype.kind != "f" or kind.kind != "i":
        return array.astype(kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    whole = np.trunc(array.astype(np.float64))
    inside = (whole >= low) & (whole < -float(low))  # -low is a float64, the largest number may be none
    result = np.where(inside, whole, 0).astype(kind)
    result = np.where(whole >= -float(low), high, result)
    return np.where(whole < low, low, result).astype(kind)


def cut(x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
    """Entries of one axis."""
    return x[(slice(None),) * axis + (slice(start, stop, step),)]
