"""Layers between two Quantize add whole numbers of 16 bits wherever that is proved, and never change a bit."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from tests.engine.quantized_networks import drawn, inputs_of
from tests.engine.test_lanes import outputs_of

from netsurgery import _native
from netsurgery.errors import SettingError
from netsurgery.graph.fixed_point import grids
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.packed.writer import encode
from netsurgery.runtime import reference
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

SEEDS = range(60)


LANES = "NETSURGERY_FIXED"


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of whole numbers, however small a network is: else floats may be estimated to be faster."""
    monkeypatch.setenv(LANES, "whole")


def kinds_of(graph: Graph, x: Array) -> Counter[str]:
    return Counter(kind for _, kind, _, _ in Session(encode(graph), 1).profile(x))


def assert_bits_of_the_reference(graph: Graph, *batches: Array, threads: int = 1) -> None:
    content = encode(graph)
    with np.errstate(all="ignore"):
        wanted = [reference.run(graph, {"x": x}) for x in batches]
    for name, lanes in itertools.product(_native.available_instructions(), ("whole", "floats")):
        with instructions(name), pytest.MonkeyPatch.context() as patch:
            patch.setenv(LANES, lanes)
            session = Session(content, threads=threads)
            for x, outputs in zip(batches, wanted, strict=True):
                for one, other in zip(outputs_of(session, {"x": x}), outputs, strict=True):
                    where = f"{name}, {lanes}, {threads} threads, batch {len(x)}"
                    assert np.array_equal(one, other, equal_nan=True), where


@pytest.mark.parametrize("seed", SEEDS)
def test_every_instruction_set_number_of_threads_and_batch_gives_the_bits_of_the_reference(seed: int) -> None:
    graph = drawn(seed)
    with np.errstate(all="ignore"):
        batches = [inputs_of(graph, batch, seed) for batch in (1, 2, 16, 33)]
    assert_bits_of_the_reference(graph, *batches, threads=1 + seed % 4)


def test_most_of_these_networks_have_layers_that_add_whole_numbers() -> None:
    """Else the test above would compare floats with floats, and nobody would see it."""
    with np.errstate(all="ignore"):
        kinds = [kinds_of(graph, inputs_of(graph, 3, seed)) for seed, graph in ((seed, drawn(seed)) for seed in SEEDS)]
    assert sum(one["fixed lanes"] > 0 for one in kinds) > 0.7 * len(SEEDS)
    assert sum(one["fixed tables"] > 0 for one in kinds) > 0.1 * len(SEEDS)
    assert sum(one["fixed pool"] > 0 for one in kinds) > 0.1 * len(SEEDS)
    assert {"fixed gather", "fixed move", "fixed halo", "fixed scatter"} <= set().union(*kinds)


def layer(builder: GraphBuilder, x: str, channels: int, **attributes: object) -> str:
    rng = np.random.default_rng(5)
    weight = np.where(rng.random((channels, channels, 3, 3)) < 0.3, rng.choice([-4.0, -1.0, 1.0, 2.0]), 0.0)
    made = builder.node("Conv", [x, builder.constant(weight.astype(np.float32), "w")], pads=(1, 1, 1, 1))
    scale = builder.constant(rng.uniform(0.02, 0.1, channels).astype(np.float32), "scale")
    shift = builder.constant(rng.normal(0, 0.3, channels).astype(np.float32), "shift")
    return builder.node("Quantize", [made, scale, shift], **attributes)


@pytest.mark.parametrize("batch", [1, 16])
def test_from_the_first_quantize_to_the_last_a_residual_network_adds_whole_numbers(batch: int) -> None:
    builder = GraphBuilder()
    first = builder.node("Quantize", [builder.input("x", ("batch", 8, 12, 12))], exponent=-5)
    stem = layer(builder, first, 8, exponent=-4, signed=False)
    small = builder.node("MaxPool", [stem], kernel=(2, 2), strides=(2, 2))
    wide = layer(builder, layer(builder, small, 8, exponent=-4, signed=False), 8, exponent=-5, bits=12)
    total = builder.node("Quantize", [builder.node("Add", [wide, small])], exponent=-3, signed=False)
    graph = builder.graph([layer(builder, total, 8, exponent=-4)])
    x = np.random.default_rng(0).normal(size=(batch, 8, 12, 12)).astype(np.float32)
    kinds = kinds_of(graph, x)
    assert kinds["fixed lanes"] == 4
    assert kinds["fixed pool"] == 1
    assert set(kinds) <= {f"fixed {what}" for what in ("lanes", "pool", "gather", "move", "halo", "scatter")}
    assert_bits_of_the_reference(graph, x)


