"""Batch normalization and other arithmetic move into the layer before them, where that is the same thing."""

from __future__ import annotations

import numpy as np
import pytest
from tests.each_case import each_case

from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.passes import fold_scale_and_shift
from netsurgery.graph.planes import on_grid, recognised_planes, sum_of_planes
from netsurgery.graph.recognition import recognise_weights
from netsurgery.runtime.reference import run

EPSILON = 2.0**-24  # half a unit in the last place of 1: what one rounding costs at most, relatively


def batch_normalized(rng: np.random.Generator, bias: bool) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 4, 6, 6))
    weight = builder.constant(rng.normal(size=(8, 4, 3, 3)), "weight")
    given = builder.constant(rng.normal(size=8), "bias") if bias else None
    x = builder.node("Conv", [x, weight, given], "conv", pads=(1,) * 4)
    x = builder.node("Mul", [x, builder.constant(rng.normal(size=(8, 1, 1)), "scale")], "scaled")
    return builder.graph([builder.node("Add", [builder.constant(rng.normal(size=(1, 8, 1, 1)), "shift"), x], "y")])


@pytest.mark.parametrize("bias", [False, True])
def test_batch_normalization_becomes_weight_and_bias(bias) -> None:
    graph = batch_normalized(np.random.default_rng(0), bias)
    folded = fold_scale_and_shift(graph)
    (conv,) = folded.nodes
    assert (conv.operator, conv.output) == ("Conv", "y")
    constants = {name: value.values.astype(np.float64) for name, value in graph.constants.items()}
    weight, scale = constants["weight"], constants["scale"].ravel()
    exact_weight = weight * scale[:, None, None, None]
    exact_bias = constants.get("bias", np.zeros(8)) * scale + constants["shift"].ravel()
    np.testing.assert_allclose(folded.constants[conv.given[1]].values, exact_weight, rtol=EPSILON)
    magnitude = np.abs(constants.get("bias", np.zeros(8)) * scale) + np.abs(constants["shift"].ravel())
    assert (np.abs(folded.constants[conv.given[2]].values - exact_bias) <= 2.01 * EPSILON * magnitude).all()

    # Either network adds 36 products and does at most 3 more roundings on the way: |error| <= 40 epsilon sum |terms|.
    for batch in (1, 3):
        image = np.random.default_rng(batch).normal(size=(batch, 4, 6, 6)).astype(np.float32)
        absolute = graph.replaced(constants={name: np.abs(value) for name, value in graph.constants.items()})
        (terms,) = run(absolute, {"x": np.abs(image)})
        difference = np.abs(run(folded, {"x": image})[0] - run(graph, {"x": image})[0])
        assert (difference <= 2 * 40 * EPSILON * terms * (1 + 40 * EPSILON)).all()


@pytest.mark.parametrize("operator", ["Mul", "Div"])
@pytest.mark.parametrize("planes", [1, 2, 3, 4, 5, 8])
def test_a_sum_of_planes_times_a_scale_is_a_sum_of_as_many_planes(planes: int, operator: str) -> None:
    rng = np.random.default_rng(planes)
    scales = on_grid(0.6 ** np.arange(planes) * rng.uniform(1, 2, (8, planes)))
    weight = sum_of_planes(scales, rng.integers(0, 2, (planes, 8, 4 * 81), np.uint8)).reshape(8, 4, 9, 9)
    factors = rng.normal(size=(8, 1, 1)).astype(np.float32)
    builder = GraphBuilder()
    x = builder.node("Conv", [builder.input("x", ("batch", 4, 9, 9)), builder.constant(weight)])
    graph = builder.graph([builder.node(operator, [x, builder.constant(factors)])])
    graph = recognise_weights(graph)
    (layer,) = fold_scale_and_shift(graph).nodes
    folded = fold_scale_and_shift(graph).constants[layer.given[1]].values
    found = recognised_planes(folded.reshape(8, 4 * 81))
    assert found is not None
    assert len(found[1]) == planes
    times = factors[..., None].astype(np.float64) ** (1 if operator == "Mul" else -1)
    # Each product goes to the grid, half a step away at most, and a step is 2 epsilon of the largest sum at most.
    slack = planes * EPSILON * scales.sum(axis=1).reshape(8, 1, 1, 1) * np.abs(times)
    assert (np.abs(folded - weight * times) <= 1.01 * slack).all()


@pytest.mark.parametrize("operator", ["Mul", "Div"])
def test_powers_of_two_that_are_sums_of_planes_too_keep_one_mantissa(operator: str) -> None:
    rng = np.random.default_rng(2)
    weight = (rng.choice([-1, 1], (8, 40)) * 2.0 ** rng.integers(-3, 0, (8, 40))).astype(np.float32)
    assert recognised_planes(weight) is not None
    factors = rng.uniform(0.1, 9, 8).astype(np.float32)
    builder = GraphBuilder()
    x = builder.node("Linear", [builder.input("x", ("batch", 40)), builder.constant(weight)])
    graph = builder.graph([builder.node(operator, [x, builder.constant(factors)])])
    folded = fold_scale_and_shift(graph)
    exact = weight * factors[:, None] if operator == "Mul" else weight / factors[:, None]
    np.testing.assert_array_equal(folded.constants[folded.nodes[0].given[1]].values, exact)


