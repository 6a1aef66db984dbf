"""Pictures enlarged by quotients of sizes, as exporters of opset 9 and 10 write a size that another picture has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.helper import make_node  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(9)
CONSTANTS = {"ones": [1.0, 1.0], "two": [2.0, 2.0], "fixed": [16.0, 18.0], "odd": [1.3, 1.3]}


def sizes_of(name: str, into: str) -> list[Any]:
    """Height and width as floats."""
    return [
        make_node("Shape", [name], [f"{into}.shape"]),
        make_node("Slice", [f"{into}.shape"], [f"{into}.whole"], starts=[2], ends=[4]),
        make_node("Cast", [f"{into}.whole"], [into], to=TensorProto.FLOAT),
    ]


def enlarged(source: str, scales: str, mode: str = "nearest") -> list[Any]:
    return [
        make_node("Concat", ["ones", scales], ["scales"], axis=0),
        make_node("Upsample", [source, "scales"], ["enlarged"], mode=mode),
    ]


TWICE = [
    *sizes_of("x", "own"),
    make_node("Mul", ["own", "two"], ["twice"]),
    make_node("Floor", ["twice"], ["floor"]),
    make_node("Div", ["floor", "own"], ["share"]),
    *enlarged("x", "share"),
    make_node("Relu", ["enlarged"], ["y"]),
]
TO_A_SIZE = [
    *sizes_of("x", "own"),
    make_node("Div", ["fixed", "own"], ["share"]),
    *enlarged("x", "share"),
    make_node("Relu", ["enlarged"], ["y"]),
]
PYRAMID = [
    make_node("MaxPool", ["x"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
    *sizes_of("x", "own"),
    *sizes_of("small", "less"),
    make_node("Div", ["own", "less"], ["share"]),
    *enlarged("small", "share"),
    make_node("Add", ["enlarged", "x"], ["y"]),
]
AS_ANOTHER = [
    *sizes_of("x", "own"),
    *sizes_of("z", "wanted"),
    make_node("Div", ["wanted", "own"], ["share"]),
    *enlarged("x", "share", "linear"),
    make_node("Add", ["enlarged", "z"], ["y"]),
]


def model(nodes: list[Any], **inputs: tuple[Any, ...]) -> Any:
    graph = helper.make_graph(
        nodes,
        "upsampling",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(numbers, np.float32), name) for name, numbers in CONSTANTS.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8)


@pytest.mark.parametrize(
    ("nodes", "shapes"),
    [
        (TWICE, [{"x": (2, 3, 8, 9)}, {"x": (1, 3, 5, 6)}]),
        (TO_A_SIZE, [{"x": (2, 3, 8, 9)}, {"x": (1, 3, 4, 6)}]),
        (PYRAMID, [{"x": (2, 3, 8, 10)}, {"x": (1, 3, 6, 6)}]),
        (AS_ANOTHER, [{"x": (2, 3, 8, 9), "z": (2, 3, 16, 18)}, {"x": (1, 3, 5, 6), "z": (1, 3, 15, 6)}]),
    ],
    ids=["twice", "to a size", "as before a pool", "as another input"],
)
def test_sizes_follow_what_they_are_divided_from(nodes: list[Any], shapes: list[dict[str, tuple[int, ...]]]) -> None:
    names = {"x": ("batch", 3, "high", "wide"), "z": ("batch", 3, "higher", "wider")}
    made = model(nodes, **{name: names[name] for name in shapes[0]})
    read = read_onnx(made)
    assert set(read.axes) >= {"batch", "high", "wide"}
    for one in shapes:
        given = {name: RANDOM.standard_normal(shape).astype(np.float32) for name, shape in one.items()}
        (wanted,) = onnx_runtime_outputs(made, given)
        for found in (run(read, given)[0], Session(encode(read), threads=1)(*given.values())):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_other_scales_beside_quotients_are_refused() -> None:
    nodes = [
        *sizes_of("x", "own"),
        make_node("Div", ["fixed", "own"], ["share"]),
        make_node("Slice", ["share"], ["first"], starts=[0], ends=[1]),
        make_node("Slice", ["odd"], ["second"], starts=[0], ends=[1]),
        make_node("Concat", ["first", "second"], ["mixed"], axis=0),
        *enlarged("x", "mixed"),
        make_node("Relu", ["enlarged"], ["y"]),
    ]
    with pytest.raises(CaptureError, match="resizes by quotients of open sizes and by others; fix these sizes"):
        read_onnx(model(nodes, x=(1, 3, "high", 8)))
