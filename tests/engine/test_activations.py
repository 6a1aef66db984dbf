"""Functions of what a convolution gives are computed with it, pools and pairs on pixels alone: as the reference.

What the engine says of its steps tells that nothing runs in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.engine.drawn_networks import Drawn
from tests.engine.test_lanes import assert_as_the_reference, kinds, outputs_of, sparse

from netsurgery import _native
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

every_set = pytest.mark.parametrize("name", _native.available_instructions())

WAYS = {  # kind of step -> (density, channels, size, dilation)
    "sparse lanes": (0.2, 19, 21, 1),
    "dense lanes": (1.0, 24, 28, 2),
    "dense pixels": (1.0, 64, 7, 2),
    "winograd": (1.0, 24, 28, 1),
}


def own_sigmoid(builder: GraphBuilder, x: str) -> str:
    """x sigmoid(x) as exporters of ONNX spell it, the factors in the other order."""
    return builder.node("Mul", [builder.node("Sigmoid", [x]), x])


def function(operator: str, **attributes: Any) -> Callable[[GraphBuilder, str], str]:
    return lambda builder, x: builder.node(operator, [x], **attributes)


ACTIVATIONS = {
    "Silu": function("Silu"),
    "x sigmoid(x)": own_sigmoid,
    "HardSwish": function("HardSwish"),
    "Gelu": function("Gelu", approximate="none"),
    "LeakyRelu": function("LeakyRelu", alpha=0.1),
    "HardSigmoid": function("HardSigmoid", alpha=0.2, beta=0.5),
    "Tanh": function("Tanh"),
}


def activated(activation: str, way: str, residual: bool = False, strides: int = 1, size: int = 0) -> Graph:
    """A convolution, perhaps with something added, an activation, and a convolution that looks beyond each tile."""
    density, channels, usual, dilation = WAYS[way]
    size = size or usual
    rng, builder = np.random.default_rng(channels), GraphBuilder()
    x = builder.input("x", ("batch", channels, size, size))
    weight = builder.constant(sparse(rng, density, channels, channels, 3, 3) / 5)
    windows: dict[str, Any] = {"pads": (dilation,) * 4, "dilations": (dilation,) * 2}
    made = builder.node("Conv", [x, weight, builder.constant(rng.normal(size=channels))], **windows)
    if residual:
        other = builder.node("Conv", [x, builder.constant(sparse(rng, density, channels, channels, 1, 1))])
        made = builder.node("Add", [made, other])
    made = ACTIVATIONS[activation](builder, made)
    weight = builder.constant(sparse(rng, 0.5, 3, channels, 3, 3))
    return builder.graph([builder.node("Conv", [made, weight], pads=(1,) * 4, strides=(strides,) * 2)])


def steps(graph: Graph) -> list[str]:
    """The kinds of all steps for one image, in order."""
    drawn = Drawn(graph, whole=False)
    return [kind for _, kind, _, _ in Session(drawn.encoded(), 1).profile(*drawn.inputs(1, 0).values())]


@every_set
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_part_of_the_convolution_before_it(activation: str, way: str, name: str) -> None:
    graph = activated(activation, way)
    with instructions(name):
        for batch in (1, 3):
            assert_as_the_reference(graph, batch)
        made = kinds(graph, 1)
    assert not made & {"function", "pairs", "plain", "plain on lanes"}, made
    assert way in made or (way == "dense pixels" and "dense lanes" in made)


@every_set
@pytest.mark.parametrize("way", WAYS)
def test_what_is_added_comes_before_the_activation(way: str, name: str) -> None:
    with instructions(name):
        assert_as_the_reference(activated("x sigmoid(x)", way, residual=True), 2)
        assert "function" not in kinds(activated("x sigmoid(x)", way, residual=True), 1)


def test_both_spellings_of_silu_get_the_same_steps() -> None:
    """Strides behind them are foreseen as well, so that tiles are chosen that these divide."""
    spelt = [activated(spelling, "dense lanes", strides=2, size=112) for spelling in ("Silu", "x sigmoid(x)")]
    assert steps(spelt[0]) == steps(spelt[1])


@every_set
@pytest.mark.parametrize("seen", ["convolution", "sigmoid"])
def test_values_that_something_else_reads_stay_as_they_are(seen: str, name: str) -> None:
    """The sum, or its sigmoid, is an output too: nothing may be written over it."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.input("x", ("batch", 5, 17, 17))
    x = builder.node("Conv", [x, builder.constant(rng.normal(size=(8, 5, 3, 3)))], pads=(1,) * 4)
    sigmoid = builder.node("Sigmoid", [x])
    product = builder.node("Mul", [x, sigmoid])
    with instructions(name):
        assert_as_the_reference(builder.graph([product, x if seen == "convolution" else sigmoid]), 2)


@every_set
def test_own_sigmoids_of_sums_are_one_function(name: str) -> None:
    """Where no convolution is before it, as behind a join of channels."""
    rng, builder = np.random.default_rng(1), GraphBuilder()
    x = builder.input("x", ("batch", 4, 15, 15))
    a = builder.node("Conv", [x, builder.constant(rng.normal(size=(6, 4, 3, 3)))], pads=(1,) * 4)
    b = builder.node("Conv", [x, builder.constant(rng.normal(size=(6, 4, 1, 1)))])
    y = own_sigmoid(builder, builder.node("Concat", [a, b], axis=1))
    graph = builder.graph([builder.node("Conv", [y, builder.constant(rng.normal(size=(4, 12, 3, 3)))], pads=(1,) * 4)])
    with instructions(name):
        assert_as_the_reference(graph, 1)
        made = kinds(graph, 1)
    assert "function" in made
    assert "pairs" not in made


@every_set
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(("taps", "stride"), [(2, 2), (3, 1), (3, 2), (5, 1), (5, 3), (9, 1), (31, 1)])
def test_pools_of_any_size_give_what_the_reference_gives(operator: str, taps: int, stride: int, name: str) -> None:
    """Behind a convolution, and of a picture as it comes; small windows and windows beyond what registers hold."""
    rng, builder = np.random.default_rng(taps), GraphBuilder()
    x = builder.input("x", ("batch", 3, 37, 61))
    windows = {"kernel": (taps,) * 2, "strides": (stride,) * 2, "pads": (taps // 2,) * 4}
    first = builder.node(operator, [x], **windows)
    made = builder.node("Conv", [x, builder.constant(rng.normal(size=(7, 3, 3, 3)))], pads=(1,) * 4)
    graph = builder.graph([first, builder.node(operator, [made], **windows)])
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert_as_the_reference(graph, 16)


@every_set
def test_a_maximum_over_many_windows_keeps_what_is_not_a_number(name: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, 30, 30))
    graph = builder.graph([builder.node("MaxPool", [x], kernel=(5, 5), strides=(1, 1), pads=(2,) * 4)])
    values = np.random.default_rng(0).normal(size=(1, 2, 30, 30)).astype(np.float32)
    values[0, 0, 4, 7] = values[0, 1, 29, 0] = np.nan
    with instructions(name):
        (made,) = outputs_of(Session(Drawn(graph, whole=False).encoded(), 1), {"x": values})
    expected = np.zeros((1, 2, 30, 30), bool)
    expected[0, 0, 2:7, 5:10] = expected[0, 1, 27:, :3] = True
    np.testing.assert_array_equal(np.isnan(made), expected)
