"""Resize is ONNX's nearest neighbour, with coordinates that rounding never moves across a whole number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.each_case import each_case

from netsurgery.graph.ir import Array, node
from netsurgery.graph.operators import OPERATORS
from netsurgery.runtime.reference import run_node

CHOICES = {attribute.name: attribute.choices for attribute in OPERATORS["Resize"].attributes if attribute.choices}
COMBINATIONS = list(itertools.product(CHOICES["coordinates"], CHOICES["rounding"]))


def resize(x: Array, **attributes: object) -> Array:
    return run_node(node("Resize", ["x"], "y", **attributes), [x])


ROUNDED: dict[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda position: math.ceil(position - Fraction(1, 2)),
    "round_prefer_ceil": lambda position: math.floor(position + Fraction(1, 2)),
}


def exact_position(i: int, old: int, new: int, scale: Fraction, coordinates: str) -> Fraction:
    """The equations of ONNX's coordinate_transformation_mode, in fractions."""
    half = Fraction(1, 2)
    if coordinates == "align_corners":
        return Fraction(i * (old - 1), new - 1) if new > 1 else Fraction(0)
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "pytorch_half_pixel" and new == 1:
        return Fraction(0)
    offset = Fraction(old, 2) * (1 - new / (scale * old)) if coordinates == "half_pixel_symmetric" else 0
    return offset + (i + half) / scale - half


def exact_places(old: int, new: int, scale: Fraction, coordinates: str, rounding: str) -> list[int]:
    """For each of the new entries, the old one that it is."""
    positions = [exact_position(i, old, new, scale, coordinates) for i in range(new)]
    return [min(max(ROUNDED[rounding](position), 0), old - 1) for position in positions]


def exact_resize(x: Array, size: list[int], scales: list[float], coordinates: str, rounding: str) -> Array:
    """ONNX's equations in fractions, one spatial axis after another."""
    for axis, new in enumerate(size):
        old = x.shape[2 + axis]
        ratio = Fraction(np.float32(scales[axis]).item()) if scales else Fraction(new, old)
        x = x.take(exact_places(old, new, ratio, coordinates, rounding), 2 + axis)
    return x


@each_case(("coordinates", "rounding"), COMBINATIONS)
@each_case(
    ("spatial", "size", "scales"),
    [
        ((5,), [10], []),
        ((4,), [1], []),
        ((1,), [3], []),
        ((7,), [3], []),
        ((5,), [8], []),
        ((6,), [6], []),
        ((3, 8), [6, 4], []),
        ((5,), [10], [2.0]),
        ((4,), [3], [0.75]),
        ((3, 4), [9, 2], [3.0, 0.5]),
        ((2, 2, 3), [4, 1, 3], [2.0, 0.5, 1.0]),
    ],
)
def test_nearest_neighbours_are_those_of_onnx_equations(
    coordinates: str, rounding: str, spatial: tuple[int, ...], size: list[int], scales: list[float]
) -> None:
    x = np.arange(2 * math.prod(spatial), dtype=np.float32).reshape(1, 2, *spatial)
    expected = exact_resize(x, size, scales, coordinates, rounding)
    got = resize(x, size=size, scales=scales, coordinates=coordinates, rounding=rounding)
    np.testing.assert_array_equal(got, expected)


@each_case(("coordinates", "rounding"), COMBINATIONS)
@each_case(("old", "new", "scale"), [(3, 7, 2.6), (7, 4, 0.6), (10, 3, 0.33), (5, 5, 1.1)])
def test_a_scale_that_gives_no_whole_size_counts_as_in_onnx(
    coordinates: str, rounding: str, old: int, new: int, scale: float
) -> None:
    x = np.arange(old, dtype=np.float32).reshape(1, 1, old)
    expected = exact_resize(x, [new], [scale], coordinates, rounding)
    got = resize(x, size=[new], scales=[scale], coordinates=coordinates, rounding=rounding)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("coordinates", "rounding"), COMBINATIONS)
@settings(max_examples=50, deadline=None, derandomize=True)
@given(old=st.integers(1, 300), new=st.integers(1, 300), scale=st.none() | st.floats(2.0**-7, 99, width=32))
def test_coordinates_round_as_exact_fractions_do(
    coordinates: str, rounding: str, old: int, new: int, scale: float | None
) -> None:
    ratio = Fraction(new, old) if scale is None else Fraction(scale)
    expected = exact_places(old, new, ratio, coordinates, rounding)
    x = np.arange(old, dtype=np.float32).reshape(1, 1, old)
    scales = [] if scale is None else [scale]
    got = resize(x, size=[new], scales=scales, coordinates=coordinates, rounding=rounding)
    assert got.ravel().tolist() == expected


@pytest.mark.parametrize("rounding", CHOICES["rounding"])
def test_symmetric_pixels_at_a_scale_of_one_and_a_half_begin_where_exact_fractions_do(rounding: str) -> None:
    """7 to 10: the first entry lies at exactly 0, which a sum of two rounded quotients put a hair above."""
    x = np.arange(7, dtype=np.float32).reshape(1, 1, 7)
    got = resize(x, size=[10], scales=[1.5], coordinates="half_pixel_symmetric", rounding=rounding)
    assert got.ravel()[0] == 0
    if rounding == "ceil":
        assert got.ravel().tolist() == [0, 1, 2, 2, 3, 4, 4, 5, 6, 6]
