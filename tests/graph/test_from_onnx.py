"""ONNX models as graphs: what is read, how, and what is refused."""

import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import CaptureError, GraphError, SettingError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.examples import random_inputs  # noqa: E402
from netsurgery.graph.from_onnx import OLDEST_OPSET, read_model  # noqa: E402
from netsurgery.graph.ir import Input, with_sizes  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402

RANDOM = np.random.default_rng(11)
FLOAT = TensorProto.FLOAT


def floats(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def whole(*values):
    return np.asarray(values, np.int64)


def node(operator, inputs, outputs, name="", **attributes):
    return helper.make_node(operator, inputs.split(), outputs.split(), name=name, **attributes)


def onnx_model(nodes, shapes, outputs="y", constants=None, opset=20, kind=FLOAT, **more):
    """`shapes`: input -> sizes; `outputs`: names; `constants`: initialiser -> array."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, FLOAT, []) for name in outputs.split()],  # the checker wants a shape
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
        **more,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def assert_computes_the_same(model, batch=3):
    """The graph gives what ONNX Runtime gives, within 1e-5 of the largest entry."""
    graph = read_onnx(model)
    inputs = {given.name: floats(*given.at(dict.fromkeys(graph.axes, batch))) for given in graph.inputs}
    wanted = onnx_runtime_outputs(model, inputs)
    for result, expected in zip(run(graph, inputs), wanted, strict=True):
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * max(1, float(np.abs(expected).max())))
    return graph


def operators(graph):
    return [made.operator for made in graph.nodes]


# What is read


def test_values_and_places_keep_their_names():
    nodes = [node("Conv", "image k b", "c", "first"), node("Relu", "c", "y", "second")]
    constants = {"k": floats(2, 3, 3, 3), "b": floats(2)}
    graph = assert_computes_the_same(onnx_model(nodes, {"image": ["N", 3, 5, 5]}, constants=constants))
    assert [(made.operator, made.inputs, made.output, made.place) for made in graph.nodes] == [
        ("Conv", ("image", "k", "b"), "c", "first"),
        ("Relu", ("c",), "y", "second"),
    ]
    assert graph.inputs[0].shape == ("N", 3, 5, 5)


def test_a_shared_weight_stays_one_constant():
    nodes = [node("Gemm", "x w", "a"), node("Gemm", "a w", "b"), node("Gemm", "b w", "y", transB=1)]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": [2, 4]}, constants={"w": floats(4, 4)}))
    assert [made.inputs[1] for made in graph.nodes] == ["w.transposed", "w.transposed", "w"]
    assert len(graph.constants) == 2


def test_weights_scaled_differently_are_different_constants():
    nodes = [node("Gemm", "x w", "a", alpha=2.0, transB=1), node("Gemm", "a w", "y", alpha=3.0, transB=1)]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": [2, 4]}, constants={"w": floats(4, 4)}))
    assert [made.inputs[1] for made in graph.nodes] == ["w.scaled", "w.scaled_2"]


def test_names_made_up_here_never_take_one_of_the_model():
    nodes = [node("Gemm", "x w", "y.add", transB=1), node("MatMul", "y.add w", "w.transposed"),
             node("Sum", "w.transposed x y.add", "y")]  # fmt: skip
    graph = assert_computes_the_same(onnx_model(nodes, {"x": [2, 4]}, constants={"w": floats(4, 4)}))
    assert [made.output for made in graph.nodes] == ["y.add", "w.transposed", "y.add_2", "y"]
    assert set(graph.constants) == {"w", "w.transposed_2"}


@pytest.mark.parametrize("rank", [2, 4])
def test_batch_norm_is_a_product_and_a_sum_rounded_once(rank):
    scale, bias, mean = floats(3), floats(3), floats(3)
    variance = RANDOM.uniform(1e-4, 2, 3).astype(np.float32)
    constants = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
    nodes = [node("BatchNormalization", "x scale bias mean variance", "y", epsilon=1e-3)]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": ["N", 3, 4, 4][:rank]}, constants=constants))
    assert operators(graph) == ["Mul", "Add"]
    exact = scale / np.sqrt(variance.astype(np.float64) + np.float32(1e-3))
    shape = (3,) + (1,) * (rank - 2)
    np.testing.assert_array_equal(graph.constants["scale.factor"].values, exact.astype(np.float32).reshape(shape))
    np.testing.assert_array_equal(
        graph.constants["bias.offset"].values, (bias - mean * exact).astype(np.float32).reshape(shape)
    )


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_an_old_softmax_runs_over_all_axes_from_its_own_on(operator, axis):
    x = floats(2, 3, 2, 2)
    graph = read_onnx(onnx_model([node(operator, "x", "y", axis=axis)], {"x": [2, 3, 2, 2]}, opset=11))
    rows = x.reshape(int(np.prod(x.shape[:axis])), -1).astype(np.float64)
    wanted = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    wanted = (wanted if operator == "Softmax" else np.log(wanted)).reshape(x.shape)
    np.testing.assert_allclose(run(graph, {"x": x})[0], wanted, rtol=1e-6, atol=1e-7)


OLD_AND_NEW = {
    "Squeeze": ({"axes": [2]}, whole(2), 13),
    "Unsqueeze": ({"axes": [2]}, whole(2), 13),
    "Split": ({"split": [1, 3], "axis": 1}, whole(1, 3), 13),
    "ReduceMean": ({"axes": [1, 2]}, whole(1, 2), 18),
}
"""Operator -> attributes of old, operand of new, since when."""


@pytest.mark.parametrize("operator", OLD_AND_NEW)
def test_numbers_are_attributes_in_old_models_and_operands_in_new_ones(operator):
    attributes, operand, since = OLD_AND_NEW[operator]
    outputs = "y z" if operator == "Split" else "y"
    old = onnx_model([node(operator, "x", outputs, **attributes)], {"x": ["N", 4, 1, 3]}, outputs, opset=since - 1)
    rest = {name: value for name, value in attributes.items() if name == "axis"}
    nodes = [node(operator, "x n", outputs, **rest)]
    new = onnx_model(nodes, {"x": ["N", 4, 1, 3]}, outputs, {"n": operand}, opset=since)
    assert assert_computes_the_same(old) == assert_computes_the_same(new)


def test_dropout_identity_and_casts_to_float_go():
    nodes = [
        node("Identity", "x", "a"),
        node("Dropout", "a", "b unread"),
        node("Cast", "b", "c", to=FLOAT),
        node("Relu", "c", "y"),
    ]
    graph = read_onnx(onnx_model(nodes, {"x": [2, 3]}))
    assert [(made.operator, made.inputs, made.output) for made in graph.nodes] == [("Relu", ("x",), "y")]


def test_outputs_keep_their_names_where_they_are_other_names_of_values():
    nodes = [
        node("Relu", "x", "r"),
        node("Identity", "r", "first"),
        node("Dropout", "r", "second"),
        node("Identity", "x", "third"),
        node("Identity", "w", "fourth"),
        node("Tanh", "r", "fifth"),
    ]
    outputs = "first second third fourth fifth x"
    graph = assert_computes_the_same(onnx_model(nodes, {"x": ["N", 3]}, outputs, {"w": floats(2)}))
    assert graph.outputs == tuple(outputs.split())
    assert sorted(operators(graph)) == ["Relu", "Reshape", "Reshape", "Tanh"]


def test_nodes_that_no_output_needs_are_not_looked_at():
    nodes = [node("Relu", "x", "y"), node("RandomNormalLike", "x", "unread"), node("Tanh", "x", "unread_too")]
    assert operators(read_onnx(onnx_model(nodes, {"x": [3, 3]}))) == ["Relu"]


def test_what_depends_on_no_input_is_computed_now():
    nodes = [
        node("Constant", "", "c", value=numpy_helper.from_array(floats(4, 3))),
        node("Exp", "c", "e"),
        node("Transpose", "e", "t"),
        node("Cast", "half", "f", to=FLOAT),
        node("Mul", "t f", "m"),
        node("MatMul", "x m", "y"),
    ]
    constants = {"half": np.asarray([0.1, 0.2, 0.3, 0.4], np.float16)}
    graph = assert_computes_the_same(onnx_model(nodes, {"x": ["N", 3]}, constants=constants))
    assert operators(graph) == ["Linear"]


def test_random_numbers_are_not_taken_for_constants():
    nodes = [node("RandomNormal", "", "r", shape=[2, 3]), node("Add", "x r", "y")]
    with pytest.raises(UnsupportedOperatorError, match=r"netsurgery doesn't have: RandomNormal \(once\)"):
        read_onnx(onnx_model(nodes, {"x": [2, 3]}))


def test_functions_of_the_model_are_opened():
    opsets = [helper.make_opsetid("", 20)]
    square = helper.make_function("own", "Square", ["a"], ["b"], [node("Mul", "a a", "b")], opsets)
    model = onnx_model([helper.make_node("Square", ["x"], ["y"], domain="own")], {"x": [2, 3]})
    model.functions.append(square)
    model.opset_import.append(helper.make_opsetid("own", 1))
    assert operators(assert_computes_the_same(model)) == ["Mul"]


def test_the_long_name_of_the_default_domain_is_understood():
    model = onnx_model([node("Exp", "w", "e"), node("Add", "x e", "y")], {"x": [2, 3]}, constants={"w": floats(3)})
    model.opset_import[0].domain = "ai.onnx"
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        pytest.skip("the installed onnx doesn't understand it either")
    assert operators(assert_computes_the_same(model)) == ["Add"]


@pytest.mark.parametrize("linear", [True, False])
def test_sparse_initialisers_are_read_bit_for_bit(linear):
    weight = np.zeros((4, 5), np.float32)
    weight[0, 1], weight[3, 4], weight[2, 2] = 1.5, -2, -0.0
    places = np.asarray([1, 12, 19], np.int64)
    indices = places if linear else np.stack(np.unravel_index(places, weight.shape), 1)
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(weight.reshape(-1)[places], "w"), numpy_helper.from_array(indices, "i"), weight.shape
    )
    model = onnx_model([node("Gemm", "x w", "y", transB=1)], {"x": ["N", 5]}, sparse_initializer=[sparse])
    assert assert_computes_the_same(model).constants["w"].values.tobytes() == weight.tobytes()


def test_a_file_with_external_data_is_read_and_the_same_without_it_refused(tmp_path):
    weight = floats(40, 40)
    model = onnx_model([node("Gemm", "x w", "y", transB=1)], {"x": ["N", 40]}, constants={"w": weight})
    path = tmp_path / "model.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert read_onnx(path).constants["w"].values.tobytes() == weight.tobytes()
    assert read_onnx(str(path)).inputs[0].shape == ("N", 40)
    with pytest.raises(CaptureError, match="give the path of the model"):
        read_onnx(onnx.load(str(path), load_external_data=False))
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(CaptureError, match=r"model\.onnx: .*can't be read as an ONNX model"):
        read_onnx(path)


# The batch


def shape_arithmetic():
    """Shape, Gather, Concat, Reshape: how torch writes x.view(n, 2, c // 2, h, w) and back."""
    return [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes first", "n", axis=0),
        node("Gather", "sizes second", "c", axis=0),
        node("Div", "c two", "half"),
        node("Unsqueeze", "n zero", "n1"),
        node("Unsqueeze", "half zero", "c1"),
        node("Concat", "n1 two1 c1 rest", "target", axis=0),
        node("Reshape", "x target", "groups"),
        node("Transpose", "groups", "turned", perm=[0, 2, 1, 3]),
        node("Reshape", "turned sizes", "y"),
    ]


SHAPE_CONSTANTS = {
    "first": np.int64(0),
    "second": np.int64(1),
    "two": np.int64(2),
    "zero": whole(0),
    "two1": whole(2),
    "rest": whole(-1),
}


def shapes_of_reshapes(graph):
    return [made.attributes["shape"] for made in graph.nodes if made.operator == "Reshape"]


def test_arithmetic_with_an_open_batch_leaves_it_open():
    graph = assert_computes_the_same(onnx_model(shape_arithmetic(), {"x": ["N", 6, 5]}, constants=SHAPE_CONSTANTS))
    assert shapes_of_reshapes(graph) == [(-1, 2, 3, 5), (-1, 6, 5)]


def test_a_fixed_batch_stays_fixed():
    graph = assert_computes_the_same(onnx_model(shape_arithmetic(), {"x": [4, 6, 5]}, constants=SHAPE_CONSTANTS))
    assert graph.inputs[0].shape == (4, 6, 5)
    assert shapes_of_reshapes(graph) == [(4, 2, 3, 5), (4, 6, 5)]


@pytest.mark.parametrize("size", ["N", None, -1])
def test_a_first_size_without_a_number_is_an_open_batch(size):
    model = onnx_model([node("Flatten", "x", "y")], {"x": [size, 3, 2]})
    graph = assert_computes_the_same(model)
    assert graph.inputs[0].shape == ("N" if size == "N" else "batch", 3, 2)
    assert graph.nodes[0].attributes["shape"] == (-1, 6)


def test_a_size_can_follow_the_batch_from_any_place():
    nodes = [node("Reshape", "x shape", "a"), node("Transpose", "a", "b", perm=[1, 0]), node("Flatten", "b", "y")]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": ["N", 6, 5]}, constants={"shape": whole(-1, 10)}))
    assert graph.shapes({"N": 2})["b"] == (10, 6)


EXPANDED = [
    node("Shape", "x", "n", start=0, end=1),
    node("Concat", "n five", "sizes", axis=0),
    node("Expand", "token sizes", "tokens"),
    node("Concat", "tokens x", "y", axis=1),
]
SLICED = [
    node("Shape", "x", "n", start=0, end=1),
    node("Sub", "n one", "all_but_one"),
    node("Slice", "x zero all_but_one zero", "y"),
]


@pytest.mark.parametrize("size", ["N", 4])
@pytest.mark.parametrize("nodes", [EXPANDED, SLICED])
def test_bounds_and_shapes_follow_an_open_batch(nodes, size):
    constants = {"five": whole(5), "token": floats(1, 5), "one": whole(1), "zero": whole(0)}
    assert_computes_the_same(onnx_model(nodes, {"x": [size, 5]}, constants=constants))


def test_a_batch_that_can_not_stay_open_is_one_and_said_and_a_fixed_one_read():
    nodes = [
        node("Shape", "x", "n", start=0, end=1),
        node("ConstantOfShape", "n", "ones", value=onnx.numpy_helper.from_array(np.ones(1, np.float32))),
        node("NonZero", "ones", "places"),
        node("Cast", "places", "row", to=TensorProto.FLOAT),
        node("Transpose", "row", "column"),
        node("Add", "x column", "y"),
    ]
    read = read_model(onnx_model(nodes, {"x": ["N", 5]}), run_node)
    assert read.graph.inputs[0].shape == (1, 5)
    (said,) = read.fixed
    assert re.match(r"Axis 'N' is fixed at 1: .*(depends on the size of an open axis|is constant only while)", said)
    assert_computes_the_same(onnx_model(nodes, {"x": [4, 5]}))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"x": ["s10", "s12", 5], "m": ["s86", "s12", 1]}, ["Axes 's10', 's86' are one, 's10': "]),
        ({"x": ["N", "s12", 5], "m": ["N", "s21", 1]}, ["Axes 's12', 's21' are one, 's12': "]),
        ({"x": ["s10", "s12", 5], "m": ["s86", "s21", 1]}, ["Axes 's10', 's86' are one", "Axes 's12', 's21' are one"]),
    ],
)
def test_axes_that_have_to_be_equal_are_one_and_said_whatever_they_are_called(inputs, said):
    nodes = [
        node("Shape", "x", "sizes"),
        node("Expand", "m sizes", "mask"),
        node("Concat", "x mask", "y", axis=2),
    ]
    read = read_model(onnx_model(nodes, inputs), run_node)
    axes = [name for name in read.graph.inputs[0].shape if isinstance(name, str)]
    assert [one.axes for one in read.graph.inputs] == [tuple(axes), tuple(axes)]
    assert [one.startswith(start) for one, start in zip(read.fixed, said, strict=True)] == [True] * len(said)
    for sizes in ((2, 3), (4, 1)):
        x, m = np.ones((*sizes, 5), np.float32), np.full((*sizes, 1), 2, np.float32)
        (y,) = run(read.graph, {"x": x, "m": m})
        np.testing.assert_array_equal(y, np.concatenate([x, m.repeat(5, 2)], 2))


