"""Arithmetic behind channels that become pixels goes in front of that, where layers can take it up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import OPERATORS, Gives, Shape, Work
from netsurgery.graph.passes.constant_edits import ConstantEdits
from netsurgery.graph.passes.scale_and_shift import ARITHMETIC, channel_numbers
from netsurgery.graph.weights import Dense

_Shapes = Sequence[Mapping[str, Shape]]


def arithmetic_before_rearrangements(graph: Graph) -> Graph:
    """Functions of single entries, and arithmetic with a number for each channel, come right behind their Conv.

    What lay between, DepthToSpace and a Pad that only cuts, comes after them. That is how a batch normalization and an
    activation behind a transposed convolution become parts of it. Every entry is computed as it was; those that are
    cut off are, too. Nothing moves in front of what something else reads as well.
    """
    shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
    uses = graph.uses()
    edits = ConstantEdits(graph)
    made: dict[str, Node] = {}
    changed = False
    for node in graph.nodes:
        moved = None
        value = _entries_of(node, graph, shapes)
        if value is not None and uses[value] == 1:
            path = _rearrangements(value, made, uses)
            moved = path and _in_front(node, value, path, edits, shapes[0])
        if moved:
            changed = True
            for one in moved:
                made[one.output] = one
        else:
            made[node.output] = node
    return graph.replaced(nodes=tuple(made.values()), constants=edits.constants) if changed else graph


def _entries_of(node: Node, graph: Graph, shapes: _Shapes) -> str | None:
    """The value whose entries a node works on one by one, knowing their channels at most."""
    operator = OPERATORS[node.operator]
    if operator.work is Work.ENTRYWISE and operator.gives is Gives.FLOAT32 and len(node.given) == 1:
        return node.given[0]
    if node.operator not in ARITHMETIC:
        return None
    for value, other in (node.given, node.given[::-1]):
        if value in graph.constants or other not in graph.constants:
            continue
        alike = all(known[value] == known[node.output] for known in shapes)
        if alike and len(shapes[0][value]) > 2:
            numbers = channel_numbers(graph.constants[other].values, shapes[0][value], 1)
            return value if numbers is not None else None
    return None


def _rearrangements(value: str, made: Mapping[str, Node], uses: Mapping[str, int]) -> list[Node]:
    """The nodes that lead from a Conv, or from what works on its entries, to a value; none if it came otherwise."""
    path: list[Node] = []
    while (maker := made.get(value)) is not None and _rearranges(maker):
        path.insert(0, maker)
        value = maker.given[0]
        if uses[value] != 1:
            return []
    while maker is not None and maker.operator != "Conv":
        layers = [name for name in maker.given if name in made]
        entrywise = OPERATORS[maker.operator].work is Work.ENTRYWISE or maker.operator in ARITHMETIC
        if not entrywise or len(layers) != 1 or uses[layers[0]] != 1:
            return []
        maker = made[layers[0]]
    return path if maker is not None else []


def _rearranges(node: Node) -> bool:
    """DepthToSpace, or a Pad that cuts off pixels alone."""
    if node.operator == "DepthToSpace":
        return True
    pads: Sequence[int] = node.attributes["pads"] if node.operator == "Pad" else (1,)  # type: ignore[assignment]
    axes = len(pads) // 2
    cuts = all(isinstance(size, int) and size <= 0 for size in pads)
    return cuts and not any((*pads[:2], *pads[axes : axes + 2])) and node.attributes["mode"] == "constant"


def _in_front(
    node: Node, value: str, path: list[Node], edits: ConstantEdits, shapes: Mapping[str, Shape]
) -> list[Node]:
    """The node, and then the path: each makes what the next one made before."""
    names = [path[0].given[0], *(one.output for one in path), node.output]
    inputs = tuple(names[0] if name == value else _numbers(name, value, path, edits, shapes) for name in node.given)
    nodes = [replace(node, inputs=inputs, output=names[1])]
    for one, read, written in zip(path, names[1:-1], names[2:], strict=True):
        nodes.append(replace(one, inputs=(read,), output=written))
    return nodes


def _numbers(name: str, value: str, path: list[Node], edits: ConstantEdits, shapes: Mapping[str, Shape]) -> str:
    """A constant for the channels that a path begins with, where it was one for those that it ends with."""
    given = edits.constants[name].values
    if given.size == 1:
        return name
    channels: Array = given.ravel()
    for node in reversed(path):
        if node.operator == "DepthToSpace":
            count = math.prod(node.attributes["blocks"])  # type: ignore[arg-type]
            channels = channels.repeat(count) if node.attributes["order"] == "crd" else np.tile(channels, count)
    return edits.change(name, Dense(channels.reshape(-1, *(1 for _ in shapes[value][2:]))))
