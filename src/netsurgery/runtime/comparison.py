"""How far two sets of outputs lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import OPERATORS, Work
from netsurgery.runtime import reference

TOLERANCE = 2e-4
"""Largest difference allowed between outputs of a network and of what was made of it, as `largest_difference` says it.

Folding batch norm and leaving out dead units change the order of float32 sums, and so does another runtime; over a
hundred layers that adds up to some 1e-5 of the largest output. A wrong network is off by orders of magnitude more.
"""


_NOISE = 2.0**-9
"""A share of the numbers that a value is computed from, below which it is made of their rounding: TOLERANCE of it is
two to four units in their last place."""


def largest_difference(given: Sequence[Array], expected: Sequence[Array], sources: Sequence[float] = ()) -> float:
    """The largest difference as a share of the largest finite expected value; infinite where shapes or NaN differ.

    sources: for each output the largest magnitude that it is computed from (`run_with_sources`). Where all of an output
        is far smaller, as behind a - a, it holds nothing but what was rounded, and is measured by that.
    """
    worst = 0.0
    for place, (one, other) in enumerate(zip(given, expected, strict=True)):
        finite = np.isfinite(other)
        if one.shape != other.shape or not np.array_equal(one[~finite], other[~finite], equal_nan=True):
            return float("inf")
        if finite.any():
            least = max(_NOISE * sources[place] if sources else 0.0, float(np.finfo(np.float32).tiny))
            scale = max(float(np.abs(other[finite]).max()), least)
            worst = max(worst, float(np.abs(one[finite] - other[finite]).max()) / scale)
    return worst


def run_with_sources(graph: Graph, feeds: Mapping[str, Array]) -> tuple[tuple[Array, ...], list[float]]:
    """The graph's outputs by the reference, and the largest finite magnitude that each of them is computed from.

    That is of the operands of the last node that computes something: where an output is moved or goes through an
    activation afterwards, of the node before that.
    """
    producers = graph.producers()
    operands = [_operands(producers, name) for name in graph.outputs]
    wanted = {name for names in operands for name in names}
    given = {**graph.constants, **feeds}
    magnitudes = {
        name: _magnitude(values) if values.dtype == np.float32 else 0.0  # places in a table are no magnitudes
        for name, values in given.items()
        if name in wanted
    }

    def watch(name: str, values: Array) -> None:
        if name in wanted:
            magnitudes[name] = _magnitude(values)

    outputs = reference.run(graph, feeds, watch)
    return outputs, [max((magnitudes[name] for name in names), default=0.0) for names in operands]


def _operands(producers: Mapping[str, Node], output: str) -> list[str]:
    made = producers.get(output)
    while made is not None and (OPERATORS[made.operator].work is Work.ENTRYWISE or made.operator in _MOVES):
        made = producers.get(made.given[0])
    return [] if made is None else list(made.given)


_MOVES = ("Reshape", "Transpose", "Slice")


def _magnitude(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0