FITS_SOME_BATCHES = [
    ([node("Reshape", "x four", "y")], "Reshape doesn't take every size of N"),
    ([node("MatMul", "m x", "y")], "MatMul doesn't take every size of N"),
]


@pytest.mark.parametrize(("nodes", "message"), FITS_SOME_BATCHES)
def test_a_model_that_takes_some_batches_only_is_refused_without_the_sizes_that_were_tried(nodes, message):
    constants = {"four": whole(4, 20), "m": floats(7, 4)}
    with pytest.raises(CaptureError) as caught:
        read_onnx(onnx_model(nodes, {"x": ["N", 20]}, constants=constants))
    assert message in str(caught.value)
    assert not re.search(r"\b(11|13|227|229|220|260)\b", str(caught.value))


def test_a_model_that_takes_sizes_from_one_on_is_read_with_that_one():
    inputs, constants = {"x": ["N", 20]}, {"zero": whole(0), "twelve": whole(12)}
    cut = onnx_model([node("Slice", "x zero twelve zero", "y")], inputs, constants=constants)
    assert read_onnx(cut).least == {"N": 1}  # of fewer than twelve ONNX cuts nothing off
    halves = onnx_model([node("Split", "x", "y z", num_outputs=2)], inputs, constants=constants)
    graph = read_onnx(halves)
    assert graph.shapes({"N": 7})["y"] == (4, 20)
    row = onnx_model([node("Gather", "x twelve", "y")], inputs, constants=constants)
    assert read_onnx(row).least == {"N": 13}


