"""Which nodes and operands do nothing, and which only look so."""

from __future__ import annotations

import numpy as np
import pytest

from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.passes import drop_identities
from netsurgery.runtime.reference import run


def network(
    shape: tuple[int | None, ...], operator: str, constant: object, first: bool, attributes: dict[str, object]
) -> Graph:
    """Relu, then the node in question, then Tanh: neither end is an input or an output."""
    builder = GraphBuilder()
    start = builder.node("Relu", [builder.input("x", shape)])
    operands = [start] if constant is None else [start, builder.constant(constant)]
    middle = builder.node(operator, operands[::-1] if first else operands, **attributes)
    return builder.graph([builder.node("Tanh", [middle])])


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


IMAGE = ("batch", 3, 4, 5)
NOTHING = [
    (IMAGE, "Reshape", None, False, {"shape": (-1, 3, 4, 5)}),
    ((2, 6), "Reshape", None, False, {"shape": (-1, 6)}),
    (IMAGE, "Transpose", None, False, {"order": (0, 1, 2, 3)}),
    (IMAGE, "Pad", None, False, {"pads": (0,) * 8, "mode": "edge"}),
    (IMAGE, "Slice", None, False, {"axis": 2, "start": 0, "stop": 4}),
    (("batch", 1, 4, 5), "Slice", None, False, {"axis": 1, "stop": 1, "step": 3}),
    (IMAGE, "Add", np.zeros((3, 1, 1)), False, {}),
    (IMAGE, "Add", -0.0, True, {}),
    (IMAGE, "Sub", [0.0], False, {}),
    (IMAGE, "Mul", np.ones((4, 5)), False, {}),
    (IMAGE, "Mul", 1.0, True, {}),
    (IMAGE, "Div", 1.0, False, {}),
    (IMAGE, "Clip", None, False, {}),
    (IMAGE, "Concat", None, False, {"axis": 1}),
    (IMAGE, "MaxPool", None, False, {"kernel": (1, 1)}),
    (IMAGE, "AveragePool", None, False, {"kernel": (1, 1), "count_include_pad": True}),
    (("batch", 3, 1), "MaxPool", None, False, {"kernel": (1,), "strides": (2,)}),
    (IMAGE, "AdaptiveAveragePool", None, False, {"size": (4, 5)}),
    (IMAGE, "AdaptiveMaxPool", None, False, {"size": (4, 5)}),
    (("batch", 3, 1, 1), "Mean", None, False, {"axes": (2, 3)}),
    (IMAGE, "Resize", None, False, {"size": (4, 5), "scales": (1.0, 1.0), "coordinates": "half_pixel"}),
    (IMAGE, "Relu", None, False, {}),
]
SOMETHING = [
    (("batch", 6), "Reshape", None, False, {"shape": (1, -1)}),  # the same at batch size 1 only
    (("batch", 6), "Slice", None, False, {"axis": 0, "stop": 1}),
    (("batch", 6), "Mean", None, False, {"axes": (0,)}),
    (IMAGE, "Transpose", None, False, {"order": (0, 1, 3, 2)}),
    ((2, 4, 4), "Transpose", None, False, {"order": (0, 2, 1)}),
    (("batch", 4), "Pad", None, False, {"pads": (0, 1, 0, -1)}),
    (IMAGE, "Add", np.zeros((1, 1, 1, 1, 1)), False, {}),  # one more axis
    (("batch", 1), "Add", np.zeros(3), False, {}),  # three columns of one
    (("batch", 2), "Add", [0.0, 1e-30], False, {}),
    (("batch", 2), "Sub", 0.0, True, {}),
    (("batch", 2), "Div", 1.0, True, {}),
    (("batch", 2), "Mul", 0.0, False, {}),
    (IMAGE, "Clip", None, False, {"maximum": 3.0}),
    (IMAGE, "Clip", None, False, {"minimum": 0.5}),
    (IMAGE, "MaxPool", None, False, {"kernel": (1, 1), "strides": (2, 2)}),
    (IMAGE, "MaxPool", None, False, {"kernel": (3, 3), "pads": (1, 1, 1, 1)}),
    (IMAGE, "AveragePool", None, False, {"kernel": (3, 3), "pads": (1, 1, 1, 1)}),
    (IMAGE, "AdaptiveAveragePool", None, False, {"size": (4, 1)}),
    (("batch", 1, 4), "Resize", None, False, {"size": (4,), "scales": (2.0,)}),
    (IMAGE, "Tanh", None, False, {}),
]


@pytest.mark.parametrize(("shape", "operator", "constant", "first", "attributes"), NOTHING)
def test_a_node_that_changes_nothing_goes(shape, operator, constant, first, attributes) -> None:
    graph = network(shape, operator, constant, first, attributes)
    assert operators(drop_identities(graph)) == ["Relu", "Tanh"]


@pytest.mark.parametrize(("shape", "operator", "constant", "first", "attributes"), SOMETHING)
def test_a_node_that_changes_something_at_some_batch_size_stays(shape, operator, constant, first, attributes) -> None:
    graph = network(shape, operator, constant, first, attributes)
    assert drop_identities(graph) is graph


def test_the_inner_of_two_reshapes_goes_unless_somebody_else_reads_it() -> None:
    builder = GraphBuilder()
    x = builder.node("Relu", [builder.input("x", ("batch", 12))])
    inner = builder.node("Reshape", [x], shape=(-1, 3, 4))
    outer = builder.node("Reshape", [inner], shape=(-1, 6, 2))
    dropped = drop_identities(builder.graph([outer]))
    assert dropped.nodes[-1].inputs == (x,)
    assert drop_identities(builder.graph([outer, inner])).producers()[inner].operator == "Reshape"


def test_neutral_optional_operands_are_left_out() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, 3))
    x = builder.node("Conv", [x, builder.constant(np.ones((2, 2, 1))), builder.constant([0.0, -0.0])])
    x = builder.node("Linear", [x, builder.constant(np.ones((4, 3))), builder.constant(np.zeros(4))])
    x = builder.node("LayerNorm", [x, builder.constant(np.ones(4)), builder.constant(np.zeros(4))], axis=2)
    x = builder.node("LayerNorm", [x, builder.constant(np.ones(4)), builder.constant([0, 0, 0, 1])], axis=2)
    x = builder.node("LayerNorm", [x, builder.constant([1, 1, 1, 2]), builder.constant(np.zeros(4))], axis=2)
    dropped = drop_identities(builder.graph([x]))
    assert [tuple(name is not None for name in node.inputs) for node in dropped.nodes] == [
        (True, True),
        (True, True),
        (True,),
        (True, False, True),
        (True, True),
    ]
    dropped.check()


def test_outputs_keep_their_names_and_order() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    from_input = builder.node("Clip", [x], "from_input")
    relu = builder.node("Relu", [x], "relu")
    renamed = builder.node("Clip", [relu], "renamed")
    second = builder.node("Clip", [renamed], "second")
    read = builder.node("Tanh", [second], "read")
    graph = builder.graph([renamed, from_input, read, second])
    dropped = drop_identities(graph)
    assert dropped.outputs == graph.outputs
    assert [(node.operator, node.output) for node in dropped.nodes] == [
        ("Clip", "from_input"),
        ("Relu", "renamed"),
        ("Clip", "second"),
        ("Tanh", "read"),
    ]
    image = {"x": np.array([[-1, 2]], np.float32)}
    for ours, theirs in zip(run(dropped, image), run(graph, image), strict=True):
        assert ours.tobytes() == theirs.tobytes()
