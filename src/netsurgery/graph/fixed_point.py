"""Grids: which whole numbers, times which power of two, a value of a network can be.

Quantize and QuantizePlanes put values on a grid. What follows keeps them there (Relu, pools of maxima, whatever moves
entries) or makes other exact numbers of them: sums, and layers whose weights are whole numbers. As long as all those
are below 2^24 they are float32, and no sum rounds, in whatever order it is taken: a network that rounds nowhere else
gives the same bits on every processor, as floats and as integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netsurgery.graph.ir import Graph, Node
from netsurgery.graph.weights import Array, Planes, Powers, Weights, matrix_shape

EXACT = 2**24
"""Whole numbers below this, and sums that stay below it, are float32."""
HIGHEST_POWER = 15
"""Of the exponents of a layer's weights, which begin with 0: kernels double a sum no more often."""


@dataclass(frozen=True)
class Grid:
    """Numbers k * 2^exponent, k a whole number from low to high."""

    exponent: int
    low: int
    high: int

    @property
    def largest(self) -> int:
        """The largest magnitude of k."""
        return max(abs(self.low), abs(self.high))

    def joined(self, other: Grid) -> Grid:
        """The grid of values of either kind."""
        exponent = min(self.exponent, other.exponent)
        one, another = self._finer(exponent), other._finer(exponent)
        return Grid(exponent, min(one.low, another.low), max(one.high, another.high))

    def plus(self, other: Grid) -> Grid:
        """The grid of sums."""
        exponent = min(self.exponent, other.exponent)
        one, another = self._finer(exponent), other._finer(exponent)
        return Grid(exponent, one.low + another.low, one.high + another.high)

    def cut(self, low: float, high: float) -> Grid:
        """The grid of values between two of its numbers; both may be infinite."""
        return Grid(self.exponent, int(min(max(self.low, low), high)), int(min(max(self.high, low), high)))

    def _finer(self, exponent: int) -> Grid:
        factor = 2 ** (self.exponent - exponent)
        return Grid(exponent, self.low * factor, self.high * factor)


def cut_between(node: Node, exponent: int) -> tuple[float, float] | None:
    """Between which whole numbers a Relu or Clip cuts values of a grid; None if it cuts elsewhere, or isn't one."""
    if node.operator == "Relu":
        return 0.0, math.inf
    if node.operator != "Clip":
        return None
    low, high = (
        math.ldexp(float(node.attributes[name]), -exponent)  # type: ignore[arg-type]
        for name in ("minimum", "maximum")
    )
    whole = all(math.isinf(bound) or bound == math.floor(bound) for bound in (low, high))
    return (low, high) if whole and low <= high else None


def limits(attributes: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the largest whole number that a Quantize or QuantizePlanes gives."""
    high = highest(attributes["bits"], attributes["signed"])
    return -high if attributes["signed"] else 0, high


def highest(bits: int, signed: bool) -> int:
    """The largest whole number of so many bits."""
    return int(2 ** (bits - signed)) - 1


def grids(graph: Graph) -> dict[str, Grid]:
    """Value name -> its grid, for the values of which one is known and which are exact."""
    known: dict[str, Grid] = {}
    for node in graph.nodes:
        grid = _grid_of(node, known, graph)
        if grid is not None and grid.largest < EXACT:
            known[node.output] = grid
    return known


KEEPING = frozenset(("MaxPool", "AdaptiveMaxPool", "Reshape", "Transpose", "Slice", "DepthToSpace", "SpaceToDepth",
                   "Expand", "Tile", "Reverse", "Gather"))  # fmt: skip
"""Each entry of the output is one of x's: operators whose other operands are places."""


def _grid_of(node: Node, known: Mapping[str, Grid], graph: Graph) -> Grid | None:
    if node.operator in ("Quantize", "QuantizePlanes"):
        return Grid(int(node.attributes["exponent"]), *limits(node.attributes))  # type: ignore[arg-type]
    if not node.inputs:
        return None
    given = [known.get(name) if name is not None else None for name in node.inputs]
    first = given[0]
    if first is None:
        return None
    if node.operator in KEEPING:
        return None if _may_see_nothing(node) else first
    bounds = cut_between(node, first.exponent)
    if bounds is not None:
        return first.cut(*bounds)
    if node.operator == "Pad":
        plain = node.attributes["mode"] != "constant" or node.attributes["value"] == 0
        return Grid(first.exponent, min(first.low, 0), max(first.high, 0)) if plain else None
    if node.operator in ("Add", "Concat"):
        together = first
        for other in given[1:]:
            if other is None:
                return None
            together = together.plus(other) if node.operator == "Add" else together.joined(other)
        return together
    if node.operator in ("Conv", "Linear") and len(node.inputs) == 2 and node.inputs[1] is not None:
        whole = whole_weights(graph.constants[node.inputs[1]])
        if whole is None:
            return None
        largest = int(np.abs(whole).sum(axis=1).max(initial=0)) * first.largest
        return Grid(first.exponent, -largest, largest)
    return None


def _may_see_nothing(node: Node) -> bool:
    """Whether a window of a pool can lie in padding alone: it gives -infinity, which is on no grid."""
    dilations, pads = node.attributes.get("dilations", ()), node.attributes.get("pads", ())
    return any(one > 1 for one in dilations) and any(pads)  # type: ignore[operator, union-attr, arg-type]


def same_everywhere(graph: Graph) -> set[str]:
    """The values whose bits don't depend on the order of any sum: on grids, or averages or cuts of such values.

    An average of numbers on a grid is an exact sum, divided once; a cut is one of two numbers.
    """
    known = grids(graph)
    same = {given.name for given in graph.inputs} | set(graph.constants)
    for node in graph.nodes:
        exact = node.output in known or node.operator == "Clip"
        exact = exact or (node.operator in _AVERAGES and _sum_is_exact(node, known))
        if exact and same.issuperset(node.given):
            same.add(node.output)
    return same


_AVERAGES = ("AveragePool", "AdaptiveAveragePool", "Mean")


def _sum_is_exact(node: Node, known: Mapping[str, Grid]) -> bool:
    grid = known.get(str(node.inputs[0]))
    kernel = node.attributes.get("kernel", ())  # others add in float64
    return grid is not None and grid.largest * math.prod(kernel) < EXACT  # type: ignore[arg-type]


def whole_weights(weights: Weights) -> Array | None:
    """(rows, columns): the weights, if all are whole numbers that kernels of additions take; None if they aren't.

    Those are powers of two, and the signs of a binary plane.
    """
    if isinstance(weights, Planes):
        return weights.values.reshape(matrix_shape(weights.shape)) if is_of_signs(weights) else None
    if not isinstance(weights, Powers) or weights.scales is not None:
        return None
    kept = weights.signs != 0
    if kept.any() and not 0 <= weights.exponents[kept].min() <= weights.exponents[kept].max() <= HIGHEST_POWER:
        return None
    return weights.values.reshape(matrix_shape(weights.shape))


def is_of_signs(weights: Planes) -> bool:
    """True for one plane whose entries are -1 and +1."""
    return weights.planes == 1 and bool((weights.scales == 1).all())
