"""Arithmetic behind channels that become pixels goes in front of that, and computes what it computed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.each_case import each_case
from torch import nn

from netsurgery.graph.capture import capture
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.passes import simplify
from netsurgery.graph.passes.rearranged import arithmetic_before_rearrangements
from netsurgery.runtime.reference import run, run_node


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


def unfolded(blocks: tuple[int, ...], order: str, cut: bool, arithmetic: str, constant_first: bool) -> Graph:
    rng, builder, axes = np.random.default_rng(0), GraphBuilder(), len(blocks)
    x = builder.input("x", ("batch", 2, *(4,) * axes))
    weight = builder.constant(rng.normal(size=(3 * math.prod(blocks), 2, *(1,) * axes)))
    x = builder.node("Conv", [x, weight])
    x = builder.node("DepthToSpace", [x], blocks=blocks, order=order)
    if cut:
        x = builder.node("Pad", [x], pads=(0, 0, *(-1,) * axes, 0, 0, *(0,) * axes))
    numbers = builder.constant(rng.normal(size=(3, *(1,) * axes)))
    x = builder.node(arithmetic, [numbers, x] if constant_first else [x, numbers])
    return builder.graph([builder.node("Tanh", [builder.node("Mul", [x, builder.constant(np.float32(2))])])])


@each_case("blocks", [(3,), (2, 2), (1, 2, 3)])
@each_case("order", ["crd", "dcr"])
@each_case("cut", [False, True])
@each_case(("arithmetic", "first"), [("Mul", False), ("Add", True), ("Sub", True), ("Div", False)])
def test_every_entry_is_computed_as_before(
    blocks: tuple[int, ...], order: str, cut: bool, arithmetic: str, first: bool
) -> None:
    graph = unfolded(blocks, order, cut, arithmetic, first)
    moved = arithmetic_before_rearrangements(graph)
    assert operators(moved) == ["Conv", arithmetic, "Mul", "Tanh", "DepthToSpace", *(["Pad"] if cut else [])]
    assert arithmetic_before_rearrangements(moved) is moved
    x = np.random.default_rng(1).normal(size=(2, 2, *(4,) * len(blocks))).astype(np.float32)
    (before,), (after,) = run(graph, {"x": x}), run(moved, {"x": x})
    assert before.tobytes() == after.tobytes()
    assert operators(simplify(graph, run_node))[:2] == ["Conv", "Tanh"]


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_normalised_transposed_convolution_is_a_convolution_with_its_activation(axes: int) -> None:
    kind = {1: (nn.ConvTranspose1d, nn.BatchNorm1d), 2: (nn.ConvTranspose2d, nn.BatchNorm2d)}
    transposed, norm = kind.get(axes, (nn.ConvTranspose3d, nn.BatchNorm3d))
    torch.manual_seed(0)
    model = nn.Sequential(transposed(2, 3, 4, stride=2, padding=1), norm(3), nn.ReLU()).eval()
    model[1].running_var.uniform_(0.5, 2)
    x = torch.rand(2, 2, *(5,) * axes)
    graph = simplify(capture(model, run_node, (x,)).graph, run_node)
    assert operators(graph) == ["Conv", "Relu", "DepthToSpace", "Pad"]
    (got,) = run(graph, {graph.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(got, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_what_something_else_reads_stays() -> None:
    for reads in ("convolution", "pixels"):
        builder = GraphBuilder()
        x = builder.input("x", ("batch", 2, 3, 3))
        made = builder.node("Conv", [x, builder.constant(np.ones((4, 2, 1, 1)))])
        pixels = builder.node("DepthToSpace", [made], blocks=(2, 2))
        graph = builder.graph([builder.node("Relu", [pixels]), made if reads == "convolution" else pixels])
        assert arithmetic_before_rearrangements(graph) is graph


def test_numbers_for_pixels_and_pixels_that_are_added_stay() -> None:
    for pads, numbers in (((0,) * 8, (2, 1, 6)), ((0, 0, 1, 0, 0, 0, 0, -1), (3, 1, 1))):
        builder = GraphBuilder()
        x = builder.node("Conv", [builder.input("x", ("batch", 2, 3, 3)), builder.constant(np.ones((12, 2, 1, 1)))])
        x = builder.node("DepthToSpace", [x], blocks=(2, 2))
        x = builder.node("Pad", [x], pads=pads)
        constant = builder.constant(np.arange(math.prod(numbers)).reshape(numbers)) if numbers[0] == 3 else None
        constant = constant or builder.constant(np.ones((1, 1, 6)))
        graph = builder.graph([builder.node("Mul", [x, constant])])
        assert arithmetic_before_rearrangements(graph) is graph
