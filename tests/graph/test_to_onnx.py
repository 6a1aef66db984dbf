"""What to_onnx writes, run by ONNX Runtime and compared with the reference executor."""

import math

import numpy as np
import pytest
from tests.each_case import each_case

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from tests.graph.onnx_reading import read_onnx  # noqa: E402
from tests.packed.graphs import masked, open_axes  # noqa: E402
from tests.packed.graphs import words as word_scores  # noqa: E402
from tests.samples.table import SAMPLES  # noqa: E402

from netsurgery.errors import GraphError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.examples import random_inputs  # noqa: E402
from netsurgery.graph.ir import GraphBuilder  # noqa: E402
from netsurgery.graph.operators import OPERATORS  # noqa: E402
from netsurgery.graph.to_onnx import to_onnx, write_onnx  # noqa: E402
from netsurgery.graph.to_onnx import writing as module  # noqa: E402
from netsurgery.graph.to_onnx.nodes import WRITERS  # noqa: E402
from netsurgery.graph.value_types import ValueType  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402

RANDOM = np.random.default_rng(5)
IMAGE, TALL, LINE, BLOCK = ("batch", 4, 7, 6), ("batch", 3, 9, 4), ("batch", 4, 11), ("batch", 2, 5, 4, 6)
ROWS, WORDS, STEPS = ("batch", 6), ("batch", 5, 6), ("batch", 2, 12)


def weights(*shape):
    """Mostly zeros, so that sparse initialisers are smaller; one of several is -0.0."""
    values = RANDOM.standard_normal(shape).astype(np.float32) * (RANDOM.random(shape) < 0.15)
    values.reshape(-1)[:2] = (-0.0, 1.5)[-values.size :]
    return values


CASES = [(operator, index) for operator, of in SAMPLES.items() for index in range(len(of.files) + len(of.more))]
"""Every sample: its operator, and its number among that operator's."""

NOT_RUN = {
    ("Lrn", 1): "asks for 541 GB for its window",
    ("Div", 1): "refuses to divide whole numbers by 0",
    ("RoiAlign", 0): "makes an overflow of a box's number that isn't the batch's",
    ("GridSample", 1): "samples pictures and volumes only",
    ("Interpolate", 4): "has cubic interpolation of pictures only",
}
"""Samples that ONNX Runtime doesn't run, and why; they are read back all the same."""
NOT_WRITTEN = {("Lstm", 1): "projects its hidden state, which ONNX's LSTM can't say"}


def one_node(operator, index):
    of = SAMPLES[operator]
    return [*of.files, *of.more][index].graph(operator, "batch", lambda shape: weights(*shape))


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


@each_case("sparse", [False, True])
@each_case(("operator", "index"), [one for one in CASES if one not in {*NOT_RUN, *NOT_WRITTEN}])
def test_onnx_runtime_computes_the_same_for_every_operator(operator, index, sparse):
    graph = one_node(operator, index)
    model, inputs = to_onnx(graph, sparse=sparse), inputs_for(graph)
    assert_same(run_by_onnxruntime(model, inputs), run(graph, inputs))


@each_case("sparse", [False, True])
@each_case(("operator", "index"), [one for one in CASES if one not in NOT_WRITTEN])
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
    assert set(WRITERS) == set(OPERATORS)


def test_an_open_batch_stays_open_and_a_fixed_one_fixed():
    def sizes(value):
        return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]

    model = to_onnx(residual())
    assert [sizes(value) for value in model.graph.input] == [["batch", 4, 8, 8]]
    assert [sizes(value) for value in model.graph.output] == [["batch", 4], ["batch", 4, 1, 1]]
    assert [sizes(value) for value in to_onnx(fixed_batch()).graph.output] == [[3, 2]]
    b = GraphBuilder()
    twice = b.graph([b.node("Concat", [b.input("x", ROWS)] * 2, axis=0)])
    doubled = to_onnx(twice).graph.output
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


@pytest.mark.parametrize(("case", "why"), NOT_WRITTEN.items())
def test_what_onnx_has_no_words_for_is_refused(case, why):
    with pytest.raises(UnsupportedOperatorError, match=why):
        to_onnx(one_node(*case))


def test_places_become_node_names_and_values_keep_theirs():
    model = to_onnx(one_node("Conv", 0))
    assert [(node.name, list(node.output)) for node in model.graph.node] == [("layer", ["y"])]
    assert [node.name for node in to_onnx(one_node("Silu", 0)).graph.node] == ["layer", "layer_2"]
    made = read_onnx(model).nodes[0]
    assert (made.place, made.inputs, made.output) == ("layer", ("x0", "w1", "w2"), "y")


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
