"""Outputs that are nothing but rounding noise are measured by what they are made of, and all others by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from netsurgery.deployment.comparison import TOLERANCE, allowed, largest_difference, run_with_sources
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.packed.writer import encode
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
    expected, _ = run_with_sources(summed_twice("forwards", behind, scale), feeds)
    found, sources = run_with_sources(summed_twice("backwards", behind, scale), feeds)
    assert largest_difference(found, expected) > TOLERANCE  # by itself it would be refused
    assert largest_difference(found, expected, sources) < TOLERANCE


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
    expected, sources = run_with_sources(network(slice(None)), feeds)
    again = Session(encode(network(slice(None, None, -1))), threads=1)(x)
    found = largest_difference([np.asarray(again)], expected, sources)
    most = allowed(found, network(slice(None)), feeds, expected, sources)
    assert TOLERANCE < found < most < 1.1e-2
    wrong, sources = run_with_sources(network(slice(None), 1.0001), feeds)
    found = largest_difference(wrong, expected, sources)
    assert found > allowed(found, network(slice(None)), feeds, expected, sources)


def test_a_wrong_layer_is_found_however_deep_the_network_is() -> None:
    """What isn't noise lends nothing of its sources to what is computed from it: they don't add up over layers."""
    weights = [floats(32, 32) / np.float32(6) for _ in range(60)]

    def network(last: Array) -> Graph:
        builder = GraphBuilder()
        y = builder.input("x", ("batch", 32))
        for weight in [*weights[:-1], last]:
            y = builder.node("Linear", [builder.node("Tanh", [y]), builder.constant(weight)])
        return builder.graph([y])

    feeds = {"x": floats(3, 32)}
    expected, _ = run_with_sources(network(weights[-1]), feeds)
    found, sources = run_with_sources(network(weights[-1] * np.float32(1.001)), feeds)
    assert largest_difference(found, expected, sources) == pytest.approx(1e-3, rel=0.05)


def test_an_output_that_is_an_input_has_no_sources() -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.input("x", ("batch", 3)), builder.constant([1.0], "c")])
    assert run_with_sources(graph, {"x": floats(2, 3)})[1] == [0.0, 0.0]
