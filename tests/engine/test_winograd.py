"""Full 3 x 3 convolutions run by Winograd's F(2 x 2, 3 x 3): as the reference, and where it may not, not at all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.engine.drawn_networks import Drawn, outputs_and_bounds
from tests.engine.test_lanes import NOT_FINITE, assert_as_the_reference, assert_near, bits, kinds, outputs_of, sparse

from netsurgery import _native
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

every_set = pytest.mark.parametrize("name", _native.available_instructions())


def convolved(
    sizes: tuple[int, ...], inputs: int, outputs: int, density: float = 1, scale: float = 1, **attributes: Any
) -> Graph:
    """With a bias, and numbers of both signs."""
    rng, builder = np.random.default_rng(outputs), GraphBuilder()
    x = builder.input("x", ("batch", inputs, *sizes))
    groups, kernel = attributes.get("groups", 1), (3,) * len(sizes)
    weight = builder.constant(sparse(rng, density, outputs, inputs // groups, *kernel) * np.float32(scale))
    bias = builder.constant(rng.normal(size=outputs))
    return builder.graph([builder.node("Conv", [x, weight, bias], **attributes)])


@every_set
@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("outputs", [13, 48, 100, 200])
@pytest.mark.parametrize("sizes", [(2, 3), (5, 5), (7, 7), (14, 14), (28, 28), (9, 40), (33, 17)])
def test_pictures_of_any_size_give_what_the_reference_gives(
    sizes: tuple[int, int], outputs: int, batch: int, name: str
) -> None:
    """Tiles of an odd number of rows or columns, chunks of outputs that are full and that aren't."""
    graph = convolved(sizes, 32, outputs, pads=(1,) * 4)
    with instructions(name):
        assert_as_the_reference(graph, batch)
        if min(sizes) >= 14 and outputs >= 48:
            assert "winograd" in kinds(graph, batch)


@every_set
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (2, 0, 1, 2), (0, 1, 1, 0)])
@pytest.mark.parametrize("groups", [1, 2])
def test_pads_and_groups_give_what_the_reference_gives(groups: int, pads: tuple[int, ...], name: str) -> None:
    graph = convolved((21, 30), 64, 80, groups=groups, pads=pads)
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert "winograd" in kinds(graph, 1)


@every_set
@pytest.mark.parametrize("inputs", [256, 257, 600])
def test_many_inputs_are_taken_in_blocks(inputs: int, name: str) -> None:
    graph = convolved((14, 14), inputs, 49, pads=(1,) * 4)
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert "winograd" in kinds(graph, 1)


@every_set
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 1)])
def test_slices_of_a_volume_are_further_inputs(strides: tuple[int, int, int], name: str) -> None:
    graph = convolved((6, 12, 13), 20, 50, strides=strides, pads=(1,) * 6)
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert_as_the_reference(graph, 2)
        assert "winograd" in kinds(graph, 1)


@every_set
@pytest.mark.parametrize("size", [14, 15])
@pytest.mark.parametrize("behind", ["Relu", "Silu"])
def test_what_follows_is_done_with_the_sums(behind: str, size: int, name: str) -> None:
    """A residual, a cut or a function, and windows that look beyond each tile."""
    rng, builder = np.random.default_rng(size), GraphBuilder()
    x = builder.input("x", ("batch", 48, size, size))
    y = x
    for _ in range(3):
        weight, bias = rng.normal(size=(48, 48, 3, 3)) / 20, rng.normal(size=48)
        y = builder.node("Conv", [y, builder.constant(weight), builder.constant(bias)], pads=(1,) * 4)
        y = builder.node(behind, [builder.node("Add", [y, x])])
    graph = builder.graph([y])
    with instructions(name):
        for batch in (1, 5):
            assert_as_the_reference(graph, batch)
        made = kinds(graph, 1)
    assert "winograd" in made
    assert not {"clip", "function", "plain", "add"} & made


@every_set
@pytest.mark.parametrize("shares", [0.001, 0.02])
def test_what_is_not_finite_stays_in_the_windows_that_see_it(shares: float, name: str) -> None:
    """Outputs of the same block that don't see it are what they would be without; threads make no difference."""
    drawn = Drawn(convolved((20, 19), 40, 64, pads=(1,) * 4), whole=False)
    inputs = drawn.inputs(2, 0)
    rng = np.random.default_rng(1)
    for values in inputs.values():
        here = rng.random(values.shape) < shares
        values[here] = rng.choice(NOT_FINITE, values.shape)[here]
    wanted = outputs_and_bounds(drawn, inputs)
    assert 0 < np.isfinite(wanted[0][0]).mean() < 1
    with instructions(name):
        made = [outputs_of(Session(drawn.encoded(), count), inputs) for count in (1, 2, 3)]
        assert "winograd" in kinds(drawn.graph, 2)
    assert_near(made[0], wanted)
    assert bits(made[0]) == bits(made[1]) == bits(made[2])


