"""Which units go, and what becomes of what they said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.samples.table import SAMPLES, cases

from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.passes import remove_dead_units, replace_known_operands, simplify
from netsurgery.graph.value_types import ValueType
from netsurgery.runtime.reference import run, run_node

DENSITIES = {"conv1": 0.142, "conv2": 0.031, "fc1": 0.007, "fc2": 0.043}  # LeNet-5 after dynamic network surgery


def whole_numbers(rng: np.random.Generator, shape: tuple[int, ...], density: float = 1.0) -> np.ndarray:
    return (rng.choice([-2, -1, 1, 2], shape) * (rng.random(shape) < density)).astype(np.float32)


def lenet5(seed: int, activation: str | None = None) -> Graph:
    """LeNet-5 with the paper's densities, some units silent and some unread; whole numbers: every sum is exact."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()

    def layer(operator: str, x: str, name: str, *shape: int) -> str:
        value = whole_numbers(rng, shape, DENSITIES[name])
        value[rng.random(shape[0]) < (0 if name == "fc2" else 0.4)] = 0
        channels = 50 if name == "fc1" else shape[1]
        value.reshape(shape[0], channels, -1)[:, rng.random(channels) < (0 if name == "conv1" else 0.4)] = 0
        weight = builder.constant(value, f"{name}.weight")
        bias = builder.constant(whole_numbers(rng, shape[:1], 0.5), f"{name}.bias")
        x = builder.node(operator, [x, weight, bias], name)
        return builder.node(activation, [x]) if activation and name != "fc2" else x

    x = builder.input("x", ("batch", 1, 28, 28))
    x = builder.node("MaxPool", [layer("Conv", x, "conv1", 20, 1, 5, 5)], kernel=(2, 2), strides=(2, 2))
    x = builder.node("MaxPool", [layer("Conv", x, "conv2", 50, 20, 5, 5)], kernel=(2, 2), strides=(2, 2))
    x = builder.node("Reshape", [x], shape=(-1, 800))
    return builder.graph([layer("Linear", layer("Linear", x, "fc1", 500, 800), "fc2", 10, 500)])


def live_counts(graph: Graph) -> dict[str, int]:
    """How many units of each hidden layer of LeNet-5 are live, by the definition, on matrices of connections."""
    weights = {node.output: weight.values for node, _, weight in graph.weights()}
    fc1 = weights["fc1"].reshape(500, 50, 16)
    connected = [
        (weights["conv1"] != 0).any(axis=(2, 3)),
        (weights["conv2"] != 0).any(axis=(2, 3)),
        (fc1 != 0).any(axis=2),
        weights["fc2"] != 0,
    ]
    varies = [np.ones(1, bool)]
    for layer in connected:
        varies.append((layer & varies[-1]).any(axis=1))
    read = np.ones(10, bool)
    counts = []
    for layer, moving in zip(connected[:0:-1], varies[-2:0:-1], strict=True):
        read = layer[read].any(axis=0) & moving
        counts.append(int(read.sum()))
    return dict(zip(("fc1", "conv2", "conv1"), counts, strict=True))


