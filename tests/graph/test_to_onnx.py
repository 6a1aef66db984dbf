"""What to_onnx writes, run by ONNX Runtime and compared with the reference executor."""

import math

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from tests.graph.onnx_reading import read_onnx  # noqa: E402
from tests.packed.graphs import masked, open_axes  # noqa: E402
from tests.packed.graphs import words as word_scores  # noqa: E402

from fuzz.corpus import type_of_operand  # noqa: E402
from netsurgery.errors import GraphError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.examples import random_inputs  # noqa: E402
from netsurgery.graph.ir import GraphBuilder  # noqa: E402
from netsurgery.graph.operators import OPERATORS, Work, working  # noqa: E402
from netsurgery.graph.to_onnx import to_onnx, write_onnx  # noqa: E402
from netsurgery.graph.to_onnx import writing as module  # noqa: E402
from netsurgery.graph.to_onnx.nodes import WRITERS  # noqa: E402
from netsurgery.graph.value_types import ValueType  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402

FLOAT = ValueType.FLOAT32
RANDOM = np.random.default_rng(5)
IMAGE, TALL, LINE, BLOCK = ("batch", 4, 7, 6), ("batch", 3, 9, 4), ("batch", 4, 11), ("batch", 2, 5, 4, 6)
ROWS, WORDS, STEPS = ("batch", 6), ("batch", 5, 6), ("batch", 2, 12)


def weights(*shape):
    """Mostly zeros, so that sparse initialisers are smaller; one of them is -0.0."""
    values = RANDOM.standard_normal(shape).astype(np.float32) * (RANDOM.random(shape) < 0.15)
    values.reshape(-1)[:2] = (-0.0, 1.5)
    return values


def case(given, *constants, more=(), **attributes):
    """Input shapes, constants and attributes of a graph with a single node."""
    return (given, *more), constants, attributes