def depthwise(builder: GraphBuilder, x: str, channels: int, side: int, stride: int, whole: bool) -> str:
    rng = np.random.default_rng(6)
    shape = (channels, 1, side, side)
    weight = rng.choice([-4.0, -2.0, -1.0, 1.0, 2.0], shape) if whole else rng.normal(0, 1, shape)
    operands = [x, builder.constant(weight.astype(np.float32), "w")]
    pads = (side // 2,) * 4
    return builder.node("Conv", operands, groups=channels, pads=pads, strides=(stride, stride))


@pytest.mark.parametrize("batch", [1, 5, 32])
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_layers_and_cuts_from_above_stay_whole_numbers(side: int, stride: int, batch: int) -> None:
    builder = GraphBuilder()
    first = builder.node("Quantize", [builder.input("x", ("batch", 12, 28, 28))], exponent=-5)
    wide = builder.node("Clip", [layer(builder, first, 12, exponent=-4, signed=False)], minimum=0.0, maximum=6.0)
    sums = depthwise(builder, wide, 12, side, stride, whole=True)
    scale = builder.constant(np.random.default_rng(7).uniform(0.02, 0.1, 12).astype(np.float32), "scale")
    small = builder.node("Quantize", [sums, scale], exponent=-5, signed=False)
    cut = builder.node("Clip", [small], minimum=0.25, maximum=3.0)
    graph = builder.graph([layer(builder, cut, 12, exponent=-4)])
    x = np.random.default_rng(0).normal(size=(batch, 12, 28, 28)).astype(np.float32)
    kinds = kinds_of(graph, x)
    assert kinds["fixed depthwise"] >= 1
    assert set(kinds) <= {f"fixed {what}" for what in ("lanes", "depthwise", "gather", "move", "halo", "scatter")}
    assert_bits_of_the_reference(graph, x)


def test_a_depthwise_layer_of_any_weights_is_as_near_as_floats_are() -> None:
    builder = GraphBuilder()
    first = builder.node("Quantize", [builder.input("x", ("batch", 12, 28, 28))], exponent=-5)
    wide = layer(builder, first, 12, exponent=-4, signed=False)
    made = depthwise(builder, wide, 12, 3, 1, whole=False)
    small = builder.node("Quantize", [made], exponent=-3)
    graph = builder.graph([layer(builder, small, 12, exponent=-4), small])
    x = np.random.default_rng(0).normal(size=(1, 12, 28, 28)).astype(np.float32)
    assert kinds_of(graph, x)["rounded depthwise"] == 1
    rounded = Session(encode(graph))(x)[1]
    np.testing.assert_allclose(rounded, reference.run(graph, {"x": x})[1], atol=2.0**-3)


def test_lanes_that_arent_known_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LANES, "fast")
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Quantize", [builder.input("x", ("batch", 4))], exponent=0)])
    with pytest.raises(SettingError, match="NETSURGERY_FIXED is 'fast': make it whole or floats"):
        Session(encode(graph))


def test_a_window_that_sees_padding_alone_gives_minus_infinity_not_the_lowest_whole_number() -> None:
    builder = GraphBuilder()
    first = builder.node("Quantize", [builder.input("x", ("batch", 4, 3, 3))], exponent=0)
    made = layer(builder, first, 4, exponent=0)
    pooled = builder.node("MaxPool", [made], kernel=(2, 2), dilations=(4, 4), pads=(3, 3, 3, 3))
    graph = builder.graph([pooled])
    x = np.random.default_rng(0).normal(0, 50, (1, 4, 3, 3)).astype(np.float32)
    assert pooled not in grids(graph)
    assert np.isneginf(reference.run(graph, {"x": x})[0]).any()
    assert kinds_of(graph, x)["fixed lanes"] == 1
    assert_bits_of_the_reference(graph, x)


def test_a_sum_whose_parts_are_beyond_float32_in_units_of_its_grid_is_left_to_floats() -> None:
    builder = GraphBuilder()
    first = builder.node("Quantize", [builder.input("x", ("batch", 4, 3, 3))], exponent=100)
    one, other = (layer(builder, first, 4, exponent=100) for _ in range(2))
    graph = builder.graph([builder.node("Quantize", [builder.node("Add", [one, other])], exponent=-100)])
    x = np.ldexp(np.random.default_rng(0).normal(0, 5, (1, 4, 3, 3)), 100).astype(np.float32)
    assert kinds_of(graph, x)["fixed lanes"] == 2
    assert_bits_of_the_reference(graph, x)


@pytest.mark.parametrize(
    ("seen", "made", "scale", "shift"),
    [(100, 100, 2.0**27, -(2.0**128 - 2.0**104)), (0, -100, 2.0**30, -(2.0**30))],
    ids=["as it is", "in units of the grid"],
)
def test_a_product_beyond_float32_before_its_shift_is_left_to_floats(
    seen: int, made: int, scale: float, shift: float
) -> None:
    builder = GraphBuilder()
    first = builder.node("Quantize", [builder.input("x", ("batch", 1, 2, 2))], exponent=seen)
    weight = builder.constant(np.array([1, 0, 1, 0], np.float32).reshape(4, 1, 1, 1), "w")
    numbers = [builder.constant(np.full(4, one, np.float32), "numbers") for one in (scale, shift)]
    product = builder.node("Conv", [first, weight])
    graph = builder.graph([builder.node("Quantize", [product, *numbers], exponent=made)])
    x = np.ldexp(np.arange(8.0), seen).reshape(2, 1, 2, 2).astype(np.float32)
    assert not kinds_of(graph, x)["fixed lanes"]
    assert_bits_of_the_reference(graph, x)
