"""Open axes: named sizes of inputs that a caller chooses, consistent at every size that operators take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsurgery.errors import GraphError, SettingError, TooSmallError
from netsurgery.graph.extents import axis, smaller
from netsurgery.graph.ir import Graph, GraphBuilder, Input, open_shapes, with_shapes
from netsurgery.graph.passes import simplify
from netsurgery.graph.value_types import ValueType
from netsurgery.runtime.reference import run, run_node


def picture(*kernels: int, strides: int = 1) -> Graph:
    """(batch, 1, height, width) -> (batch, 2): convolutions with these kernels, and a global mean."""
    builder = GraphBuilder()
    x, channels = builder.input("image", ("batch", 1, "height", "width")), 1
    for kernel in kernels:
        weight = builder.constant(np.ones((2, channels, kernel, kernel)))
        x, channels = builder.node("Conv", [x, weight], strides=(strides, strides)), 2
    x = builder.node("AdaptiveAveragePool", [x], size=(1, 1))
    return builder.graph([builder.node("Reshape", [x], shape=(-1, 2))])


def test_axes_are_named_in_order_of_their_appearance() -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", (3, "time", "batch")), builder.input("y", ("batch", "time"))
    graph = builder.graph([builder.node("Relu", [x]), builder.node("Relu", [y])])
    assert graph.axes == ("time", "batch")
    assert graph.shapes({"time": 5, "batch": 7})["y"] == (7, 5)


@pytest.mark.parametrize(("kernels", "least"), [((1,), 1), ((7,), 7), ((3, 3), 5), ((5, 4, 3), 10)])
def test_the_smallest_size_is_what_windows_need(kernels: tuple[int, ...], least: int) -> None:
    graph = picture(*kernels)
    assert graph.least == {"batch": 1, "height": least, "width": least}
    if least > 1:
        with pytest.raises(TooSmallError, match="doesn't fit"):
            graph.shapes({**graph.least, "width": least - 1})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 40), st.integers(0, 40))
def test_every_size_from_the_smallest_on_is_taken(kernels: list[int], strides: int, more: int, wider: int) -> None:
    graph = picture(*kernels, strides=strides)
    sizes = {"batch": 1 + more, "height": graph.least["height"] + more, "width": graph.least["width"] + wider}
    assert graph.shapes(sizes)[graph.outputs[0]] == (1 + more, 2)


def test_two_axes_are_not_mixed_up_though_their_sizes_may_be_the_same() -> None:
    builder = GraphBuilder()
    x, y = builder.input("x", ("batch", 3)), builder.input("y", ("time", 3))
    with pytest.raises(
        GraphError, match=r"shapes .* don't broadcast. That is so at batch 2, time 3, though not at batch"
    ):
        builder.graph([builder.node("Add", [x, y])])


@pytest.mark.parametrize("count", range(2, 9))
def test_any_two_of_many_axes_differ_in_one_of_the_tried_sizes(count: int) -> None:
    inputs = tuple(Input(f"x{number}", (f"axis {number}",)) for number in range(count))
    graph = Graph(inputs, (), ("x0",), {})
    tried = graph.tried_sizes()
    for one in graph.axes:
        for other in graph.axes:
            assert one == other or any(sizes[one] != sizes[other] for sizes in tried)


def test_lines_that_turn_are_looked_at_behind_each_turn() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", "time"))
    for stop in (500, 20):
        x = builder.node("Slice", [x], axis=1, stop=smaller(axis("time"), stop))
    graph = builder.graph([builder.node("Relu", [x])])
    times = {sizes["time"] for sizes in graph.tried_sizes()}
    assert {21, 501} <= times
    assert max(times) > 501
    assert simplify(graph, run_node).nodes[0].operator == "Slice"


def test_a_size_that_only_fits_some_sizes_of_an_axis_is_refused() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", "time"))
    with pytest.raises(GraphError, match="don't fill shape"):
        builder.graph([builder.node("Reshape", [x], shape=(0, 4, -1))])
    builder = GraphBuilder()
    x = builder.input("x", ("batch", "time"))
    with pytest.raises(GraphError, match="don't broadcast"):
        builder.graph([builder.node("Add", [x, builder.constant(np.ones(5))])])


def test_what_strides_round_off_is_not_taken_for_nothing() -> None:
    """Behind strides a size stays the same for a while: a mean over it may not be dropped."""
    builder = GraphBuilder()
    x = builder.input("x", (1, 1, "width"))
    for _ in range(3):
        x = builder.node("MaxPool", [x], kernel=(1,), strides=(4,))
    graph = builder.graph([builder.node("AdaptiveAveragePool", [x], size=(1,))])
    simple = simplify(graph, run_node)
    assert [node.operator for node in simple.nodes][-1] == "AdaptiveAveragePool"
    given = np.arange(200, dtype=np.float32).reshape(1, 1, 200)
    np.testing.assert_array_equal(run(simple, {"x": given})[0], run(graph, {"x": given})[0])


def test_a_reshape_takes_sizes_from_the_same_place_and_one_from_what_remains() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", "time", 8))
    split = builder.node("Reshape", [x], shape=(0, 0, 2, -1))
    graph = builder.graph([builder.node("Reshape", [split], "again", shape=(0, -1, 8)), split])
    shapes = graph.shapes({"batch": 3, "time": 5})
    assert (shapes[split], shapes["again"]) == ((3, 5, 2, 4), (3, 5, 8))
    simple = simplify(graph, run_node)
    given = np.arange(120, dtype=np.float32).reshape(3, 5, 8)
    for one, other in zip(run(simple, {"x": given}), run(graph, {"x": given}), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_reshape_that_takes_a_size_of_the_one_before_it_keeps_it() -> None:
    builder = GraphBuilder()
    x = builder.node("Reshape", [builder.input("x", ("batch", 12))], shape=(-1, 3, 4))
    graph = builder.graph([builder.node("Reshape", [x], shape=(0, 0, 2, 2))])
    given = np.arange(24, dtype=np.float32).reshape(2, 12)
    np.testing.assert_array_equal(run(simplify(graph, run_node), {"x": given})[0], run(graph, {"x": given})[0])


@pytest.mark.parametrize(("shape", "message"), [((0, 0, 0), "has a 0 in a place"), ((-1, -1), "must hold -1 at most")])
def test_a_reshape_that_leaves_a_size_untold_is_refused(shape: tuple[int, ...], message: str) -> None:
    builder = GraphBuilder()
    with pytest.raises(GraphError, match=message):
        builder.graph([builder.node("Reshape", [builder.input("x", ("batch", 4))], shape=shape)])


def test_units_are_not_counted_along_an_open_axis() -> None:
    """Channels joined with what is as long as a caller likes stay: their number isn't known."""
    builder = GraphBuilder()
    hidden = builder.node("Linear", [builder.input("x", ("batch", 2)), builder.constant(np.zeros((4, 2)))])
    joined = builder.node("Concat", [hidden, builder.input("rest", ("batch", "more"))], axis=1)
    graph = builder.graph([builder.node("Mean", [joined], axes=(1,))])
    simple = simplify(graph, run_node)
    for more in (1, 4, 9):
        inputs = {"x": np.ones((3, 2), np.float32), "rest": np.ones((3, more), np.float32)}
        np.testing.assert_allclose(run(simple, inputs)[0], run(graph, inputs)[0])