COMPARISONS = ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
CASES = {
    **{name: [case(IMAGE), case(ROWS)] for name in working(Work.ENTRYWISE)},
    "Conv": [
        case(IMAGE, weights(6, 4, 3, 3), weights(6), strides=(2, 1), pads=(1, 0, 2, 1)),
        case(IMAGE, weights(8, 2, 3, 2), groups=2, dilations=(2, 1)),
        case(LINE, weights(4, 1, 3), weights(4), groups=4, pads=(1, 1)),
        case(BLOCK, weights(3, 2, 2, 3, 1)),
    ],
    "Linear": [
        case(ROWS, weights(16, 6), weights(16)),
        case(ROWS, weights(16, 6)),
        case(WORDS, weights(16, 6), weights(16)),
        case(WORDS, weights(16, 6)),
    ],
    "MatMul": [case(WORDS, weights(6, 9)), case(WORDS, more=(("batch", 6, 2),))],
    "MaxPool": [
        case(IMAGE, kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)),
        case(IMAGE, kernel=(3, 3), strides=(2, 2), ceil_mode=True),
        case(LINE, kernel=(3,), dilations=(2,)),
        case(BLOCK, kernel=(2, 2, 2), strides=(2, 2, 2)),
    ],
    "AveragePool": [
        case(IMAGE, kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)),
        case(IMAGE, kernel=(3, 2), pads=(1, 0, 1, 1), count_include_pad=True),
        case(IMAGE, kernel=(3, 3), strides=(2, 2), ceil_mode=True),
        case(LINE, kernel=(3,), strides=(3,)),
        case(BLOCK, kernel=(2, 2, 2)),
    ],
    "AdaptiveAveragePool": [
        case(IMAGE, size=(1, 1)),
        case(TALL, size=(3, 2)),
        case(IMAGE, size=(3, 4)),
        case(IMAGE, size=(9, 6)),
        case(BLOCK, size=(2, 3, 1)),
    ],
    "AdaptiveMaxPool": [case(IMAGE, size=(1, 1)), case(TALL, size=(3, 2)), case(IMAGE, size=(3, 4))],
    "Clip": [case(ROWS, minimum=0, maximum=6), case(ROWS, minimum=-0.5), case(ROWS, maximum=0.5), case(ROWS)],
    "LeakyRelu": [case(IMAGE, alpha=0.2)],
    "HardSigmoid": [case(ROWS), case(ROWS, alpha=0.2, beta=0.4)],
    "Gelu": [case(ROWS), case(ROWS, approximate="tanh")],
    "Softmax": [case(WORDS, axis=2), case(WORDS, axis=1)],
    "LogSoftmax": [case(WORDS, axis=2), case(WORDS, axis=1)],
    "Add": [case(IMAGE, weights(4, 1, 1)), case(ROWS, more=(ROWS,))],
    "Sub": [case(IMAGE, weights(4, 1, 1)), case(ROWS, more=(ROWS,))],
    "Mul": [case(IMAGE, weights(4, 1, 1)), case(ROWS, more=(ROWS,))],
    "Div": [case(IMAGE, weights(4, 1, 1) + 2), case(ROWS, more=(("batch", 1),))],
    "Concat": [
        case(ROWS, axis=1),
        case(ROWS, more=(("batch", 2), ("batch", 1)), axis=1),
        case(ROWS, more=(ROWS,), axis=0),
    ],
    "Reshape": [case(IMAGE, shape=(-1, 168)), case(IMAGE, shape=(-1, 8, 21)), case(IMAGE, shape=(4, -1))],
    "Transpose": [case(IMAGE, order=(0, 3, 1, 2))],
    "Pad": [
        case(IMAGE, pads=(0, 0, 1, 2, 0, 1, 0, 3), value=1.5),
        case(IMAGE, pads=(0, 0, -1, 2, 0, 0, 0, -2)),
        case(IMAGE, pads=(0, 0, 2, 1, 0, 0, 1, 2), mode="reflect"),
        case(IMAGE, pads=(0, 0, 2, 1, 0, 0, 1, 2), mode="edge"),
        case(IMAGE, pads=(0, 0, 2, 1, 0, 0, 1, 2), mode="wrap"),
        case(IMAGE, pads=()),
    ],
    "Slice": [case(IMAGE, axis=2, start=1, stop=6, step=2), case(IMAGE, axis=1, stop=3)],
    **{
        name: [case(IMAGE, axes=(2, 3), keepdims=False), case(IMAGE, axes=(1,))]
        for name, operator in OPERATORS.items()
        if operator.shape is OPERATORS["Mean"].shape
    },
    **{name: [case(IMAGE, weights(4, 1, 1)), case(ROWS, more=(ROWS,))] for name in ("Min", "Max", "PRelu")},
    **{name: [case(IMAGE, np.abs(weights(4, 1, 1)) + 2)] for name in ("Fmod", "Remainder", "Pow")},
    "Elu": [
        case(ROWS),
        case(ROWS, alpha=0.5, scale=2.0),
        *(case(ROWS, alpha=0.5, scale=2.0, input_scale=inner) for inner in (0.25, 0.0, -0.5)),
    ],
    "ThresholdedRelu": [case(ROWS, alpha=0.2)],
    "Shrink": [case(ROWS, threshold=0.25, bias=0.5), case(ROWS, threshold=-0.5, bias=-0.25)],
    "RmsNorm": [case(WORDS, weights(6), axis=2), case(WORDS, axis=1, epsilon=0.1)],
    "Lrn": [case(IMAGE, size=3), case(IMAGE, size=5, alpha=0.5, beta=0.6, bias=2.0)],
    "LayerNorm": [
        case(WORDS, weights(6), weights(6), axis=2),
        case(WORDS, weights(5, 6), axis=1, epsilon=0.1),
        case(WORDS, axis=2),
    ],
    "Quantize": [
        case(IMAGE, weights(4), weights(4), exponent=-5, bits=6),
        case(WORDS, None, weights(6), exponent=-1, signed=False, axis=2),
        case(WORDS, exponent=-3, axis=0),
    ],
    "Resize": [
        case(IMAGE, size=(14, 12)),
        case(IMAGE, size=(3, 9), coordinates="half_pixel", rounding="round_prefer_floor"),
        case(IMAGE, size=(3, 4), scales=(0.55, 0.7), coordinates="asymmetric", rounding="floor"),
        case(IMAGE, size=(13, 11), coordinates="align_corners", rounding="round_prefer_ceil"),
        case(IMAGE, size=(5, 9), coordinates="pytorch_half_pixel", rounding="ceil"),
    ],
    "Embedding": [case(ROWS, weights(7, 4))],
    "Integers": [([ROWS], (), {"type": kind, "shape": (2, 2), "values": (1, 0, 3, 1)}) for kind in map(str, ValueType)],
    "Cast": [case(ROWS, type=kind) for kind in map(str, ValueType)],
    **{name: [case(ROWS, more=(ROWS,)), case(IMAGE, weights(4, 1, 1))] for name in COMPARISONS},
    **{name: [case(ROWS, more=(("batch", 1),))] for name in ("And", "Or", "Xor")},
    "Not": [case(ROWS)],
    "IsNaN": [case(ROWS)],
    "IsInf": [case(ROWS), case(ROWS, positive=False), case(ROWS, negative=False)],
    "Where": [case(ROWS, weights(6), more=(ROWS,))],
    "Lstm": [
        case(STEPS, weights(12, 3), weights(12)),
        case(STEPS, weights(12, 3), None, weights(3, 3), reverse=True, result="cell", coupled=True, clip=0.5),
        case(STEPS, weights(12, 3), batch_first=True, cell_activation="elu"),
    ],
    "Gru": [
        case(STEPS, weights(12, 4), weights(12), batch_first=True),
        case(STEPS, weights(12, 4), reset_after=False, result="hidden", reverse=True, fixed_lengths=(1, 2)),
    ],
    "Rnn": [
        case(STEPS, weights(12, 12)),
        case(STEPS, weights(12, 12), candidate_activation="affine", alphas=(0.5,), betas=(0.25,)),
    ],
    "DepthToSpace": [
        case(IMAGE, blocks=(2, 2)),
        case(IMAGE, blocks=(2, 2), order="dcr"),
        case(IMAGE, blocks=(4, 1), order="dcr"),
        case(LINE, blocks=(2,)),
    ],
    "SpaceToDepth": [
        case(("batch", 3, 4, 6), blocks=(2, 2)),
        case(("batch", 3, 4, 6), blocks=(2, 2), order="dcr"),
        case(("batch", 3, 4, 6), blocks=(4, 3), order="dcr"),
        case(("batch", 3, 4, 6), blocks=(1, 3)),
    ],
    "Interpolate": [
        case(IMAGE, size=(14, 12)),
        case(IMAGE, scales=(0.5, 1.5)),
        case(IMAGE, size=(13, 11), coordinates="align_corners", mode="cubic"),
        case(IMAGE, size=(3, 9), coordinates="pytorch_half_pixel", mode="cubic", alpha=-0.5, exclude_outside=True),
        case(IMAGE, size=(4, 4), coordinates="asymmetric"),
        case(IMAGE, scales=(0.5, 0.5), antialias=True, exclude_outside=True),
        case(IMAGE, size=(4, 4), coordinates="tf_crop_and_resize", roi=(0.25, 0.0, 1.5, 1.0), value=2.0),
    ],
    "GridSample": [
        case(IMAGE, more=(("batch", 5, 3, 2),), mode=mode, padding=padding, coordinates=coordinates)
        for mode in ("linear", "nearest", "cubic")
        for padding in ("zeros", "border", "reflection")
        for coordinates in ("half_pixel", "align_corners")
    ],
    "NonMaxSuppression": [
        case((2, 9, 4), more=((2, 3, 9),), count=4, threshold=0.25, minimum=-0.5),
        case((2, 9, 4), more=((2, 3, 9),), count=20, threshold=0.5, order="center"),
        case((2, 9, 4), more=((2, 3, 9),), count=2, result="count"),
    ],
    "FirstEntries": [case(IMAGE, more=((1,),), axis=2)],
    "RoiAlign": [
        case(IMAGE, more=(("batch",), ("batch", 4)), size=(2, 3), count=count, coordinates=coordinates, mode=mode)
        for count, coordinates, mode in ((0, "half_pixel", "mean"), (2, "asymmetric", "mean"), (3, "half_pixel", "max"))
    ],
    "Gather": [case(IMAGE, more=((2, 3),), axis=2), case(IMAGE, more=((),), axis=3)],
    "GatherElements": [case(ROWS, more=(ROWS,), axis=1)],
    "GatherND": [case(IMAGE, more=(("batch", 5, 2),), axes_in_common=1)],
    "ScatterElements": [case(ROWS, more=(ROWS, ROWS), axis=1), case(ROWS, more=(ROWS, ROWS), axis=1, reduction="add")],
    "ScatterND": [case((4, 3), more=(("batch", 2), ("batch",)), reduction=kind) for kind in ("add", "max", "min")],
    "ArgMax": [case(IMAGE, axis=1), case(ROWS, axis=1, keepdims=False, last=True)],
    "ArgMin": [case(IMAGE, axis=1), case(ROWS, axis=1, keepdims=False, last=True)],
    "TopKValues": [case(IMAGE, axis=2, count=3), case(ROWS, axis=1, count=2, largest=False)],
    "TopKIndices": [case(IMAGE, axis=2, count=3), case(ROWS, axis=1, count=2, largest=False)],
    "CumSum": [case(IMAGE, axis=2), case(ROWS, axis=1, exclusive=True), case(ROWS, axis=1, reverse=True)],
    "Range": [case(ROWS, count=5), case(WORDS, count=3, scale=-0.5)],
    "Expand": [case((*ROWS, 1), shape=(2, 1, 1, 3)), case(ROWS, shape=(1, 1))],
    "Tile": [case(WORDS, repeats=(1, 2, 3))],
    "Trilu": [case(IMAGE), case(WORDS, upper=True, diagonal=-2), case(WORDS, diagonal=3)],
    "Reverse": [case(IMAGE, axes=(1, 3)), case(ROWS, axes=(0,))],
}
"""Operator -> graphs with that operator alone, all of them with an open batch."""