def halved_and_doubled(levels: int, sizes: list[str | int]):
    """A picture is halved so many times, and doubled and joined with what it was each time."""
    nodes, names = [], ["x"]
    for level in range(levels):
        nodes.append(node("MaxPool", names[-1], f"half{level}", kernel_shape=[2, 2], strides=[2, 2]))
        names.append(f"half{level}")
    last = names.pop()
    for level in reversed(range(levels)):
        nodes.append(node("Resize", f"{last} none doubled", f"up{level}", mode="nearest"))
        nodes.append(node("Concat", f"up{level} {names.pop()}", f"joined{level}", axis=1))
        last = f"joined{level}"
    nodes.append(node("Relu", last, "y"))
    constants = {"none": floats(0), "doubled": np.array([1, 1, 2, 2], np.float32)}
    return onnx_model(nodes, {"x": sizes}, constants=constants)


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_a_model_that_takes_multiples_only_is_read_with_the_smallest_step(levels):
    step = 2**levels
    graph = read_onnx(halved_and_doubled(levels, ["N", 3, "H", "W"]))
    assert graph.steps == {"H": step, "W": step}
    assert graph.least == {"N": 1, "H": step, "W": step}
    assert graph.shapes({"N": 5, "H": 3 * step, "W": 7 * step})["y"] == (5, 3 * (levels + 1), 3 * step, 7 * step)
    with pytest.raises(GraphError, match=f"W is {step + 1}: it must be a multiple of {step}, at least {step}"):
        graph.shapes({"N": 5, "H": step, "W": step + 1})