def assert_same_outputs(changed: Graph, graph: Graph) -> None:
    changed.check()
    for batch in (1, 3):
        rng = np.random.default_rng(batch)
        inputs = {one.name: rng.integers(-2, 3, one.at({"batch": batch})).astype(np.float32) for one in graph.inputs}
        for ours, theirs in zip(run(changed, inputs), run(graph, inputs), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def units(graph: Graph) -> list[int]:
    """How many units each Conv and Linear makes."""
    return [weight.shape[0] for _, _, weight in graph.weights()]


@pytest.mark.parametrize("activation", [None, "Relu"])
@pytest.mark.parametrize("seed", range(4))
def test_a_pruned_lenet_keeps_exactly_its_live_units(seed: int, activation: str | None) -> None:
    graph = lenet5(seed, activation)
    cut = remove_dead_units(graph, run_node)
    counts = live_counts(graph)
    assert units(cut) == [counts["conv1"], counts["conv2"], counts["fc1"], 10]
    assert counts["conv1"] < 16
    assert counts["conv2"] < 40
    assert cut.constants["fc1.weight"].shape == (counts["fc1"], 16 * counts["conv2"])
    assert cut.producers()[cut.producers()["fc1"].given[0]].attributes["shape"] == (-1, 16 * counts["conv2"])
    assert_same_outputs(cut, graph)


def test_a_silent_unit_moves_into_the_biases_behind_the_activation() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    hidden = builder.node("Linear", [x, builder.constant([[1, 2], [0, 0], [0, 0]]), builder.constant([1, 3, -5])])
    hidden = builder.node("Relu", [hidden])
    y = builder.node("Linear", [hidden, builder.constant([[1, 10, 100], [2, 0, 4], [3, 5, 0]]), None], "y")
    graph = builder.graph([y])
    cut = remove_dead_units(graph, run_node)
    weight, bias = (cut.constants[name].values for name in cut.producers()["y"].given[1:])
    np.testing.assert_array_equal(weight, [[1], [2], [3]])
    np.testing.assert_array_equal(bias, [30, 0, 15])  # relu(3) * weight; relu(-5) is 0
    assert_same_outputs(cut, graph)


@pytest.mark.parametrize(("pads", "number", "left"), [((1, 1), 3, 2), ((1, 1), 0, 1), ((), 3, 1)])
def test_beside_padding_only_a_unit_that_is_zero_goes(pads: tuple[int, ...], number: float, left: int) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 5))
    x = builder.node("Conv", [x, builder.constant([[[1]], [[0]]]), builder.constant([1, number])])
    graph = builder.graph([builder.node("Conv", [x, builder.constant([[[1, 2, 3], [4, 5, 6]]])], pads=pads)])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [left, 1]
    assert_same_outputs(cut, graph)


POOLS = [  # what a silent channel of 3 goes through, and whether it still is the same number everywhere
    ("MaxPool", {"kernel": (3,), "pads": (1, 1)}, True),
    ("AveragePool", {"kernel": (3,), "pads": (1, 1)}, True),
    ("AveragePool", {"kernel": (3,), "pads": (1, 1), "count_include_pad": True}, False),
    ("AveragePool", {"kernel": (3,), "count_include_pad": True}, True),
    ("AdaptiveAveragePool", {"size": (2,)}, True),
    ("AdaptiveMaxPool", {"size": (2,)}, True),
    ("Resize", {"size": (8,)}, True),
    ("Interpolate", {"size": (8,)}, True),
    ("Interpolate", {"size": (7,), "mode": "cubic"}, True),
    ("Interpolate", {"size": (8,), "coordinates": "tf_crop_and_resize", "roi": (-1.0, 2.0)}, False),
    ("Interpolate", {"size": (8,), "coordinates": "tf_crop_and_resize", "roi": (-1.0, 2.0), "value": 3.0}, True),
    ("Mean", {"axes": (2,)}, True),
    ("Slice", {"axis": 2, "start": 1, "stop": 3}, True),
    ("Pad", {"pads": (0, 0, 1, 0, 0, 0)}, False),
    ("Pad", {"pads": (0, 0, 1, 0, 0, 0), "value": 3.0}, True),
    ("Pad", {"pads": (0, 0, 1, 0, 0, 0), "mode": "edge"}, True),
    ("Pad", {"pads": (0, 0, -1, 0, 0, 0)}, True),
    ("Transpose", {"order": (0, 1, 2)}, True),
    ("Tanh", {}, True),
    ("Softmax", {"axis": 2}, False),
]


@pytest.mark.parametrize(("operator", "attributes", "known"), POOLS)
def test_a_silent_channel_is_followed_as_far_as_it_stays_one_number(operator, attributes, known) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 4))
    x = builder.node("Conv", [x, builder.constant([[[1]], [[0]]]), builder.constant([1, 3])])
    x = builder.node(operator, [x], **attributes)
    if operator == "Mean":
        x = builder.node("Reshape", [x], shape=(-1, 2, 1))
    graph = builder.graph([builder.node("Conv", [x, builder.constant([[[1], [2]]])])])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [1 if known else 2, 1]
    rounding = 2.0**-20  # of the last sum, in another order, where it isn't of whole numbers
    x = np.array([[[1, -2, 2, 0]], [[5, 6, 7, 9]]], np.float32)
    np.testing.assert_allclose(run(cut, {"x": x})[0], run(graph, {"x": x})[0], rtol=rounding)


