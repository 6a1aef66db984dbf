"""Rounding constants to a shorter format."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netsurgery.errors import SettingError
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.rounding import rounded

# kind -> (significant bits, exponent of the smallest normal number, largest number)
FORMATS = {"float16": (11, -14, 65504.0), "bfloat16": (8, -126, (2 - 2.0**-7) * 2.0**127)}


def holding(*numbers: float) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", len(numbers)))
    return builder.graph([builder.node("Add", [x, builder.constant(numbers, "held")])])


def nearest_even(number: float, kind: str) -> float:
    """The definition, in exact fractions: the multiple of the format's step that is nearest, an even one in a tie."""
    bits, smallest, _ = FORMATS[kind]
    exponent = max(math.frexp(number)[1] - 1, smallest) if number else smallest
    step = Fraction(2) ** (exponent - bits + 1)
    return math.copysign(float(round(Fraction(number) / step) * step), number)


@pytest.mark.parametrize("kind", FORMATS)
@given(number=st.floats(-60000, 60000, width=32))
@example(number=-0.0)
@example(number=1 + 2**-11)  # ties of float16
@example(number=1 + 3 * 2**-11)
@example(number=1 + 2**-8)  # ties of bfloat16
@example(number=1 + 3 * 2**-8)
@example(number=2**-25)  # half of float16's smallest number
@example(number=2**-149)
@example(number=2047.5)
def test_each_constant_becomes_the_nearest_number_of_the_format(kind: str, number: float) -> None:
    held = rounded(holding(number), kind).constants["held"].values
    assert held.dtype == np.float32
    assert held.tobytes() == np.array([nearest_even(number, kind)], np.float32).tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_largest_number_stays_and_the_first_that_would_round_to_infinity_is_refused(kind: str) -> None:
    bits, _, largest = FORMATS[kind]
    half_a_step_above = np.float32(largest + largest / (2**bits - 1) / 2)
    assert rounded(holding(-largest), kind).constants["held"].values[0] == -largest
    just_below = np.nextafter(half_a_step_above, np.float32(0))
    assert rounded(holding(just_below), kind).constants["held"].values[0] == largest
    with pytest.raises(SettingError, match=re.escape(f", {kind} ends at {largest:.6g}: ")):
        rounded(holding(1, -half_a_step_above), kind)


@pytest.mark.parametrize("kind", FORMATS)
def test_infinity_and_nan_stay_and_the_graph_given_does_not_change(kind: str) -> None:
    graph = holding(math.inf, -math.inf, math.nan, 1 / 3)
    held = rounded(graph, kind).constants["held"].values
    np.testing.assert_array_equal(held[:3], [math.inf, -math.inf, math.nan])
    assert held[3] != graph.constants["held"].values[3] == np.float32(1 / 3)


def test_a_nan_with_its_payload_in_the_lower_bits_stays_a_nan() -> None:
    graph = holding(np.uint32(0x7F800001).view(np.float32))
    assert np.isnan(rounded(graph, "bfloat16").constants["held"].values[0])


def test_another_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingError, match=r"kind='float8' .*: float16, bfloat16\."):
        rounded(holding(1), "float8")  # type: ignore[arg-type]
