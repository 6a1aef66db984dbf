"""ONNX models as they come: in memory, or in files."""

from __future__ import annotations

from pathlib import Path

import onnx

from netsurgery.errors import CaptureError
from netsurgery.graph.from_onnx.inner_graphs import read_by


def loaded(source: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """A model with all its weights. Raises CaptureError."""
    if isinstance(source, onnx.ModelProto):
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in source.graph.initializer):
            raise CaptureError("its weights lie in files of their own and were not loaded; give the path of the model.")
        return source
    if not Path(source).is_file():
        raise CaptureError("there is no such file.")
    try:
        return onnx.load(str(source))
    except Exception as error:  # protobuf, onnx and the disk each raise their own
        raise CaptureError(f"it can't be read as an ONNX model: {error}") from error


def in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, or, where a node stands before one that it reads, a copy in which none does.

    ONNX asks for that order, and ONNX Runtime, whose own tools write other ones, doesn't.
    """
    missing = {name for node in model.graph.node for name in node.output if name}
    waiting, ordered = [(node, read_by(node)) for node in model.graph.node], []
    while waiting:
        later = []
        for node, read in waiting:  # once through, where they stand in order
            if missing.isdisjoint(read):
                ordered.append(node)
                missing.difference_update(node.output)
            else:
                later.append((node, read))
        if len(later) == len(waiting):
            return model  # in a circle, as onnx's checker says
        if not later and len(ordered) == len(waiting):
            return model
        waiting = later
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    return copy
