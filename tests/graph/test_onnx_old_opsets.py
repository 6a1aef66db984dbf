"""ONNX models of opsets 7 to 10, whose operators have as attributes what are operands today."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.from_onnx import OLDEST_OPSET  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402

RANDOM = np.random.default_rng(5)
X = ("N", 4, 6, 5)


def old(opset, *nodes, constants=None, shape=X):
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


NORM = {name: RANDOM.uniform(0.5, 1, 4).astype(np.float32) for name in ("s", "b", "m", "v")}
TWICE = {"t": np.float32([1, 1, 2, 2])}

MODELS = {
    "slices by attributes": [(op, old(op, ("Slice", ["x"], ["y"], {"starts": [1, -4], "ends": [3, 9], "axes": [1, 2]})))
                             for op in (7, 8, 9)],
    "slices all axes": [(9, old(9, ("Slice", ["x"], ["y"], {"starts": [0, 1], "ends": [9999, 3]})))],
    "clips by attributes": [(op, old(op, ("Clip", ["x"], ["y"], {"min": -0.5, "max": 0.25}))) for op in (7, 9, 10)],
    "clips on one side": [(8, old(8, ("Clip", ["x"], ["y"], {"min": 0.0})))],
    "pads by attributes": [(op, old(op, ("Pad", ["x"], ["y"], {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 1.5})))
                           for op in (7, 10)],
    "pads by reflection": [(9, old(9, ("Pad", ["x"], ["y"], {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "reflect"})))],
    "upsamples by an attribute": [(op, old(op, ("Upsample", ["x"], ["y"], {"scales": [1.0, 1.0, 2.0, 3.0]})))
                                  for op in (7, 8)],
    "upsamples by an operand": [(9, old(9, ("Upsample", ["x", "t"], ["y"]), constants=TWICE))],
    "resizes": [(10, old(10, ("Resize", ["x", "t"], ["y"]), constants=TWICE))],
    "batch norm": [(op, old(op, ("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"]), constants=NORM))
                   for op in (7, 8, 9)],
    "dropout, unsqueeze and softmax": [(op, old(op, ("Dropout", ["x"], ["d"], {"ratio": 0.3}),
                                               ("Softmax", ["d"], ["u"], {"axis": 1}),
                                               ("Unsqueeze", ["u"], ["w"], {"axes": [4]}),
                                               ("Squeeze", ["w"], ["y"], {"axes": [4]}))) for op in (7, 10)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "model"), [pytest.param(*one, id=f"{name}, {one[0]}") for name, many in MODELS.items() for one in many]
)
def test_an_old_operator_computes_what_onnx_runtime_makes_of_it(opset, model):
    before = model.SerializeToString()
    x = RANDOM.standard_normal((2, *X[1:])).astype(np.float32)
    (wanted,) = onnx_runtime_outputs(model, {"x": x})
    (found,) = run(read_onnx(model), {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert model.SerializeToString() == before, opset


def test_batch_norm_of_each_place_is_refused():
    norm = {name: np.ones((4, 6, 5), np.float32) for name in NORM}
    model = old(7, ("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], {"spatial": 0}), constants=norm)
    with pytest.raises((UnsupportedOperatorError, CaptureError), match=r"spatial=0"):
        read_onnx(model)


def test_opset_6_is_refused_with_what_can_be_read():
    assert OLDEST_OPSET == 7
    with pytest.raises(CaptureError, match=r"it has opset 6; opsets 7 to \d+ can be read"):
        read_onnx(old(6, ("Relu", ["x"], ["y"])))