def takes_floats(operator: str) -> bool:
    given = OPERATORS[operator].operands[:1]
    return any(one.types[0] is ValueType.FLOAT32 and not one.constant for one in given)


@pytest.mark.parametrize("operator", sorted(filter(takes_floats, SAMPLES)))
@settings(max_examples=8)
@given(data=st.data())
def test_between_two_pruned_layers_any_operator_gives_what_it_gave(operator: str, data: st.DataObject) -> None:
    case = data.draw(cases(operator).filter(lambda case: bool(case.shapes[0]) and case.kind(0) is ValueType.FLOAT32))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    builder = GraphBuilder()

    def layer(x: str, shape: tuple[int, ...], kind: str, rows: int | None = None) -> str:
        """Makes `rows` units of x, half of them silent; along axis 1 of a Conv, the last of a Linear."""
        axis = 1 if kind == "Conv" else len(shape) - 1
        weight = rng.normal(size=(rows or 3, shape[axis], *[1] * (len(shape) - 2 if kind == "Conv" else 0)))
        if rows:
            weight[rng.random(rows) < 0.5] = 0
        weight[:, rng.random(shape[axis]) < 0.3] = 0
        return builder.node(kind, [x, builder.constant(weight), builder.constant(rng.normal(size=len(weight)))])

    first, *others = case.operands(rng)
    kind = data.draw(st.sampled_from(["Conv", "Linear"] if 2 < first.ndim < 6 else ["Linear"]))
    axis = 1 if kind == "Conv" else first.ndim - 1
    given_shape = (*first.shape[:axis], 2, *first.shape[axis + 1 :])
    x = layer(builder.input("x", given_shape), given_shape, kind, first.shape[axis])
    feeds = {"x": rng.normal(size=given_shape).astype(np.float32)}
    names: list[str | None] = [x]
    for place, array in enumerate(others, 1):
        if array is None or case.takes(place):
            names.append(None if array is None else builder.constant(array))
        else:
            names.append(builder.input(f"x{place}", array.shape, case.kind(place)))
            feeds[f"x{place}"] = array
    y = builder.node(operator, names, **case.attributes)
    graph = builder.graph([y])
    shape = graph.shapes()[y]
    if shape and graph.types[y] is ValueType.FLOAT32:
        kind = data.draw(st.sampled_from(["Conv", "Linear"] if 2 < len(shape) < 6 else ["Linear"]))
        graph = builder.graph([layer(y, shape, kind)])
    with np.errstate(all="ignore"):
        (before,), (after,) = run(graph, feeds), run(simplify(graph, run_node), feeds)
    if np.isfinite(before).all():  # what is zero times infinity may go
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * max(1, np.abs(before).max(initial=0)))


def test_what_a_sum_joins_goes_together_or_not_at_all() -> None:
    """Of four channels of a residual sum, only the one that is silent on both sides goes."""
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 3))
    stem = builder.node("Conv", [x, builder.constant(np.array([1, 1, 0, 0]).reshape(4, 1, 1))], "stem")
    branch = np.zeros((4, 4, 1))
    branch[[0, 2], 0] = 1
    branch[0, 3] = 7  # of a channel that is always 0
    total = builder.node("Add", [stem, builder.node("Conv", [stem, builder.constant(branch)])], "sum")
    graph = builder.graph([builder.node("Conv", [total, builder.constant(np.ones((2, 4, 1)))])])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [3, 3, 2]
    assert_same_outputs(cut, graph)


