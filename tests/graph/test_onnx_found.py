"""Detectors that end with what they find: as many boxes as ONNX Runtime selects, through whatever is done to each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

import netsurgery as ns  # noqa: E402
from netsurgery.analysis.summary import summary_of  # noqa: E402
from netsurgery.deployment.exporting import export_onnx  # noqa: E402
from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402
from netsurgery.runtime.session import Session, read_packed  # noqa: E402

IMAGES, CLASSES, BOXES = 2, 3, 40
Node = tuple[str, str, str, dict[str, Any]]

NUMBERS = {
    "most": np.int64(12).reshape(()),
    "overlap": np.float32(0.4).reshape(()),
    "least": np.float32(0.7).reshape(()),
    "zero": np.int64(0).reshape(()),
    "one": np.int64(1).reshape(()),
    "two": np.int64(2).reshape(()),
    "column": np.array([2], np.int64),
    "image and box": np.array([0, 2], np.int64),
    "front": np.array([0], np.int64),
    "three": np.array([3], np.int64),
    "all": np.array([2**62], np.int64),
    "rows": np.array([-1], np.int64),
    "in pairs": np.array([-1, 1], np.int64),
    "in front of three": np.array([1, -1, 3], np.int64),
    "as it was": np.array([0, 1, 3], np.int64),
    "in a row": np.array([1, -1], np.int64),
    "three rows": np.array([3, -1], np.int64),
    "halves": np.array([36, 36], np.int64),
    "ones": np.ones(3, np.int64),
    "behind class": np.array([0, 1], np.int64),
    "three and all": np.array([3, 2**62], np.int64),
    "half": np.float32(0.5).reshape(()),
    "spare": np.zeros((80, 3), np.int64),
    "fifty": np.array([50], np.int64),
}


def detector(
    nodes: Sequence[Node], outputs: dict[str, int], images: int | str = IMAGES, boxes: int | str = BOXES
) -> Any:
    """Boxes and scores, made of an input by a layer each; what is selected of them; and these nodes."""
    rng = np.random.default_rng(3)
    weights = {
        "w": rng.normal(size=(8, 4)).astype(np.float32),
        "v": rng.normal(size=(8, CLASSES)).astype(np.float32),
    }
    begin: list[Node] = [
        ("MatMul", "x w", "boxes", {}),
        ("MatMul", "x v", "logits", {}),
        ("Sigmoid", "logits", "shares", {}),
        ("Transpose", "shares", "scores", {"perm": [0, 2, 1]}),
        ("NonMaxSuppression", "boxes scores most overlap least", "selected", {}),
    ]
    made = [helper.make_node(name, read.split(), give.split(), **more) for name, read, give, more in [*begin, *nodes]]
    return helper.make_model(
        helper.make_graph(
            made,
            "detector",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (images, boxes, 8))],
            [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
            [numpy_helper.from_array(array, name.replace(" ", "_")) for name, array in {**weights, **NUMBERS}.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
ENDINGS: dict[str, tuple[list[Node], dict[str, int]]] = {
    "what is selected": ([], {"selected": INT64}),
    "numbers of boxes": (
        [("Gather", "selected two", "numbers", {"axis": 1}), ("Cast", "numbers", "y", {"to": FLOAT})],
        {"y": FLOAT},
    ),
    "boxes and scores": (
        [
            ("Gather", "selected image_and_box", "places", {"axis": 1}),
            ("GatherND", "boxes places", "found_boxes", {}),
            ("GatherND", "scores selected", "found_scores", {}),
            ("Mul", "found_boxes half", "halved", {}),
            ("Unsqueeze", "found_scores rows", "as_column", {}),
            ("Concat", "halved as_column", "y", {"axis": 1}),
        ],
        {"y": FLOAT, "selected": INT64, "found_scores": FLOAT},
    ),
    "boxes of one image": (
        [
            ("Slice", "selected column three one_axis", "numbers", {}),
            ("Squeeze", "numbers one_axis", "flat", {}),
            ("Gather", "boxes zero", "of_one", {"axis": 0}),
            ("Gather", "of_one flat", "y", {"axis": 0}),
            ("Transpose", "y", "turned", {"perm": [1, 0]}),
        ],
        {"y": FLOAT, "turned": FLOAT},
    ),
    "boxes behind an axis": (
        [
            ("Gather", "selected column", "numbers", {"axis": 1}),
            ("Reshape", "numbers rows", "flat", {}),
            ("Gather", "boxes flat", "y", {"axis": 1}),
            ("Reshape", "flat in_pairs", "column_again", {}),
        ],
        {"y": FLOAT, "column_again": INT64},
    ),
    "no more than three": ([("Slice", "selected front three front", "y", {})], {"y": INT64}),
    "fifty with zeros behind": (
        [("Concat", "selected spare", "longer", {"axis": 0}), ("Slice", "longer front fifty front", "y", {})],
        {"y": INT64},
    ),
    "classes of boxes": (
        [
            ("Gather", "selected column", "places", {"axis": 1}),
            ("Squeeze", "places one_axis", "numbers", {}),
            ("Gather", "shares numbers", "of_all", {"axis": 1}),
            ("Softmax", "of_all", "shared", {"axis": 2}),
            ("ArgMax", "shared", "best", {"axis": 2, "keepdims": 0}),
            ("ReduceMax", "shared", "largest", {"axes": [2], "keepdims": 0}),
            ("ReduceSum", "shared front", "of_images", {"keepdims": 0}),
        ],
        {"best": INT64, "largest": FLOAT, "of_images": FLOAT},
    ),
    "columns apart": (
        [
            ("Split", "selected ones", "image class_ box", {"axis": 1}),
            ("Squeeze", "box one_axis", "y", {}),
            ("Unsqueeze", "box front", "in_front", {}),
            ("Flatten", "class_", "flat", {"axis": 1}),
        ],
        {"y": INT64, "in_front": INT64, "flat": INT64},
    ),
    "no more than fifty, and how many": (
        [
            ("Slice", "selected front fifty front", "first", {}),
            ("Shape", "first", "sizes", {}),
            ("Gather", "sizes zero", "y", {"axis": 0}),
            ("Gather", "first two", "numbers", {"axis": 1}),
        ],
        {"first": INT64, "y": INT64, "numbers": INT64},
    ),
    "three without a column": (
        [("Slice", "selected behind_class three_and_all", "y", {}), ("Identity", "selected", "all_of_them", {})],
        {"y": INT64, "all_of_them": INT64},
    ),
    "how many": (
        [("Shape", "selected", "sizes", {}), ("Gather", "sizes zero", "y", {"axis": 0})],
        {"y": INT64},
    ),
}
NUMBERS["one axis"] = np.array([1], np.int64)


@pytest.fixture(params=[0, 1, 2])
def x(request: pytest.FixtureRequest) -> Any:
    return np.random.default_rng(request.param).normal(size=(IMAGES, BOXES, 8)).astype(np.float32)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_detector_gives_what_onnx_runtime_gives(name: str, x: Any) -> None:
    model = detector(*ENDINGS[name])
    graph, wanted = read_onnx(model), onnx_runtime_outputs(model, {"x": x})
    found = run(graph, {"x": x})
    session = Session(encode(graph, names=True))
    quick = session.run({"x": x})
    assert list(quick) == list(ENDINGS[name][1]) == list(session.output_names)
    assert len(session.output_types) == len(wanted)
    for mine, engine, theirs in zip(found, quick.values(), wanted, strict=True):
        assert mine.shape == engine.shape == theirs.shape
        assert mine.dtype == engine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(engine, theirs, rtol=1e-5, atol=1e-6)


def test_the_number_of_what_is_found_changes_from_run_to_run() -> None:
    session = Session(encode(read_onnx(detector(*ENDINGS["what is selected"]))))
    inputs = [np.random.default_rng(place).normal(size=(IMAGES, BOXES, 8)).astype(np.float32) for place in range(5)]
    found = [session(one) for one in inputs]
    assert len({len(one) for one in found if isinstance(one, np.ndarray)}) > 1


def test_nothing_found_is_an_empty_array() -> None:
    model = detector(*ENDINGS["boxes and scores"])
    for tensor in model.graph.initializer:
        if tensor.name == "least":
            tensor.CopyFrom(numpy_helper.from_array(np.float32(2).reshape(()), "least"))
    x = np.zeros((IMAGES, BOXES, 8), np.float32)
    graph = read_onnx(model)
    for outputs in (run(graph, {"x": x}), Session(encode(graph))(x), onnx_runtime_outputs(model, {"x": x})):
        assert [one.shape for one in outputs] == [(0, 5), (0, 3), (0,)]


def test_the_reference_and_a_copied_session_give_the_same_entries(x: Any) -> None:
    content = encode(read_onnx(detector(*ENDINGS["boxes and scores"])))
    native = Session(content)
    for other in (Session(content, engine="reference"), copy.deepcopy(native)):
        assert other.output_types == native.output_types
        for one, wanted in zip(other(x), native(x), strict=True):
            np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-6)


def test_a_batch_stays_open() -> None:
    model = detector(*ENDINGS["boxes and scores"], images="batch")
    graph = read_onnx(model)
    assert graph.axes == ("batch",)
    for images in (1, 3):
        x = np.random.default_rng(images).normal(size=(images, BOXES, 8)).astype(np.float32)
        outputs = Session(encode(graph))(x)
        for mine, theirs in zip(outputs, onnx_runtime_outputs(model, {"x": x}), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["what is selected", "boxes and scores", "boxes behind an axis"])
def test_any_number_of_boxes_may_be_selected_of_any_number(name: str) -> None:
    """As torchvision.ops.nms is written: no class has a most."""
    model = detector(*ENDINGS[name], boxes="anchors")
    for tensor in model.graph.initializer:
        if tensor.name == "most":
            tensor.CopyFrom(numpy_helper.from_array(np.int64(2**63 - 1).reshape(()), "most"))
    graph = read_onnx(model)
    assert graph.axes == ("anchors",)
    session = Session(encode(graph))
    for boxes in (1, 5, 90):
        x = np.random.default_rng(boxes).normal(size=(IMAGES, boxes, 8)).astype(np.float32)
        outputs = session(x)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for mine, theirs in zip(outputs, onnx_runtime_outputs(model, {"x": x}), strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


ONES_OF_FEWER = [
    "boxes and scores",
    "boxes behind an axis",
    "columns apart",
    "no more than fifty, and how many",
    "three without a column",
]


@pytest.mark.parametrize("name", ONES_OF_FEWER)
def test_a_class_may_have_fewer_boxes_than_are_selected_at_most(name: str) -> None:
    """There are so many as the least of two numbers, one of which is open."""
    model = detector(*ENDINGS[name], boxes="anchors")
    session = Session(encode(read_onnx(model)))
    for boxes in (1, 5, 12, 90):
        x = np.random.default_rng(boxes).normal(size=(IMAGES, boxes, 8)).astype(np.float32)
        for mine, theirs in zip(session(x), onnx_runtime_outputs(model, {"x": x}), strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("images", [IMAGES, "batch"])
@pytest.mark.parametrize("name", ["what is selected", "boxes and scores", "no more than three"])
def test_a_detector_packs_as_it_is_and_is_exported_again(name: str, images: int | str, tmp_path: Path, x: Any) -> None:
    model = detector(*ENDINGS[name], images=images)
    report = ns.pack(model, tmp_path / "model.nsm", names=True)
    assert report.compared_with.startswith("onnxruntime")
    summary = summary_of(read_packed(tmp_path / "model.nsm"))
    assert [one.name for one in summary.outputs] == list(ENDINGS[name][1])
    assert summary.outputs[0].shape[0] is None
    exported = export_onnx(ns.load(tmp_path / "model.nsm").graph, tmp_path / "again.onnx")
    assert exported.computed_by.startswith("onnxruntime")
    again = onnx_runtime_outputs(onnx.load(tmp_path / "again.onnx"), {"x": x})
    for mine, theirs in zip(again, onnx_runtime_outputs(model, {"x": x}), strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


AT_MOST_ONE: dict[str, tuple[str, str, dict[str, Any], tuple[int, ...]]] = {
    "in front, by a shape": ("Reshape", "selected in_front_of_three", {}, (1, 0, 3)),
    "kept, by a shape": ("Reshape", "selected as_it_was", {}, (0, 1, 3)),
    "in front": ("Unsqueeze", "selected front", {}, (1, 0, 3)),
    "behind": ("Unsqueeze", "selected one_axis", {}, (0, 1, 3)),
    "flat": ("Flatten", "selected", {"axis": 1}, (0, 3)),
}


@pytest.mark.parametrize("name", AT_MOST_ONE)
def test_a_list_of_one_entry_at_most_is_told_from_other_axes_of_that_size(name: str) -> None:
    operator, read, attributes, empty = AT_MOST_ONE[name]
    model = best_of_one_class([(operator, read, "y", attributes)])
    session = Session(encode(read_onnx(model)))
    for scale in (0.0, 1.0):
        x = np.random.default_rng(0).normal(size=(1, BOXES, 8)).astype(np.float32) * np.float32(scale)
        (wanted,) = onnx_runtime_outputs(model, {"x": x})
        assert (wanted.shape == empty) == (scale == 0)
        given = session(x)
        assert isinstance(given, np.ndarray)
        assert given.shape == wanted.shape
        np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize(
    ("operator", "read", "attributes"),
    [
        ("Flatten", "selected", {"axis": 0}),
        ("Reshape", "selected in_a_row", {}),
        ("Squeeze", "selected", {}),
        ("Squeeze", "selected front", {}),
    ],
)
def test_a_list_of_one_entry_at_most_stays_an_axis_of_its_own(
    operator: str, read: str, attributes: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedOperatorError, match=rf"{operator}.*outputs"):
        read_onnx(best_of_one_class([(operator, read, "y", attributes)]))


def test_a_list_is_not_taken_for_an_axis_of_as_many_entries_as_it_may_have() -> None:
    """(n, 3) is wanted as (3, n), and there may be three."""
    model = best_of_one_class([("Reshape", "selected three_rows", "y", {})])
    for tensor in model.graph.initializer:
        if tensor.name == "most":
            tensor.CopyFrom(numpy_helper.from_array(np.int64(3).reshape(()), "most"))
    with pytest.raises(UnsupportedOperatorError, match=r"Reshape.*outputs"):
        read_onnx(model)


def best_of_one_class(nodes: Sequence[Node]) -> Any:
    """As `detector`, of one image, one class and the best of its boxes, if its score is above one half."""
    model = detector(nodes, {"y": INT64}, images=1)
    numbers = {
        "most": np.int64(1).reshape(()),
        "least": np.float32(0.5).reshape(()),
        "v": np.ones((8, 1), np.float32),
    }
    for tensor in model.graph.initializer:
        if tensor.name in numbers:
            tensor.CopyFrom(numpy_helper.from_array(numbers[tensor.name], tensor.name))
    return model


REFUSED: dict[str, Callable[[], Any]] = {
    "ReduceSum": lambda: [("ReduceSum", "selected front", "y", {})],
    "Softmax": lambda: [
        ("Gather", "selected two", "n", {"axis": 1}),
        ("Cast", "n", "f", {"to": 1}),
        ("Softmax", "f", "y", {}),
    ],
    "Split": lambda: [("Split", "selected halves", "y other_half", {"axis": 0})],
    "Slice": lambda: [("Slice", "selected one_axis three front", "y", {})],
    "Concat": lambda: [("Concat", "selected selected", "y", {"axis": 0})],
    "Add": lambda: [("Add", "selected other", "y", {})],
    "Reshape": lambda: [("Reshape", "selected rows", "y", {})],
    "Gather": lambda: [("Gather", "selected column", "y", {"axis": 0})],
}


@pytest.mark.parametrize("operator", REFUSED)
def test_what_needs_all_that_is_found_is_refused_with_advice(operator: str) -> None:
    nodes = REFUSED[operator]()
    model = detector(nodes, {"y": FLOAT if operator == "Softmax" else INT64})
    model.graph.initializer.append(numpy_helper.from_array(np.ones((IMAGES * CLASSES * 12, 3), np.int64), "other"))
    with pytest.raises(UnsupportedOperatorError, match=rf"{operator}.*outputs"):
        read_onnx(model)


def test_entries_up_to_a_computed_number_are_as_many_as_that() -> None:
    """Below 0 the number counts from the end."""
    graph = helper.make_graph(
        [helper.make_node("Slice", ["x", "front", "end", "axis"], ["y"])],
        "cut",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 6)),
            helper.make_tensor_value_info("end", TensorProto.INT64, (1,)),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([number], np.int64), name) for name, number in (("front", 0), ("axis", 1))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = Session(encode(read_onnx(model)))
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    for end in (-7, -2, 0, 1, 6, 9):
        feeds = {"x": x, "end": np.array([end], np.int64)}
        np.testing.assert_array_equal(session(*feeds.values()), onnx_runtime_outputs(model, feeds)[0])


@pytest.mark.parametrize("size", [6, "size"])
def test_what_counts_entries_up_to_a_computed_number_counts_those_that_there_are(size: int | str) -> None:
    """However far the number lies below 0 or beyond the axis, and whether or not all other cuts keep what is left."""
    numbers = {"front": 0, "axis": 0, "two": 2}
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["x", "front", "end", "axis"], ["some"]),
            helper.make_node("Shape", ["some"], ["count"]),
            helper.make_node("Slice", ["some", "front", "two", "axis"], ["fewer"]),
            helper.make_node("Shape", ["fewer"], ["of fewer"]),
        ],
        "cut",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (size,)),
            helper.make_tensor_value_info("end", TensorProto.INT64, (1,)),
        ],
        [helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in ("count", "of fewer")]
        + [helper.make_tensor_value_info("fewer", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([number], np.int64), name) for name, number in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    read = read_onnx(model)
    session = Session(encode(read))
    x = np.arange(6, dtype=np.float32)
    for end in (-7, -6, -2, 0, 1, 6, 9, -(2**40), 2**40):
        feeds = {"x": x, "end": np.array([end], np.int64)}
        wanted = onnx_runtime_outputs(model, feeds)
        for given in (session(*feeds.values()), run(read, feeds)):
            for mine, theirs in zip(given, wanted, strict=True):
                np.testing.assert_array_equal(mine, theirs)
