"""ONNX models are packed as ONNX Runtime runs them, and whoever ran them is named."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs  # noqa: E402

import netsurgery as ns  # noqa: E402
from netsurgery.deployment import dense_runtime, exporting, packing  # noqa: E402
from netsurgery.deployment.dense_runtime import Answer  # noqa: E402
from netsurgery.deployment.exporting import export_onnx  # noqa: E402
from netsurgery.deployment.separate_process import asked_apart  # noqa: E402
from netsurgery.errors import VerificationError  # noqa: E402
from netsurgery.graph.ir import Array, Graph, GraphBuilder  # noqa: E402

RANDOM = np.random.default_rng(3)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    return helper.make_node(operator, [name.strip("-") for name in inputs.split()], [output], **attributes)


def model(nodes: list[Any], shape: tuple[int, ...], opset: int, **constants: np.ndarray) -> Any:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],  # its shape is left unsaid
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def positive(count: int) -> Array:
    return np.abs(floats(count)) + np.float32(0.1)


BATCH_NORM = {"scale": floats(3), "bias": floats(3), "mean": floats(3), "variance": positive(3)}
BLOCK = (1, 3, 4, 5)
ENTRYWISE = [
    *((operator, opset, BLOCK, {"axis": axis}) for operator in ("Softmax", "LogSoftmax") for opset in (11, 12, 13)
      for axis in (1, 2, 3)),
    *(("GlobalMaxPool", 11, BLOCK[:rank], {}) for rank in (3, 4)),
    ("GlobalMaxPool", 13, (1, 2, 3, 4, 5), {}),
    *(("GlobalAveragePool", 13, shape, {}) for shape in ((1, 3, 7), (1, 2, 3, 4, 5))),
    *((operator, opset, BLOCK, {"kernel_shape": [2, 3], "auto_pad": side})
      for operator in ("MaxPool", "AveragePool") for opset in (11, 19) for side in ("SAME_LOWER", "SAME_UPPER")),
    *((operator, 12, BLOCK, {"kernel_shape": [2, 2], "pads": pads})
      for operator in ("MaxPool", "AveragePool") for pads in ([1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1])),
    *((operator, 11, (1, 3, 6, 7), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [stride, stride],
                                    "ceil_mode": 1})
      for operator in ("MaxPool", "AveragePool") for stride in (1, 2)),
    ("MaxPool", 12, (1, 2, 9), {"kernel_shape": [3], "strides": [2], "ceil_mode": 1}),
    ("MaxPool", 12, (1, 1, 5, 6, 7), {"kernel_shape": [1, 2, 3], "strides": [2, 2, 2], "ceil_mode": 1}),
]  # fmt: skip
"""Operator of one operand, opset, shape of the operand, attributes: what onnx's own evaluator gets wrong, or did."""


def names(case: Any) -> str | None:
    return ",".join(f"{key}={value}" for key, value in case.items()) if isinstance(case, dict) else None


