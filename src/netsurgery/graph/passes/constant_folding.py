"""Nodes that read nothing but constants become constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import OPERATORS, Gives
from netsurgery.graph.weights import Dense

Evaluate: TypeAlias = Callable[[Node, Sequence[Array | None]], Array]
"""What computes a node from its operands; an executor's, so that folding means what running means."""


def fold_constants(graph: Graph, evaluate: Evaluate) -> Graph:
    """Each node of float32 whose operands are all constants is computed once, here.

    The result has the name of its output. Not those that follow open axes: what they give is another constant at each
    size.
    """
    constants = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        floats = OPERATORS[node.operator].gives is Gives.FLOAT32 or OPERATORS[node.operator].gives is Gives.FIRST
        known = bool(node.inputs) and all(name is None or name in constants for name in node.inputs)
        if known and floats and not node.extents:
            operands = [None if name is None else constants[name].values for name in node.inputs]
            constants[node.output] = Dense(evaluate(node, operands))
        else:
            nodes.append(node)
    return graph if len(nodes) == len(graph.nodes) else graph.replaced(nodes=tuple(nodes), constants=constants)