ONE_NODE = [(operator, index) for operator in OPERATORS for index in range(len(CASES.get(operator, [None])))]


def one_node(operator, index):
    shapes, constants, attributes = CASES[operator][index]
    builder = GraphBuilder()
    inputs = [
        builder.input(f"x{number}", shape, type_of_operand(operator, number) if operator != "Integers" else FLOAT)
        for number, shape in enumerate(shapes)
    ]
    inputs = [] if operator == "Integers" else inputs
    inputs += [None if one is None else builder.constant(one, f"w{number}") for number, one in enumerate(constants)]
    return builder.graph([builder.node(operator, inputs, "y", "layer", **attributes)])


def lenet():
    b = GraphBuilder()
    x = b.input("image", ("batch", 1, 12, 12))
    x = b.node("Conv", [x, b.constant(weights(6, 1, 5, 5), "c1.weight"), b.constant(weights(6), "c1.bias")], "c1")
    x = b.node("MaxPool", [b.node("Relu", [x])], kernel=(2, 2), strides=(2, 2))
    x = b.node("Reshape", [x], shape=(-1, 96))
    x = b.node("Tanh", [b.node("Linear", [x, b.constant(weights(20, 96), "f1.weight")], "f1")])
    x = b.node("Linear", [x, b.constant(weights(10, 20), "f2.weight"), b.constant(weights(10), "f2.bias")], "f2")
    return b.graph([b.node("LogSoftmax", [x], "scores", axis=1)])