def test_depthwise_convolutions_lose_whole_channels_and_grouped_ones_whole_groups() -> None:
    builder = GraphBuilder()
    rng = np.random.default_rng(0)
    x = builder.input("x", ("batch", 1, 6, 6))
    x = builder.node("Conv", [x, builder.constant(whole_numbers(rng, (6, 1, 1, 1)))])
    depthwise = whole_numbers(rng, (6, 1, 3, 3))
    depthwise[1] = 0
    x = builder.node("Conv", [x, builder.constant(depthwise)], "depthwise", pads=(1,) * 4, groups=6)
    grouped = whole_numbers(rng, (9, 2, 1, 1))
    grouped[6:] = 0
    x = builder.node("Conv", [x, builder.constant(grouped)], "grouped", groups=3)
    last = whole_numbers(rng, (2, 9, 1, 1))
    last[:, 0] = 0
    graph = builder.graph([builder.node("Conv", [x, builder.constant(last)])])
    cut = remove_dead_units(graph, run_node)
    # The third group is silent, so its two channels go. Channel 1 shares the first group with channel 0: it stays.
    assert units(cut) == [4, 4, 6, 2]
    assert [cut.producers()[name].attributes["groups"] for name in ("depthwise", "grouped")] == [4, 2]
    assert_same_outputs(cut, graph)


def test_a_tied_weight_is_cut_where_all_its_readers_can_lose_the_same() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    tied = builder.constant([[1, 0, 0], [0, 1, 0], [0, 0, 0]], "tied")
    x = builder.node("Linear", [x, builder.constant([[1, 1], [1, -1], [2, 0]])])
    x = builder.node("Linear", [x, tied])
    x = builder.node("Linear", [x, tied])
    graph = builder.graph([builder.node("Linear", [x, builder.constant([[1, 1, 1]])])])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [2, 2, 2, 1]
    assert [name for _, name, _ in cut.weights()].count("tied") == 2
    assert_same_outputs(cut, graph)
    seen = graph.replaced(outputs=(*graph.outputs, graph.nodes[1].output))  # a caller takes one of the two
    assert remove_dead_units(seen, run_node) is seen


def test_a_concat_shifts_channels_and_constants_lose_the_entries_of_dead_ones() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 2))
    left = builder.node("Conv", [x, builder.constant([[[1]], [[0]], [[2]]])])
    right = builder.node("Conv", [x, builder.constant([[[0]], [[3]]])])
    x = builder.node("Concat", [left, right], axis=1)
    x = builder.node("Mul", [builder.constant(np.arange(1, 11).reshape(5, 2), "places"), x])
    x = builder.node("Add", [x, builder.constant(np.zeros((1, 5, 1)), "shift")])
    graph = builder.graph([builder.node("Conv", [x, builder.constant(np.ones((1, 5, 1)))])])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [2, 1, 1]
    np.testing.assert_array_equal(cut.constants["places"].values, [[1, 2], [5, 6], [9, 10]])
    assert cut.constants["shift"].shape == (1, 3, 1)
    assert_same_outputs(cut, graph)


def test_a_concat_along_another_axis_joins_the_channels_of_its_parts() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 2))
    left = builder.node("Conv", [x, builder.constant([[[1]], [[0]], [[0]], [[0]]]), builder.constant([0, 0, 3, 5])])
    right = builder.node("Conv", [x, builder.constant([[[0]], [[1]], [[0]], [[0]]]), builder.constant([0, 0, 4, 5])])
    x = builder.node("Concat", [left, right], axis=2)
    graph = builder.graph([builder.node("Conv", [x, builder.constant(np.ones((1, 4, 1)))])])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [3, 3, 1]  # 3 and then 4 is not one number
    assert_same_outputs(cut, graph)


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize(("bias", "left"), [((0, 0, 0, 0, 7, 7), 2), ((0, 0, 0, 0, 7, 8), 3)])
def test_units_that_a_reshape_makes_one_channel_go_together(bias, left, batch) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (batch, 1))
    x = builder.node("Linear", [x, builder.constant([[1], [0], [1], [1], [0], [0]]), builder.constant(bias)])
    x = builder.node("Reshape", [x], shape=(-1, 3, 2))
    x = builder.node("Conv", [x, builder.constant(np.ones((1, 3, 1)))])
    graph = builder.graph([x])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [2 * left, 1]
    if batch == "batch":
        assert_same_outputs(cut, graph)


