"""ONNX models in other floats than float32, and with whole numbers that become floats at once."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs  # noqa: E402

from netsurgery.errors import CaptureError  # noqa: E402
from netsurgery.graph.from_onnx import read_model  # noqa: E402
from netsurgery.graph.value_types import ValueType  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402

RANDOM = np.random.default_rng(3)
DTYPES = {TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64}


def layers(kind, constants, nodes=None, shapes=None, opset=20):
    nodes = nodes or [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shapes or ["N", 6])],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def read(model):
    return read_model(model, run_node)


def only_constant(found):
    (constant,) = found.graph.constants.values()
    return constant.values


@pytest.mark.parametrize("kind", DTYPES)
def test_a_model_in_other_floats_is_the_same_as_read_from_the_same_weights(kind):
    weight = RANDOM.standard_normal((6, 4)).astype(DTYPES[kind])
    model = layers(kind, {"w": weight})
    before = model.SerializeToString()
    found = read(model)
    assert model.SerializeToString() == before
    assert found.graph.inputs[0].type is ValueType.FLOAT32
    assert np.array_equal(only_constant(found), weight.astype(np.float32).T)
    assert len(found.remarks) == 1
    assert str(np.dtype(DTYPES[kind])) in found.remarks[0]
    x = RANDOM.standard_normal((3, 6)).astype(np.float32)
    (wanted,) = onnx_runtime_outputs(found.as_read, {"x": x})
    np.testing.assert_allclose(run(found.graph, {"x": x})[0], wanted, rtol=0, atol=1e-6)


def test_bfloat16_weights_keep_their_values():
    bits = RANDOM.integers(0x3F00, 0x4000, (6, 4)).astype(np.uint16)
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, (6, 4), bits.tobytes(), raw=True)
    model = layers(TensorProto.BFLOAT16, {})
    model.graph.initializer.append(tensor)
    assert np.array_equal(only_constant(read(model)), (bits.astype(np.uint32) << 16).view(np.float32).T)


def test_casts_between_floats_are_left_out():
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["half", "w"], ["m"]),
        helper.make_node("Cast", ["m"], ["y"], to=TensorProto.FLOAT),
    ]
    model = layers(TensorProto.FLOAT, {"w": RANDOM.standard_normal((6, 4)).astype(np.float16)}, nodes)
    assert [made.operator for made in read(model).graph.nodes] in (["MatMul"], ["Linear"])


def test_the_large_numbers_of_float64_stay_finite():
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    least = np.full(6, np.finfo(np.float64).min)
    model = layers(TensorProto.DOUBLE, {"w": np.where(np.arange(6) < 3, least, np.inf)}, nodes)
    (found,) = run(read(model).graph, {"x": np.zeros((1, 6), np.float32)})
    assert found.tolist() == [[np.finfo(np.float32).min] * 3 + [np.inf] * 3]


def test_a_picture_of_bytes_that_is_cast_at_once_is_read_as_floats():
    cast = helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)
    nodes = [cast, helper.make_node("MatMul", ["f", "w"], ["y"])]
    model = layers(TensorProto.UINT8, {"w": RANDOM.standard_normal((6, 4)).astype(np.float32)}, nodes)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    found = read(model)
    assert found.graph.inputs[0].type is ValueType.FLOAT32
    assert found.remarks == ("Small whole numbers are read as float32, which the model makes of them at once: 'x'.",)


def test_bytes_that_are_more_than_cast_are_refused():
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("Max", ["x"], ["y"])]
    model = layers(TensorProto.UINT8, {}, nodes)
    with pytest.raises(CaptureError, match="'x' is UINT8"):
        read(model)


def test_a_model_as_read_is_read_without_remarks():
    found = read(layers(TensorProto.FLOAT, {"w": np.ones((6, 4), np.float32)}))
    assert (found.remarks, found.as_read) == ((), None)