def residual():
    """Two blocks that share their weights, and two outputs."""
    b = GraphBuilder()
    x = b.input("image", ("batch", 4, 8, 8))
    weight, bias = b.constant(weights(4, 4, 3, 3), "shared"), b.constant(weights(4), "bias")
    for _ in range(2):
        inner = b.node("Relu", [b.node("Conv", [x, weight, bias], pads=(1, 1, 1, 1))])
        x = b.node("Relu", [b.node("Add", [x, b.node("Conv", [inner, weight], pads=(1, 1, 1, 1))])])
    pooled = b.node("AdaptiveAveragePool", [x], "pooled", size=(1, 1))
    return b.graph([b.node("Reshape", [pooled], "flat", shape=(-1, 4)), pooled])


def words():
    """One matrix read three times: for words, for rows, and for words again."""
    b = GraphBuilder()
    x, matrix = b.input("words", WORDS), b.constant(weights(6, 6), "matrix")
    y = b.node("Linear", [b.node("Linear", [x, matrix]), matrix])
    return b.graph([b.node("Linear", [b.node("Mean", [y], axes=(1,), keepdims=False), matrix], "y")])


def fixed_batch():
    b = GraphBuilder()
    x = b.input("x", (3, 6))
    return b.graph([b.node("Linear", [x, b.constant(weights(2, 6), "w")], "y")])


