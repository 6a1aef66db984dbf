"""Passes about constants: folding, ties, zeros, and what nobody reads."""

from __future__ import annotations

import numpy as np
import pytest

from netsurgery.graph.ir import GraphBuilder
from netsurgery.graph.passes import (
    canonical_zeros,
    fold_constants,
    matmul_to_linear,
    merge_tied,
    remove_unused,
    simplify,
)
from netsurgery.runtime.reference import run, run_node


def test_nodes_of_constants_are_computed_once_and_keep_their_names() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    total = builder.node("Add", [builder.constant([1, 2]), builder.constant([10.0])], "total")
    shown = builder.node("Tanh", [total], "shown")
    graph = builder.graph([builder.node("Mul", [x, total], "product"), shown])
    folded = fold_constants(graph, run_node)
    assert [node.output for node in folded.nodes] == ["product"]
    np.testing.assert_array_equal(folded.constants["total"].values, [11, 12])
    np.testing.assert_array_equal(run(folded, {"x": np.ones((1, 2), np.float32)})[1], np.tanh(np.float32([11, 12])))


def test_what_no_output_depends_on_goes_and_inputs_stay() -> None:
    builder = GraphBuilder()
    x, idle = builder.input("x", ("batch", 2)), builder.input("idle", (3,))
    unread = builder.node("Add", [idle, builder.constant([1, 2, 3], "unread")])
    builder.node("Relu", [unread])
    graph = builder.graph([builder.node("Add", [x, builder.constant([1, 2], "read")], "sum")])
    left = remove_unused(graph)
    assert left.inputs == graph.inputs
    assert [node.output for node in left.nodes] == ["sum"]
    assert list(left.constants) == ["read"]


def test_constants_of_equal_shape_and_bits_are_stored_once() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    values = {"one": [1, 0.0], "same": [1, 0.0], "other_zero": [1, -0.0], "other_shape": [[1, 0.0]], "shown": [1, 0.0]}
    names = {name: builder.constant(value, name) for name, value in values.items()}
    for name in names.values():
        x = builder.node("Add", [x, name])
    merged = merge_tied(builder.graph([x, "shown"]))
    assert [node.inputs[1] for node in merged.nodes] == ["one", "one", "other_zero", "other_shape", "one"]
    assert set(merged.constants) == {"one", "other_zero", "other_shape", "shown"}


def test_simplify_folds_before_it_ties() -> None:
    """Equal weights behind different scales are two weights; those without any become one."""
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    for scale in (2, 3, None, None):
        x = builder.node("Linear", [x, builder.constant([[1, 2], [3, 4]])])
        x = x if scale is None else builder.node("Mul", [x, builder.constant(scale)])
        x = builder.node("Relu", [x])
    simple = simplify(builder.graph([x]), run_node)
    assert [node.operator for node in simple.nodes] == ["Linear", "Relu"] * 4
    assert sorted(value.values[0, 0] for value in simple.constants.values()) == [1, 2, 3]


def test_negative_zeros_go_from_weights_and_biases_but_not_from_what_is_read_otherwise() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    weight = builder.constant([[-0.0, -2.0], [3.0, 0.0]], "weight")
    bias = builder.constant([-0.0, 1.0], "bias")
    divisor = builder.constant([-0.0, -0.0], "divisor")
    x = builder.node("Linear", [builder.node("Linear", [x, weight, bias]), weight, divisor])
    graph = builder.graph([builder.node("Div", [x, divisor])])
    zeroed = canonical_zeros(graph)
    assert zeroed.constants["weight"].values.tobytes() == np.float32([[0, -2], [3, 0]]).tobytes()
    assert zeroed.constants["bias"].values.tobytes() == np.float32([0, 1]).tobytes()
    assert zeroed.constants["divisor"].values.tobytes() == np.float32([-0.0, -0.0]).tobytes()
    assert graph.constants["weight"].values.tobytes() != zeroed.constants["weight"].values.tobytes()


@pytest.mark.parametrize("shape", [("batch", 3), ("batch", 4, 3), (3,)])
def test_a_product_with_a_constant_matrix_becomes_a_linear_whose_bias_is_what_is_added(shape) -> None:
    builder = GraphBuilder()
    x = builder.input("x", shape)
    product = builder.node("MatMul", [x, builder.constant(np.arange(6).reshape(3, 2))])
    graph = builder.graph([builder.node("Add", [builder.constant([5, 7]), product], "sum")])
    simple = simplify(graph, run_node)
    (node,) = simple.nodes
    assert (node.operator, len(node.inputs), node.output) == ("Linear", 3, "sum")
    sizes = graph.inputs[0].at({"batch": 2})
    given = np.arange(np.prod(sizes), dtype=np.float32).reshape(sizes)
    np.testing.assert_array_equal(run(simple, {"x": given})[0], run(graph, {"x": given})[0])


def test_products_that_are_no_linear_stay() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, 2))
    shared = builder.constant(np.ones((2, 2)), "shared")
    x = builder.node("MatMul", [x, builder.node("Add", [x, shared])])
    x = builder.node("MatMul", [x, shared])
    x = builder.node("MatMul", [builder.constant([[1, 2]]), x])
    x = builder.node("MatMul", [x, builder.constant([1, 2])])
    graph = builder.graph([x])
    assert matmul_to_linear(graph) is graph