def assert_packs_as_onnx_runtime_runs_it(made: Any, folder: Path) -> None:
    """The engine gives what ONNX Runtime gives, and the report names ONNX Runtime."""
    report = ns.pack(made, folder / "model.nsm")
    assert report.compared_with == f"onnxruntime {onnxruntime.__version__}"
    shape = [size.dim_value for size in made.graph.input[0].type.tensor_type.shape.dim]
    x = floats(*shape)
    (expected,) = onnx_runtime_outputs(made, {"x": x})
    found = ns.load(folder / "model.nsm")(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize(("operator", "opset", "shape", "attributes"), ENTRYWISE, ids=names)
def test_an_operator_of_the_input_packs_as_onnx_runtime_runs_it(
    operator: str, opset: int, shape: tuple[int, ...], attributes: dict[str, Any], tmp_path: Path
) -> None:
    assert_packs_as_onnx_runtime_runs_it(model([node(operator, "x", "y", **attributes)], shape, opset), tmp_path)


@pytest.mark.parametrize(("operator", "opset", "shape", "attributes"), ENTRYWISE, ids=names)
def test_the_same_operator_of_a_constant_is_folded_to_the_same(
    operator: str, opset: int, shape: tuple[int, ...], attributes: dict[str, Any], tmp_path: Path
) -> None:
    nodes = [node(operator, "c", "d", **attributes), node("Mul", "d x", "y")]
    assert_packs_as_onnx_runtime_runs_it(model(nodes, (1,), opset, c=floats(*shape)), tmp_path)


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 15])
@pytest.mark.parametrize("given", ["x", "c"])
def test_batch_norm_is_that_of_evaluation_in_every_opset(opset: int, given: str, tmp_path: Path) -> None:
    nodes = [node("BatchNormalization", f"{given} scale bias mean variance", "n"), node("Add", "n x", "y")]
    made = model(nodes, (2, 3, 4), opset, **BATCH_NORM, **({"c": floats(2, 3, 4)} if given == "c" else {}))
    assert_packs_as_onnx_runtime_runs_it(made, tmp_path)


@pytest.mark.parametrize(("old", "new"), [(5, 8), (7, 3), (4, 7), (6, 9)])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "floor", "ceil", "round_prefer_ceil"])
def test_a_resize_to_a_size_aligns_corners_as_onnx_runtime_does(
    old: int, new: int, rounding: str, tmp_path: Path
) -> None:
    settings = {"coordinate_transformation_mode": "align_corners", "nearest_mode": rounding}
    nodes = [node("Resize", "x - - size", "y", **settings)]
    made = model(nodes, (1, 1, old, 2), 13, size=np.asarray([1, 1, new, 2], np.int64))
    assert_packs_as_onnx_runtime_runs_it(made, tmp_path)


def test_a_resize_by_a_scale_around_the_centre_packs_as_onnx_runtime_runs_it(tmp_path: Path) -> None:
    settings = {"coordinate_transformation_mode": "half_pixel_symmetric", "nearest_mode": "ceil"}
    nodes = [node("Resize", "x - scales", "y", **settings)]
    made = model(nodes, (1, 1, 7), 19, scales=np.asarray([1, 1, 1.5], np.float32))
    assert_packs_as_onnx_runtime_runs_it(made, tmp_path)


@pytest.mark.parametrize("opset", [11, 13, 19])
def test_quantised_weights_are_dequantised_in_every_opset(opset: int, tmp_path: Path) -> None:
    nodes = [node("DequantizeLinear", "q scale zero", "w"), node("Gemm", "x w", "y")]
    quantised = RANDOM.integers(0, 256, (4, 3)).astype(np.uint8)
    constants = {"q": quantised, "scale": np.float32(0.03), "zero": np.uint8(120)}
    assert_packs_as_onnx_runtime_runs_it(model(nodes, (2, 4), opset, **constants), tmp_path)


def test_a_constant_is_cut_by_a_negative_pad_and_picked_from_entry_by_entry(tmp_path: Path) -> None:
    nodes = [
        node("Pad", "c pads", "cut"),
        node("GatherElements", "cut places", "picked", axis=1),
        node("Mul", "x picked", "y"),
    ]
    places = np.asarray([[2, 0, 1], [1, 1, -1]], np.int64)
    made = model(nodes, (1, 1), 13, c=floats(3, 4), pads=np.asarray([0, -1, -1, 0], np.int64), places=places)
    assert_packs_as_onnx_runtime_runs_it(made, tmp_path)


