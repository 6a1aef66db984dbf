"""Nodes that return what they are given go, and so do operands that add nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from netsurgery.graph.extents import Extent
from netsurgery.graph.ir import Graph, Node
from netsurgery.graph.operators import OPERATORS, Shape
from netsurgery.graph.weights import Weights

Unchanged: TypeAlias = Callable[[Node], bool]


def drop_identities(graph: Graph) -> Graph:
    """Values stay the same, bit for bit, but for the sign of a zero to which 0 was added.

    Gone are: nodes whose output always equals one of their operands, in shape too and at all sizes of open axes; the
    inner of two Reshapes; operands that add nothing, such as all-zero biases and the all-one scale of LayerNorm.
    Outputs keep their names, so that a node that makes an output from an input, a constant or another output stays.
    """
    shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
    made: dict[str, Node] = {}
    same: dict[str, str] = {}  # a dropped value -> the value that it equals
    renamed: dict[str, str] = {}  # a value -> the output that it becomes
    for original in graph.nodes:
        node = _read_past_reshape(_without_neutral_operands(_reading(original, same), graph.constants), made)
        source = _equal_operand(node, shapes, graph.constants, made)
        if source is not None and node.output not in graph.outputs:
            same[node.output] = source
        elif source in made and source not in graph.outputs and source not in renamed:
            same[node.output] = source
            renamed[source] = node.output
        else:
            made[node.output] = node
    nodes = tuple(
        replace(_reading(node, renamed), output=renamed.get(node.output, node.output)) for node in made.values()
    )
    return graph if nodes == graph.nodes else graph.replaced(nodes=nodes)


def _reading(node: Node, names: Mapping[str, str]) -> Node:
    return replace(node, inputs=tuple(None if name is None else names.get(name, name) for name in node.inputs))


_NEUTRAL = {"bias": 0.0, "scale": 1.0, "peepholes": 0.0, "hidden": 0.0, "cell": 0.0}
"""Optional operand -> the number that it may be left out for, where all its entries are that number."""


def _without_neutral_operands(node: Node, constants: Mapping[str, Weights]) -> Node:
    inputs = list(node.inputs)
    for index, (operand, name) in enumerate(zip(OPERATORS[node.operator].operands, node.inputs, strict=False)):
        constant = constants.get(name or "") if operand.optional else None
        if constant is not None and bool((constant.values == _NEUTRAL.get(operand.name, np.nan)).all()):
            inputs[index] = None
    while inputs and inputs[-1] is None:
        inputs.pop()
    return replace(node, inputs=tuple(inputs))


def _read_past_reshape(node: Node, made: Mapping[str, Node]) -> Node:
    """A Reshape of a Reshape reads what the inner one reads: what fills one shape fills the other.

    Not where it takes sizes of the inner one's output for its own.
    """
    if node.operator != "Reshape":
        return node
    inner = made.get(node.given[0])
    if inner is not None and inner.operator == "Reshape" and 0 not in _entries(node, "shape"):
        return replace(node, inputs=inner.inputs)
    return node


def _equal_operand(
    node: Node, shapes: Sequence[Mapping[str, Shape]], constants: Mapping[str, Weights], made: Mapping[str, Node]
) -> str | None:
    """The operand that the node's output always equals, if there is one."""
    if not node.given:
        return None
    source: str | None = node.given[0]
    if node.operator in _NEUTRAL_CONSTANT:
        source = _other_operand(node, constants)
    elif node.operator == "Relu" and node.given[0] in made:
        source = source if made[node.given[0]].operator == "Relu" else None
    elif len(node.inputs) > 1 or node.operator not in _UNCHANGED or not _UNCHANGED[node.operator](node):
        source = None
    if source is None or any(known[source] != known[node.output] for known in shapes):
        return None
    return source


_NEUTRAL_CONSTANT = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0, "Pow": 1.0}


def _other_operand(node: Node, constants: Mapping[str, Weights]) -> str | None:
    """The operand of an arithmetic node whose other one, a constant, changes nothing."""
    a, b = node.given
    neutral = _NEUTRAL_CONSTANT[node.operator]
    if b in constants and bool((constants[b].values == neutral).all()):
        return a
    swaps = node.operator in ("Add", "Mul")
    return b if swaps and a in constants and bool((constants[a].values == neutral).all()) else None


def _of_ones(name: str) -> Unchanged:
    return lambda node: all(entry == 1 for entry in _entries(node, name))


def _entries(node: Node, name: str) -> Sequence[float | Extent]:
    value = node.attributes[name]
    return value if isinstance(value, tuple) else ()


def _always(_: Node) -> bool:
    return True


_UNCHANGED: dict[str, Unchanged] = {
    "Reshape": _always,
    "Slice": _always,
    "AdaptiveAveragePool": _always,
    "AdaptiveMaxPool": _always,
    "Mean": _always,
    **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"), _always),
    "Concat": _always,
    "MaxPool": _of_ones("kernel"),
    "AveragePool": _of_ones("kernel"),
    "Resize": _of_ones("scales"),
    "Pad": lambda node: not any(_entries(node, "pads")),
    "Transpose": lambda node: list(_entries(node, "order")) == list(range(len(_entries(node, "order")))),
    "Clip": lambda node: node.attributes["minimum"] == -math.inf and node.attributes["maximum"] == math.inf,
}
"""Operator -> whether a node of it, whose output has the shape of its only operand, changes nothing."""