def test_a_reshape_flattens_channels_at_a_fixed_batch_size_too() -> None:
    builder = GraphBuilder()
    x = builder.node("Conv", [builder.input("x", (1, 1, 2)), builder.constant([[[1]], [[0]], [[3]], [[0]]])])
    x = builder.node("Reshape", [x], shape=(1, 8))
    cut = remove_dead_units(builder.graph([builder.node("Linear", [x, builder.constant(np.ones((2, 8)))])]), run_node)
    assert units(cut) == [2, 2]
    assert cut.nodes[1].attributes["shape"] == (1, 4)


def test_a_mean_moves_the_channel_axis() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 4, 2))
    x = builder.node("Linear", [x, builder.constant([[1, 2], [0, 0], [3, 4]])])
    x = builder.node("Mean", [x], axes=(1,), keepdims=False)
    graph = builder.graph([builder.node("Linear", [x, builder.constant([[1, 2, 3]])])])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [2, 1]
    assert_same_outputs(cut, graph)


OVER_CHANNELS = np.ones((1, 3, 1))
OVER_PLACES = np.ones((1, 4))
MIXING = [
    ("Softmax", {"axis": 1}, "Conv", OVER_CHANNELS),
    ("Lrn", {"size": 3}, "Conv", OVER_CHANNELS),
    ("LayerNorm", {"axis": 1}, "Conv", OVER_CHANNELS),
    ("Slice", {"axis": 1, "start": 1, "stop": 3}, "Conv", np.ones((1, 2, 1))),
    ("Pad", {"pads": (0, 1, 0, 0, -1, 0)}, "Conv", OVER_CHANNELS),
    ("Mean", {"axes": (1,)}, "Conv", np.ones((1, 1, 1))),
    ("Reshape", {"shape": (-1, 4, 3)}, "Linear", np.ones((1, 3))),
    ("Reshape", {"shape": (2, 3, -1)}, "Conv", OVER_CHANNELS),  # keeps channels apart at batch size 2 only
    ("Relu", {}, "Linear", OVER_PLACES),
]


@pytest.mark.parametrize(("operator", "attributes", "reader", "weight"), MIXING)
def test_units_stay_where_something_mixes_channels(operator, attributes, reader, weight) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 4))
    x = builder.node("Conv", [x, builder.constant([[[1]], [[0]], [[0]]]), builder.constant([1, 0, 2])])
    x = builder.node(operator, [x], **attributes)
    graph = builder.graph([builder.node(reader, [x, builder.constant(weight)])])
    assert remove_dead_units(graph, run_node) is graph


@pytest.mark.parametrize("places", [1, 3])
def test_units_stay_where_a_sum_lays_them_along_something_else(places: int) -> None:
    """Columns of a Linear added to columns of a Conv's maps: only the Conv's channels are channels of the sum."""
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 4))
    maps = builder.node("Conv", [x, builder.constant([[[1]], [[2]], [[3]]])])
    linear = builder.input("y", ("batch", places, 2))
    columns = builder.node("Linear", [linear, builder.constant([[1, 2], [0, 0], [3, 4], [0, 0]])])
    total = builder.node("Add", [maps, columns])
    graph = builder.graph([builder.node("Conv", [total, builder.constant(OVER_CHANNELS)])])
    assert remove_dead_units(graph, run_node) is graph


@pytest.mark.parametrize("constant", [np.arange(4), np.arange(8).reshape(2, 4), None])
def test_a_silent_channel_plus_what_differs_between_places_is_not_silent(constant) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 1, 4))
    silent = builder.node("Conv", [x, builder.constant([[[1]], [[0]]])])
    total = builder.node("Add", [silent, x if constant is None else builder.constant(constant)])
    graph = builder.graph([builder.node("Conv", [total, builder.constant(np.ones((1, 2, 1)))])])
    assert remove_dead_units(graph, run_node) is graph


