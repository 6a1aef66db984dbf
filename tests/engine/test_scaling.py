"""Channels that are scaled in front of a convolution of single pixels are scaled by it, some pixels at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.test_lanes import assert_as_the_reference, kinds, sparse

from netsurgery import _native
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.timing.instruction_sets import instructions

every_set = pytest.mark.parametrize("name", _native.available_instructions())

WAYS = {  # kind of step -> (density, channels, sizes)
    "sparse lanes": (0.2, 40, (21, 18)),
    "sparse lanes, several blocks of channels": (0.1, 300, (14, 15)),
    "dense lanes": (1.0, 24, (28, 23)),
    "dense lanes, several blocks of inputs": (1.0, 290, (20, 20)),
    "dense pixels": (1.0, 64, (7, 7)),
    "dense pixels, several blocks of inputs": (1.0, 300, (7, 6)),
}
SCALED = ("constant", "of each image", "scale alone", "shift alone", "one for all")
BEHIND: dict[str, dict[str, Any] | None] = {
    "nothing": None,
    "Relu": {},
    "Clip": {"minimum": -0.5, "maximum": 1.0},
    "Silu": {},
    "Tanh": {},
}


def scaled(builder: GraphBuilder, x: str, channels: int, how: str, behind: str, spatial: int = 2) -> str:
    """x times numbers of its channels, plus others, and a function."""
    rng = np.random.default_rng(channels)
    shape = (1 if how == "one for all" else channels, *(1,) * spatial)
    scale, shift = (builder.constant(rng.normal(size=shape).astype(np.float32)) for _ in range(2))
    if how == "of each image":
        pooled = builder.node("AdaptiveAveragePool", [x], size=(1,) * spatial)
        scale = builder.node("Sigmoid", [builder.node("Mul", [pooled, scale])])
    if how != "shift alone":
        x = builder.node("Mul", [x, scale])
    if how != "scale alone":
        x = builder.node("Add", [x, shift])
    attributes = BEHIND[behind]
    return x if attributes is None else builder.node(behind, [x], **attributes)


def in_front(
    way: str,
    how: str,
    behind: str,
    *,
    kernel: int = 1,
    stride: int = 1,
    pads: tuple[int, ...] = (),
    spatial: int = 2,
    seen: bool = False,
) -> Graph:
    """A convolution, what is scaled, a convolution of single pixels, and one that looks beyond each tile. seen: what is
    scaled is an output, too.
    """
    density, channels, sizes = WAYS[way]
    sizes = {1: (sizes[0] * 5,), 2: sizes, 3: (4, *sizes)}[spatial]
    rng, builder = np.random.default_rng(channels), GraphBuilder()
    x = builder.input("x", ("batch", 3, *sizes))
    first = builder.constant(rng.normal(size=(channels, 3, *(1,) * spatial)).astype(np.float32))
    made = scaled(builder, builder.node("Conv", [x, first]), channels, how, behind, spatial)
    window: dict[str, Any] = {"pads": pads or (0,) * 2 * spatial, "strides": (stride,) * spatial}
    weight = builder.constant(sparse(rng, density, channels + 3, channels, *(kernel,) * spatial) / 4)
    bias = builder.constant(rng.normal(size=channels + 3).astype(np.float32))
    last = builder.node("Relu", [builder.node("Conv", [made, weight, bias], **window)])
    last = builder.node(
        "Conv", [last, builder.constant(sparse(rng, 0.4, 3, channels + 3, *(3,) * spatial))], pads=(1,) * 2 * spatial
    )
    return builder.graph([last, made] if seen else [last])


@every_set
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", SCALED)
def test_a_convolution_of_single_pixels_scales_its_inputs_on_the_way(how: str, way: str, name: str) -> None:
    graph = in_front(way, how, "Relu")
    with instructions(name):
        for batch in (1, 3):
            assert_as_the_reference(graph, batch, threads=(1, 3))
        made = kinds(graph, 1)
    assert "scales" not in made, made
    assert way.split(",")[0] in made or (way.startswith("dense pixels") and "dense lanes" in made), made


@every_set
@pytest.mark.parametrize("way", ["sparse lanes", "dense lanes", "dense pixels"])
@pytest.mark.parametrize("behind", BEHIND)
def test_what_follows_the_scaling_is_done_with_it(behind: str, way: str, name: str) -> None:
    graph = in_front(way, "constant", behind)
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert_as_the_reference(graph, 18)
        assert not kinds(graph, 1) & {"scales", "function"}


@every_set
@pytest.mark.parametrize("spatial", [1, 3])
@pytest.mark.parametrize("way", ["sparse lanes", "dense lanes"])
def test_rows_and_volumes_are_scaled_alike(way: str, spatial: int, name: str) -> None:
    graph = in_front(way, "of each image", "Relu", spatial=spatial)
    with instructions(name):
        for batch in (1, 2):
            assert_as_the_reference(graph, batch, threads=(1, 2))
        assert "scales" not in kinds(graph, 1)


@every_set
@pytest.mark.parametrize(
    "differs",
    [
        {"kernel": 3, "pads": (1, 1, 1, 1)},
        {"stride": 2},
        *({"pads": pads} for pads in ((1, 1, 1, 1), (0, 0, 0, 1), (0, 0, 2, 0), (1, 0, 0, 0))),
        {"seen": True},
    ],
)
def test_other_readers_get_what_is_scaled_from_a_step_of_its_own(differs: dict[str, Any], name: str) -> None:
    """Zeros around a picture aren't scaled, so that windows which see them can't scale what they see."""
    graph = in_front("sparse lanes", "constant", "Relu", **differs)
    with instructions(name):
        assert_as_the_reference(graph, 1)
        assert_as_the_reference(graph, 3)
        assert "scales" in kinds(graph, 1)


@every_set
@pytest.mark.parametrize("groups", [2, 40])
def test_groups_of_channels_get_what_is_scaled_from_a_step_of_its_own(groups: int, name: str) -> None:
    rng, builder = np.random.default_rng(groups), GraphBuilder()
    x = builder.input("x", ("batch", 40, 9, 11))
    made = scaled(builder, builder.node("MaxPool", [x], kernel=(3, 3)), 40, "constant", "Relu")
    weight = builder.constant(sparse(rng, 0.3, 80, 40 // groups, 1, 1))
    graph = builder.graph([builder.node("Conv", [made, weight], groups=groups)])
    with instructions(name):
        assert_as_the_reference(graph, 1)


@every_set
def test_channels_of_a_join_are_scaled_where_they_lie(name: str) -> None:
    """As in a dense block: each layer sees all that came before, scaled for itself."""
    rng, builder = np.random.default_rng(3), GraphBuilder()
    x = builder.node("MaxPool", [builder.input("x", ("batch", 20, 15, 13))], kernel=(2, 2))
    seen = [x]
    for layer in range(4):
        channels = 20 + 12 * layer
        joined = builder.node("Concat", seen, axis=1) if layer else x
        made = scaled(builder, joined, channels, "constant", "Relu")
        made = builder.node(
            "Relu", [builder.node("Conv", [made, builder.constant(sparse(rng, 0.3, 24, channels, 1, 1))])]
        )
        seen.append(builder.node("Conv", [made, builder.constant(sparse(rng, 0.2, 12, 24, 3, 3))], pads=(1,) * 4))
    graph = builder.graph([builder.node("Concat", seen, axis=1)])
    with instructions(name):
        for batch in (1, 5):
            assert_as_the_reference(graph, batch, threads=(1, 2, 3))
        assert "scales" not in kinds(graph, 1)


@every_set
def test_what_a_residual_shares_is_scaled_for_one_reader_alone(name: str) -> None:
    """As in networks that normalise in front of their layers: the sum goes on as it is, too."""
    rng, builder = np.random.default_rng(4), GraphBuilder()
    x = builder.node("MaxPool", [builder.input("x", ("batch", 32, 14, 14))], kernel=(1, 1))
    for _ in range(2):
        made = scaled(builder, x, 32, "constant", "Silu")
        made = builder.node("Conv", [made, builder.constant(sparse(rng, 0.3, 32, 32, 1, 1) / 4)])
        x = builder.node("Add", [made, x])
    with instructions(name):
        for batch in (1, 2, 17):
            assert_as_the_reference(builder.graph([x]), batch)
