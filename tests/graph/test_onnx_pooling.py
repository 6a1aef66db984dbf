"""Pools by powers, and functions of several axes taken together, as ONNX Runtime computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(8)


def assert_as_onnx_runtime(
    operator: str, size: tuple[int | str, ...], *shapes: tuple[int, ...], opset: int = 18, **settings: Any
) -> None:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], **settings)],
        "one node",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    read = read_onnx(made)
    assert read.axes == tuple(name for name in size if isinstance(name, str))
    for shape in shapes:
        x = RANDOM.standard_normal(shape).astype(np.float32)
        (wanted,) = onnx_runtime_outputs(made, {"x": x})
        for found in (run(read, {"x": x})[0], Session(encode(read), threads=1)(x)):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


WINDOWS = (
    {},
    {"pads": [1, 0, 1, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"dilations": [2, 2]},
    {"ceil_mode": 1, "strides": [2, 2]},
    {"ceil_mode": 1, "strides": [3, 2], "pads": [1, 1, 1, 1]},
)


@each_case(("p", "settings"), [(p, settings) for p in (1, 2, 3) for settings in WINDOWS])
def test_a_pool_of_powers_sums_each_window(p: int, settings: dict[str, Any]) -> None:
    size = ("batch", 3, 8, 9) if "ceil_mode" in settings else ("batch", 3, "high", 9)
    shapes = ((2, 3, 8, 9),) if "ceil_mode" in settings else ((2, 3, 8, 9), (1, 3, 11, 9))
    assert_as_onnx_runtime("LpPool", size, *shapes, kernel_shape=[3, 2], p=p, **settings)


@each_case("p", [1, 2, 3])
def test_a_global_pool_of_powers_sums_all(p: int) -> None:
    assert_as_onnx_runtime("GlobalLpPool", ("batch", 3, "high", "wide"), (2, 3, 8, 9), (1, 3, 5, 4), p=p)


@each_case("operator", ["Softmax", "LogSoftmax", "Hardmax"])
def test_before_opset_13_axes_are_taken_together(operator: str) -> None:
    assert_as_onnx_runtime(operator, ("batch", 5, 3), (2, 5, 3), (1, 5, 3), opset=11, axis=1)
    assert_as_onnx_runtime(operator, ("batch", 5, "time"), (2, 5, 3), (1, 5, 7), opset=13, axis=1)
