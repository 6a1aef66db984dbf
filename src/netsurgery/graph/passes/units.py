"""Which channels of which values can only go together: the units of a network.

A Conv or Linear makes new units, one for each of its output channels. Operators that keep channels apart (activations,
pools, sums of equal shapes, a Concat, a Reshape that flattens) hand units on; a sum makes one unit of two. What is not
understood here, and what a caller sees, pins units: they never go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from netsurgery.graph.ir import Graph, Node
from netsurgery.graph.operators import Shape, Work, working
from netsurgery.graph.passes.unit_finder import Mask, UnitFinder, UnitMap, Units

__all__ = ["BROADCAST", "ENTRYWISE", "LAYERS", "Mask", "UnitMap", "Units", "map_units"]

Attributes: TypeAlias = Mapping[str, Any]

ENTRYWISE, BROADCAST, LAYERS = working(Work.ENTRYWISE), working(Work.BROADCAST), working(Work.LAYER)


def map_units(graph: Graph) -> UnitMap:
    """The units of a graph."""
    finder = UnitFinder(graph)
    for node in graph.nodes:
        _RULES.get(node.operator, _pin_all)(finder, node, node.attributes)
    for name in graph.outputs:
        finder.pin(name)
    return finder.result()


_Rule: TypeAlias = Callable[[UnitFinder, Node, Attributes], None]


def _x(node: Node) -> str:
    return node.given[0]


def _pin_all(finder: UnitFinder, node: Node, _: Attributes) -> None:
    for name in node.given:
        finder.pin(name)


def _layer(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    """A Conv or Linear. In each of several groups, all that is read and all that is made goes together."""
    x, weight = node.given[:2]
    axis = 1 if node.operator == "Conv" else len(finder.shape(x)) - 1
    groups, row_count = attributes.get("groups", 1), finder.shape(weight)[0]
    columns = finder.seen(x, axis)
    if groups == 1:
        rows = finder.fresh(row_count)
    else:
        group = finder.fresh(groups)
        rows = group.repeat(row_count // groups)
        finder.unite(columns, group.repeat(len(columns) // groups))
    finder.tie(weight, rows, columns)
    finder.columns[node.output] = columns
    finder.make(node, axis, rows)


def _same(finder: UnitFinder, node: Node, _: Attributes) -> None:
    if _x(node) in finder.axes:
        finder.make(node, finder.axes[_x(node)], finder.channels[_x(node)])


def _spatial(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    """Something is done to each map of (N, C, *S) by itself, perhaps as other operands say."""
    for other in node.given[1:]:
        finder.pin(other)
    if finder.axes.get(_x(node)) == 1:
        _same(finder, node, attributes)
    else:
        finder.pin(_x(node))


def _slice(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    if finder.axes.get(_x(node)) == attributes["axis"]:
        finder.pin(_x(node))
    else:
        _same(finder, node, attributes)


def _pad(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    axis = finder.axes.get(_x(node))
    if axis is not None and any(attributes["pads"][axis :: len(finder.shape(_x(node)))]):
        finder.pin(_x(node))
    else:
        _same(finder, node, attributes)


def _mean(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    axis = finder.axes.get(_x(node))
    if axis is None or axis in attributes["axes"]:
        finder.pin(_x(node))
    else:
        gone = 0 if attributes["keepdims"] else sum(other < axis for other in attributes["axes"])
        finder.make(node, axis - gone, finder.channels[_x(node)])


def _transpose(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    if _x(node) in finder.axes:
        finder.make(node, attributes["order"].index(finder.axes[_x(node)]), finder.channels[_x(node)])


def _regrouping(before: Shape, axis: int, after: Shape) -> Iterator[tuple[int, int, int]]:
    """Each (axis, repeat, together) by which a Reshape between these shapes keeps channels apart.

    Channels lie along `axis` of `before`. Along the new axis, each of them comes `repeat` times in a row (what lay
    behind the channels has been flattened into them), or `together` neighbours have become one entry.
    """
    lead, count = math.prod(before[:axis]), before[axis]
    for new_axis, size in enumerate(after):
        if math.prod(after[:new_axis]) == lead and size % count == 0:
            yield new_axis, size // count, 1
        elif math.prod(after[:new_axis]) == lead and count % size == 0:
            yield new_axis, 1, count // size


def _reshape(finder: UnitFinder, node: Node, _: Attributes) -> None:
    if _x(node) not in finder.axes:
        return
    axis, units = finder.axes[_x(node)], finder.channels[_x(node)]
    possible = set.intersection(
        *(set(_regrouping(shapes[_x(node)], axis, shapes[node.output])) for shapes in finder.shapes)
    )
    if not possible:
        finder.pin(_x(node))
        return
    new_axis, repeat, together = min(possible, key=lambda way: (way[2], way[1], way[0]))
    groups = units.reshape(-1, together)
    for other in range(1, together):
        finder.unite(groups[:, 0], groups[:, other])
    finder.make(node, new_axis, groups[:, 0].repeat(repeat))


def _concat(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    names = node.given
    axis = next((finder.axes[name] for name in names if name in finder.axes), None)
    if axis is None:
        return
    parts = [finder.seen(name, axis) for name in names]
    if axis == attributes["axis"]:
        finder.make(node, axis, np.concatenate(parts))
    else:
        for part in parts[1:]:
            finder.unite(parts[0], part)
        finder.make(node, axis, parts[0])


def _binary(finder: UnitFinder, node: Node, attributes: Attributes) -> None:
    """Operands with all channels go together; one that is the same for all channels keeps what units it has."""
    shape = finder.shape(node.output)
    full = [
        axis - count
        for name in node.given
        if (axis := finder.axes.get(name)) is not None
        and finder.shape(name)[axis] == shape[axis - (count := len(finder.shape(name)))]
    ]
    if not full:
        _pin_all(finder, node, attributes)
        return
    from_end = full[0]  # the channel axis, counted from the last one as broadcasting does
    units = None
    for name in (name for name in node.given if name not in finder.constants):
        axis = len(finder.shape(name)) + from_end
        if axis < 0 or finder.shape(name)[axis] != shape[from_end]:
            finder.pin(name)
        elif units is None:
            units = finder.seen(name, axis)
            finder.make(node, len(shape) + from_end, units)
        else:
            finder.unite(units, finder.seen(name, axis))


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(LAYERS, _layer),
    **dict.fromkeys(ENTRYWISE, _same),
    **dict.fromkeys(BROADCAST, _binary),
    **dict.fromkeys(working(Work.SPATIAL), _spatial),
    "Slice": _slice,
    "Pad": _pad,
    **dict.fromkeys(("Mean", "ReduceMax", "ReduceMin"), _mean),
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Concat": _concat,
}
"""Operator -> how it hands units on. Any other pins all units of what it reads, and its output has none."""
