"""ONNX models as they come: in memory, or in files."""

from __future__ import annotations

from pathlib import Path

import onnx

from netsurgery.errors import CaptureError


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
