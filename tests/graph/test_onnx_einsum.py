"""Einsum as transposes, products of matrices and sums; sequences reversed; outputs of small whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError  # noqa: E402
from netsurgery.graph.from_onnx import read_model  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402

RANDOM = np.random.default_rng(8)


def floats(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(nodes: Any, shapes: Any, output: int = TensorProto.FLOAT, **constants: Any) -> Any:
    """shapes: name -> shape, of float32, or (shape, type)."""
    inputs = []
    for name, shape in shapes.items():
        kind = TensorProto.FLOAT
        if isinstance(shape, tuple) and isinstance(shape[0], list):
            shape, kind = shape
        inputs.append(helper.make_tensor_value_info(name, kind, shape))
    graph = helper.make_graph(
        [helper.make_node(operator, ins.split(), outs.split(), **more) for operator, ins, outs, more in nodes],
        "model",
        inputs,
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


EQUATIONS = {
    "bhid,bhjd->bhij": ([2, 3, 4, 5], [2, 3, 6, 5]),  # scores of attention
    "bhij,bhjd->bihd": ([2, 3, 4, 6], [2, 3, 6, 5]),
    "btc,cd->btd": ([2, 4, 3], [3, 5]),
    "btc,chd->bhtd": ([2, 4, 3], [3, 2, 5]),
    "bijc,ijk->bkc": ([2, 3, 4, 5], [3, 4, 6]),
    "i,j": ([3], [4]),
    "ij,jk": ([3, 4], [4, 5]),
    "i,i->": ([4], [4]),
    "nc,nc->n": ([3, 4], [3, 4]),
    "ab,cd->bd": ([2, 3], [4, 5]),
    "...ij,...jk->...ik": ([2, 1, 3, 4], [2, 1, 4, 5]),
    "bij,b->ji": ([2, 3, 4], [2]),
    "nii,ij->nj": ([2, 3, 3], [3, 4]),
    "ij,jk,kl->il": ([2, 3], [3, 4], [4, 5]),
    "bn,bm,bk->nmk": ([4, 2], [4, 3], [4, 5]),
}


@each_case("computed", [1, 9])
@each_case("equation", EQUATIONS)
def test_einsum_is_what_numpy_has(equation: str, computed: int) -> None:
    """With one operand computed and the others known, and with all of them computed."""
    arrays = {f"x{place}": floats(*shape) for place, shape in enumerate(EQUATIONS[equation])}
    given = dict(list(arrays.items())[:computed])
    nodes = [("Einsum", " ".join(arrays), "y", {"equation": equation})]
    known = {name: array for name, array in arrays.items() if name not in given}
    model = model_of(nodes, {name: list(array.shape) for name, array in given.items()}, **known)
    (found,) = run(read_onnx(model), given)
    wanted = np.einsum(equation, *(array.astype(np.float64) for array in arrays.values()))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_einsum_by_known_weights_is_a_linear_layer() -> None:
    model = model_of([("Einsum", "x w", "y", {"equation": "btc,cd->btd"})], {"x": ["batch", "time", 3]}, w=floats(3, 5))
    assert [made.operator for made in read_onnx(model).nodes] == ["Linear"]


@pytest.mark.parametrize("equation", ["bhid,bhjd->bhij", "bhtt->bht", "bhij,bhkj->bik"])
def test_einsum_runs_at_any_sizes_of_open_axes(equation: str) -> None:
    count = equation.count(",") + 1
    shapes = {f"x{place}": ["batch", 2, "time", "time" if "tt" in equation else 4] for place in range(count)}
    graph = read_onnx(model_of([("Einsum", " ".join(shapes), "y", {"equation": equation})], shapes))
    for batch, time in ((1, 1), (3, 4), (2, 40)):
        sizes = {"batch": batch, "time": time}
        arrays = {name: floats(*(sizes.get(size, size) for size in shape)) for name, shape in shapes.items()}
        np.testing.assert_allclose(run(graph, arrays)[0], np.einsum(equation, *arrays.values()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "message"),
    [("ij,jk", "names 2 operands and has 1"), ("ijk->i", "other numbers of axes"), ("ij->il", "no operand has")],
)
def test_an_equation_that_does_not_fit_is_refused(equation: str, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        read_onnx(model_of([("Einsum", "x", "y", {"equation": equation})], {"x": [3, 4]}))


@pytest.mark.parametrize("shape", [[6, 4, 3], ["time", 4, 3], ["time", "batch", 3]])
@pytest.mark.parametrize("turned", [False, True])
def test_sequences_are_reversed_up_to_lengths_that_are_computed(shape: list[Any], turned: bool) -> None:
    axes = {"time_axis": 1, "batch_axis": 0} if turned else {"time_axis": 0, "batch_axis": 1}
    sizes = [shape[1], shape[0], shape[2]] if turned else shape
    nodes = [("ReverseSequence", "x lengths", "y", axes)]
    model = model_of(nodes, {"x": sizes, "lengths": ([shape[1]], TensorProto.INT64)})
    given = {"x": floats(4, 6, 3) if turned else floats(6, 4, 3), "lengths": np.asarray([6, 1, 3, 5])}
    (wanted,) = onnx_runtime_outputs(model, given)
    np.testing.assert_array_equal(run(read_onnx(model), given)[0], wanted)


def test_sequences_of_full_length_are_reversed_along_their_axis() -> None:
    nodes = [
        ("Shape", "x", "time", {"start": 0, "end": 1}),
        ("Expand", "time four", "lengths", {}),
        ("ReverseSequence", "x lengths", "y", {}),
    ]
    graph = read_onnx(model_of(nodes, {"x": ["time", 4, 3]}, four=np.asarray([4])))
    assert [made.operator for made in graph.nodes] == ["Reverse"]


def test_an_output_of_small_whole_numbers_is_int32_and_said() -> None:
    nodes = [("ArgMax", "x", "best", {"axis": 1, "keepdims": 0}), ("Cast", "best", "y", {"to": TensorProto.UINT8})]
    found = read_model(model_of(nodes, {"x": ["batch", 5]}, TensorProto.UINT8), run_node)
    assert found.remarks == ("Outputs of small whole numbers are int32, of the same numbers: 'y' (uint8).",)
    x = floats(7, 5)
    (y,) = run(found.graph, {"x": x})
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, x.argmax(1))
    np.testing.assert_array_equal(onnx_runtime_outputs(found.as_read, {"x": x})[0], y)
