"""Products, means and bits of whole numbers: exact, as ONNX Runtime and NumPy have them, beyond what floats hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.from_onnx import read_model  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(3)
KINDS = {TensorProto.INT32: np.int32, TensorProto.INT64: np.int64}


def numbers(kind: int, *shape: int, most: int = 2**15) -> Any:
    """Of both signs; sums of a few of their products lie beyond 2^24 and within 2^31."""
    return RANDOM.integers(-most, most, shape).astype(KINDS[kind])


def model_of(operator: str, kind: int, given: dict[str, Any], known: dict[str, Any], **attributes: Any) -> Any:
    """A node of inputs and constants, whose batch is open where `given` is."""
    names = [*given, *known]
    inputs = [helper.make_tensor_value_info(name, kind, ["N", *one.shape[1:]]) for name, one in given.items()]
    constants = [numpy_helper.from_array(one, name) for name, one in known.items()]
    nodes = [helper.make_node(operator, names, ["y"], **attributes)]
    graph = helper.make_graph(nodes, "model", inputs, [helper.make_tensor_value_info("y", kind, None)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def assert_computes(model: Any, given: dict[str, Any], wanted: Any) -> None:
    graph = read_onnx(model)
    assert graph.axes == ("N",)
    for found in (run(graph, given)[0], Session(encode(graph))(*given.values())):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 4), (4,), (1, 3, 4), (2, 1, 3, 4)])
def test_products_of_whole_numbers_are_exact(shape: tuple[int, ...], kind: int) -> None:
    a = numbers(kind, 5, 2, 3)
    b = numbers(kind, *shape)[..., :3] if len(shape) == 1 else numbers(kind, *shape)
    model = model_of("MatMul", kind, {"a": a}, {"b": b})
    assert_computes(model, {"a": a}, a @ b)
    assert_computes(model, {"a": a[:1]}, a[:1] @ b) if len(shape) < 3 else None


@pytest.mark.parametrize("kind", KINDS)
def test_products_of_two_computed_tensors_and_sums_by_name_are_exact(kind: int) -> None:
    a, b = numbers(kind, 5, 2, 3), numbers(kind, 5, 3, 2)
    assert_computes(model_of("MatMul", kind, {"a": a, "b": b}, {}), {"a": a, "b": b}, a @ b)
    model = model_of("Einsum", kind, {"a": a, "b": b}, {}, equation="nij,njk->nk")
    assert_computes(model, {"a": a, "b": b}, np.einsum("nij,njk->nk", a, b))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_means_of_whole_numbers_are_cut_off_towards_zero(keepdims: int, kind: int) -> None:
    a = numbers(kind, 9, 2, 3)
    model = model_of("ReduceMean", kind, {"a": a}, {"axes": np.array([1, 2])}, keepdims=keepdims)
    (wanted,) = onnx_runtime_outputs(model, {"a": a})
    assert_computes(model, {"a": a}, wanted)


def test_a_mean_of_whole_numbers_along_the_batch_fixes_it_and_says_why() -> None:
    a = numbers(TensorProto.INT64, 9, 2)
    read = read_model(model_of("ReduceMean", TensorProto.INT64, {"a": a}, {"axes": np.array([0, 1])}), run_node)
    assert read.graph.axes == ()
    assert "means of whole numbers along an open axis" in read.fixed[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_product_along_an_axis_is_exact_however_many_are_multiplied(keepdims: int, kind: int) -> None:
    for count in (1, 2, 3, 7, 12):
        a = numbers(kind, 5, count, 2)
        model = model_of("ReduceProd", kind, {"a": a}, {"axes": np.array([1])}, keepdims=keepdims)
        assert_computes(model, {"a": a}, np.prod(a, axis=1, keepdims=bool(keepdims), dtype=a.dtype))


BITWISE = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}
MASKS = [0, 1, 6, 7, 0b1011010, 2**30 - 1, -1, -2, -8, -77]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operator", BITWISE)
def test_bits_are_combined_with_a_known_number(operator: str, kind: int) -> None:
    a = np.concatenate([numbers(kind, 5, 4, most=2**31 - 1), np.array([[0, -1, 2**31 - 1, -(2**31)]], KINDS[kind])])
    for mask in MASKS:
        for b in (np.array(mask, KINDS[kind]), np.full((1, 4), mask, KINDS[kind])):
            assert_computes(model_of(operator, kind, {"a": a}, {"b": b}), {"a": a}, BITWISE[operator](a, b))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "one side must be a single known number"),
        ({"b": np.array([1, 2])}, "one side must be a single known number"),
        ({"b": np.array(2**31)}, "reads bits beyond the 30th"),
    ],
)
def test_bits_of_two_tensors_and_high_ones_are_refused(known: dict[str, Any], said: str) -> None:
    a = numbers(TensorProto.INT64, 5, 2)
    given = {"a": a} if known else {"a": a, "b": a}
    with pytest.raises(UnsupportedOperatorError, match=said):
        read_onnx(model_of("BitwiseAnd", TensorProto.INT64, given, known))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_determinants_of_small_matrices(size: int) -> None:
    x = RANDOM.normal(size=(4, size, size)).astype(np.float32)
    graph = read_onnx(model_of("Det", TensorProto.FLOAT, {"x": x}, {}))
    np.testing.assert_allclose(Session(encode(graph))(x), np.linalg.det(x), rtol=1e-4, atol=1e-5)


def test_a_determinant_of_more_rows_is_refused() -> None:
    with pytest.raises(UnsupportedOperatorError, match="matrices of 4 rows; determinants of up to 3"):
        read_onnx(model_of("Det", TensorProto.FLOAT, {"x": np.zeros((2, 4, 4), np.float32)}, {}))


def test_an_output_may_lack_its_type() -> None:
    model = model_of("Det", TensorProto.FLOAT, {"x": np.zeros((2, 2, 2), np.float32)}, {})
    model.graph.output[0].ClearField("type")
    assert read_onnx(model).axes == ("N",)
    assert not model.graph.output[0].HasField("type") or not model.graph.output[0].type.WhichOneof("value")
