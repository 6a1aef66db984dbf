"""Models in float16, bfloat16 or float64 as models in float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from netsurgery.graph.from_onnx.constants import AnyArray

_NAMES: dict[int, str] = {
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.BFLOAT16: "bfloat16",
    onnx.TensorProto.DOUBLE: "float64",
}

_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "stash_type"})
"""Attributes that name a type of numbers."""

_SMALL = frozenset(
    {onnx.TensorProto.UINT8, onnx.TensorProto.INT8, onnx.TensorProto.UINT16, onnx.TensorProto.INT16}
)  # all of which float32 holds


def with_float32(model: onnx.ModelProto) -> list[str]:
    """Give a model float32 in the place of other floats, and of small whole numbers that it casts to floats at once.

    What it casts to small whole numbers at last becomes int32.

    Weights in float16 and bfloat16 stay what they are; float64 is rounded, and kept finite where it was. Returns
    remarks.
    """
    found: set[int] = set()
    for graph in _graphs(model):
        found |= _convert(graph)
    remarks = [
        f"It computes in {name}; netsurgery computes in float32, from {'rounded' if name == 'float64' else 'the same'} "
        "weights."
        for kind, name in _NAMES.items()
        if kind in found
    ]
    pictures = _cast_at_once(model.graph)
    for given in pictures:
        given.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    if pictures:
        names = ", ".join(repr(given.name) for given in pictures)
        remarks.append(f"Small whole numbers are read as float32, which the model makes of them at once: {names}.")
    widened = _cast_at_last(model.graph)
    if widened:
        names = ", ".join(f"{output.name!r} ({_name(kind)})" for output, kind in widened)
        remarks.append(f"Outputs of small whole numbers are int32, of the same numbers: {names}.")
    return remarks


def _name(kind: int) -> str:
    return str(onnx.TensorProto.DataType.Name(kind)).lower()


def _cast_at_last(graph: onnx.GraphProto) -> list[tuple[onnx.ValueInfoProto, int]]:
    """Give the graph int32 for outputs that are cast to small whole numbers at last. Returns them and their types."""
    read = {name for node in graph.node for name in node.input}
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast" and not node.domain}
    found = []
    for output in graph.output:
        kind = output.type.tensor_type.elem_type
        if kind in _SMALL and output.name in casts and output.name not in read:
            for attribute in casts[output.name].attribute:
                if attribute.name == "to":
                    attribute.i = onnx.TensorProto.INT32
            output.type.tensor_type.elem_type = onnx.TensorProto.INT32
            found.append((output, kind))
    return found


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """The graph, what lies in it, and functions."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _convert(graph: onnx.GraphProto | onnx.FunctionProto) -> set[int]:
    found: set[int] = set()
    if isinstance(graph, onnx.GraphProto):
        for tensor in graph.initializer:
            found |= _tensor(tensor)
        for value in (*graph.input, *graph.output, *graph.value_info):
            kind = value.type.tensor_type
            if kind.elem_type in _NAMES:
                found.add(kind.elem_type)
                kind.elem_type = onnx.TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                found |= _tensor(attribute.t)
            elif attribute.name in _TYPE_ATTRIBUTES and attribute.i in _NAMES:
                found.add(attribute.i)
                attribute.i = onnx.TensorProto.FLOAT
    return found


def _tensor(tensor: onnx.TensorProto) -> set[int]:
    kind = tensor.data_type
    if kind not in _NAMES:
        return set()
    array: AnyArray = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(_as_float32(array), tensor.name))
    return {kind}


def _as_float32(array: AnyArray) -> AnyArray:
    """The nearest float32; what was finite stays finite, as the large negative numbers of masks have to."""
    wide = array.astype(np.float64)
    largest = float(np.finfo(np.float32).max)
    return np.where(np.isfinite(wide), np.clip(wide, -largest, largest), wide).astype(np.float32)


def _cast_at_once(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs of small whole numbers of which nothing is made but floats."""
    constants = {tensor.name for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {output.name for output in graph.output}
    return [
        given
        for given in graph.input
        if given.name not in constants | outputs
        and given.type.tensor_type.elem_type in _SMALL
        and all(_casts_to_float(node) for node in readers.get(given.name, []))
    ]


def _casts_to_float(node: onnx.NodeProto) -> bool:
    to = [attribute.i for attribute in node.attribute if attribute.name == "to"]
    return node.op_type == "Cast" and not node.domain and to == [onnx.TensorProto.FLOAT]
