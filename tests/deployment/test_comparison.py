"""Outputs that are nothing but rounding noise are measured by what they are made of, and all others by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from netsurgery.deployment.comparison import TOLERANCE, compared, largest_difference, rounding_noise
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run
from netsurgery.runtime.session import Session

RANDOM = np.random.default_rng(4)


def floats(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def summed_twice(order: str, behind: str, scale: float = 1.0) -> Graph:
    """W x computed in two ways, one taken from the other, and something behind that: noise, in one order or another."""
    generator = np.random.default_rng(1)
    builder = GraphBuilder()
    x, matrix = builder.input("x", ("batch", 64)), generator.standard_normal((48, 64)).astype(np.float32)
    halves = []
    for start in (0, 32):
        part = builder.node("Slice", [x], axis=1, start=start, stop=start + 32)
        halves.append(builder.node("Linear", [part, builder.constant(matrix[:, start : start + 32])]))
    if order == "backwards":
        halves.reverse()
        places = np.arange(63, -1, -1)
        turned = [builder.node("Slice", [x], axis=1, start=int(place), stop=int(place) + 1) for place in places]
        whole = builder.node(
            "Linear", [builder.node("Concat", turned, axis=1), builder.constant(np.ascontiguousarray(matrix[:, ::-1]))]
        )
    else:
        whole = builder.node("Linear", [x, builder.constant(matrix)])
    y = builder.node("Sub", [builder.node("Add", halves), whole])
    weight = builder.constant(generator.standard_normal((5, 48)).astype(np.float32) * np.float32(scale))
    if behind == "linear":
        y = builder.node("Linear", [y, weight])
    elif behind == "two layers":
        y = builder.node("Relu", [builder.node("Linear", [y, weight])])
        y = builder.node("Linear", [y, builder.constant(generator.standard_normal((4, 5)).astype(np.float32))])
    elif behind == "product":
        y = builder.node("Mul", [y, builder.constant(generator.standard_normal(48).astype(np.float32))])
    elif behind == "mean":
        y = builder.node("Mean", [y], axes=(1,))
    elif behind == "sum":
        y = builder.node("Add", [y, builder.node("Tanh", [y])])
    return builder.graph([y])


@pytest.mark.parametrize("scale", [1.0, 0.01, 30.0])
@pytest.mark.parametrize("behind", ["nothing", "linear", "two layers", "product", "mean", "sum"])
def test_noise_is_noise_behind_further_layers_too(behind: str, scale: float) -> None:
    feeds = {"x": np.random.default_rng(2).standard_normal((9, 64)).astype(np.float32)}
    expected = run(summed_twice("forwards", behind, scale), feeds)
    graph = summed_twice("backwards", behind, scale)
    found = run(graph, feeds)
    assert largest_difference(found, expected) > TOLERANCE  # by itself it would be refused
    assert compared(found, expected, graph, feeds).within


def test_a_network_that_magnifies_rounding_is_allowed_more_and_a_wrong_one_is_not() -> None:
    """Twice all but a 50th of a sum is taken off: rounding grows by 2,500, and never looks like noise by itself."""
    generator = np.random.default_rng(6)
    x, matrix = generator.standard_normal((2, 512)).astype(np.float32), generator.random((8, 512)).astype(np.float32)
    sums = x.astype(np.float64) @ matrix.T.astype(np.float64)

    def network(order: slice, factor: float = 1.0) -> Graph:
        builder = GraphBuilder()
        given = builder.input("x", (2, 512))
        if order.step:
            given = builder.node("Reverse", [given], axes=(1,))
        weight = np.ascontiguousarray(matrix[:, order]) * np.float32(factor)
        y = builder.node("Linear", [given, builder.constant(weight)])
        for part in (0.98, 0.98 * 0.02):
            y = builder.node("Sub", [y, builder.constant((part * sums).astype(np.float32))])
        return builder.graph([y])

    feeds = {"x": x}
    expected = run(network(slice(None)), feeds)
    again = Session(encode(network(slice(None, None, -1))), threads=1)(x)
    found = compared([np.asarray(again)], expected, network(slice(None)), feeds)
    assert TOLERANCE < found.share < found.allowed < 3e-2
    wrong = network(slice(None), 1.0001)
    assert not compared(run(wrong, feeds), expected, wrong, feeds).within


def test_each_output_is_measured_by_what_rounding_does_to_it() -> None:
    """Beside an output of nothing but noise another one has to be as right as ever."""

    def network(factor: float) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ("batch", 64))
        weight = np.random.default_rng(3).standard_normal((5, 64)).astype(np.float32)
        third = builder.constant([1 / 3], "third")
        noise = builder.node(
            "Sub", [builder.node("Mul", [x, third]), builder.node("Div", [x, builder.constant([3.0])])]
        )
        return builder.graph([noise, builder.node("Linear", [x, builder.constant(weight * np.float32(factor))])])

    feeds = {"x": floats(7, 64)}
    expected = run(network(1.0), feeds)
    for factor in (1.0, 1.001):
        given = run(network(factor), feeds)
        moved = (given[0] + np.spacing(feeds["x"]) / 4, given[1])
        assert compared(moved, expected, network(1.0), feeds).within == (factor == 1)


def test_a_wrong_layer_is_found_however_deep_the_network_is() -> None:
    """Rounding adds up over layers, and stays rounding."""
    weights = [floats(32, 32) / np.float32(6) for _ in range(60)]

    def network(last: Array) -> Graph:
        builder = GraphBuilder()
        y = builder.input("x", ("batch", 32))
        for weight in [*weights[:-1], last]:
            y = builder.node("Linear", [builder.node("Tanh", [y]), builder.constant(weight)])
        return builder.graph([y])

    feeds = {"x": floats(3, 32)}
    expected = run(network(weights[-1]), feeds)
    wrong = network(weights[-1] * np.float32(1.001))
    difference = compared(run(wrong, feeds), expected, wrong, feeds)
    assert difference.share == pytest.approx(1e-3, rel=0.05)
    assert not difference.within


def test_a_wrong_layer_is_found_behind_a_mask_of_the_lowest_number() -> None:
    """Of the lowest number nothing is left behind Softmax: what comes after isn't measured by it."""
    matrix = floats(8, 8)

    def network(weight: Array) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ("batch", 8))
        hidden = builder.constant(
            np.where(np.arange(8) < 5, np.float32(0), np.finfo(np.float32).min).astype(np.float32)
        )
        shares = builder.node("Softmax", [builder.node("Add", [x, hidden])], axis=1)
        return builder.graph([builder.node("Linear", [shares, builder.constant(weight)])])

    feeds = {"x": floats(3, 8)}
    wrong = network(matrix * np.float32(1.001))
    difference = compared(run(wrong, feeds), run(network(matrix), feeds), wrong, feeds)
    assert difference.share > 2 * difference.allowed


