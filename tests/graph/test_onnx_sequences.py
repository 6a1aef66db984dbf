"""Sequences in ONNX models: lists that a loop appends to, and parts that are taken out again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.helper import make_node  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.ir import Graph  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(5)
NUMBERS = {"first": 0, "second": 1, "last": -1, "three": 3}


def model(nodes: list[Any], shape: tuple[int | str, ...], *, opset: int = 18, **constants: Any) -> Any:
    """One input x, one output y."""
    arrays = {name: np.asarray(number, np.int64) for name, number in (NUMBERS | constants).items()}
    graph = helper.make_graph(
        nodes,
        "sequences",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def assert_as_onnx_runtime(made: Any, *shapes: tuple[int, ...]) -> Graph:
    read = read_onnx(made)
    for shape in shapes:
        x = RANDOM.standard_normal(shape).astype(np.float32)
        (wanted,) = onnx_runtime_outputs(made, {"x": x})
        np.testing.assert_array_equal(run(read, {"x": x})[0], wanted, strict=True)
        np.testing.assert_array_equal(Session(encode(read), threads=1)(x), wanted, strict=True)
    return read


@pytest.mark.parametrize("place", ["first", "second", "last"])
@pytest.mark.parametrize(
    ("given", "attributes"),
    [(["x", "three"], {}), (["x"], {}), (["x"], {"keepdims": 0}), (["x", "sizes"], {"keepdims": 0})],
)
def test_parts_of_a_split_are_taken_out_of_their_sequence(
    place: str, given: list[str], attributes: dict[str, int]
) -> None:
    """The last of parts of one size may be smaller; single entries may lose their axis."""
    nodes = [
        make_node("SplitToSequence", given, ["parts"], axis=1, **attributes),
        make_node("SequenceAt", ["parts", place], ["y"]),
    ]
    read = assert_as_onnx_runtime(model(nodes, ("batch", 7, 3), sizes=[2, 1, 4]), (2, 7, 3), (5, 7, 3))
    assert read.axes == ("batch",)


@pytest.mark.parametrize("new_axis", [0, 1])
def test_entries_are_put_in_taken_out_and_joined(new_axis: int) -> None:
    nodes = [
        make_node("Relu", ["x"], ["positive"]),
        make_node("Neg", ["x"], ["negative"]),
        make_node("SequenceConstruct", ["x", "positive"], ["two"]),
        make_node("SequenceInsert", ["two", "negative", "second"], ["between"]),
        make_node("SequenceInsert", ["between", "negative"], ["behind"]),
        make_node("SequenceErase", ["behind", "first"], ["without the first"]),
        make_node("SequenceErase", ["without the first"], ["without the last"]),
        make_node("Identity", ["without the last"], ["same"]),
        make_node("ConcatFromSequence", ["same"], ["y"], axis=-1, new_axis=new_axis),
    ]
    assert_as_onnx_runtime(model(nodes, ("batch", 4)), (3, 4))


def test_a_list_that_a_loop_appends_to() -> None:
    """As scripted modules are exported: the length of the list is known, too."""
    body = helper.make_graph(
        [
            make_node("Identity", ["goes on"], ["goes on still"]),
            make_node("Gather", ["x", "count"], ["row"], axis=1),
            make_node("SequenceInsert", ["rows", "row"], ["more rows"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes on", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("rows", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes on still", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("more rows", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        make_node("SequenceEmpty", [], ["none"]),
        make_node("Loop", ["three", "", "none"], ["all"], body=body),
        make_node("SequenceLength", ["all"], ["length"]),
        make_node("Cast", ["length"], ["factor"], to=TensorProto.FLOAT),
        make_node("ConcatFromSequence", ["all"], ["joined"], axis=1, new_axis=1),
        make_node("Mul", ["joined", "factor"], ["y"]),
    ]
    assert_as_onnx_runtime(model(nodes, ("batch", 7, 3)), (2, 7, 3))


def test_sizes_of_parts_follow_open_axes() -> None:
    """Half of the rows, however many there are."""
    nodes = [
        make_node("Shape", ["x"], ["rows"], start=1, end=2),
        make_node("Div", ["rows", "two"], ["half"]),
        make_node("Sub", ["rows", "half"], ["rest"]),
        make_node("Concat", ["half", "rest"], ["sizes"], axis=0),
        make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=1),
        make_node("SequenceAt", ["parts", "first"], ["y"]),
    ]
    read = assert_as_onnx_runtime(model(nodes, (1, "rows", 3), two=[2]), (1, 8, 3), (1, 5, 3))
    assert read.axes == ("rows",)


@pytest.mark.parametrize("place", [0, 1, 2, -1, -2])
def test_an_entry_is_put_in_before_the_one_that_is_named(place: int) -> None:
    """-1 is before the last one, as in Python."""
    nodes = [
        make_node("Relu", ["x"], ["positive"]),
        make_node("Neg", ["x"], ["negative"]),
        make_node("SequenceConstruct", ["x", "positive"], ["two"]),
        make_node("SequenceInsert", ["two", "negative", "place"], ["three of them"]),
        make_node("ConcatFromSequence", ["three of them"], ["y"], axis=1),
    ]
    assert_as_onnx_runtime(model(nodes, ("batch", 4), place=place), (3, 4))


REFUSED = {
    "parts as many as an axis is long": (
        [make_node("SplitToSequence", ["x"], ["parts"], axis=1), make_node("SequenceAt", ["parts", "first"], ["y"])],
        "splits an open axis into as many parts as it is long; fix it",
    ),
    "a sequence for an output": ([make_node("SequenceConstruct", ["x", "x"], ["y"])], "'y' is a sequence of 2 tensors"),
    "a sequence for a tensor": (
        [make_node("SequenceConstruct", ["x"], ["parts"]), make_node("Relu", ["parts"], ["y"])],
        "Relu takes 'parts' for a tensor, a sequence of 1",
    ),
    "a tensor for a sequence": (
        [make_node("SequenceAt", ["x", "first"], ["y"])],
        "reads 'x' as a sequence, which is a tensor",
    ),
    "an entry that there isn't": (
        [make_node("SequenceConstruct", ["x"], ["parts"]), make_node("SequenceAt", ["parts", "three"], ["y"])],
        "names entry 3 of a sequence of 1",
    ),
    "a place beyond all entries": (
        [
            make_node("SequenceConstruct", ["x"], ["parts"]),
            make_node("SequenceInsert", ["parts", "x", "three"], ["more"]),
            make_node("SequenceAt", ["more", "first"], ["y"]),
        ],
        "names entry 3 of a sequence of 1",
    ),
    "nothing to join": (
        [make_node("SequenceEmpty", [], ["none"]), make_node("ConcatFromSequence", ["none"], ["y"], axis=0)],
        "joins the entries of an empty sequence",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_network_has_is_refused(what: str) -> None:
    nodes, reason = REFUSED[what]
    with pytest.raises((CaptureError, UnsupportedOperatorError), match=reason):
        read_onnx(model(nodes, ("batch", "rows", 3)))