def input_and_constant_given_back():
    b = GraphBuilder()
    x, number = b.input("x", ROWS), b.constant(weights(3), "w")
    return b.graph([b.node("Relu", [x], "y"), x, number])


NETWORKS = [lenet, residual, words, fixed_batch, input_and_constant_given_back]


def inputs_for(graph, batch=3):
    names = [given.name for given in graph.inputs]
    return dict(zip(names, random_inputs(graph, dict.fromkeys(graph.axes, batch), 5), strict=True))


def run_by_onnxruntime(model, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    content = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, inputs)


def assert_same(results, expected):
    """Within 1e-5 of the largest entry: sums of some 100 products in float32, and ONNX Runtime's exponentials."""
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
        if wanted.dtype == np.bool_:
            assert np.array_equal(result, wanted)
            continue
        np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-5 * max(1, float(np.abs(wanted).max())))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("operator", "index"), ONE_NODE)
def test_onnx_runtime_computes_the_same_for_every_operator(operator, index, sparse):
    graph = one_node(operator, index)
    model, inputs = to_onnx(graph, sparse=sparse), inputs_for(graph)
    assert_same(run_by_onnxruntime(model, inputs), run(graph, inputs))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("operator", "index"), ONE_NODE)
def test_what_is_written_is_read_back_as_the_same_network(operator, index, sparse):
    graph = one_node(operator, index)
    again, inputs = read_onnx(to_onnx(graph, sparse=sparse)), inputs_for(graph)
    assert again.inputs == graph.inputs
    assert again.outputs == graph.outputs
    assert_same(run(again, inputs), run(graph, inputs))


@pytest.mark.parametrize("kind", [ValueType.INT32, ValueType.INT64])
def test_places_of_either_type_are_written_as_onnx_takes_them(kind):
    b = GraphBuilder()
    x, places, y = b.input("x", (3, 4)), b.input("places", (5, 2), kind), b.input("y", (5,))
    nodes = [b.node("GatherND", [x, places]), b.node("ScatterND", [x, places, y], reduction="add")]
    graph = b.graph(nodes)
    inputs = {"x": RANDOM.normal(size=(3, 4)), "places": RANDOM.integers(0, 3, (5, 2)), "y": RANDOM.normal(size=5)}
    inputs = {one.name: inputs[one.name].astype(one.type.dtype) for one in graph.inputs}
    assert_same(run_by_onnxruntime(to_onnx(graph), inputs), run(graph, inputs))


def test_what_has_no_axes_is_transposed_too():
    b = GraphBuilder()
    graph = b.graph([b.node("Transpose", [b.node("Reshape", [b.input("x", (1,))], shape=())], order=())])
    inputs = {"x": np.ones(1, np.float32)}
    assert_same(run_by_onnxruntime(to_onnx(graph), inputs), run(graph, inputs))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
def test_whole_networks_compute_the_same_in_onnx_runtime_and_read_back(network, sparse, tmp_path):
    graph, path = network(), tmp_path / "network.onnx"
    write_onnx(graph, path, sparse=sparse)
    inputs = inputs_for(graph)
    expected = run(graph, inputs)
    assert_same(run_by_onnxruntime(str(path), inputs), expected)
    again = read_onnx(path)
    assert again.inputs == graph.inputs
    assert_same(run(again, inputs), expected)


def test_an_even_window_of_lrn_is_read_back_as_it_was_though_onnx_runtime_refuses_it():
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Lrn", [builder.input("x", IMAGE)], "y", size=4, alpha=0.5)])
    inputs = inputs_for(graph)
    assert_same(run(read_onnx(to_onnx(graph)), inputs), run(graph, inputs))


def test_the_tables_have_the_same_operators():
    assert set(WRITERS) == set(OPERATORS) == set(CASES)


def test_an_open_batch_stays_open_and_a_fixed_one_fixed():
    def sizes(value):
        return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]

    model = to_onnx(residual())
    assert [sizes(value) for value in model.graph.input] == [["batch", 4, 8, 8]]
    assert [sizes(value) for value in model.graph.output] == [["batch", 4], ["batch", 4, 1, 1]]
    assert [sizes(value) for value in to_onnx(fixed_batch()).graph.output] == [[3, 2]]
    doubled = to_onnx(one_node("Concat", 2)).graph.output
    assert [sizes(value) for value in doubled] == [[0, 6]]  # twice the batch has no name


