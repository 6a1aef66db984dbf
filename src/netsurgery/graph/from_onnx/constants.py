"""What an ONNX model says of itself: its initialisers, and the attributes of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

AnyArray: TypeAlias = npt.NDArray[Any]


def is_whole(array: AnyArray) -> bool:
    """True for whole numbers, those of fewer than 8 bits too, which aren't NumPy's own."""
    return array.dtype.kind in "iu" or array.dtype.name.lstrip("u").startswith("int")


def is_float(array: AnyArray) -> bool:
    """True for float16, bfloat16, float32 and float64, of which bfloat16 isn't NumPy's own."""
    return array.dtype.name in ("float16", "bfloat16", "float32", "float64")


RANDOM = frozenset(
    ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
)
"""Operators that draw random numbers."""


def initialisers(graph: onnx.GraphProto) -> dict[str, AnyArray]:
    """Name -> array, for dense and sparse initialisers."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return arrays | {tensor.values.name: dense(tensor) for tensor in graph.sparse_initializer}


def largest_bound(graph: onnx.GraphProto, arrays: Mapping[str, AnyArray]) -> int:
    """The largest whole number, up to LARGEST_BOUND, that sizes may be compared with or cut at; 0 if there is none.

    It is in a short list among the constants, or one of the bounds of a Slice.
    """
    lists = [array for array in arrays.values() if array.dtype.kind == "i" and array.size <= _SHORT_LIST]
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value" and attribute.t.data_type in _WHOLE:
                lists.append(numpy_helper.to_array(attribute.t))
            elif attribute.name in ("starts", "ends", "k", "value_int", "value_ints"):
                lists.append(np.array([attribute.i, *attribute.ints]))
    found = [abs(int(number)) for array in lists if array.size <= _SHORT_LIST for number in array.ravel()]
    return max((number for number in found if number <= LARGEST_BOUND), default=0)


LARGEST_BOUND = 2048
"""Beyond it, what a reading makes of sizes as large may not fit into memory."""
_SHORT_LIST = 16
_WHOLE = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


def dense(tensor: onnx.SparseTensorProto) -> AnyArray:
    """All entries of a sparse tensor, whose indices are linear (NNZ,) or one row for each entry (NNZ, rank)."""
    values, indices = numpy_helper.to_array(tensor.values), numpy_helper.to_array(tensor.indices)
    array = np.zeros(tuple(tensor.dims), values.dtype)
    if indices.ndim == 1:
        array.reshape(-1)[indices] = values
    else:
        array[tuple(indices.T)] = values
    return array


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes as Python values and arrays. Graphs stay as they are."""
    return {item.name: _plain(onnx.helper.get_attribute_value(item)) for item in node.attribute}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, onnx.SparseTensorProto):
        return dense(value)
    return value


def can_be_known(node: onnx.NodeProto) -> bool:
    """False for nodes whose outputs don't follow from their inputs alone: random ones, loops and branches."""
    subgraph = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    return node.op_type not in RANDOM and all(item.type not in subgraph for item in node.attribute)