def test_each_axis_has_a_step_of_its_own_and_is_fixed_at_multiples_only():
    nodes = [node("Reshape", "x pairs", "p"), node("Reshape", "p flat", "q"), node("Relu", "q", "y")]
    model = onnx_model(nodes, {"x": ["N", "T", 4]}, constants={"pairs": whole(0, -1, 2, 4), "flat": whole(0, -1, 8)})
    graph = assert_computes_the_same(model, 4)
    assert graph.steps == {"T": 2}
    assert graph.shapes({"N": 3, "T": 10})["y"] == (3, 5, 8)
    assert not read_onnx(model, {"x": ("N", 10, 4)}).steps
    with pytest.raises(SettingError, match=r"input_shapes\['x'\]=7 is not allowed.*a multiple of 2 in the place of T"):
        with_sizes(graph, (Input("x", ("N", 7, 4)),))
    assert with_sizes(graph, (Input("x", ("N", "time", 4)),)).steps == {"time": 2}


def test_steps_are_found_of_models_that_need_long_inputs():
    nodes = [node("Conv", "x k", "c"), node("Reshape", "c pairs", "y")]
    constants = {"k": floats(4, 1, 1001), "pairs": whole(0, 4, -1, 8)}
    graph = read_onnx(onnx_model(nodes, {"x": ["N", 1, "samples"]}, constants=constants))
    assert graph.steps == {"samples": 8}
    assert graph.least == {"N": 1, "samples": 1008}


