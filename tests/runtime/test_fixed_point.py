"""What Quantize means: worked out by hand, and as properties of all numbers."""

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