def test_outputs_say_which_of_their_sizes_are_open() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, "width"))
    pooled = builder.node("MaxPool", [x], kernel=(2,), strides=(2,))
    graph = builder.graph([x, pooled, builder.node("Mean", [pooled], axes=(0, 2), keepdims=False)])
    assert open_shapes(graph) == [("batch", 2, "width"), ("batch", 2, None), (2,)]


def test_inputs_get_other_shapes_where_theirs_leave_room() -> None:
    inputs = (Input("x", ("batch", 3, "height")), Input("ids", ("batch",), ValueType.INT64))
    fixed = with_shapes(inputs, {"x": (1, 3, "rows")})
    assert [given.shape for given in fixed] == [(1, 3, "rows"), ("batch",)]
    for shapes, message in (
        ({"y": (1,)}, r"input_shapes must be of the model's inputs: x \(batch, 3, height\), ids \(batch\) int64"),
        ({"x": (1, 4, 5)}, r"input_shapes='x=1,4,5' is not allowed"),
        ({"x": (1, 3)}, r"input_shapes='x=1,3' is not allowed"),
        ({"x": (0, 3, 5)}, r"input_shapes='x=0,3,5' is not allowed"),
    ):
        with pytest.raises(SettingError, match=message):
            with_shapes(inputs, shapes)  # type: ignore[arg-type]


def test_an_axis_that_no_size_is_long_enough_for_is_refused() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3))
    with pytest.raises(TooSmallError, match="must lie inside axis 0"):
        builder.graph([builder.node("Slice", [x], axis=0, start=0, stop=2**20)])
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3))
    with pytest.raises(TooSmallError, match="must lie inside axis 1"):
        builder.graph([builder.node("Slice", [x], axis=1, start=0, stop=5)])


@pytest.mark.parametrize(
    ("operator", "kind", "message"),
    [
        ("Relu", ValueType.INT64, "input 'x' is int64; it must be float32"),
        ("Embedding", ValueType.FLOAT32, "input 'x' is float32; it must be int32 or int64"),
    ],
)
def test_an_operand_of_another_type_is_refused(operator: str, kind: ValueType, message: str) -> None:
    builder = GraphBuilder()
    operands = [builder.input("x", (2,), kind)]
    operands += [builder.constant(np.ones((3, 2)))] if operator == "Embedding" else []
    with pytest.raises(GraphError, match=message):
        builder.graph([builder.node(operator, operands)])
