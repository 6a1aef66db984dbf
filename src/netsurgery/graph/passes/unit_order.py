"""Units in the order of how many connections they have, most first: rows that look alike lie together in the file.

The order of hidden units means nothing, so that whoever fixes it saves what telling it costs: with densities that fall
from row to row, most of what a row is going to be is known before it begins. LeNet-5 at 108x becomes 2.5 % smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Graph, Node
from netsurgery.graph.passes.constant_edits import ConstantEdits
from netsurgery.graph.passes.units import BROADCAST, LAYERS, UnitMap, Units, map_units

Order = npt.NDArray[np.intp]

DENSE = 0.9
"""Layers that keep a larger share of their connections stay: there is no mask to save bytes of."""


def order_units(graph: Graph) -> Graph:
    """Hidden units in falling order of their connections (weights that arrive); equal ones stay as they are.

    Outputs keep their order, and differ by no more than float32 sums do in another order. Units stay where they are
    if a value holds them in another arrangement than the layer that makes them (beside others they may lie).
    """
    units = map_units(graph)
    orders = {name: np.arange(len(channels)) for name, channels in _vectors(units)}
    moved = False
    for family, layers in _families(graph, units).items():
        members = np.frombuffer(family, np.intp)
        connections: Order = sum(
            np.count_nonzero(graph.constants[node.given[1]].values.reshape(len(members), -1), 1) for node in layers
        )
        order = np.argsort(-connections, kind="stable")
        entries = sum(graph.constants[node.given[1]].size for node in layers)
        if connections.sum() > DENSE * entries or (order == np.arange(len(order))).all():
            continue
        places = {name: _places(vector, members) for name, vector in _vectors(units)}
        if any(place is None for place in places.values()):
            continue
        moved = True
        for name, place in places.items():
            if place is not None and len(place):
                orders[name][place] = orders[name][place.reshape(len(members), -1)[order].ravel()]
    return _Reordering(graph, units, orders).graph() if moved else graph


def _vectors(units: UnitMap) -> Iterator[tuple[tuple[str, str], Units]]:
    """Everything that has units in an order: values, and what layers read."""
    yield from ((("value", name), channels) for name, channels in units.channels.items())
    yield from ((("columns", name), channels) for name, channels in units.columns.items())


def _families(graph: Graph, units: UnitMap) -> dict[bytes, list[Node]]:
    """The units of a layer's output, if each is there once and none is pinned -> all layers that make just these."""
    families: dict[bytes, list[Node]] = {}
    for node in graph.nodes:
        if node.operator in LAYERS:
            members = units.channels[node.output]
            if not units.pinned[members].any() and len(np.unique(members)) == len(members):
                families.setdefault(members.tobytes(), []).append(node)
    return families


def _places(vector: Units, members: Units) -> Order | None:
    """Where the members lie: side by side, in their own order, each the same number of times; None if otherwise."""
    places = np.flatnonzero(np.isin(vector, members))
    if len(places) == 0:
        return places
    repeat, rest = divmod(len(places), len(members))
    together = places[-1] - places[0] + 1 == len(places)
    return places if together and not rest and np.array_equal(vector[places], members.repeat(repeat)) else None


class _Reordering:
    """The graph with the entries of each value, and all constants that go with them, in new orders."""

    def __init__(self, graph: Graph, units: UnitMap, orders: dict[tuple[str, str], Order]) -> None:
        self._graph = graph
        self._units = units
        self._orders = orders
        self._edits = ConstantEdits(graph)
        self._shapes = graph.shapes()

    def graph(self) -> Graph:
        """The result."""
        nodes = tuple(self._node(node) for node in self._graph.nodes)
        return self._graph.replaced(nodes=nodes, constants=self._edits.constants)

    def _node(self, node: Node) -> Node:
        order = self._orders.get(("value", node.output))
        if order is None or node.operator not in (*LAYERS, *BROADCAST):
            return node
        return self._layer(node, order) if node.operator in LAYERS else self._binary(node, order)

    def _layer(self, node: Node, rows: Order) -> Node:
        x, weight, *bias = node.given
        ordered = self._graph.constants[weight].take(rows, 0)
        if node.attributes.get("groups", 1) == 1:
            ordered = ordered.take(self._orders["columns", node.output], 1)
        self._edits.overwrite(weight, ordered)  # all its readers are ordered alike: their units are the same
        bias = [self._edits.change(name, self._graph.constants[name].take(rows, 0)) for name in bias]
        return replace(node, inputs=(x, weight, *bias))

    def _binary(self, node: Node, order: Order) -> Node:
        """The operands that are constants with a number for each channel."""
        from_end = self._units.axes[node.output] - len(self._shapes[node.output])
        inputs = [self._operand(name, from_end, order) for name in node.given]
        return replace(node, inputs=tuple(inputs))

    def _operand(self, name: str, from_end: int, order: Order) -> str:
        constant = self._graph.constants.get(name)
        if constant is None or constant.ndim + from_end < 0 or constant.shape[from_end] != len(order):
            return name
        return self._edits.change(name, constant.take(order, constant.ndim + from_end))
