"""What Quantize and QuantizePlanes mean: worked out by hand, and as properties of all numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsurgery.errors import GraphError
from netsurgery.graph.ir import Array, GraphBuilder, node
from netsurgery.runtime import reference

floats = st.floats(width=32, allow_subnormal=False)


def quantized(x: Any, scale: Any = None, shift: Any = None, **attributes: Any) -> Array:
    operands = [None if one is None else np.asarray(one, np.float32) for one in (x, scale, shift)]
    return reference.run_node(node("Quantize", ["x", "scale", "shift"], "y", **attributes), operands)


def test_values_go_to_the_nearest_multiple_and_ties_to_the_even_one() -> None:
    given_values = [[0.3, 0.5, 1.5, -0.5, -1.5, 2.49]]
    assert quantized(given_values, exponent=0).tolist() == [[0, 0, 2, 0, -2, 2]]
    assert quantized(given_values, exponent=-1).tolist() == [[0.5, 0.5, 1.5, -0.5, -1.5, 2.5]]
    assert quantized([[5.0, 6.0, 7.0]], exponent=2).tolist() == [[4, 8, 8]]


@pytest.mark.parametrize(
    ("bits", "signed", "low", "high"), [(8, True, -127, 127), (8, False, 0, 255), (1, False, 0, 1), (2, True, -1, 1)]
)
def test_values_beyond_the_bits_become_the_nearest_that_there_is(bits: int, signed: bool, low: int, high: int) -> None:
    got = quantized([[-1e9, 1e9, -np.inf, np.inf, np.nan]], exponent=0, bits=bits, signed=signed)
    assert got.tolist() == [[low, high, low, high, low]]


def test_zero_has_no_sign() -> None:
    assert not np.signbit(quantized([[-0.0, -0.25, 0.0, 0.25]], exponent=0)).any()


def test_scale_and_shift_belong_to_entries_of_the_axis_and_are_rounded_one_after_the_other() -> None:
    x = np.ones((2, 3, 2), np.float32)
    assert quantized(x, [1, 2, 3], [0, 0, 10], exponent=0)[0, :, 0].tolist() == [1, 2, 13]
    assert quantized(x, [1, 2], None, exponent=0, axis=2)[0, 0].tolist() == [1, 2]
    # 16777217 * 3 = 50331651 isn't a float32, 50331652 is the nearest; a fused product and sum would give 3, not 4.
    third = np.float32(4097)
    product = float(third) * float(third)  # 16785409 needs 25 bits: 16785408 is rounded to
    assert float(np.float32(product)) != product
    got = quantized([[float(third)]], [float(third)], [-16785408.0], exponent=0, bits=24)
    assert got.tolist() == [[0.0]]


def of_planes(x: Any, scale: Any, shift: Any = None, **attributes: Any) -> Array:
    operands = [None if one is None else np.asarray(one, np.float32) for one in (x, scale, shift)]
    return reference.run_node(node("QuantizePlanes", ["x", "scale", "shift"], "y", **attributes), operands)


def test_planes_lie_side_by_side_and_each_has_its_scale() -> None:
    x = np.arange(12).reshape(1, 6, 2)
    got = of_planes(x, [1, 10, 100, 1, 2, 3], [0, 5], exponent=0, bits=20, planes=3)
    assert got.shape == (1, 2, 2)
    assert got[0, :, 0].tolist() == [0 + 20 + 400, 6 + 16 + 30 + 5]
    assert of_planes([[1, 2, 3, 4]], [1, 2, 3, 4], exponent=0, planes=2).tolist() == [[5, 25]]


def test_products_of_planes_and_their_sums_are_rounded_one_after_the_other() -> None:
    third = 4097.0  # its square needs 25 bits: 16785408 is rounded to, and a fused sum would give 1
    assert of_planes([[1, third]], [-16785408.0, third], exponent=0, bits=24, planes=2).tolist() == [[0.0]]
    # From the first plane on: 1 is lost in 2^24 + 1, and not in 2^24 - 2^24 + 1.
    big = 2.0**24
    assert of_planes([[1, 1, 1]], [big, 1, -big], exponent=0, planes=3).tolist() == [[0.0]]
    assert of_planes([[1, 1, 1]], [big, -big, 1], exponent=0, planes=3).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("scale", "shift", "planes", "told"),
    [
        ((6,), None, 4, "planes=4 does not divide the 6 entries along axis 1"),
        ((2,), None, 3, r"scale has shape \(2,\), \(6,\) is needed"),
        ((6,), (6,), 3, r"shift has shape \(6,\), \(2,\) is needed"),
    ],
)
def test_planes_that_do_not_fit_are_refused(
    scale: tuple[int, ...], shift: tuple[int, ...] | None, planes: int, told: str
) -> None:
    builder = GraphBuilder()
    given_inputs = [builder.input("x", (2, 6)), builder.constant(np.ones(scale), "scale")]
    if shift is not None:
        given_inputs.append(builder.constant(np.ones(shift), "shift"))
    with pytest.raises(GraphError, match=told):
        builder.graph([builder.node("QuantizePlanes", given_inputs, exponent=0, planes=planes)]).shapes()


@given(st.lists(floats, min_size=1, max_size=20), st.integers(-30, 30), st.integers(2, 25))
def test_what_is_on_the_grid_stays(numbers: list[float], exponent: int, bits: int) -> None:
    once = quantized([numbers], exponent=exponent, bits=bits)
    assert np.array_equal(quantized(once, exponent=exponent, bits=bits), once)
    counts = np.ldexp(once.astype(np.float64), -exponent)
    assert (counts == np.rint(counts)).all()
    assert np.abs(counts).max() <= 2 ** (bits - 1) - 1


@given(st.lists(floats, min_size=2, max_size=20), st.integers(-30, 30))
def test_order_is_kept(numbers: list[float], exponent: int) -> None:
    ordered = np.sort(np.asarray([one for one in numbers if one == one] or [0.0], np.float32))
    assert (np.diff(quantized(ordered[None], exponent=exponent)[0]) >= 0).all()


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"exponent": 101}, "exponent=101 is too far"),
        ({"exponent": 0, "bits": 26}, "bits=26 is not allowed: at most 25"),
        ({"exponent": 0, "bits": 25, "signed": False}, "at most 24"),
        ({"exponent": 0, "bits": 1}, "leave none beside the sign"),
        ({"exponent": 0, "axis": 2}, "axis"),
    ],
)
def test_grids_that_floats_cannot_hold_are_refused(attributes: dict[str, Any], told: str) -> None:
    builder = GraphBuilder()
    with pytest.raises(GraphError, match=told):
        builder.graph([builder.node("Quantize", [builder.input("x", (2, 3))], **attributes)]).shapes()
