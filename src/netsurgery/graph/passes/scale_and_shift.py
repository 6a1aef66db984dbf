"""Per-channel scales and shifts right after a Conv or Linear move into its weight and bias.

This is how batch normalization goes: readers write it as Mul and Add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import Shape
from netsurgery.graph.passes.constant_edits import ConstantEdits
from netsurgery.graph.passes.units import LAYERS
from netsurgery.graph.weights import Dense, Weights

ARITHMETIC = ("Add", "Sub", "Mul", "Div")


def fold_scale_and_shift(graph: Graph) -> Graph:
    """Arithmetic with a number for each output channel, as the only reader of a Conv or Linear, moves into that layer.

    Each weight and bias is one float32 operation on the one before: a weight of ±2^e times its channel's scale is the
    scale with another exponent, exactly. A weight of binary planes stays one: the operation is on the scales of its
    planes, which go on a grid where their sums are exact. Layers stay apart from their scale where their weight has
    another reader, and where the product is not finite.
    """
    shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
    uses = graph.uses()
    edits = ConstantEdits(graph)
    made: dict[str, Node] = {}
    for node in graph.nodes:
        layer, by_channel = _layer_and_constant(node, made, graph.constants, shapes)
        folded = None
        if layer is not None and by_channel is not None and uses[layer.output] == 1:
            folded = _folded(layer, node, by_channel, edits)
        if layer is not None and folded is not None:
            del made[layer.output]
            made[node.output] = folded
        else:
            made[node.output] = node
    nodes = tuple(made.values())
    return graph if nodes == graph.nodes else graph.replaced(nodes=nodes, constants=edits.constants)


def _layer_and_constant(
    node: Node, made: Mapping[str, Node], constants: Mapping[str, Weights], shapes: Sequence[Mapping[str, Shape]]
) -> tuple[Node | None, Array | None]:
    """The Conv or Linear that the arithmetic node reads, and its constant operand as a number for each channel (O,)."""
    if node.operator not in ARITHMETIC:
        return None, None
    for value, other in (node.given, node.given[::-1]):
        layer = made.get(value)
        if layer is None or layer.operator not in LAYERS or other not in constants:
            continue
        if all(known[layer.output] == known[node.output] for known in shapes):
            shape = shapes[0][layer.output]
            axis = 1 if layer.operator == "Conv" else len(shape) - 1
            return layer, channel_numbers(constants[other].values, shape, axis)
    return None, None


def channel_numbers(constant: Array, shape: Shape, axis: int) -> Array | None:
    """The constant as one number for each entry along the axis of a value of this shape, if it is that."""
    full = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    if full.size != full.shape[axis]:
        return None
    return np.broadcast_to(full.ravel(), (shape[axis],))


def _folded(layer: Node, node: Node, by_channel: Array, edits: ConstantEdits) -> Node | None:
    """The layer with the arithmetic in it; None if that can't be."""
    x, weight_name = layer.given[:2]
    bias_name = layer.given[2] if len(layer.given) == 3 else None
    weight = edits.constants[weight_name]
    bias = np.zeros(weight.shape[0], np.float32) if bias_name is None else edits.constants[bias_name].values
    constant_first = node.inputs[0] != layer.output
    new_weight = weight
    with np.errstate(all="ignore"):
        if node.operator == "Add":
            bias = bias + by_channel
        elif node.operator == "Mul":
            new_weight, bias = weight.combined(np.multiply, by_channel), bias * by_channel
        elif node.operator == "Sub" and not constant_first:
            bias = bias - by_channel
        elif node.operator == "Sub":
            new_weight, bias = weight.combined(np.multiply, np.full_like(by_channel, -1)), by_channel - bias
        elif constant_first:
            return None  # a constant over the layer's output is not linear in it
        else:
            new_weight, bias = weight.combined(np.divide, by_channel), bias / by_channel
    if not (np.isfinite(new_weight.values).all() and np.isfinite(bias).all()):
        return None
    if new_weight is not weight:
        if edits.shared(weight_name):
            return None
        edits.overwrite(weight_name, new_weight)
    wish = f"{layer.output}.bias"
    bias_name = edits.add(wish, Dense(bias)) if bias_name is None else edits.change(bias_name, Dense(bias))
    return replace(layer, inputs=(x, weight_name, bias_name), output=node.output)
