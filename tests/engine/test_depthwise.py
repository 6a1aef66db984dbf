"""Depthwise convolutions: as the reference, however their channels lie and whatever lies around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.drawn_networks import Drawn, outputs_and_bounds
from tests.engine.test_lanes import NOT_FINITE, assert_as_the_reference, assert_near, kinds, outputs_of

from netsurgery import _native
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

every_set = pytest.mark.parametrize("name", _native.available_instructions())
FEW = 6  # channels


def depthwise(
    kernel: tuple[int, ...],
    size: tuple[int, ...],
    *,
    behind: bool = False,
    times: int = 1,
    ending: str = "",
    **attributes: Any,
) -> Graph:
    """At the graph's input, or behind a convolution that leaves its channels in tiles. ending: what follows."""
    rng, builder = np.random.default_rng(sum(size)), GraphBuilder()
    x = builder.input("x", ("batch", FEW, *size))
    if behind:
        mixed = builder.constant(rng.normal(size=(FEW, FEW, *(1 for _ in size))))
        x = builder.node("Conv", [x, mixed])
    weight = builder.constant(rng.normal(size=(FEW * times, 1, *kernel)))
    y = builder.node("Conv", [x, weight, builder.constant(rng.normal(size=FEW * times))], groups=FEW, **attributes)
    if ending == "sum":
        y = builder.node("Relu", [builder.node("Add", [y, x])])
    if ending == "function":
        y = builder.node("HardSwish", [y])
    if ending == "average":
        y = builder.node("HardSwish", [y])
        return builder.graph([builder.node("Mul", [y, builder.node("AdaptiveAveragePool", [y], size=(1, 1))]), y])
    return builder.graph([y])


@every_set
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2), (3, 1)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 2)])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 3), (3, 7), (4, 4)])
def test_windows_of_any_kind_give_what_the_reference_gives(
    kernel: tuple[int, int], pads: tuple[int, ...], strides: tuple[int, int], behind: bool, name: str
) -> None:
    """With few pads, pictures are larger than what the tiles of the output cover."""
    with instructions(name):
        for size in ((6, 8), (9, 30), (33, 17), (60, 61)):
            for batch in (1, 3, 17):
                assert_as_the_reference(depthwise(kernel, size, behind=behind, pads=pads, strides=strides), batch)


@every_set
@pytest.mark.parametrize("size", [(7, 7), (14, 14), (28, 40), (112, 112), (130, 9)])
@pytest.mark.parametrize("ending", ["sum", "function", "average"])
def test_what_follows_gives_what_the_reference_gives(ending: str, size: tuple[int, int], name: str) -> None:
    graph = depthwise((3, 3), size, behind=True, pads=(1, 1, 1, 1), ending=ending)
    with instructions(name):
        for batch in (1, 5, 16):
            assert_as_the_reference(graph, batch)
        assert "depthwise" in kinds(graph, 1)


@every_set
@pytest.mark.parametrize("times", [2, 3])
def test_channels_that_several_outputs_see_give_what_the_reference_gives(times: int, name: str) -> None:
    for size in ((7, 7), (56, 60)):
        with instructions(name):
            assert_as_the_reference(depthwise((5, 5), size, behind=True, times=times, pads=(2, 2, 2, 2)), 1)


@every_set
def test_a_window_that_sees_nothing_but_pads_gives_the_bias(name: str) -> None:
    graph = depthwise((1, 3, 3), (1, 16, 16), pads=(1, 1, 1, 1, 1, 1), strides=(3, 1, 1))
    with instructions(name):
        assert_as_the_reference(graph, 1)


@every_set
@pytest.mark.parametrize("behind", [False, True])
def test_what_is_not_finite_stays_where_windows_see_it(behind: bool, name: str) -> None:
    drawn = Drawn(depthwise((3, 3), (14, 14), behind=behind, pads=(1, 1, 1, 1)), whole=False)
    inputs = drawn.inputs(3, 0)
    for at, value in enumerate(NOT_FINITE):
        inputs["x"][at, 2, 3, 13] = value
    wanted = outputs_and_bounds(drawn, inputs)
    assert 0 < np.isfinite(wanted[0][0]).mean() < 1
    with instructions(name):
        assert_near(outputs_of(Session(drawn.encoded(), 2), inputs), wanted)