def test_powers_of_two_times_a_scale_keep_one_mantissa_for_each_channel() -> None:
    rng = np.random.default_rng(1)
    graph = batch_normalized(rng, bias=True)
    powers = (
        rng.choice([-1, 1], (8, 4, 3, 3)) * 2.0 ** rng.integers(-9, 2, (8, 4, 3, 3)) * (rng.random((8, 4, 3, 3)) < 0.5)
    )
    graph = recognise_weights(graph.replaced(constants={**graph.constants, "weight": powers.astype(np.float32)}))
    weight = fold_scale_and_shift(graph).constants["weight"].values
    for row, scale in zip(weight, graph.constants["scale"].values.ravel(), strict=True):
        mantissas = np.unique(np.abs(np.frexp(row[row != 0])[0]))
        np.testing.assert_array_equal(mantissas, [abs(np.frexp(scale)[0])])


ARITHMETIC = [  # operator, the constant comes first, weight 3 and bias 5 become
    ("Mul", False, 6, 10),
    ("Mul", True, 6, 10),
    ("Div", False, 1.5, 2.5),
    ("Add", False, 3, 7),
    ("Add", True, 3, 7),
    ("Sub", False, 3, 3),
    ("Sub", True, -3, -3),
]


@each_case("shape", [(), (1,), (2,), (1, 2), (1, 1, 2)])
@each_case(("operator", "first", "weight", "bias"), ARITHMETIC)
def test_arithmetic_after_a_linear_moves_into_it(operator, first, weight, bias, shape) -> None:
    graph = after_linear(operator, np.full(shape, 2.0), first)
    folded = fold_scale_and_shift(graph)
    (linear,) = folded.nodes
    np.testing.assert_array_equal(folded.constants[linear.given[1]].values, np.full((2, 3), weight))
    np.testing.assert_array_equal(folded.constants[linear.given[2]].values, np.full(2, bias))


def after_linear(operator: str, constant: np.ndarray, first: bool = False, bias: float = 5.0) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, 3))
    x = builder.node("Linear", [x, builder.constant(np.full((2, 3), 3.0)), builder.constant([bias, bias])])
    operands = [x, builder.constant(constant)]
    return builder.graph([builder.node(operator, operands[::-1] if first else operands)])


@pytest.mark.parametrize(
    ("operator", "constant", "first"),
    [
        ("Mul", np.full((2, 1), 2.0), False),  # a number for each place, not for each channel
        ("Mul", np.full((1, 1, 1, 2), 2.0), False),  # one more axis
        ("Mul", np.full((1, 1, 1, 1), 2.0), False),
        ("Div", np.full(2, 2.0), True),
        ("Div", np.array([1.0, 0.0]), False),
        ("Mul", np.array([1.0, 3e38]), False),
        ("Add", np.array([1.0, np.inf]), False),
    ],
)
def test_arithmetic_that_is_not_per_channel_or_not_finite_stays(operator, constant, first) -> None:
    graph = after_linear(operator, constant, first)
    assert fold_scale_and_shift(graph) is graph


def test_arithmetic_that_overflows_the_weight_alone_stays() -> None:
    graph = after_linear("Mul", np.full(2, 2e38), bias=1.0)
    assert fold_scale_and_shift(graph) is graph


def test_a_layer_that_somebody_else_reads_too_stays_as_it_is() -> None:
    graph = after_linear("Add", np.ones(2))
    linear = graph.nodes[0].output
    seen = graph.replaced(outputs=(*graph.outputs, linear))
    assert fold_scale_and_shift(seen) is seen


def test_a_tied_weight_is_not_scaled_but_shifted_and_a_tied_bias_stays_for_the_others() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    weight, bias = builder.constant([[1, 2], [3, 4]], "weight"), builder.constant([1, 2], "bias")
    for operator in ("Mul", "Add"):
        x = builder.node("Relu", [builder.node("Linear", [x, weight, bias])])
        x = builder.node("Linear", [x, weight, bias])
        x = builder.node(operator, [x, builder.constant([10, 20])])
    graph = builder.graph([x])
    folded = fold_scale_and_shift(graph)
    assert [node.operator for node in folded.nodes] == ["Linear", "Relu", "Linear", "Mul", "Linear", "Relu", "Linear"]
    np.testing.assert_array_equal(folded.constants["weight"].values, graph.constants["weight"].values)
    np.testing.assert_array_equal(folded.constants["bias"].values, [1, 2])
    np.testing.assert_array_equal(folded.constants[folded.nodes[-1].given[2]].values, [11, 22])
    given = {"x": np.array([[1, -1], [2, 3]], np.float32)}
    np.testing.assert_array_equal(run(folded, given)[0], run(graph, given)[0])


def test_folding_goes_through_a_chain() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    x = builder.node("Linear", [x, builder.constant([[1, 2], [3, 4]])])
    for operator, number in (("Mul", 2), ("Add", 3), ("Div", 4), ("Sub", 1)):
        x = builder.node(operator, [x, builder.constant(number)])
    folded = fold_scale_and_shift(builder.graph([x]))
    (linear,) = folded.nodes
    np.testing.assert_array_equal(folded.constants[linear.given[1]].values, [[0.5, 1], [1.5, 2]])
    np.testing.assert_array_equal(folded.constants[linear.given[2]].values, [-0.25, -0.25])
