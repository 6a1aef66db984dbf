"""How far two sets of outputs lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def largest_difference(given: Sequence[Array], expected: Sequence[Array], noise: Sequence[float] = ()) -> float:
    """The largest difference as a share of the largest finite expected value; infinite where shapes or NaN differ.

    Whole numbers and bools are the same, or infinitely far apart, and so are outputs of two types.

    noise: for each output how far rounding moves it (`rounding_noise`). Where that is more than what is allowed, the
        share is one of what it would be allowed of, and TOLERANCE stands for some times the noise.
    """
    worst = 0.0
    for place, (one, other) in enumerate(zip(given, expected, strict=True)):
        if other.dtype.kind != "f" or one.dtype.kind != "f":
            if one.dtype != other.dtype or not np.array_equal(one, other):
                return float("inf")
            continue
        finite = np.isfinite(other)
        if one.shape != other.shape or not np.array_equal(one[~finite], other[~finite], equal_nan=True):
            return float("inf")
        if finite.any():
            least = max(_MOST_NOISE * noise[place] / TOLERANCE if noise else 0.0, float(np.finfo(np.float32).tiny))
            scale = max(float(np.abs(other[finite]).max()), least)
            worst = max(worst, float(np.abs(one[finite] - other[finite]).max()) / scale)
    return worst


_MOST_NOISE = 16
"""So many times what rounding at random moves an output by it may lie off: another order of sums rounds otherwise."""

_UNIT = 2.0**-23
"""The last place of a float32, as a share."""

_RUNS = 3


def difference_beyond_noise(
    graph: Graph, feeds: Mapping[str, Array], given: Sequence[Array], expected: Sequence[Array]
) -> tuple[float, tuple[float, ...]]:
    """`largest_difference`; where that is more than allowed, beside what rounding does to the graph on these inputs.

    Returns the noise of each output, too: nothing where it wasn't asked for.
    """
    difference = largest_difference(given, expected)
    if difference <= TOLERANCE or difference == float("inf"):
        return difference, ()
    noise = rounding_noise(graph, feeds)
    return largest_difference(given, expected, noise), noise


def rounding_noise(graph: Graph, feeds: Mapping[str, Array]) -> tuple[float, ...]:
    """How far rounding moves each output on these inputs: the most of some runs in which all is rounded at random.

    Each float that goes in, or that a node computes, is moved by up to a unit in its last place (Monte Carlo
    arithmetic: Parker, Pierce and Eggert, "Monte Carlo arithmetic: how to gamble with floating point and win", 2000).
    What is left of a - a moves as far as a, and a recurrent network that doubles differences moves a long way. Outputs
    that aren't floats have none.
    """
    generator = np.random.default_rng(0)

    def rounded(values: Array) -> Array:
        if values.dtype != np.float32:
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            moved = values * (1 + _UNIT * generator.uniform(-1, 1, values.shape)).astype(np.float32)
        return np.where(np.isfinite(moved), moved, values)

    def passed_on(made: Node, values: Array) -> Array:
        return values if OPERATORS[made.operator].moves else rounded(values)

    exact = reference.run(graph, feeds)
    noise = [0.0] * len(exact)
    for _ in range(_RUNS):
        moved = reference.run(graph, {name: rounded(array) for name, array in feeds.items()}, passed_on)
        noise = [max(most, _apart(one, other)) for most, one, other in zip(noise, exact, moved, strict=True)]
    return tuple(noise)


def _apart(one: Array, other: Array) -> float:
    """The largest difference of entries that are finite in both."""
    if one.dtype != np.float32:
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