@pytest.mark.parametrize("other_role", ["sum", "product", "output"])
def test_a_weight_that_is_also_something_else_keeps_its_shape(other_role: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 2))
    weight = builder.constant([[1, 2], [0, 0]], "weight")
    y = builder.node("Linear", [builder.node("Linear", [x, weight]), builder.constant([[1, 1]])])
    outputs = {
        "sum": lambda: [builder.node("Add", [x, weight]), y],
        "product": lambda: [builder.node("MatMul", [x, weight]), y],
        "output": lambda: [y, weight],
    }[other_role]()
    graph = builder.graph(outputs)
    assert remove_dead_units(graph, run_node) is graph


def test_outputs_and_inputs_keep_all_their_channels() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3))
    graph = builder.graph([builder.node("Linear", [x, builder.constant([[0, 0, 1], [0, 0, 0]])])])
    assert remove_dead_units(graph, run_node) is graph


def test_a_network_that_says_one_thing_only_keeps_one_unit_a_layer() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3))
    for rows, columns in ((5, 3), (4, 5), (2, 4)):
        x = builder.node("Linear", [x, builder.constant(np.zeros((rows, columns))), builder.constant(np.ones(rows))])
    graph = builder.graph([x])
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [1, 1, 2]
    assert_same_outputs(cut, graph)


def test_an_emptied_residual_branch_goes_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, 5))
    stem = builder.node("Conv", [x, builder.constant(whole_numbers(rng, (3, 2, 1)))], "stem")
    y = builder.node("Conv", [stem, builder.constant(whole_numbers(rng, (4, 3, 3)))], pads=(1, 1))
    y = builder.node("Conv", [y, builder.constant(np.zeros((3, 4, 1))), builder.constant([1, 0, 2])])
    y = builder.node("Relu", [builder.node("Add", [y, stem])])
    graph = builder.graph([builder.node("Conv", [y, builder.constant(whole_numbers(rng, (2, 3, 1)))])])
    assert_same_outputs(replace_known_operands(graph, run_node), graph)
    simple = simplify(graph, run_node)
    assert [node.operator for node in simple.nodes] == ["Conv", "Relu", "Conv"]
    assert_same_outputs(simple, graph)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 12), min_size=3, max_size=5),
    density=st.floats(0.05, 0.5),
)
def test_what_is_left_of_a_chain_is_what_can_be_felt(seed: int, widths: list[int], density: float) -> None:
    """A unit stays if there is a path of non-zero weights from an input and one to an output, or none of its layer."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", widths[0]))
    weights = [whole_numbers(rng, shape, density) for shape in zip(widths[1:], widths[:-1], strict=True)]
    for weight in weights:
        bias = builder.constant(whole_numbers(rng, weight.shape[:1], 0.5))
        x = builder.node("Clip", [builder.node("Linear", [x, builder.constant(weight), bias])], minimum=-3, maximum=5)
    graph = builder.graph([x])
    paths = [weight != 0 for weight in weights]
    expected = []
    for index in range(1, len(weights)):
        before = np.linalg.multi_dot([*paths[:index][::-1], np.ones((widths[0], 1))]) > 0
        after = np.linalg.multi_dot([np.ones((1, widths[-1])), *paths[index:][::-1]]) > 0
        expected.append(max(1, int((before.ravel() & after.ravel()).sum())))
    cut = remove_dead_units(graph, run_node)
    assert units(cut) == [*expected, widths[-1]]
    assert_same_outputs(cut, graph)


def test_a_value_that_gives_a_product_its_shape_is_not_replaced() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, 5))
    full = builder.node("Conv", [x, builder.constant(np.zeros((3, 2, 1))), builder.constant([1, 0, 2])], "full")
    gate = builder.node("AdaptiveMaxPool", [builder.node("Conv", [x, builder.constant(np.ones((3, 2, 1)))])], size=(1,))
    graph = builder.graph([builder.node("Mul", [gate, full])])
    assert replace_known_operands(graph, run_node) is graph