def test_the_constant_softmax_of_an_old_model_runs_over_all_axes_from_its_own_on(tmp_path: Path) -> None:
    """The example that began it: 12 numbers 0, 0.1, 0.2 ...; the first share of all of them is 0.0453, not 0.212."""
    c = (np.arange(12, dtype=np.float32) / 10).reshape(1, 3, 4)
    made = model([node("Softmax", "c", "s", axis=1), node("Mul", "s x", "y")], (1,), 11, c=c)
    ns.pack(made, tmp_path / "m.nsm")
    found = ns.load(tmp_path / "m.nsm")(np.ones(1, np.float32))
    np.testing.assert_allclose(found.reshape(-1), np.exp(c).reshape(-1) / np.exp(c.astype(np.float64)).sum(), rtol=1e-6)


def linear() -> Any:
    return model([node("Gemm", "x w", "y")], (2, 4), 13, w=floats(4, 3))


def test_an_output_without_a_shape_is_read_and_the_model_left_as_it_was(tmp_path: Path) -> None:
    made = linear()
    before = made.SerializeToString()
    assert_packs_as_onnx_runtime_runs_it(made, tmp_path)
    assert made.SerializeToString() == before
    onnx.save(made, tmp_path / "m.onnx")
    ns.pack(tmp_path / "m.onnx", tmp_path / "m.nsm")


@pytest.fixture
def without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.mark.usefixtures("without_onnx_runtime")
def test_without_onnx_runtime_the_file_is_compared_with_the_graph_as_read(tmp_path: Path) -> None:
    report = ns.pack(linear(), tmp_path / "m.nsm")
    assert report.compared_with == "the graph as read (onnxruntime isn't installed)"
    assert "its outputs are those of the graph as read (onnxruntime isn't installed), to" in str(report)
    assert report.difference < 1e-6


def test_a_model_that_onnx_runtime_can_not_run_is_compared_with_the_graph_as_read_and_said_why(tmp_path: Path) -> None:
    made = model([node("LRN", "x", "y", size=4)], (1, 5, 3), 13)  # ONNX Runtime takes odd sizes only
    report = ns.pack(made, tmp_path / "m.nsm")
    assert report.compared_with.startswith(
        f"the graph as read (onnxruntime {onnxruntime.__version__} can't run the model: "
    )


def test_a_model_that_ends_onnx_runtimes_process_is_packed_all_the_same(tmp_path: Path) -> None:
    """It reads the bias of a node that has none."""
    attention = helper.make_node("Attention", ["x", "w"], ["y"], domain="com.microsoft", num_heads=2)
    made = model([attention], (1, 6, 4), 17, w=floats(4, 24))
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    report = ns.pack(made, tmp_path / "m.nsm")
    assert report.compared_with.startswith(f"the graph as read (onnxruntime {onnxruntime.__version__} crashed on the ")
    assert ns.load(tmp_path / "m.nsm")(floats(1, 6, 4)).shape == (1, 6, 8)


