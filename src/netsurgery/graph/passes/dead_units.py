"""Units that nothing depends on, or that are the same number whatever the input, go.

Mark and sweep: what the outputs are made of is live, and so is every unit that a live row reads with a weight that is
not zero, unless the row's bias can do what the unit does. The rest is cut out of weights, biases, scales and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.passes.constant_edits import ConstantEdits
from netsurgery.graph.passes.constant_folding import Evaluate
from netsurgery.graph.passes.known_channels import KnownChannels
from netsurgery.graph.passes.layer_matrix import LayerMatrix
from netsurgery.graph.passes.units import BROADCAST, LAYERS, Mask, UnitMap, map_units
from netsurgery.graph.weights import Dense


def remove_dead_units(graph: Graph, evaluate: Evaluate) -> Graph:
    """Every unit without effect goes: no live row reads it, or all that it ever says fits into its readers' biases.

    Outputs stay the same for finite activations: exactly where removed units are 0 or unread, and up to one rounding
    of a bias where they are another number. Beside padding only a unit that is 0 can go. Each value keeps at least
    one channel. Inputs and outputs keep all of theirs.
    """
    units = map_units(graph)
    known = KnownChannels(graph, units, evaluate)
    readers = [_Reader.of(node, known) for node in graph.nodes if node.output in units.columns]
    live = _mark(readers, units)
    if live.all():
        return graph
    sweep = _Sweep(graph, units, live, {reader.output: reader for reader in readers})
    nodes = tuple(sweep.cut(node) for node in graph.nodes)
    return graph.replaced(nodes=nodes, constants=sweep.edits.constants)


@dataclass(frozen=True)
class _Reader:
    """A Conv or Linear, what is `known` of each channel (I,) that it reads, and whether its bias can do the work."""

    output: str
    matrix: LayerMatrix
    known: Array
    movable: Mask

    @classmethod
    def of(cls, node: Node, known: KnownChannels) -> _Reader:
        """The reader that a node is."""
        matrix = LayerMatrix.of(node, known.constants)
        numbers = known.along(node.given[0], known.units.axes[node.output])
        return cls(node.output, matrix, numbers, matrix.movable(numbers))


def _mark(readers: Sequence[_Reader], units: UnitMap) -> Mask:
    """For each unit, whether it stays. Backwards, all readers of an output have spoken before its layer reads."""
    live: Mask = units.pinned.copy()
    for reader in reversed(readers):
        if reader.matrix.groups == 1:  # in a group of several, all lives and dies together
            counts = reader.matrix.reads()[0] & ~reader.movable
            live[units.columns[reader.output][counts[live[units.channels[reader.output]]].any(axis=0)]] = True
    for channels in units.channels.values():
        if not live[channels].any():
            live[channels[0]] = True  # something has to be there; what it reads need not
    return live


class _Sweep:
    """Cuts what is not live out of one node after the other."""

    def __init__(self, graph: Graph, units: UnitMap, live: Mask, readers: Mapping[str, _Reader]) -> None:
        self.edits = ConstantEdits(graph)
        self._constants = graph.constants
        self._shapes = graph.shapes()
        self._units = units
        self._live = live
        self._readers = readers

    def cut(self, node: Node) -> Node:
        """The node without dead units in its constants and attributes."""
        if node.output not in self._units.channels:
            return node
        kept = self._live[self._units.channels[node.output]]
        if node.operator in LAYERS:
            return self._cut_layer(node, kept)
        if node.operator in BROADCAST and not kept.all():
            return self._cut_constants(node, kept)
        if node.operator == "Reshape" and not kept.all():
            return self._cut_shape(node, kept)
        return node

    def _cut_layer(self, node: Node, rows: Mask) -> Node:
        columns = self._live[self._units.columns[node.output]]
        if rows.all() and columns.all():
            return node
        reader = self._readers[node.output]
        groups, width = reader.matrix.groups, reader.matrix.weight.shape[2]
        x, weight_name, *rest = node.given
        weight = self._constants[weight_name].take(np.flatnonzero(rows), 0)
        attributes = dict(node.attributes)
        if groups == 1:
            weight = weight.take(np.flatnonzero(columns), 1)
        else:
            attributes["groups"] = int(columns.sum()) // width
        self.edits.overwrite(weight_name, weight)  # all its readers are cut alike: their units are the same
        bias = reader.matrix.moved(reader.known, ~columns & reader.movable)[rows].astype(np.float32)
        if rest:
            rest = [self.edits.change(rest[0], Dense(bias))]
        elif bias.any():
            rest = [self.edits.add(f"{node.output}.bias", Dense(bias))]
        return replace(node, inputs=(x, weight_name, *rest), attributes=attributes)

    def _cut_constants(self, node: Node, kept: Mask) -> Node:
        """The operands that are constants with a number for each channel lose those of dead ones."""
        from_end = self._units.axes[node.output] - len(self._shapes[node.output])
        inputs = list(node.given)
        for place, name in enumerate(inputs):
            if name in self._constants:
                constant = self._constants[name]
                axis = constant.ndim + from_end
                if axis >= 0 and constant.shape[axis] == len(kept):
                    inputs[place] = self.edits.change(name, constant.take(np.flatnonzero(kept), axis))
        return replace(node, inputs=tuple(inputs))

    def _cut_shape(self, node: Node, kept: Mask) -> Node:
        attributes: dict[str, Any] = dict(node.attributes)
        axis = self._units.axes[node.output]
        sizes = attributes["shape"]
        attributes["shape"] = (*sizes[:axis], int(kept.sum()), *sizes[axis + 1 :])
        return replace(node, attributes=attributes)
