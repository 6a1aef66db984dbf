"""Branches and loops of ONNX models, as the nodes that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402

RANDOM = np.random.default_rng(3)
WEIGHT = RANDOM.standard_normal((4, 4)).astype(np.float32) / np.float32(2)
KINDS = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(bool): TensorProto.BOOL,
}


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def value(name: str, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, None if kind == TensorProto.FLOAT else ())


def body(nodes: Sequence[Any], outputs: Sequence[Any], inputs: Sequence[Any] = (), **constants: Any) -> Any:
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    return helper.make_graph(list(nodes), "inner", list(inputs), list(outputs), arrays)


def model_of(
    nodes: Sequence[Any],
    given: Mapping[str, Any],
    outputs: str = "y",
    shapes: Mapping[str, Any] | None = None,
    **constants: Any,
) -> Any:
    arrays = {name: np.asarray(array) for name, array in given.items()}
    graph = helper.make_graph(
        list(nodes),
        "model",
        [
            helper.make_tensor_value_info(name, KINDS[array.dtype], (shapes or {}).get(name, array.shape))
            for name, array in arrays.items()
        ],
        [value(name) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def assert_computes_the_same(model: Any, given: Mapping[str, Any]) -> Any:
    """The graph gives what ONNX Runtime gives."""
    graph = read_onnx(model)
    for result, wanted in zip(run(graph, dict(given)), onnx_runtime_outputs(model, dict(given)), strict=True):
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-6)
    return graph


def either(condition: str, outputs: str = "y") -> Any:
    """w x or relu(x); both branches call what they make by the same name, and read names from around them."""
    product = body([node("MatMul", "x weight", "made")], [value("made")])
    cut = body([node("Relu", "x", "made"), node("Add", "made half", "given")], [value("given")], half=np.float32(0.5))
    return node("If", condition, outputs, then_branch=product, else_branch=cut)


@pytest.mark.parametrize("rows", [3, 2])
def test_a_branch_on_a_size_is_the_one_that_is_taken(rows: int) -> None:
    nodes = [node("Shape", "x", "rows", start=0, end=1), node("Equal", "rows three", "is_three"), either("is_three")]
    x = floats(rows, 4)
    graph = assert_computes_the_same(model_of(nodes, {"x": x}, three=np.asarray([3]), weight=WEIGHT), {"x": x})
    assert [made.operator for made in graph.nodes] == (["Linear"] if rows == 3 else ["Relu", "Add"])


def test_a_branch_inside_a_branch_reads_what_lies_around_both() -> None:
    inner = body([node("Mul", "x doubled", "product"), either("no", "inner")], [value("inner")], no=np.asarray(False))
    outer = body([node("Neg", "doubled", "negative")], [value("negative")])
    nodes = [node("Add", "x x", "doubled"), node("If", "yes", "y", then_branch=inner, else_branch=outer)]
    x = floats(2, 4)
    assert_computes_the_same(model_of(nodes, {"x": x}, yes=np.asarray(True), weight=WEIGHT), {"x": x})


def test_a_condition_that_is_computed_picks_one_of_two_branches() -> None:
    nodes = [node("ReduceSum", "x", "total", keepdims=0), node("Greater", "total zero", "positive"), either("positive")]
    x = np.abs(floats(3, 4))
    model = model_of(nodes, {"x": x}, zero=np.float32(0), weight=WEIGHT)
    for given in (x, -x):
        assert_computes_the_same(model, {"x": given})


def test_branches_of_other_shapes_can_not_be_picked_from() -> None:
    short = body([node("ReduceSum", "x", "made", keepdims=0)], [value("made")])
    long = body([node("Relu", "x", "made")], [value("made")])
    picks = node("If", "which", "y", then_branch=short, else_branch=long)
    model = model_of([picks], {"x": floats(3, 4), "which": np.asarray(True)})
    with pytest.raises(CaptureError, match=r"decides as the network runs between float32 \(\) and float32 \(3, 4\)"):
        read_onnx(model)


def test_a_branch_that_may_refuse_its_places_is_not_run_where_another_one_is_meant() -> None:
    looks_up = body([node("Gather", "table place", "made", axis=0)], [value("made")])
    other = body([node("Identity", "row", "made")], [value("made")])
    picks = node("If", "which", "y", then_branch=looks_up, else_branch=other)
    given = {"place": np.asarray(2), "row": floats(4), "which": np.asarray(True)}
    model = model_of([picks], given, table=floats(5, 4))
    with pytest.raises(CaptureError, match="by computed places, which refuses places"):
        read_onnx(model)


def steps(condition: str = "going") -> Any:
    """x -> tanh(w x), each of them collected; `number` counts."""
    nodes = [
        node("MatMul", "state weight", "product"),
        node("Tanh", "product", "next"),
        node("Cast", "number", "place", to=TensorProto.FLOAT),
        node("Add", "next place", "seen"),
        node("Less", "number last", "below"),
        node("And", "going below", "still"),
        node("Identity", condition, "on"),
    ]
    inputs = [value("number", TensorProto.INT64), value("going", TensorProto.BOOL), value("state")]
    return body(nodes, [value("on", TensorProto.BOOL), value("next"), value("seen")], inputs, last=np.asarray(2))


@pytest.mark.parametrize(("condition", "times"), [("going", 5), ("still", 3)])
def test_a_loop_is_its_body_as_often_as_it_runs(condition: str, times: int) -> None:
    x = floats(2, 4)
    nodes = [node("Loop", "count yes x", "y all", body=steps(condition))]
    constants = {"count": np.asarray(5), "yes": np.asarray(True), "weight": WEIGHT}
    graph = assert_computes_the_same(model_of(nodes, {"x": x}, "y all", **constants), {"x": x})
    assert [made.operator for made in graph.nodes].count("Linear") == times
    assert graph.shapes({})["all"] == (times, 2, 4)


def test_a_loop_over_an_open_axis_is_refused_and_one_of_a_fixed_length_read() -> None:
    nodes = [node("Shape", "x", "size", start=0, end=1), node("Squeeze", "size zero", "count")]
    nodes += [node("Loop", "count yes x", "y all", body=steps())]
    constants = {"zero": np.asarray([0]), "yes": np.asarray(True), "weight": WEIGHT}
    x = floats(3, 4)
    with pytest.raises(CaptureError, match="repeats its body time times, and a network has as many nodes at any size"):
        read_onnx(model_of(nodes, {"x": x}, "y all", {"x": ["time", 4]}, **constants))
    assert_computes_the_same(model_of(nodes, {"x": x}, "y all", **constants), {"x": x})


def test_a_loop_that_ends_on_what_is_computed_is_refused() -> None:
    inner = steps()
    inner.node.extend([node("ReduceSum", "next", "total", keepdims=0), node("Less", "total total", "ends")])
    inner.output[0].name = "ends"
    model = model_of([node("Loop", "count yes x", "y all", body=inner)], {"x": floats(2, 4)}, "y all",
                     count=np.asarray(5), yes=np.asarray(True), weight=WEIGHT)  # fmt: skip
    with pytest.raises(CaptureError, match="ends on a condition that is computed as the network runs"):
        read_onnx(model)


@pytest.mark.parametrize("backwards", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_is_its_body_for_each_entry(backwards: int, axis: int) -> None:
    nodes = [node("Add", "state entry", "next"), node("Mul", "next next", "square")]
    inner = body(nodes, [value("next"), value("square")], [value("state"), value("entry")])
    settings = {"scan_input_axes": [axis], "scan_input_directions": [backwards], "scan_output_axes": [axis]}
    scan = node(
        "Scan", "first x", "y all", body=inner, num_scan_inputs=1, scan_output_directions=[backwards], **settings
    )
    given = {"first": floats(4), "x": floats(4, 4)}
    assert_computes_the_same(model_of([scan], given, "y all"), given)
