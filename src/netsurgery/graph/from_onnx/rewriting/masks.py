"""What is set where a mask is true: exporters list the places and write there, which is a choice for every entry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from netsurgery.graph.from_onnx.constants import AnyArray, attributes
from netsurgery.graph.from_onnx.rewriting.names import names_in
from netsurgery.graph.ir import unlike

_REPEATED = ("Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze")
"""Operators that leave a single number what it is, however often it is there then."""


def with_choices(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model, of opset 11 or later, with `y[mask] = number` as a Where; what isn't written so stays as it is.

    Exporters write NonZero, which finds as many places as there are, and ScatterND of the number as often.
    """
    makers = {name: node for node in model.graph.node for name in node.output if name}
    masks = {node.output[0]: mask for node in model.graph.node if (mask := _mask(node, makers))}
    if not masks:
        return model
    ranks = _ranks(model)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        mask = masks.get(node.output[0]) if node.output else None
        number = None if mask is None else _single(node.input[2], makers, model.graph)
        axes = None if mask is None else _axes_behind(ranks, mask, node.input[0])
        if mask is None or number is None or axes is None:
            nodes.append(node)
        else:
            nodes += _choice(made.graph, node, mask, number, list(axes), opset)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _choice(
    graph: onnx.GraphProto, node: onnx.NodeProto, mask: str, number: AnyArray, axes: list[int], opset: int
) -> list[onnx.NodeProto]:
    """The nodes in the place of a ScatterND: the number where the mask is true, elsewhere what there was."""
    taken = names_in(graph)
    value, chosen, places, spread = (
        unlike(f"{node.output[0]}.{role}", taken) for role in ("number", "chosen", "axes", "spread")
    )
    graph.initializer.append(onnx.numpy_helper.from_array(number.reshape(()), value))
    nodes = [onnx.helper.make_node("Cast", [mask], [chosen], node.name, to=onnx.TensorProto.BOOL)]
    if axes and opset >= _AXES_AS_OPERAND:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(axes, np.int64), places))
        nodes.append(onnx.helper.make_node("Unsqueeze", [chosen, places], [spread], node.name))
    elif axes:
        nodes.append(onnx.helper.make_node("Unsqueeze", [chosen], [spread], node.name, axes=axes))
    operands = [spread if axes else chosen, value, node.input[0]]
    return [*nodes, onnx.helper.make_node("Where", operands, [node.output[0]], node.name)]


_AXES_AS_OPERAND = 13
"""The opset since which Unsqueeze has its axes as an operand."""


def _mask(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> str | None:
    """What says where a ScatterND writes, if the places are all those at which that isn't zero."""
    if node.op_type != "ScatterND" or node.domain or attributes(node).get("reduction", "none") != "none":
        return None
    turned = makers.get(node.input[1])
    found = makers.get(turned.input[0]) if turned is not None and turned.op_type == "Transpose" else None
    if turned is None or found is None or found.op_type != "NonZero":
        return None
    return str(found.input[0]) if attributes(turned).get("perm", [1, 0]) == [1, 0] else None


def _single(name: str, makers: Mapping[str, onnx.NodeProto], graph: onnx.GraphProto) -> AnyArray | None:
    """The known number that a value has everywhere; None where it has others, or one that isn't known."""
    while name in makers and makers[name].op_type in _REPEATED:
        name = makers[name].input[0]
    node = makers.get(name)
    array = next((onnx.numpy_helper.to_array(one) for one in graph.initializer if one.name == name), None)
    if node is not None and node.op_type in ("Constant", "ConstantOfShape"):
        given = attributes(node)
        array = given.get("value", np.zeros(1, np.float32) if node.op_type == "ConstantOfShape" else None)
    return array if isinstance(array, np.ndarray) and array.size == 1 else None


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Name of a value -> how many axes it has, as far as the model or onnx knows that."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except (RuntimeError, ValueError):  # such as a model beyond protobuf's limit: what it says itself is left
        graph = model.graph
    known = {one.name: len(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.HasField("shape"):
            known[value.name] = len(value.type.tensor_type.shape.dim)
    return known


def _axes_behind(ranks: Mapping[str, int], mask: str, x: str) -> range | None:
    """The axes that x has behind those of a mask; None where they aren't known."""
    if mask not in ranks or x not in ranks or not 0 < ranks[mask] <= ranks[x]:
        return None
    return range(ranks[mask], ranks[x])
