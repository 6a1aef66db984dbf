"""ONNX's own node tests, on plain kernels."""

from __future__ import annotations

from itertools import compress

import numpy as np
import pytest
from tests.each_case import each_case

pytest.importorskip("onnx.backend.test.case.node")

from tests.graph import test_onnx_backend as backend
from tests.graph.onnx_reading import read_onnx

from netsurgery import _native
from netsurgery.packed.writer import encode
from netsurgery.runtime import reference


@each_case(("name", "computed"), list(backend.runs()))
def test_a_plain_kernel_computes_what_onnx_says(name: str, computed: int) -> None:
    model, given, expected = backend.prepared(name, computed)
    graph = read_onnx(model)
    if any(np.isnan(weights.values).any() for weights in graph.constants.values()):
        pytest.skip("a file holds finite numbers")
    computes = [output not in graph.constants for output in graph.outputs]  # a file holds what depends on an input
    graph = graph.replaced(outputs=tuple(compress(graph.outputs, computes)))
    expected = list(compress(expected, computes))
    results = _native.run_plain(encode(graph), [given[one.name] for one in graph.inputs], each=1)
    shown = reference.found(graph, dict(zip(graph.outputs, results, strict=True)))
    backend.assert_as_onnx_says(name, shown, expected)
