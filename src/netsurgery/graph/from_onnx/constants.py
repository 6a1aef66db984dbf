"""What is known of an ONNX model before it runs: initialisers, attributes, and nodes that read nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from netsurgery.errors import UnsupportedOperatorError

AnyArray: TypeAlias = npt.NDArray[Any]

_RANDOM = frozenset(
    ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
)


def initialisers(graph: onnx.GraphProto) -> dict[str, AnyArray]:
    """Name -> array, for dense and sparse initialisers."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return arrays | {tensor.values.name: dense(tensor) for tensor in graph.sparse_initializer}


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
    return node.op_type not in _RANDOM and all(item.type not in subgraph for item in node.attribute)


def evaluated(node: onnx.NodeProto, operands: Sequence[AnyArray | None], opset: int) -> list[AnyArray]:
    """The outputs of a node all of whose inputs are known. Raises UnsupportedOperatorError where onnx can't tell."""
    if node.op_type == "Constant":
        ((kind, value),) = attributes(node).items()
        return [np.asarray(value, {"value_float": np.float32, "value_floats": np.float32}.get(kind))]
    given = {name: array for name, array in zip(node.input, operands, strict=True) if array is not None}
    graph = onnx.helper.make_graph(
        [node],
        "known",
        [onnx.ValueInfoProto(name=name) for name in given],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
    )
    try:
        with np.errstate(all="ignore"):
            results = iter(ReferenceEvaluator(graph, opsets={node.domain: opset}).run(None, given))
    except Exception as error:  # it raises whatever its NumPy code raises
        raise UnsupportedOperatorError(f"can't be evaluated, though its inputs are known: {error}") from error
    outputs = [np.asarray(next(results)) if name else np.empty(0) for name in node.output]
    if any(output.dtype == object for output in outputs):
        raise UnsupportedOperatorError("gives something else than a tensor")
    return outputs