def test_a_range_of_floats_begins_and_ends_where_the_model_says():
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes one", "size"),
        node("Cast", "size", "width", to=FLOAT),
        node("Range", "half width single", "places"),
        node("Add", "x places", "y"),
    ]
    constants = {"one": whole(1)[0], "half": np.float32(1.5), "single": np.float32(1)}
    read_onnx(onnx_model(nodes[:4], {"x": ["N", "W"]}, "places", constants=constants))
    constants["half"] = np.float32(0.0)
    assert_computes_the_same(onnx_model(nodes, {"x": ["N", "W"]}, constants=constants))


def test_nothing_is_joined_with_nothing():
    nodes = [node("Concat", "nothing x", "c", axis=1), node("Relu", "c", "y")]
    assert_computes_the_same(onnx_model(nodes, {"x": ["N", 3]}, constants={"nothing": floats(3, 0)}))


def test_sizes_that_are_called_a_question_mark_are_axes_of_their_own():
    graph = read_onnx(onnx_model([node("Relu", "x", "y")], {"x": ["?", 3, "?", "?"]}))
    assert graph.axes == ("batch", "x.2", "x.3")


def test_what_is_wrong_at_any_batch_is_said_as_it_is():
    with pytest.raises(UnsupportedOperatorError, match=r"doesn't have: RandomNormalLike \(once\)") as caught:
        read_onnx(onnx_model([node("RandomNormalLike", "x", "e"), node("Reshape", "e four", "y")], {"x": ["N", 20]},
                             constants={"four": whole(4, 20)}))  # fmt: skip
    assert "every size" not in str(caught.value)


def test_a_reshape_can_have_two_open_sizes():
    nodes = [
        node("Shape", "x", "sizes"),
        node("Gather", "sizes order", "target", axis=0),
        node("Transpose", "x", "turned"),
        node("MatMul", "x turned", "square"),
        node("Reshape", "square all", "line"),
        node("Reshape", "line target", "y"),
    ]
    model = onnx_model(nodes, {"x": ["N", 5]}, constants={"order": whole(0, 0), "all": whole(-1)})
    assert_computes_the_same(model)


# Open axes and whole numbers


@pytest.mark.parametrize(
    ("sizes", "axes"),
    [
        (["N", "T", 4], ("N", "T", 4)),
        ([None, None, 4], ("batch", "x.1", 4)),
        ([2, "T", 4], (2, "T", 4)),
        (["S", "S", 4], ("S", "S", 4)),
    ],
)
def test_open_sizes_are_axes_called_as_in_the_model(sizes, axes):
    nodes = [node("MatMul", "x w", "m"), node("Relu", "m", "y")]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": sizes}, constants={"w": floats(4, 3)}))
    assert graph.inputs[0].shape == axes


def test_reshapes_keep_several_axes_open():
    nodes = [
        node("Reshape", "x heads", "h"),
        node("Transpose", "h", "t", perm=[0, 2, 1, 3]),
        node("Transpose", "t", "b", perm=[0, 2, 1, 3]),
        node("Shape", "x", "sizes"),
        node("Reshape", "b sizes", "y"),
    ]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": ["N", "T", 8]}, constants={"heads": whole(0, 0, 2, 4)}))
    assert shapes_of_reshapes(graph) == [(0, 0, 2, 4), (0, 0, 8)]


def test_pictures_may_be_open_though_small_ones_are_refused():
    nodes = [node("Conv", "x k", "c"), node("GlobalAveragePool", "c", "y")]
    model = onnx_model(nodes, {"x": ["N", 1, "H", "W"]}, constants={"k": floats(2, 1, 31, 5)})
    graph = read_onnx(model)
    assert graph.least == {"N": 1, "H": 31, "W": 5}


def test_sizes_can_be_fixed_and_axes_named_by_the_caller():
    model = onnx_model([node("Relu", "x", "y")], {"x": ["N", 3, None, "W"]})
    assert read_onnx(model, {"x": (2, 3, "height", 9)}).inputs[0].shape == (2, 3, "height", 9)
    with pytest.raises(
        SettingError, match=r"input_shapes='x=2,4,5,9' is not allowed.* sizes that fit x \(N, 3, x.2, W\)"
    ):
        read_onnx(model, {"x": (2, 4, 5, 9)})


def test_axes_of_an_input_that_have_to_be_the_same_are_refused_and_taken_under_one_name():
    nodes = [node("Transpose", "a", "b", perm=[1, 0]), node("Concat", "a b", "y", axis=0)]
    model = onnx_model(nodes, {"a": ["N", "M"]})
    with pytest.raises(
        CaptureError, match=r"(?s)can't be joined.*That is so at N 227, M 229\..* give them one name there"
    ):
        read_onnx(model)
    assert read_onnx(model, {"a": ("N", "N")}).axes == ("N",)


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
def test_rows_of_a_table_are_looked_up_by_whole_numbers(kind):
    nodes = [node("Gather", "table ids", "e"), node("MatMul", "e w", "y")]
    model = onnx_model(nodes, {"ids": ["N", "T"]}, constants={"table": floats(6, 4), "w": floats(4, 3)}, kind=kind)
    graph = read_onnx(model)
    assert operators(graph) == ["Embedding", "Linear"]
    (inputs,) = random_inputs(graph, {"N": 3, "T": 5}, 0)
    assert inputs.dtype == (np.int32 if kind == TensorProto.INT32 else np.int64)
    (wanted,) = onnx_runtime_outputs(model, {"ids": inputs})
    np.testing.assert_allclose(run(graph, {"ids": inputs})[0], wanted, rtol=0, atol=1e-5)


