"""ONNX models as tests read them, with the reference executor, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from netsurgery.deployment.dense_runtime import asked
from netsurgery.graph import from_onnx
from netsurgery.graph.ir import Array, Graph, InputShapes
from netsurgery.runtime.reference import run_node


def read_onnx(source: str | Path | onnx.ModelProto, input_shapes: InputShapes | None = None) -> Graph:
    """The graph, constants computed as a network would be."""
    return from_onnx.read_onnx(source, run_node, input_shapes)


def onnx_runtime_outputs(source: str | Path | onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Array]:
    """What ONNX Runtime makes of arrays by the names of inputs. The test is skipped where it isn't installed."""
    pytest.importorskip("onnxruntime")
    answer = asked(source, feeds)
    assert answer.outputs is not None, answer.runtime
    return [np.asarray(output) for output in answer.outputs]
