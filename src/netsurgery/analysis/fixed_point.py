"""What a network in fixed point adds, where one in float32 would multiply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsurgery.graph.fixed_point import grids, whole_weights
from netsurgery.graph.ir import Graph, Node
from netsurgery.graph.weights import Array, Planes

_SIGNS = 4
"""Inputs that share a table of all their signed sums."""
_SUMS_OF_TABLE = 24
"""Additions that make one: those of each pair, and of both pairs."""


@dataclass(frozen=True)
class FixedLayers:
    """The layers that add whole numbers, and what an output of theirs takes.

    layers: how many, of how many with weights (`of`); bits: fewest and most of what they read, signs not counted;
    multiplications: of a sum in float32, for an output on average over all outputs, one for each connection and one
    for a scale; additions, doublings: the same in fixed point: an addition for each connection, and a doubling for each
    exponent that a row has below its highest one. The engine multiplies by powers of two where that is quicker. Of
    binary planes, an addition for four signs, whose sum comes from a table, and a share of what makes the tables.
    """

    layers: int
    of: int
    bits: tuple[int, int]
    multiplications: float
    additions: float
    doublings: float


def fixed_layers(graph: Graph) -> FixedLayers | None:
    """Of a graph; None if no layer adds whole numbers."""
    known = grids(graph)
    shapes = graph.shapes()
    readers = graph.consumers()
    layers = [made for made in graph.nodes if made.operator in ("Conv", "Linear")]
    outputs, connections, additions, doublings, bits = 0, 0, 0, 0, []
    for made in layers:
        grid, weights = known.get(str(made.inputs[0])), graph.constants[str(made.inputs[1])]
        whole = None if grid is None or len(made.inputs) > 2 else whole_weights(weights)
        if grid is None or whole is None:
            continue
        summed = [reader for reader in readers.get(made.output, []) if reader.operator == "QuantizePlanes"]
        planes = int(summed[0].attributes["planes"]) if summed else 1  # type: ignore[arg-type]
        positions = int(np.prod(shapes[made.output])) // len(whole)
        kept = int(np.count_nonzero(whole))
        outputs += positions * len(whole) // planes
        connections += positions * kept // planes
        additions += positions * (_by_tables(whole, made) if isinstance(weights, Planes) else kept)
        doublings += positions * int(_highest(whole).sum())
        bits.append(grid.largest.bit_length())
    if not bits:
        return None
    each = [count / outputs for count in (connections, additions, doublings)]
    return FixedLayers(len(bits), len(layers), (min(bits), max(bits)), each[0] + 1, *each[1:])


def _by_tables(signs: Array, made: Node) -> int:
    """Additions for all rows of signs, those that make the tables among them."""
    groups = int(made.attributes.get("groups", 1))  # type: ignore[arg-type]
    rows, columns = map(int, signs.shape)
    return -(-columns // _SIGNS) * (rows + _SUMS_OF_TABLE * groups)


def _highest(whole: Array) -> Array:
    """Of each row the exponent that sums are doubled from."""
    highest: Array = np.log2(np.maximum(np.abs(whole).max(axis=1), 1))
    return highest
