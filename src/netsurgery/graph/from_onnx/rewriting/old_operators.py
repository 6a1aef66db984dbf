"""Operators as they were before opset 11, as the ones of opset 11: what were attributes are operands there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.rewriting.names import names_in
from netsurgery.graph.ir import unlike

NEWEST_REWRITTEN = 11
"""Operators of all opsets before this are rewritten as its own."""

Rewrite: TypeAlias = Callable[[onnx.NodeProto, "_Operands", int], None]


class _Operands:
    """Makes constants for operands."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._taken = names_in(graph)

    def constant(self, values: Any, kind: type[np.generic]) -> str:
        """The name of a new constant."""
        name = unlike("netsurgery.operand", self._taken)
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, kind), name))
        return name


def with_newer_operators(graph: onnx.GraphProto, opset: int) -> None:
    """Rewrite the operators of a graph, and of the graphs in its nodes. Raises UnsupportedOperatorError."""
    operands = _Operands(graph)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                with_newer_operators(inner, opset)
        until, rewrite = _REWRITES.get(node.op_type, (0, None))
        if rewrite is not None and opset < until and not node.domain:
            rewrite(node, operands, opset)


def _taken(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """An attribute, which goes."""
    for place, attribute in enumerate(node.attribute):
        if attribute.name == name:
            value = onnx.helper.get_attribute_value(attribute)
            del node.attribute[place]
            return value
    return default


def _place(node: onnx.NodeProto, inputs: list[str]) -> None:
    while inputs and not inputs[-1]:
        inputs.pop()
    del node.input[:]
    node.input.extend(inputs)


def _slice(node: onnx.NodeProto, operands: _Operands, _: int) -> None:
    starts, ends, axes = _taken(node, "starts"), _taken(node, "ends"), _taken(node, "axes")
    given = [starts, ends, range(len(starts)) if axes is None else axes]
    _place(node, [node.input[0], *(operands.constant(list(one), np.int64) for one in given)])


def _clip(node: onnx.NodeProto, operands: _Operands, _: int) -> None:
    bounds = [_taken(node, "min"), _taken(node, "max")]
    names = ["" if bound is None else operands.constant(bound, np.float32) for bound in bounds]
    _place(node, [node.input[0], *names])


def _pad(node: onnx.NodeProto, operands: _Operands, _: int) -> None:
    pads, value = _taken(node, "pads"), _taken(node, "value", 0.0)
    _place(node, [node.input[0], operands.constant(list(pads), np.int64), operands.constant(value, np.float32)])


def _top_k(node: onnx.NodeProto, operands: _Operands, opset: int) -> None:
    if opset < 10:
        _place(node, [node.input[0], operands.constant([_taken(node, "k")], np.int64)])


def _upsample(node: onnx.NodeProto, operands: _Operands, opset: int) -> None:
    """Upsample (until 9) and Resize (of 10) put pixels at place / scale, and take the floor of it for the nearest."""
    mode = _taken(node, "mode", b"nearest").decode()
    scales = operands.constant(list(_taken(node, "scales")), np.float32) if opset < 9 else node.input[1]
    node.op_type = "Resize"
    del node.attribute[:]
    node.attribute.extend(
        [
            onnx.helper.make_attribute("mode", mode),
            onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric"),
            onnx.helper.make_attribute("nearest_mode", "floor"),
        ]
    )
    _place(node, [node.input[0], "", scales])


def _scatter(node: onnx.NodeProto, _: _Operands, __: int) -> None:
    node.op_type = "ScatterElements"


def _batch_norm(node: onnx.NodeProto, _: _Operands, opset: int) -> None:
    if opset < 9 and _taken(node, "spatial", 1) != 1:
        raise UnsupportedOperatorError(
            f"BatchNormalization {node.name or node.output[0]!r} normalises each place by itself (spatial=0), which "
            "newer opsets don't have."
        )


_REWRITES: dict[str, tuple[int, Rewrite]] = {
    "BatchNormalization": (9, _batch_norm),
    "Clip": (11, _clip),
    "Pad": (11, _pad),
    "Resize": (11, _upsample),
    "Scatter": (11, _scatter),
    "Slice": (10, _slice),
    "TopK": (11, _top_k),
    "Upsample": (11, _upsample),
}
"""Operator -> the opset from which on it is what it is today, and how older ones are rewritten."""
