"""How far two sets of outputs lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netsurgery.errors import VerificationError
from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import OPERATORS
from netsurgery.runtime import reference

TOLERANCE = 2e-4
"""Largest difference allowed between outputs of a network and of what was made of it, as `largest_difference` says it.

Folding batch norm and leaving out dead units change the order of float32 sums, and so does another runtime; over a
hundred layers that adds up to some 1e-5 of the largest output. A wrong network is off by orders of magnitude more.
"""


_TIMES_NOISE = 8
"""So many times what rounding at random moves an output by it may lie off: another order of sums rounds otherwise."""

_UNIT = 2.0**-23
"""The last place of a float32, as a share."""

_RUNS = 3

_ROUNDED_NEAR_ONE = frozenset({"Sigmoid"})
"""Operators that others compute as a half and what is added to it: small values are as far off as large ones."""


@dataclass(frozen=True)
class Difference:
    """How far outputs lie apart, as a share of the largest one, and how far they may.

    That is TOLERANCE, or more where rounding alone moves them further.
    """

    share: float
    allowed: float = TOLERANCE

    @property
    def within(self) -> bool:
        """Whether it is no more than allowed."""
        return self.share <= self.allowed


def largest_difference(given: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference as a share of the largest finite expected value; infinite where shapes or NaN differ.

    Whole numbers and bools are the same, or infinitely far apart, and so are outputs of two types.
    """
    return max((_share(one, other) for one, other in zip(given, expected, strict=True)), default=0.0)


def _share(given: Array, expected: Array) -> float:
    if expected.dtype.kind != "f" or given.dtype.kind != "f":
        return 0.0 if expected.dtype == given.dtype and np.array_equal(given, expected) else float("inf")
    finite = np.isfinite(expected)
    if given.shape != expected.shape or not np.array_equal(given[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    return float(np.abs(given[finite] - expected[finite]).max()) / _largest(expected)


def _largest(values: Array) -> float:
    """The largest finite magnitude."""
    least = float(np.finfo(np.float32).tiny)
    return max(float(np.abs(values[np.isfinite(values)]).max(initial=0)), least)


def compared(given: Sequence[Array], expected: Sequence[Array], graph: Graph, feeds: Mapping[str, Array]) -> Difference:
    """How far a graph's outputs, or those of what it was made from, lie from those expected on these inputs.

    What rounding does to the graph is only asked where they lie further apart than TOLERANCE. Of several outputs it is
    the one that is furthest off, of what is allowed of it.
    """
    share = largest_difference(given, expected)
    if share <= TOLERANCE or share == float("inf"):
        return Difference(share)
    noise = rounding_noise(graph, feeds)
    of_each = [
        Difference(
            _share(one, other),
            max(TOLERANCE, _TIMES_NOISE * moved / _largest(other)) if other.dtype.kind == "f" else TOLERANCE,
        )
        for one, other, moved in zip(given, expected, noise, strict=True)
    ]
    return max(of_each, key=lambda one: one.share / one.allowed)


def rounding_noise(graph: Graph, feeds: Mapping[str, Array]) -> tuple[float, ...]:
    """How far rounding moves each output on these inputs: the most of some runs in which all is rounded at random.

    Each float that goes in, or that a node computes, is moved by up to a unit in its last place (Monte Carlo
    arithmetic: Parker, Pierce and Eggert, "Monte Carlo arithmetic: how to gamble with floating point and win", 2000).
    What is left of a - a moves as far as a, and a recurrent network that doubles differences moves a long way. Outputs
    that aren't floats have none. A sigmoid moves by a unit in the last place of 1, however small it is; a
    whole number stays: a mask's 1 that is taken from 1 leaves 0 in every program, whatever that is multiplied by.
    """
    generator = np.random.default_rng(0)

    def rounded(values: Array) -> Array:
        if values.dtype != np.float32:
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            moved = values * (1 + _UNIT * generator.uniform(-1, 1, values.shape)).astype(np.float32)
        return np.where(np.isfinite(moved) & ~_counts(values), moved, values)

    def passed_on(made: Node, values: Array) -> Array:
        if made.operator in _ROUNDED_NEAR_ONE:
            return values + (_UNIT * generator.uniform(-1, 1, values.shape)).astype(np.float32)
        return values if OPERATORS[made.operator].moves else rounded(values)

    exact = reference.run(graph, feeds)
    noise = [0.0] * len(exact)
    for _ in range(_RUNS):
        moved = reference.run(graph, {name: rounded(array) for name, array in feeds.items()}, passed_on)
        noise = [max(most, _apart(one, other)) for most, one, other in zip(noise, exact, moved, strict=True)]
    return tuple(noise)


def _counts(values: Array) -> Any:
    """Which are whole numbers that float32 has all of."""
    return (values == np.rint(values)) & (np.abs(values) <= 2**24)


def _apart(one: Array, other: Array) -> float:
    """The largest difference of entries that are finite in both; 0 where there are others at all."""
    if one.dtype != np.float32 or one.shape != other.shape:
        return 0.0
    finite = np.isfinite(one) & np.isfinite(other)
    return float(np.abs(one[finite] - other[finite]).max()) if finite.any() else 0.0


def agreement(outputs: Mapping[str, Sequence[Array]]) -> float:
    """The largest difference of any outputs from the first ones, which are named by whose they are; 0 for one alone.

    Raises VerificationError beyond the tolerance: times of wrong answers mean nothing.
    """
    (first, expected), *others = outputs.items()
    worst = 0.0
    for name, given in others:
        difference = largest_difference(given, expected)
        if not difference <= TOLERANCE:
            raise VerificationError(
                f"outputs of {name} differ from those of {first} by {difference:.1e} of the largest one, "
                f"{TOLERANCE:.0e} is allowed; nothing was timed."
            )
        worst = max(worst, difference)
    return worst
