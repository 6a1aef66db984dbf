"""What a network in fixed point adds, where one in float32 would multiply."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsurgery.graph.fixed_point import grids, whole_weights
from netsurgery.graph.ir import Graph
from netsurgery.graph.weights import Array


@dataclass(frozen=True)
class FixedLayers:
    """The layers that add whole numbers, and what an output of theirs takes.

    layers: how many, of how many with weights (`of`); bits: fewest and most of what they read, signs not counted;
    multiplications: of a sum in float32, for an output on average over all outputs, one for each connection and one
    for a scale; additions, doublings: the same in fixed point: an addition for each connection, or for each sign of
    binary planes, and a doubling for each exponent that a row has below its highest one. The engine multiplies by
    powers of two where that is quicker, and takes four signs at once from a table.
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
        grid = known.get(str(made.inputs[0]))
        whole = None if grid is None or len(made.inputs) > 2 else whole_weights(graph.constants[str(made.inputs[1])])
        if grid is None or whole is None:
            continue
        reading = [reader for reader in readers.get(made.output, []) if reader.operator == "QuantizePlanes"]
        planes = int(reading[0].attributes["planes"]) if reading else 1  # type: ignore[arg-type]
        positions = int(np.prod(shapes[made.output])) // len(whole)
        outputs += positions * len(whole) // planes
        connections += positions * int(np.count_nonzero(whole)) // planes
        additions += positions * int(np.count_nonzero(whole))
        doublings += positions * int(_highest(whole).sum())
        bits.append(grid.largest.bit_length())
    if not bits:
        return None
    each = [count / outputs for count in (connections, additions, doublings)]
    return FixedLayers(len(bits), len(layers), (min(bits), max(bits)), each[0] + 1, *each[1:])


def _highest(whole: Array) -> Array:
    """Of each row the exponent that sums are doubled from."""
    highest: Array = np.log2(np.maximum(np.abs(whole).max(axis=1), 1))
    return highest
