"""What layers in fixed point add, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from netsurgery.analysis.fixed_point import fixed_layers
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.weights import Planes, Powers


def network(groups: int) -> Graph:
    """5 outputs of 3 planes over 8 inputs at 4 positions, and 2 outputs of powers of two over what those give."""
    builder = GraphBuilder()
    x = builder.node("Quantize", [builder.input("x", ("batch", 8 * groups, 2, 2))], exponent=0)
    signs = np.random.default_rng(0).integers(0, 2, (1, 15 * groups, 8, 1, 1), np.uint8)
    planes = builder.constant(Planes(np.ones((15 * groups, 1), np.float32), signs), "planes")
    sums = builder.node("Conv", [x, planes], groups=groups)
    scale = builder.constant(np.ones(15 * groups, np.float32), "scale")
    made = builder.node("QuantizePlanes", [sums, scale], exponent=0, planes=3)
    signed = np.zeros((2, 5 * groups, 1, 1), np.int8)
    signed[0, :2], signed[1, 0] = 1, -1
    exponents = np.zeros_like(signed)
    exponents[0, 0] = 3
    last = builder.node("Conv", [made, builder.constant(Powers(signed, exponents), "powers")])
    return builder.graph([builder.node("Quantize", [last], exponent=0)])


@pytest.mark.parametrize("groups", [1, 2])
def test_signs_are_added_four_at_once_and_powers_one_by_one(groups: int) -> None:
    found = fixed_layers(network(groups))
    assert found is not None
    outputs = 4 * (5 * groups + 2)
    tables = 2 * groups  # of four inputs; 24 additions make one, and each row of a group takes one from each
    assert found.additions == pytest.approx(4 * (24 * tables + 2 * 15 * groups + 3) / outputs)
    assert found.multiplications == pytest.approx(4 * (8 * 5 * groups + 3) / outputs + 1)
    assert found.doublings == pytest.approx(4 * 3 / outputs)
    assert (found.layers, found.of) == (2, 2)