def test_a_process_of_its_own_gives_what_is_computed_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a path below the working folder too, and of values of every type."""
    made = model([node("Relu", "x", "y"), node("Shape", "y", "z")], (2, 3), 17)
    made.graph.output.append(helper.make_tensor_value_info("z", TensorProto.INT64, (2,)))
    onnx.save(made, tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    feeds = {"x": floats(2, 3)}
    for one in (made, "m.onnx", Path("m.onnx")):
        apart, here = asked_apart(one, feeds), dense_runtime.asked(one, feeds)
        assert apart.runtime == here.runtime
        assert apart.outputs is not None
        assert here.outputs is not None
        for mine, theirs in zip(apart.outputs, here.outputs, strict=True):
            np.testing.assert_array_equal(mine, theirs, strict=True)


def test_a_batch_that_has_to_be_one_is_fixed_and_said_with_the_place(tmp_path: Path) -> None:
    made = model([node("Concat", "x token", "y", axis=1)], (1, 2, 3), 17, token=positive(3).reshape(1, 1, 3))
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "T"
    report = ns.pack(made, tmp_path / "m.nsm")
    assert report.inputs[0].shape == (1, "T", 3)
    (said,) = report.fixed
    assert re.match(r"Axis 'N' is fixed at 1: Concat at .*'y'.*: shapes .* can't be joined along axis 1\.$", said)
    assert said in str(report)
    assert not ns.pack(made, tmp_path / "m.nsm", input_shapes={"x": (1, "T", 3)}).fixed


def test_a_graph_and_a_module_name_what_they_are_compared_with(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    report = ns.pack(torch.nn.Linear(3, 2), tmp_path / "m.nsm", example_inputs=torch.zeros(1, 3))
    assert report.compared_with == f"torch {torch.__version__}"
    assert ns.pack(ns.load(tmp_path / "m.nsm").graph, tmp_path / "g.nsm").compared_with == "the graph as given"


def answering(factor: float) -> Any:
    """ONNX Runtime, off by a factor."""

    def wrong(source: Any, feeds: Any) -> Answer:
        answer = dense_runtime.asked(source, feeds)
        assert answer.outputs is not None
        return Answer(tuple(np.float32(factor) * output for output in answer.outputs), answer.runtime)

    return wrong


def test_who_disagrees_is_named_with_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "asked_apart", answering(1.25))
    with pytest.raises(VerificationError, match=r"from those of onnxruntime \d\S+ by 2\.0e-01 of") as caught:
        ns.pack(linear(), tmp_path / "m.nsm")
    assert "twice" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_export_that_onnx_runtime_runs_otherwise_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "asked_apart", answering(1.25))
    with pytest.raises(VerificationError, match=r"what onnxruntime \d\S+ computes from the ONNX file differs .* 2\.5e"):
        export_onnx(one_node((1, 3, 7), "Relu"), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def one_node(shape: tuple[int | None, ...], operator: str, **attributes: Any) -> Graph:
    builder = GraphBuilder()
    return builder.graph([builder.node(operator, [builder.input("x", shape)], "y", **attributes)])


EXPORTED = [
    one_node(("batch", 3, 7), "AdaptiveMaxPool", size=(1,)),
    one_node(("batch", 3, 7), "AdaptiveMaxPool", size=(3,)),
    one_node(("batch", 2, 3, 4, 5), "AdaptiveMaxPool", size=(1, 1, 1)),
    one_node(("batch", 2, 3, 4, 5), "AdaptiveMaxPool", size=(2, 3, 2)),
    one_node(("batch", 3, 9), "MaxPool", kernel=(5,), pads=(2, 2)),
    one_node(("batch", 3, 9), "MaxPool", kernel=(5,), strides=(1,), pads=(2, 2), ceil_mode=True),
    *(
        one_node(("batch", 1, old, 3), "Resize", size=(new, 5), coordinates="half_pixel", rounding="round_prefer_ceil")
        for old, new in ((5, 9), (4, 10), (7, 3), (3, 7))
    ),
]  # torch's nearest-exact is half_pixel with halves rounded up


@pytest.mark.parametrize("graph", EXPORTED, ids=lambda graph: str(graph.nodes[0].operator))
def test_an_export_is_run_by_onnx_runtime(graph: Graph, tmp_path: Path) -> None:
    report = export_onnx(graph, tmp_path / "m.onnx")
    assert report.computed_by == f"onnxruntime {onnxruntime.__version__}"
    assert report.size_bytes == (tmp_path / "m.onnx").stat().st_size
    assert report.difference == 0


@pytest.mark.usefixtures("without_onnx_runtime")
def test_an_export_without_onnx_runtime_is_read_back_and_says_so(tmp_path: Path) -> None:
    report = export_onnx(EXPORTED[0], tmp_path / "m.onnx")
    assert report.computed_by == "netsurgery, which read it back (onnxruntime isn't installed)"


def test_nothing_asks_the_evaluator_of_onnx_any_more() -> None:
    sources = Path(packing.__file__).parent.rglob("*.py")
    assert not [path for path in sources if "onnx.reference" in path.read_text(encoding="utf-8")]
