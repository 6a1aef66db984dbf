"""Channels that are the same number everywhere, whatever the input: behind a row of zeros there is only the bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.passes.constant_folding import Evaluate
from netsurgery.graph.passes.layer_matrix import LayerMatrix
from netsurgery.graph.passes.units import BROADCAST, ENTRYWISE, LAYERS, UnitMap


class KnownChannels:
    """What is known of a graph's values, for finite activations: zero times infinity is taken for zero.

    numbers: value -> for each of its channels, the number that the channel always and everywhere is, or NaN.
    """

    def __init__(self, graph: Graph, units: UnitMap, evaluate: Evaluate) -> None:
        self.constants = graph.constants
        self.shapes = graph.shapes(graph.tried_sizes()[-1])
        self.units = units
        self.evaluate = evaluate
        self.numbers: dict[str, Array] = {}
        for node in graph.nodes:
            if node.output in units.axes:
                found = _RULES.get(node.operator, _nothing)(self, node, node.attributes)
                self.numbers[node.output] = np.where(np.isfinite(found), found, np.float32(np.nan))

    def along(self, name: str, axis: int) -> Array:
        """The known numbers of a value's entries along an axis: none unless its channels lie there."""
        if self.units.axes.get(name) == axis:
            return self.numbers[name]
        return _unknown(self.shapes[name][axis])


def _unknown(count: int) -> Array:
    return np.full(count, np.nan, np.float32)


_Rule: TypeAlias = Callable[[KnownChannels, Node, Mapping[str, Any]], Array]


def _nothing(of: KnownChannels, node: Node, _: Mapping[str, Any]) -> Array:
    return _unknown(len(of.units.channels[node.output]))


def _layer(of: KnownChannels, node: Node, _: Mapping[str, Any]) -> Array:
    matrix = LayerMatrix.of(node, of.constants)
    return matrix.known_rows(of.along(node.given[0], of.units.axes[node.output]))


def _same(of: KnownChannels, node: Node, _: Mapping[str, Any]) -> Array:
    return of.numbers[node.given[0]]


def _unary(of: KnownChannels, node: Node, _: Mapping[str, Any]) -> Array:
    return of.evaluate(node, [of.numbers[node.given[0]]])


def _binary(of: KnownChannels, node: Node, _: Mapping[str, Any]) -> Array:
    channels = len(of.units.channels[node.output])
    from_end = of.units.axes[node.output] - len(of.shapes[node.output])
    operands = []
    for name in node.given:
        axis = len(of.shapes[name]) + from_end
        if name in of.constants:
            operands.append(_by_channel(of.constants[name].values, axis, channels))
        elif axis >= 0 and of.shapes[name][axis] == channels:
            operands.append(of.along(name, axis))
        else:
            operands.append(_unknown(channels))
    result = of.evaluate(node, operands)
    if node.operator == "Mul":
        return np.where((operands[0] == 0) | (operands[1] == 0), np.float32(0), result)
    return result


def _by_channel(constant: Array, axis: int, channels: int) -> Array:
    """The constant's number for each channel, NaN where it isn't one number."""
    if axis >= 0 and constant.shape[axis] == channels:
        rows = np.moveaxis(constant, axis, 0).reshape(channels, -1)
    else:
        rows = np.broadcast_to(constant.reshape(1, -1), (channels, constant.size))
    return np.where((rows == rows[:, :1]).all(axis=1), rows[:, 0], np.float32(np.nan))


def _average_pool(of: KnownChannels, node: Node, attributes: Mapping[str, Any]) -> Array:
    known = _same(of, node, attributes)
    return _if_zero(known) if attributes["count_include_pad"] and attributes["pads"] else known


def _interpolate(of: KnownChannels, node: Node, attributes: Mapping[str, Any]) -> Array:
    """A mean of what is the same everywhere is that; outside of the part that tf_crop_and_resize cuts is `value`."""
    known = _same(of, node, attributes)
    if attributes["coordinates"] != "tf_crop_and_resize":
        return known
    return np.where(known == attributes["value"], known, np.float32(np.nan))


def _if_zero(known: Array) -> Array:
    return np.where(known == 0, known, np.float32(np.nan))


def _pad(of: KnownChannels, node: Node, attributes: Mapping[str, Any]) -> Array:
    known = _same(of, node, attributes)
    adds = any(not isinstance(pad, int) or pad > 0 for pad in attributes["pads"])  # one that follows an axis may
    if attributes["mode"] != "constant" or not adds:
        return known
    return np.where(known == attributes["value"], known, np.float32(np.nan))


def _concat(of: KnownChannels, node: Node, attributes: Mapping[str, Any]) -> Array:
    axis = of.units.axes[node.output]
    parts = [of.along(name, axis) for name in node.given]
    if axis == attributes["axis"]:
        return np.concatenate(parts)
    return _if_agreed(np.stack(parts, axis=1))


def _reshape(of: KnownChannels, node: Node, _: Mapping[str, Any]) -> Array:
    known, channels = of.numbers[node.given[0]], len(of.units.channels[node.output])
    if channels >= len(known):
        return known.repeat(channels // len(known))
    return _if_agreed(known.reshape(channels, -1))


def _if_agreed(candidates: Array) -> Array:
    """(channels, several) -> (channels,): the number in each row if it is the same all over."""
    agreed = (candidates == candidates[:, :1]).all(axis=1)
    return np.where(agreed, candidates[:, 0], np.float32(np.nan))


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(LAYERS, _layer),
    **dict.fromkeys(ENTRYWISE, _unary),
    **dict.fromkeys(BROADCAST, _binary),
    **dict.fromkeys(("MaxPool", "AdaptiveMaxPool", "AdaptiveAveragePool", "Mean", "Resize"), _same),
    **dict.fromkeys(("Slice", "Transpose", "ReduceMax", "ReduceMin"), _same),
    "AveragePool": _average_pool,
    "Interpolate": _interpolate,
    "Pad": _pad,
    "Concat": _concat,
    "Reshape": _reshape,
}
"""Operator that hands units on -> what is known of its output's channels. Of any other's, nothing is known."""
