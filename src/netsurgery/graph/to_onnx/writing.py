"""Writes a graph as an ONNX model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from netsurgery.errors import GraphError, MissingExtraError
from netsurgery.files import replacing
from netsurgery.graph.ir import Array, Graph, open_shapes

try:
    import onnx
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"Writing ONNX models needs {error.name}, which isn't installed: pip install 'netsurgery[onnx]'"
    ) from error

from netsurgery.graph.to_onnx.nodes import ONNX_TYPES, WRITERS, Nodes

OPSET = 20
"""The first operator set with Gelu."""

IR_VERSION = 9
"""The file version that came with it."""

LARGEST = 2**31 - 2**20
"""Bytes of weights in one model: protobuf ends at 2 GiB, and the nodes need some as well."""


def write_onnx(graph: Graph, path: str | Path, *, sparse: bool = False) -> None:
    """Write the graph as an ONNX file; see `to_onnx`. What stood at `path` is replaced once the new file is whole.

    Raises what `to_onnx` raises, and OSError.
    """
    model = to_onnx(graph, sparse=sparse)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        onnx.checker.check_model(str(temporary))


def to_onnx(graph: Graph, *, sparse: bool = False) -> onnx.ModelProto:
    """The graph as an ONNX model of opset 20. Open axes stay open and keep their names; so do values.

    `sparse` writes a constant as a sparse initialiser, values and int64 indices, where that is smaller: below a third
    of its entries. ONNX Runtime takes those for every operator and makes them dense as it loads the model, so this
    makes the file smaller, not the network faster. Some other runtimes don't take them at all.

    Raises GraphError if the weights don't fit in one ONNX file (2 GiB), and UnsupportedOperatorError for a Resize whose
    sizes don't follow from its scales, or what ONNX has no way to say of open axes.
    """
    nodes = Nodes(graph)
    for node in graph.nodes:
        WRITERS[node.operator](nodes, node)
    written_nodes = nodes.needed(graph.shown_outputs)
    read = {name for written in written_nodes for name in written.input} | set(graph.shown_outputs)
    constants = {name: array for name, array in nodes.initialisers.items() if name in read}
    size = sum(array.nbytes for array in constants.values())
    if size > LARGEST:
        raise GraphError(f"the weights take {size} bytes; an ONNX file holds {LARGEST}. Use the .nsm format.")
    compact = {name: found for name, array in constants.items() if sparse and (found := _sparse(name, array))}
    proto = onnx.helper.make_graph(
        written_nodes,
        "network",
        [onnx.helper.make_tensor_value_info(given.name, ONNX_TYPES[given.type], given.shape) for given in graph.inputs],
        _outputs(graph),
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items() if name not in compact],
        sparse_initializer=list(compact.values()),
    )
    model = onnx.helper.make_model(
        proto, producer_name="netsurgery", opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model)
    return model


def _outputs(graph: Graph) -> list[onnx.ValueInfoProto]:
    """The outputs. A size that follows an open axis, but isn't it, has no name in ONNX and is left unsaid."""
    return [
        onnx.helper.make_tensor_value_info(name, ONNX_TYPES[graph.types[name]], shape)
        for name, shape in dict(zip(graph.shown_outputs, open_shapes(graph), strict=True)).items()
    ]


def _sparse(name: str, array: Array) -> onnx.SparseTensorProto | None:
    """The constant by its entries that aren't +0.0, if it is smaller so."""
    if array.dtype != np.float32:
        return None
    flat = array.reshape(-1)
    indices = np.flatnonzero(flat.view(np.uint32))  # by its bits: -0.0 is kept
    tensor = onnx.helper.make_sparse_tensor(
        onnx.numpy_helper.from_array(flat[indices], name),
        onnx.numpy_helper.from_array(indices.astype(np.int64), f"{name}.indices"),
        array.shape,
    )
    return tensor if tensor.ByteSize() < onnx.numpy_helper.from_array(array, name).ByteSize() else None
