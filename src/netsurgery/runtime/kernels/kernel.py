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


def cut(x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
    """Entries of one axis."""
    return x[(slice(None),) * axis + (slice(start, stop, step),)]
