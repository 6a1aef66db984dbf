"""What is set where a mask is true: exporters list the places and write there, which is a choice for every entry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from netsurgery.graph.from_onnx.constants import AnyArray, attributes
from netsurgery.graph.from_onnx.rewriting.choices import Choices
from netsurgery.graph.from_onnx.rewriting.picked import Picks

_REPEATED = ("Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze")
"""Operators that leave a single number what it is, however often it is there then."""


def with_choices(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model, of opset 11 or later, with `y[mask] = number` or `f(x[mask])` as a Where; the rest stays as it is.

    Exporters write NonZero, which finds as many places as there are, and ScatterND of the number as often.
    """
    if all(node.op_type != "NonZero" for node in model.graph.node):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    choices = Choices(made, opset)
    picks = Picks(choices)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += _of_number(node, choices, picks.places) or picks.instead_of(node)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _of_number(node: onnx.NodeProto, choices: Choices, places: Mapping[str, str]) -> list[onnx.NodeProto] | None:
    """The choice in the place of a ScatterND of one number, if it writes at all places where a mask isn't zero."""
    if node.op_type != "ScatterND" or node.domain or attributes(node).get("reduction", "none") != "none":
        return None
    mask, number = places.get(node.input[1]), _single(node.input[2], choices)
    axes = None if mask is None else choices.axes_behind(mask, node.input[0])
    if mask is None or number is None or axes is None:
        return None
    value = choices.constant(number.reshape(()), f"{node.output[0]}.number")
    return choices.choice(node, mask, value, list(axes))


def _single(name: str, choices: Choices) -> AnyArray | None:
    """The known number that a value has everywhere; None where it has others, or one that isn't known."""
    while (node := choices.maker(name)) is not None and node.op_type in _REPEATED:
        name = node.input[0]
    if node is None:
        array = choices.known(name)
    elif node.op_type in ("Constant", "ConstantOfShape"):
        array = attributes(node).get("value", np.zeros(1, np.float32) if node.op_type == "ConstantOfShape" else None)
    else:
        array = None
    return array if isinstance(array, np.ndarray) and array.size == 1 else None
