"""Equal constants are stored once."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from netsurgery.graph.ir import Graph
from netsurgery.graph.operators import Shape
from netsurgery.graph.weights import Weights


def merge_tied(graph: Graph) -> Graph:
    """Constants of the same shape and the same bits become one, under the name of the first; outputs keep theirs."""
    first: dict[tuple[Shape, bytes], str] = {}
    name_of = {name: first.setdefault(_content(value), name) for name, value in graph.constants.items()}
    if len(first) == len(name_of):
        return graph
    nodes = tuple(
        replace(node, inputs=tuple(None if name is None else name_of.get(name, name) for name in node.inputs))
        for node in graph.nodes
    )
    kept = {*first.values(), *graph.outputs}
    constants = {name: value for name, value in graph.constants.items() if name in kept}
    changed = nodes != graph.nodes or len(constants) < len(graph.constants)
    return graph.replaced(nodes=nodes, constants=constants) if changed else graph


def _content(weights: Weights) -> tuple[Shape, bytes]:
    """Shape and a digest of the bits, which no two different constants share."""
    return weights.shape, hashlib.sha256(weights.values.data).digest()
