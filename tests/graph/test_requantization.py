"""Scales and shifts that engines can do in 16 bits give the same numbers as floats do, for every sum there may be."""

from __future__ import annotations

import numpy as np
from tests.each_case import each_case

from netsurgery.graph.fixed_point import limits
from netsurgery.graph.ir import Array, GraphBuilder
from netsurgery.graph.requantization import requantized
from netsurgery.graph.weights import Powers

CASES = [(bits, signed, seed) for bits in (8, 10, 12) for signed in (False, True) for seed in range(6)]


def rounded(sums: Array, scale: Array, shift: Array, low: int, high: int) -> Array:
    """As Quantize says, on a grid of step 1."""
    made: Array = np.clip(np.rint(np.float32(sums) * scale + shift), low, high)
    return made


def layer_of(seed: int, bits: int, signed: bool) -> tuple[GraphBuilder, str, Array, Array]:
    """A Linear of whole weights with any scales and shifts, and Quantize behind it; both of step 1."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()
    signs = np.where(rng.random((6, 30)) < 0.3, rng.choice([-1, 1], (6, 30)), 0).astype(np.int8)
    weight = Powers(signs, rng.integers(0, 3, (6, 30)).astype(np.int8))
    seen = builder.node("Quantize", [builder.input("x", ("batch", 30))], exponent=0, bits=8, signed=False)
    made = builder.node("Linear", [seen, builder.constant(weight, "w")])
    largest = np.abs(weight.values).sum(axis=1) * 255
    scale = (rng.uniform(0.3, 3, 6) * 2.0**bits / largest).astype(np.float32)
    shift = (rng.normal(0, 2.0 ** (bits - 2), 6)).astype(np.float32)
    operands = [made, builder.constant(scale, "scale"), builder.constant(shift, "shift")]
    return builder, builder.node("Quantize", operands, exponent=0, bits=bits, signed=signed), largest, scale


@each_case(("bits", "signed", "seed"), CASES)
def test_a_product_of_16_bits_gives_what_floats_give_for_every_sum(bits: int, signed: bool, seed: int) -> None:
    builder, output, largest, given = layer_of(seed, bits, signed)
    graph = requantized(builder.graph([output]))
    node = graph.nodes[-1]
    low, high = limits(node.attributes)
    scales, shifts = (graph.constants[str(name)].values for name in node.inputs[1:])
    found = 0
    for scale, shift, most in zip(scales, shifts, largest, strict=True):
        doublings = max(0, int(np.ceil(np.log2(max(float(scale) * 2**16, 1) / (2**15 - 1)))))
        factor = float(scale) * 2.0 ** (16 - doublings)
        if factor != np.floor(factor) or most * 2**doublings > 2**15 - 1:
            continue
        found += 1
        offset = int(np.floor((float(shift) + 0.5) * 2**16 / factor))
        sums = np.arange(-int(most), int(most) + 1)
        product = ((sums << doublings) + offset) * int(factor) >> 16
        assert np.array_equal(np.clip(product, low, high), rounded(sums, scale, shift, low, high))
    assert found
    np.testing.assert_allclose(scales, given, rtol=2**-8)


@each_case(("bits", "signed", "seed"), CASES)
def test_no_result_moves_by_more_than_a_step_of_8_bits(bits: int, signed: bool, seed: int) -> None:
    builder, output, largest, _ = layer_of(seed, bits, signed)
    before = builder.graph([output])
    after = requantized(before)
    low, high = limits(before.nodes[-1].attributes)
    numbers = [[graph.constants[str(name)].values for name in graph.nodes[-1].inputs[1:]] for graph in (before, after)]
    for row, most in enumerate(largest):
        sums = np.arange(-int(most), int(most) + 1)
        one, other = (rounded(sums, scale[row], shift[row], low, high) for scale, shift in numbers)
        assert np.abs(one - other).max() <= max(1, 2 ** (bits - 8))


def test_what_isnt_exact_sums_stays_as_it_is() -> None:
    builder = GraphBuilder()
    scale = builder.constant(np.array([0.3, 0.7], np.float32), "scale")
    graph = builder.graph([builder.node("Quantize", [builder.input("x", ("batch", 2)), scale], exponent=-3)])
    assert requantized(graph).nodes == graph.nodes