@pytest.mark.parametrize("taken_from", ["a float", "whole numbers"])
def test_a_wrong_layer_is_found_behind_a_mask_that_is_taken_from_one(taken_from: str) -> None:
    """(1 - mask) * the lowest number, as exporters spell it: 0 where the mask is 1, not what rounding leaves of 0."""
    matrix = floats(8, 8)

    def network(weight: Array) -> Graph:
        builder = GraphBuilder()
        x = builder.input("x", ("batch", 8))
        kind = ValueType.FLOAT32 if taken_from == "a float" else ValueType.INT64
        mask = builder.input("mask", ("batch", 8), kind)
        if kind is not ValueType.FLOAT32:
            mask = builder.node("Cast", [mask], type="float32")
        hidden = builder.node("Sub", [builder.constant([1.0], "one"), mask])
        hidden = builder.node("Mul", [hidden, builder.constant([np.finfo(np.float32).min], "lowest")])
        shares = builder.node("Softmax", [builder.node("Add", [x, hidden])], axis=1)
        return builder.graph([builder.node("Linear", [shares, builder.constant(weight)])])

    mask = np.tile(np.arange(8) < 5, (3, 1))
    feeds = {"x": floats(3, 8), "mask": mask.astype(np.float32 if taken_from == "a float" else np.int64)}
    wrong = network(matrix * np.float32(1.001))
    difference = compared(run(wrong, feeds), run(network(matrix), feeds), wrong, feeds)
    assert difference.share > 2 * difference.allowed


def test_a_sigmoid_of_large_negative_numbers_may_lie_off_by_a_unit_of_one() -> None:
    """Other programs compute 0.5 + 0.5 tanh(x / 2), or a fraction and a half: near 0 both are as exact as near 1."""
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Sigmoid", [builder.input("x", ("batch", 8))])])
    feeds = {"x": -11 + floats(3, 8)}
    expected = (np.float32(0.5) + np.float32(0.5) * np.tanh(feeds["x"] / 2),)
    found = run(graph, feeds)
    assert largest_difference(found, expected) > TOLERANCE
    assert compared(found, expected, graph, feeds).within
    assert not compared((found[0] * np.float32(1.2),), expected, graph, feeds).within


def test_a_network_that_doubles_differences_is_measured_by_what_rounding_does_to_it() -> None:
    """The logistic map x -> 4 x (1 - x), forty times: float32 and float64 have nothing in common by then."""
    builder = GraphBuilder()
    y = builder.input("x", ("batch", 4))
    one, four = builder.constant([1.0], "one"), builder.constant([4.0], "four")
    for _ in range(40):
        y = builder.node("Mul", [builder.node("Mul", [four, y]), builder.node("Sub", [one, y])])
    graph, feeds = builder.graph([y]), {"x": np.float32([[0.1, 0.2, 0.3, 0.4]])}
    assert rounding_noise(graph, feeds)[0] > 0.1
    exact = feeds["x"].astype(np.float64)
    for _ in range(40):
        exact = 4 * exact * (1 - exact)
    found, expected = run(graph, feeds), (exact.astype(np.float32),)
    assert largest_difference(found, expected) > TOLERANCE
    assert compared(found, expected, graph, feeds).within


def test_whole_numbers_and_what_only_moves_have_no_noise() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3))
    graph = builder.graph([builder.node("ArgMax", [x], axis=1), builder.constant([1.0], "c")])
    assert rounding_noise(graph, {"x": floats(2, 3)}) == (0.0, 0.0)
