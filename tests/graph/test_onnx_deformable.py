"""Deformable convolutions: each connection reads beside its place, where the network says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from tests.graph.onnx_reading import read_onnx  # noqa: E402

from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(3)


def model(
    shapes: dict[str, tuple[int | str, ...]], operands: list[str], settings: dict[str, Any], **arrays: Any
) -> Any:
    graph = helper.make_graph(
        [helper.make_node("DeformConv", operands, ["y"], **settings)],
        "deformable",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def assert_as_onnx_says(made: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """ONNX Runtime has no such operator on processors; ONNX's own evaluator has."""
    given = {name: RANDOM.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    (wanted,) = ReferenceEvaluator(made).run(None, given)
    read = read_onnx(made)
    for found in (run(read, given)[0], Session(encode(read), threads=1)(*given.values())):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)


CASES = [
    (groups, offset_groups, strides, pads, dilations, masked)
    for groups in (1, 2)
    for offset_groups in (1, 2)
    for strides, pads, dilations in (
        ([1, 1], [0, 0, 0, 0], [1, 1]),
        ([2, 1], [1, 2, 1, 0], [1, 1]),
        ([1, 2], [2, 1, 2, 1], [2, 1]),
    )
    for masked in (False, True)
    if (groups + offset_groups + masked) % 2  # every pair of choices: ONNX's evaluator takes a second for each
]


@each_case("case", CASES, ids=str)
def test_it_computes_what_onnx_says(case: tuple[Any, ...]) -> None:
    """Groups of weights and of offsets, strides, pads, dilations, masks, and positions outside of the picture."""
    groups, offset_groups, strides, pads, dilations, masked = case
    high = (9 + pads[0] + pads[2] - 2 * dilations[0] - 1) // strides[0] + 1
    wide = (8 + pads[1] + pads[3] - dilations[1] - 1) // strides[1] + 1
    shapes = {"x": (2, 4, 9, 8), "offset": (2, offset_groups * 12, high, wide)}
    operands = ["x", "weight", "offset", "bias"]
    if masked:
        shapes["mask"] = (2, offset_groups * 6, high, wide)
        operands.append("mask")
    settings = {"group": groups, "offset_group": offset_groups, "strides": strides, "pads": pads}
    arrays = {
        "weight": RANDOM.standard_normal((6, 4 // groups, 3, 2)).astype(np.float32),
        "bias": RANDOM.standard_normal(6).astype(np.float32),
    }
    open_batch = {name: ("batch", *shape[1:]) for name, shape in shapes.items()}
    assert_as_onnx_says(model(open_batch, operands, {**settings, "dilations": dilations}, **arrays), shapes)


def test_the_picture_may_have_any_size() -> None:
    weight = RANDOM.standard_normal((5, 4, 3, 3)).astype(np.float32)
    shapes: dict[str, tuple[int | str, ...]] = {
        "x": ("batch", 4, "high", "wide"),
        "offset": ("batch", 18, "high", "wide"),
    }
    made = model(shapes, ["x", "weight", "offset"], {"pads": [1, 1, 1, 1]}, weight=weight)
    assert read_onnx(made).axes == ("batch", "high", "wide")
    for batch, high, wide in ((1, 9, 5), (2, 6, 7)):
        assert_as_onnx_says(made, {"x": (batch, 4, high, wide), "offset": (batch, 18, high, wide)})
