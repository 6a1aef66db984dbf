"""Maxima that go back to their places, as in SegNet: MaxPool says where they stood, and MaxUnpool puts them there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(11)


def model(nodes: list[Any], shape: tuple[int | str, ...], outputs: dict[str, int], **constants: np.ndarray) -> Any:
    graph = helper.make_graph(
        nodes,
        "unpooling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def assert_as_onnx_runtime(made: Any, x: np.ndarray) -> None:
    read, wanted = read_onnx(made), onnx_runtime_outputs(made, {"x": x})
    given = Session(encode(read), threads=1)(x)
    for found in (run(read, {"x": x}), given if isinstance(given, tuple) else (given,)):
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(mine, theirs, strict=True)


PLACES = {
    "halves": ((2, 3, 6, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "windows that overlap": ((1, 2, 7, 9), {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 0, 1, 2]}),
    "rows": ((3, 2, 11), {"kernel_shape": [3], "strides": [2], "dilations": [2]}),
    "windows that end outside": ((1, 2, 7, 7), {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    "volumes": ((2, 1, 4, 5, 6), {"kernel_shape": [2, 2, 2], "strides": [2, 1, 3]}),
    "columns first": ((2, 3, 6, 8), {"kernel_shape": [2, 2], "strides": [2, 2], "storage_order": 1}),
    "as large as before": ((1, 2, 5, 6), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("values", ["different", "alike"])
def test_maxima_stand_where_onnx_runtime_says(name: str, values: str) -> None:
    """Of several that are alike it is the first."""
    shape, attributes = PLACES[name]
    made = model(
        [helper.make_node("MaxPool", ["x"], ["y", "places"], **attributes)],
        shape,
        {"y": TensorProto.FLOAT, "places": TensorProto.INT64},
    )
    x = RANDOM.standard_normal(shape).astype(np.float32)
    assert_as_onnx_runtime(made, x if values == "different" else np.round(x))


@pytest.mark.parametrize("batch", [2, "batch"])
@pytest.mark.parametrize("told", ["the size", "nothing"])
def test_maxima_go_back_to_their_places(batch: int | str, told: str) -> None:
    windows: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    size = {"size": np.array([2, 3, 6, 8], np.int64)} if told == "the size" and batch == 2 else {}
    made = model(
        [
            helper.make_node("MaxPool", ["x"], ["y", "places"], **windows),
            helper.make_node("Relu", ["y"], ["z"]),
            helper.make_node("MaxUnpool", ["z", "places", *size], ["back"], **windows),
        ],
        (batch, 3, 6, 8),
        {"back": TensorProto.FLOAT},
        **size,
    )
    for count in (2,) if batch == 2 else (1, 2, 5):
        assert_as_onnx_runtime(made, RANDOM.standard_normal((count, 3, 6, 8)).astype(np.float32))


def test_a_size_that_windows_do_not_fill_is_refused_with_both() -> None:
    windows: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    made = model(
        [
            helper.make_node("MaxPool", ["x"], ["y", "places"], **windows),
            helper.make_node("MaxUnpool", ["y", "places", "size"], ["back"], **windows),
        ],
        (1, 1, 5, 5),
        {"back": TensorProto.FLOAT},
        size=np.array([1, 1, 5, 5], np.int64),
    )
    with pytest.raises(UnsupportedOperatorError, match=r"5x5.*4x4"):
        read_onnx(made)


def test_places_in_maps_of_open_sizes_are_refused_with_what_to_do() -> None:
    made = model(
        [helper.make_node("MaxPool", ["x"], ["y", "places"], kernel_shape=[2, 2])],
        (1, 1, "height", 5),
        {"places": TensorProto.INT64},
    )
    with pytest.raises(UnsupportedOperatorError, match="--input-shape"):
        read_onnx(made)