@every_set
def test_sums_near_the_end_of_float32_do_not_overflow_on_the_way(name: str) -> None:
    """Four inputs are summed before they are multiplied: each of these is more than a quarter of the largest number."""
    drawn = Drawn(convolved((16, 16), 32, 48, scale=1e-3, pads=(1,) * 4), whole=False)
    x = np.where(np.random.default_rng(0).random((1, 32, 16, 16)) < 0.5, -2e38, 2e38).astype(np.float32)
    with instructions(name):
        (made,) = outputs_of(Session(drawn.encoded(), 1), {"x": x})
        assert "winograd" in kinds(drawn.graph, 1)
    exact = sums_in_float64(drawn.graph, x)
    assert np.abs(made - exact).max() < 1e-6 * np.abs(exact).max()


@every_set
def test_lanes_beyond_the_picture_never_meet_its_pixels(name: str) -> None:
    """Nothing is padded, and what an earlier run left in empty lanes is neither seen nor summed up once more."""
    drawn = Drawn(convolved((13, 13), 48, 48), whole=False)
    inputs = drawn.inputs(1, 0)
    with instructions(name):
        session = Session(drawn.encoded(), 1)
        fresh = bits(outputs_of(session, inputs))
        for poison in (math.nan, math.inf):
            outputs_of(session, {"x": np.full_like(inputs["x"], poison)})
            assert bits(outputs_of(session, inputs)) == fresh


@every_set
def test_whole_numbers_stay_exact(name: str) -> None:
    """Halves and quarters of weights are float32, too."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.input("x", ("batch", 32, 14, 14))
    weight = builder.constant(rng.integers(-2, 3, (48, 32, 3, 3)).astype(np.float32))
    drawn = Drawn(builder.graph([builder.node("Conv", [x, weight], pads=(1,) * 4)]), whole=True)
    inputs = drawn.inputs(3, 0)
    wanted = outputs_and_bounds(drawn, inputs)
    assert not wanted[0][1].any()
    with instructions(name):
        assert "winograd" in kinds(drawn.graph, 1)
        assert_near(outputs_of(Session(drawn.encoded(), 1), inputs), wanted)


@every_set
@pytest.mark.parametrize(
    "attributes",
    [{"strides": (2, 2)}, {"strides": (1, 2)}, {"dilations": (2, 2), "pads": (2,) * 4}, {"groups": 32}],
)
def test_other_windows_run_another_way(attributes: dict[str, Any], name: str) -> None:
    graph = convolved((28, 28), 32, 64, **{"pads": (1,) * 4, **attributes})
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert "winograd" not in kinds(graph, 1)


@every_set
def test_few_weights_are_taken_one_by_one(name: str) -> None:
    with instructions(name):
        assert "sparse lanes" in kinds(convolved((28, 28), 32, 64, density=0.2, pads=(1,) * 4), 1)


@every_set
def test_sums_of_rounded_values_stay_whole(name: str) -> None:
    """Between two roundings every way has to give the same bits: no sums of weights, whose quarters need more."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.input("x", ("batch", 32, 28, 28))
    y = builder.node("Quantize", [x], exponent=-4, bits=8)
    y = builder.node("Conv", [y, builder.constant(np.exp2(rng.integers(0, 4, (64, 32, 3, 3))))], pads=(1,) * 4)
    graph = builder.graph([y])
    with instructions(name):
        assert "winograd" not in kinds(graph, 1)


def sums_in_float64(graph: Graph, x: Array) -> Array:
    """Of a convolution whose outputs are as many as its pixels."""
    weight, bias = (np.asarray(graph.constants[name]).astype(np.float64) for name in graph.nodes[0].given[1:])
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = x.shape[2:]
    windows = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    taps = [weight[..., i, j] for i in range(3) for j in range(3)]
    sums = sum(np.einsum("oc,nchw->nohw", tap, seen) for tap, seen in zip(taps, windows, strict=True))
    return np.asarray(sums + bias.reshape(1, -1, 1, 1))


def test_errors_are_some_ten_millionths_of_the_largest_output() -> None:
    """Beside sums in float64."""
    graph = convolved((28, 28), 128, 128, scale=0.03, pads=(1,) * 4)
    drawn = Drawn(graph, whole=False)
    inputs = drawn.inputs(1, 0)
    exact = sums_in_float64(graph, inputs["x"])
    (made,) = outputs_of(Session(drawn.encoded(), 1), inputs)
    assert "winograd" in kinds(graph, 1)
    assert np.abs(made - exact).max() < 1e-6 * np.abs(exact).max()
    assert np.sqrt(np.mean((made - exact) ** 2)) < 1e-7 * np.abs(exact).max()