def test_casts_are_nodes_and_what_is_looked_up_in_a_matrix_is_an_embedding():
    table = {"table": floats(6, 4)}
    nodes = [node("Cast", "ids", "wide", to=TensorProto.INT64), node("Gather", "table wide", "y")]
    assert operators(read_onnx(onnx_model(nodes, {"ids": ["N"]}, constants=table, kind=TensorProto.INT32))) == [
        "Cast",
        "Embedding",
    ]
    nodes = [node("Gather", "table ids", "y", axis=1)]
    model = onnx_model(nodes, {"ids": ["N"]}, constants=table, kind=TensorProto.INT32)
    assert operators(read_onnx(model)) == ["Gather"]


# What is refused


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, onnx.defs.onnx_opset_version() + 1])
def test_an_opset_out_of_range_is_named_with_the_range(opset):
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(CaptureError, match=f"it has opset {opset}; opsets {OLDEST_OPSET} to {newest} can be read"):
        read_onnx(onnx_model([node("Relu", "x", "y")], {"x": [2, 3]}, opset=opset))


@pytest.mark.parametrize("opset", range(11, onnx.defs.onnx_opset_version() + 1))  # older: test_onnx_old_opsets.py
def test_every_opset_in_range_is_read(opset):
    nodes = [
        node("Conv", "x k", "c", auto_pad="SAME_LOWER"),
        node("MaxPool", "c", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Clip", "p low high", "l"),
        node("Pad", "l pads", "q"),
        node("Resize", "q region scales", "r", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        node("Slice", "r starts ends axes", "s"),
        node("Flatten", "s", "f"),
        node("Gemm", "f w b", "g"),
        node("Softmax", "g", "y", axis=1),
    ]
    constants = {
        "k": floats(4, 2, 2, 2),
        "low": np.float32(-1),
        "high": np.float32(1),
        "pads": whole(0, 0, 1, 0, 0, 0, 0, 1),
        "region": np.zeros(8, np.float32),
        "scales": np.asarray([1, 1, 2, 2], np.float32),
        "starts": whole(1),
        "ends": whole(2**62),
        "axes": whole(-1),
        "w": floats(4 * 8 * 7, 5),
        "b": floats(5),
    }
    graph = read_onnx(onnx_model(nodes, {"x": ["N", 2, 6, 6]}, constants=constants, opset=opset))
    x = {"x": floats(3, 2, 6, 6)}
    # These nodes mean the same in every opset; ONNX Runtime has fewer of them than the installed onnx.
    model = onnx_model(nodes, {"x": ["N", 2, 6, 6]}, constants=constants, opset=min(opset, 20))
    np.testing.assert_allclose(run(graph, x)[0], onnx_runtime_outputs(model, x)[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TensorProto.STRING, "input 'x' is STRING; netsurgery takes float32"),
        (TensorProto.INT8, "input 'x' is INT8; netsurgery takes float32, int32, int64, bool"),
        (TensorProto.INT64, "Exp input 'x' is int64; it must be float32"),
    ],
)
def test_inputs_of_another_type_are_refused(kind, message):
    with pytest.raises(CaptureError, match=message):
        read_onnx(onnx_model([node("Exp", "x", "y")], {"x": [2, 3]}, kind=kind))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([2, 0], r"'x' has shape \(2, 0\): sizes must be 1 to 2147483647"),
    ],
)
def test_inputs_of_unclear_shape_are_refused(shape, message):
    with pytest.raises(CaptureError, match=message):
        read_onnx(onnx_model([node("Relu", "x", "y")], {"x": shape}))


def test_files_that_are_no_models_are_refused_with_their_path(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(CaptureError, match=r"model\.onnx: there is no such file"):
        read_onnx(path)
    path.write_bytes(b"\x08\x07no model" * 9)
    with pytest.raises(CaptureError, match=r"model\.onnx: it"):
        read_onnx(path)
    path.write_bytes(b"")
    with pytest.raises(CaptureError, match="names no version of the ONNX operator set"):
        read_onnx(path)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", "nothing", "y")],
        [node("Relu", "x", "y"), node("Tanh", "x", "y")],
        [node("NoSuchOperator", "x", "y")],
        [node("Relu", "x", "y", alpha=1.0)],
    ],
)
def test_what_onnx_finds_invalid_is_refused(nodes):
    with pytest.raises(CaptureError, match="onnx finds it invalid"):
        read_onnx(onnx_model(nodes, {"x": [2, 3]}))


def test_nodes_may_stand_in_any_order():
    """ONNX Runtime's conversion to float16 puts the casts of inputs behind all that reads them."""
    nodes = [node("Mul", "b a", "y"), node("Tanh", "a", "b"), node("Relu", "x", "a")]
    model = onnx_model(nodes, {"x": [2, 3]})
    before = model.SerializeToString()
    assert operators(assert_computes_the_same(model)) == ["Relu", "Tanh", "Mul"]
    assert model.SerializeToString() == before