def test_a_shared_matrix_is_written_once_for_each_form():
    assert sorted(tensor.name for tensor in to_onnx(words()).graph.initializer if tensor.data_type == 1) == [
        "matrix",
        "matrix.transposed",
    ]
    again = read_onnx(to_onnx(residual()))
    assert sorted(again.constants) == ["bias", "shared"]


def test_a_constant_with_the_name_of_a_transposed_one_is_not_taken_for_it():
    b = GraphBuilder()
    x, matrix, other = b.input("x", WORDS), b.constant(weights(6, 6), "w"), b.constant(weights(6, 6), "w.transposed")
    graph = b.graph([b.node("Linear", [b.node("Linear", [x, matrix]), other], "y")])
    inputs = inputs_for(graph)
    assert_same(run(read_onnx(to_onnx(graph)), inputs), run(graph, inputs))


def test_only_what_gets_smaller_is_sparse_and_nothing_changes_a_bit():
    zeros, few = np.zeros((40, 10), np.float32), np.zeros((10, 40), np.float32)
    few[3, 5], few[4, 4], few[0, 0] = -0.0, math.nan, 2
    full = RANDOM.standard_normal((10, 10)).astype(np.float32)
    b = GraphBuilder()
    x = b.input("x", ("batch", 10))
    for name, matrix in (("zeros", zeros), ("few", few), ("full", full)):
        x = b.node("Linear", [x, b.constant(matrix, name)])
    graph = b.graph([x])
    model = to_onnx(graph, sparse=True)
    assert [tensor.name for tensor in model.graph.initializer] == ["full"]
    assert {tensor.values.name for tensor in model.graph.sparse_initializer} == {"zeros", "few"}
    assert model.ByteSize() < to_onnx(graph).ByteSize() / 2
    again = read_onnx(model)
    assert {name: array.values.tobytes() for name, array in again.constants.items()} == {
        name: array.values.tobytes() for name, array in graph.constants.items()
    }


def test_places_become_node_names_and_values_keep_theirs():
    model = to_onnx(one_node("Conv", 0))
    assert [(node.name, list(node.output)) for node in model.graph.node] == [("layer", ["y"])]
    assert [node.name for node in to_onnx(one_node("Silu", 0)).graph.node] == ["layer", "layer_2"]
    made = read_onnx(model).nodes[0]
    assert (made.place, made.inputs, made.output) == ("layer", ("x0", "w0", "w1"), "y")


def test_a_resize_that_onnx_would_make_another_size_is_refused():
    b = GraphBuilder()
    x = b.node("Resize", [b.input("x", ("batch", 1, 5, 5))], "y", size=(3, 3), scales=(0.5, 0.5))
    with pytest.raises(UnsupportedOperatorError, match=r"to \(2, 2\), not to \(3, 3\)"):
        to_onnx(b.graph([x]))


def test_weights_beyond_two_gibibytes_are_refused(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    with pytest.raises(GraphError, match="an ONNX file holds 100"):
        to_onnx(lenet())


def test_a_model_that_onnx_finds_invalid_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "network.onnx"
    write_onnx(lenet(), path)
    before = path.read_bytes()

    def refuse(model):
        if isinstance(model, str):
            raise onnx.checker.ValidationError("damaged")

    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    with pytest.raises(onnx.checker.ValidationError):
        write_onnx(residual(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("made", [open_axes, word_scores, masked])
def test_open_axes_and_whole_numbers_go_to_onnx_by_name_and_type(made):
    graph = made()
    model = to_onnx(graph)
    assert read_onnx(model).inputs == graph.inputs
    for sizes in graph.tried_sizes():
        inputs = dict(zip((given.name for given in graph.inputs), random_inputs(graph, sizes, 1), strict=True))
        assert_same(run_by_onnxruntime(model, inputs), run(graph, inputs))


def test_what_onnx_can_not_say_of_an_open_axis_is_refused():
    b = GraphBuilder()
    graph = b.graph([b.node("AdaptiveAveragePool", [b.input("x", ("batch", 1, "width"))], size=(3,))])
    with pytest.raises(UnsupportedOperatorError, match="works along an open axis in a way that ONNX can't say"):
        to_onnx(graph)
