"""How far a network in fixed point lies from the one in float32, and when that, or its calibration, is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Array, Graph
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

LARGE = 0.1
"""An error beyond that, as a share of what outputs are, is warned of."""
_BEYOND = 0.5
"""Inputs that lie farther outside of those of calibration than that, as a share of the largest of these, are, too."""

Range = tuple[float, float]


@dataclass(frozen=True)
class FixedError:
    """What fixed point moves outputs by, of several outputs the one that is moved furthest.

    share: the root mean square of that, as a share of the root mean square of the outputs. typical: the same of each
    example alone, and of those the median: one huge example makes the share small, whatever becomes of the others.
    """

    share: float
    typical: float

    @property
    def worse(self) -> float:
        """The larger of both."""
        return max(self.share, self.typical)

    def __str__(self) -> str:
        said = f"{100 * self.share:.2g} % of their root mean square"
        if self.typical > 2 * self.share and self.typical > 0.01:
            said += f" (half of the examples by {100 * self.typical:.2g} % of their own, or more)"
        return said


def outputs_on(graph: Graph, batches: Sequence[Sequence[Array]]) -> list[tuple[Array, ...]]:
    """What the engine gives on each batch."""
    session = Session(encode(graph))
    found = (session(*batch) for batch in batches)
    return [outputs if isinstance(outputs, tuple) else (outputs,) for outputs in found]


def error_of(found: Sequence[tuple[Array, ...]], expected: Sequence[tuple[Array, ...]]) -> FixedError:
    """How far outputs of batches lie from those expected; examples are along the first axis of each."""
    shares, typical = [0.0], [0.0]
    for ones, others in zip(zip(*found, strict=True), zip(*expected, strict=True), strict=True):
        squares = [_squares(one, other) for one, other in zip(ones, others, strict=True) if other.size]
        if not squares:
            continue
        moved, whole = (np.concatenate(parts) for parts in zip(*squares, strict=True))
        shares.append(float(_shares(moved.mean(), whole.mean())))
        typical.append(float(np.median(_shares(moved, whole))))
    return FixedError(max(shares), max(typical))


def _squares(found: Array, expected: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(examples,): the mean square of what each is moved by, and of what it is; without what isn't finite there.

    Of outputs that aren't floats: the share of entries that are others.
    """
    rows = len(expected) if expected.ndim else 1
    if found.shape != expected.shape:  # a detector has found others
        return np.ones(rows), np.ones(rows)
    if expected.dtype.kind != "f":
        return (found != expected).reshape(rows, -1).mean(1, dtype=np.float64), np.ones(rows)
    whole = np.where(np.isfinite(expected), expected, 0).reshape(rows, -1).astype(np.float64)
    moved = np.where(np.isfinite(expected), found, 0).reshape(rows, -1) - whole
    return np.square(moved).mean(1), np.square(whole).mean(1)


def _shares(moved: npt.ArrayLike, whole: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The roots of quotients: 0 where nothing is moved, infinite where nothing was there."""
    with np.errstate(all="ignore"):
        shares = np.sqrt(np.divide(moved, whole))
    return np.where(np.equal(moved, 0), 0.0, np.nan_to_num(shares, nan=np.inf, posinf=np.inf))


def oddities(
    ranges: Mapping[str, Range],
    examples: Mapping[str, Array],
    on_calibration: FixedError,
    on_examples: FixedError | None,
) -> list[str]:
    """What is to be warned of, in sentences.

    ranges: of inputs on the calibration batches, the least and the largest number. examples: arrays of inputs that the
    caller gave. on_examples: the error there; None where nobody gave any.
    """
    said = []
    for name, (low, high) in ranges.items():
        if low == high == 0:
            said.append(
                f"Input {name!r} is 0 throughout the calibration batches: no grid can be chosen by that. Give batches "
                "of the inputs that the network is meant for."
            )
            continue
        given = finite(examples[name]) if name in examples else np.zeros(0)
        margin = _BEYOND * max(abs(low), abs(high))
        if given.size and (given.min() < low - margin or given.max() > high + margin):
            said.append(
                f"Input {name!r} has numbers from {given.min():.4g} to {given.max():.4g} in example_inputs, from "
                f"{low:.4g} to {high:.4g} in the calibration batches: what lies beyond those is cut off. Give both as "
                "the network will get them, prepared alike."
            )
    errors = {"the calibration batches": on_calibration, "example_inputs": on_examples}
    large = [f"{error} on {where}" for where, error in errors.items() if error is not None and error.worse > LARGE]
    if large:
        said.append(
            f"Fixed point moves outputs by {', by '.join(large)}; more than {100 * LARGE:g} % is much. Give "
            "calibration batches of the inputs that the network is meant for, without examples far larger than all "
            "others; where they are that, train with the rounding (netsurgery.FixedActivations)."
        )
    return said


def range_of(values: Array) -> Range:
    """The least and the largest finite number; 0 where there is none."""
    there = finite(values)
    return (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)


def finite(values: Array) -> Array:
    """The finite numbers, flat."""
    return np.asarray(values[np.isfinite(values)])