def test_nodes_in_a_circle_are_refused():
    with pytest.raises(CaptureError, match="onnx finds it invalid"):
        read_onnx(onnx_model([node("Add", "x b", "y"), node("Relu", "y", "b")], {"x": [2, 3]}))


def test_each_missing_operator_is_named_once_with_its_number_and_the_list_of_nodes_is_there_on_demand():
    nodes = [
        node("Relu", "x", "a", "one"),
        node("RandomNormalLike", "a", "b", "two"),
        node("Bernoulli", "b", "c", "three"),
        node("RandomNormalLike", "c", "d", "four"),
        helper.make_node("Irfft", ["d"], ["e"], domain="com.microsoft"),
        node("Dropout", "im", "p i", "six"),
        node("Cast", "i", "j", to=FLOAT),
        node("Multinomial", "x", "y", "seven"),
    ]
    model = onnx_model(nodes, {"x": [2, 3], "im": [1, 1, 4, 4]}, "e j y", {"two": np.float32(2)})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_onnx(model)
    assert str(caught.value) == (
        "the ONNX model: the model holds operators that netsurgery doesn't have: RandomNormalLike (2 times); Bernoulli "
        "(once); com.microsoft.Irfft (once); Multinomial (once). It uses others in ways that netsurgery can't: Dropout "
        "has its output 'i' read; netsurgery gives its first one only (once). A network draws no random numbers: make "
        "them an input, or draw none in evaluation mode. The error's `missing` and netsurgery pack --explain say where "
        "each of them stands."
    )
    assert [(one.where, one.operator, one.absent) for one in caught.value.missing] == [
        ("two", "RandomNormalLike", True),
        ("three", "Bernoulli", True),
        ("four", "RandomNormalLike", True),
        ("the one that makes 'e'", "com.microsoft.Irfft", True),
        ("six", "Dropout", False),
        ("seven", "Multinomial", True),
    ]
    assert caught.value.explanation.splitlines() == [
        str(caught.value),
        "  two: RandomNormalLike is an operator that netsurgery doesn't have",
        "  three: Bernoulli is an operator that netsurgery doesn't have",
        "  four: RandomNormalLike is an operator that netsurgery doesn't have",
        "  the one that makes 'e': com.microsoft.Irfft belongs to domain 'com.microsoft'; export plain ONNX, "
        "without optimisations for one runtime",
        "  six: Dropout has its output 'i' read; netsurgery gives its first one only",
        "  seven: Multinomial is an operator that netsurgery doesn't have",
    ]


IMAGE = {"x": [1, 2, 4, 4]}

REFUSED = [
    (node("Conv", "x v", "y"), {"x": [1, 2, 4, 4], "v": [1, 2, 3, 3]}, "Conv computes its weight as the network runs"),
    (node("Conv", "x k2", "y", pads=[-1, 0, 0, 0]), IMAGE, r"Conv pads=\(-1, 0, 0, 0\) is not allowed"),
    (node("Conv", "x k3", "y"), IMAGE, r"weight has shape \(2, 3, 3, 3\): its second size must be 2"),
    (node("Resize", "x  scales", "y", mode="area"), IMAGE, "resizes by mode 'area'"),
    (node("Slice", "x three three one", "y"), IMAGE, "an empty tensor"),
    (node("Cast", "x", "y", to=TensorProto.INT8), IMAGE, "casts to INT8; float32, int32, int64, bool are"),
    (node("NonZero", "x", "y"), IMAGE, r"doesn't have: NonZero \(once\)"),
    (node("Reshape", "x five", "y"), IMAGE, "32 values of shape"),
    (node("Squeeze", "x five", "y"), IMAGE, "names axis 5 of 4"),
    (node("Pad", "x five", "y"), IMAGE, "isn't as the ONNX specification has it"),
    (node("RandomNormalLike", "x", "y"), IMAGE, r"doesn't have: RandomNormalLike \(once\). A network draws no random"),
    (node("Relu", "x", "y"), {}, "has no input"),
]  # fmt: skip
REFUSED_CONSTANTS = {
    "k2": floats(2, 2, 3, 3),
    "k3": floats(2, 3, 3, 3),
    "scales": np.asarray([1, 1, 2, 2], np.float32),
    "three": whole(3),
    "zero": whole(0),
    "one": whole(1),
    "minus": whole(-1),
    "five": whole(5),
    "order": whole(1, 0),
}


@pytest.mark.parametrize(("made", "shapes", "message"), REFUSED)
def test_what_can_not_be_translated_is_refused_and_named(made, shapes, message):
    inputs = list(made.input)
    if made.op_type == "Resize":  # an operand that is left out
        inputs = ["x", "", "scales"]
    del made.input[:]
    made.input.extend(inputs)
    constants = {name: array for name, array in REFUSED_CONSTANTS.items() if name in inputs}
    constants |= {} if shapes else {"x": floats(2)}
    with pytest.raises(CaptureError, match=message):
        read_onnx(onnx_model([made], shapes, constants=constants))


# Numbers that a file doesn't hold, and bounds that are computed


