"""How far two sets of outputs lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from netsurgery.errors import VerificationError
from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import OPERATORS, Operator, Work
from netsurgery.graph.weights import Dense, Weights
from netsurgery.runtime import reference

TOLERANCE = 2e-4
"""Largest difference allowed between outputs of a network and of what was made of it, as `largest_difference` says it.

Folding batch norm and leaving out dead units change the order of float32 sums, and so does another runtime; over a
hundred layers that adds up to some 1e-5 of the largest output. A wrong network is off by orders of magnitude more.
"""

_MOVED = 2.0**-23
"""Of each number that goes in: how far it is moved to see what rounding does, one unit in its last place or two."""

_TIMES_MOVED = 4
"""So many times that may lie between two ways to compute: each of them rounds at every step."""

_LARGEST_TOLERANCE = 1e-2
"""Whatever rounding does: beyond it, nothing is verified."""

_NOISE = 2.0**-9
"""A share of the numbers that a value is computed from, below which it is made of their rounding: TOLERANCE of it is
two to four units in their last place."""


def largest_difference(given: Sequence[Array], expected: Sequence[Array], sources: Sequence[float] = ()) -> float:
    """The largest difference as a share of the largest finite expected value; infinite where shapes or NaN differ.

    Whole numbers and bools are the same, or infinitely far apart, and so are outputs of two types.

    sources: for each output the largest magnitude that it is computed from (`run_with_sources`). Where all of an output
        is far smaller, as behind a - a, it holds nothing but what was rounded, and is measured by that.
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
            least = max(_NOISE * sources[place] if sources else 0.0, float(np.finfo(np.float32).tiny))
            scale = max(float(np.abs(other[finite]).max()), least)
            worst = max(worst, float(np.abs(one[finite] - other[finite]).max()) / scale)
    return worst


def allowed(
    found: float, graph: Graph, feeds: Mapping[str, Array], outputs: Sequence[Array], sources: Sequence[float]
) -> float:
    """The difference allowed from a graph's outputs, of which `found` is: TOLERANCE, or more where it is magnified.

    A network whose outputs move far when all inputs and weights are moved in their last place, as those of some very
    deep ones do, gives other digits in any order of its sums.
    """
    if found <= TOLERANCE:
        return TOLERANCE
    moved = 0.0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        constants = {name: Dense(_shaken(rng, known.values)) for name, known in graph.constants.items()}
        again = reference.run(
            graph.replaced(constants=constants), {name: _shaken(rng, values) for name, values in feeds.items()}
        )
        moved = max(moved, largest_difference(again, outputs, sources))
    return max(TOLERANCE, min(_TIMES_MOVED * moved, _LARGEST_TOLERANCE))


def _shaken(rng: np.random.Generator, values: Array) -> Array:
    if values.dtype != np.float32:
        return values
    signs = rng.integers(0, 2, values.shape, np.int8) * 2 - 1
    return np.asarray(values * (1 + np.float32(_MOVED) * signs.astype(np.float32)), np.float32)


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


def run_with_sources(graph: Graph, feeds: Mapping[str, Array]) -> tuple[tuple[Array, ...], list[float]]:
    """The graph's outputs by the reference, and the largest finite magnitude that each of them is computed from.

    That is of the operands of the last node that computes something: where an output is moved or goes through an
    activation afterwards, of the node before that. Where an operand is nothing but what was rounded before, it is what
    that was computed from, times what the node multiplies it with.
    """
    producers = graph.producers()
    given = {**{name: weights.values for name, weights in graph.constants.items()}, **feeds}
    magnitudes = {name: _magnitude(values) for name, values in given.items()}
    sources: dict[str, float] = {}

    def watch(name: str, values: Array) -> None:
        sources[name] = _source(producers[name], magnitudes, sources, graph.constants)
        magnitudes[name] = _magnitude(values)

    outputs = reference.run(graph, feeds, watch)
    return outputs, [sources.get(name, 0.0) for name in graph.outputs]


def _source(
    made: Node, magnitudes: Mapping[str, float], sources: Mapping[str, float], constants: Mapping[str, Weights]
) -> float:
    if _hands_on(OPERATORS[made.operator]):
        return sources.get(made.given[0], 0.0)
    noise = [name for name in made.given if magnitudes[name] < _NOISE * sources.get(name, 0.0)]
    before = sum(sources[name] * _gain(made, name, magnitudes, constants) for name in noise)
    return max([before, *(magnitudes[name] for name in made.given)])


_SUMS = ("Add", "Sub", "Concat", "Mean")


def _gain(made: Node, name: str, magnitudes: Mapping[str, float], constants: Mapping[str, Weights]) -> float:
    """How much larger noise in an operand can come out; 0 where that isn't known."""
    work = OPERATORS[made.operator].work
    if work is Work.LAYER:
        weight = constants[made.given[1]].values
        squares = np.square(weight.reshape(len(weight), -1), dtype=np.float64)
        return float(np.sqrt(squares.sum(1).max()))  # of independent errors
    if made.operator == "Mul":
        return max((magnitudes[other] for other in made.given if other != name), default=magnitudes[name])
    return 1.0 if work is Work.SPATIAL or made.operator in _SUMS else 0.0


def _hands_on(operator: Operator) -> bool:
    """True if outputs are entries of its operand one by one, moved or put through a function."""
    return operator.moves or operator.work is Work.ENTRYWISE


def _magnitude(values: Array) -> float:
    if values.dtype != np.float32:
        return 0.0  # places in a table are no magnitudes
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0
