"""What an ONNX model computes by itself, to compare a graph with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from netsurgery.errors import CaptureError
from netsurgery.graph.from_onnx.constants import dense
from netsurgery.graph.from_onnx.models import loaded
from netsurgery.graph.ir import Array, Graph


class LRN(OpRun):
    """Local response normalisation. That of onnx takes the batch for the channels (onnx/onnx#7805)."""

    op_domain = ""

    def _run(self, x: Any, alpha: float, beta: float, bias: float, size: int) -> tuple[Any]:
        squares = np.square(x, dtype=np.float64)
        before, after = (size - 1) // 2, size // 2
        sums = [squares[:, max(0, c - before) : c + after + 1].sum(1) for c in range(x.shape[1])]
        return ((x / (bias + alpha / size * np.stack(sums, 1)) ** beta).astype(x.dtype),)


class Pad(OpRun):
    """Padding. That of onnx can't cut, as negative pads do."""

    op_domain = ""

    def _run(self, x: Any, pads: Any, constant_value: Any = None, axes: Any = None, mode: Any = None) -> tuple[Any]:
        widths = np.zeros((x.ndim, 2), np.int64)
        widths[slice(None) if axes is None else axes] = np.asarray(pads).reshape(2, -1).T
        cuts = np.minimum(widths, 0)
        x = x[tuple(slice(-first, size + last) for (first, last), size in zip(cuts, x.shape, strict=True))]
        if mode in (None, "constant"):
            return (np.pad(x, widths - cuts, constant_values=0 if constant_value is None else constant_value),)
        return (np.pad(x, widths - cuts, mode),)


def onnx_outputs(source: str | Path | onnx.ModelProto, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """What onnx's reference evaluator makes of inputs, in the order of `graph.inputs`: slow, but not our code.

    Raises CaptureError if the model can't be loaded, or not be run by it.
    """
    model = onnx.ModelProto()
    model.CopyFrom(loaded(source))
    # The evaluator takes neither the long name of the default domain nor sparse initialisers.
    for entry in model.opset_import:
        entry.domain = "" if entry.domain == "ai.onnx" else entry.domain
    model.graph.initializer.extend(
        numpy_helper.from_array(dense(tensor), tensor.values.name) for tensor in model.graph.sparse_initializer
    )
    model.graph.ClearField("sparse_initializer")
    given = {one.name: array for one, array in zip(graph.inputs, inputs, strict=True)}
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model, new_ops=[LRN, Pad]).run(None, given)
    except Exception as error:  # it raises whatever its NumPy code raises
        raise CaptureError(f"onnx's reference evaluator can't run the model: {error}") from error
    return [np.asarray(result, np.float32) for result in results]