INFINITE = np.asarray([0.5, np.inf, -np.inf, -2.0], np.float32)


@pytest.mark.parametrize("operator", ["Add", "Mul", "Max", "Min", "Less", "Equal", "Concat"])
def test_known_infinities_are_made_when_the_network_runs(operator):
    more = {"axis": 0} if operator == "Concat" else {}
    nodes = [node(operator, "x bounds", "made", **more), node("Cast", "made", "y", to=FLOAT)]
    model = onnx_model(nodes, {"x": [4]}, constants={"bounds": INFINITE})
    graph, x = read_onnx(model), floats(4)
    np.testing.assert_allclose(run(graph, {"x": x})[0], onnx_runtime_outputs(model, {"x": x})[0], rtol=1e-6)
    assert all(np.isfinite(constant.values).all() for constant in graph.constants.values())


def test_rows_of_a_table_may_hold_infinities_and_nan():
    table = np.asarray([[1, -np.inf], [np.nan, 3], [np.inf, -0.0]], np.float32)
    graph = read_onnx(onnx_model([node("Gather", "table x", "y")], {"x": [3]}, constants={"table": table}, kind=7))
    assert all(np.isfinite(constant.values).all() for constant in graph.constants.values())
    (found,) = run(graph, {"x": np.asarray([2, 1, 0])})
    np.testing.assert_array_equal(found, table[::-1])
    np.testing.assert_array_equal(np.signbit(found[0]), [False, True])


@pytest.mark.parametrize("given", ["low", "high", "low high", "high low"])
def test_bounds_of_a_clip_may_be_computed(given):
    nodes = [node("ReduceMean", "x", "low", keepdims=0), node("ReduceMax", "x", "most", keepdims=0)]
    nodes += [node("Mul", "most half", "high"), node("Clip", f"x {given}" if "low" in given else "x", "y")]
    if given == "high":
        nodes[-1].input.extend(["", "high"])
    assert_computes_the_same(onnx_model(nodes, {"x": [3, 4]}, constants={"half": np.float32(0.5)}))


def test_whole_numbers_are_clipped_and_have_magnitudes():
    nodes = [node("Cast", "x", "n", to=TensorProto.INT64), node("Abs", "n", "size"), node("Clip", "n one five", "cut"),
             node("Add", "size cut", "sum"), node("Cast", "sum", "y", to=FLOAT)]  # fmt: skip
    constants = {"one": np.asarray(1), "five": np.asarray(5)}
    graph = read_onnx(onnx_model(nodes, {"x": [6]}, constants=constants))
    (found,) = run(graph, {"x": np.asarray([-3, -1, 0, 1, 4, 9], np.float32)})
    np.testing.assert_array_equal(found, [4, 2, 1, 2, 8, 14])


def test_a_bound_that_is_0_at_the_sizes_of_a_reading_follows_its_axis_all_the_same():
    """The last four of ceil(time / 64) frames, which are all of them at sizes that readings try."""
    constants = {"k": floats(2, 1, 1), "start": whole(-4), "end": whole(-1), "axis": whole(2)}
    nodes = [node("Conv", "x k", "frames", strides=[64]), node("Slice", "frames start end axis", "y")]
    graph = read_onnx(onnx_model(nodes, {"x": [1, 1, "time"]}, constants=constants))
    model = onnx_model(nodes, {"x": [1, 1, 1000]}, constants=constants)
    x = floats(1, 1, 1000)
    (wanted,) = onnx_runtime_outputs(model, {"x": x})
    assert wanted.shape == (1, 2, 3)
    np.testing.assert_allclose(run(graph, {"x": x})[0], wanted, rtol=1e-6)


def test_a_squeeze_that_would_take_an_open_axis_away_at_size_1_is_refused():
    with pytest.raises(CaptureError, match="names no axes, and would take an open one away"):
        read_onnx(onnx_model([node("Squeeze", "x", "y")], {"x": [3, 1, "T"]}))
    assert_computes_the_same(onnx_model([node("Squeeze", "x", "y")], {"x": [1, 1, 3]}))


def test_torchs_way_to_write_an_expansion_stays_open():
    """Sizes of -1 become 1, which Expand leaves as they are; of those that are open none is."""
    constants = {"minus": whole(-1), "two": whole(2), "all": whole(-1)}
    ones = numpy_helper.from_array(whole(1))
    nodes = [
        node("Shape", "x", "rows", start=0, end=1),
        node("Shape", "x", "times", start=1, end=2),
        node("Concat", "rows two times minus", "wanted", axis=0),
        node("Reshape", "wanted all", "flat"),
        node("Shape", "flat", "count"),
        node("ConstantOfShape", "count", "ones", value=ones),
        node("Mul", "ones minus", "negative"),
        node("Equal", "flat negative", "left_alone"),
        node("Where", "left_alone ones flat", "sizes"),
        node("Unsqueeze", "x one", "wide"),
        node("Expand", "wide sizes", "y"),
    ]
    graph = assert_computes_the_same(onnx_model(nodes, {"x": ["N", "T", 3]}, constants=constants | {"one": whole(1)}))
    assert operators(graph) == ["Reshape", "Expand"]
    assert graph.shapes({"N": 2, "T": 5})["y"] == (2, 2, 5, 3)
