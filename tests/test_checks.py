"""Checks of settings: what is allowed passes in silence, all else is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from netsurgery.checks import gives_items, is_number, plain, require, require_count, require_density, require_range
from netsurgery.errors import SettingError

NO_NUMBERS = [math.nan, math.inf, -math.inf, True, False, None, "1", [1], 1j, np.float32(math.nan), np.True_]


def refused(check: Callable[[], None], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        check()
    assert str(caught.value) == message


def test_a_refusal_says_who_what_was_given_what_is_allowed_and_what_to_do() -> None:
    require(True, "ramp", 2, "<= 1")
    refused(lambda: require(False, "ramp", 2, "<= 1"), "ramp=2 is not allowed: ramp must be <= 1.")
    refused(
        lambda: require(False, "ramp", "2", "<= 1", "it is a share"),
        "ramp='2' is not allowed: ramp must be <= 1; it is a share.",
    )


@pytest.mark.parametrize("value", [0, -3, 1e300, 0.5, np.float64(0.5), np.float32(0.5), np.int64(-3), np.uint8(3)])
def test_finite_integers_and_floats_are_numbers(value: object) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_not_finite_or_of_another_type_is_no_number(value: object) -> None:
    assert not is_number(value)


@pytest.mark.parametrize("density", [5e-324, 0.01, 1, 1.0, np.float32(0.1), np.int8(1)])
def test_a_density_lies_above_0_and_up_to_1(density: object) -> None:
    require_density(density)


@pytest.mark.parametrize("density", [0, -0.1, 1.0000001, *NO_NUMBERS])
def test_any_other_density_is_refused(density: object) -> None:
    refused(
        lambda: require_density(density),
        f"density={density!r} is not allowed: density must be a number in (0, 1]; "
        "it is the share of connections that stays, 0.01 for 1 %.",
    )


@pytest.mark.parametrize(("value", "minimum"), [(1, 1), (10**30, 1), (0, 0), (-2, -2), (np.int64(100), 1)])
def test_a_count_is_a_whole_number_not_below_its_minimum(value: object, minimum: int) -> None:
    require_count("steps", value, minimum)


@pytest.mark.parametrize(
    ("value", "minimum"),
    [(0, 1), (-1, 0), (1.0, 1), (1.5, 1), (np.float32(2), 1), *((value, 0) for value in NO_NUMBERS)],
)
def test_any_other_count_is_refused(value: object, minimum: int) -> None:
    refused(
        lambda: require_count("steps", value, minimum),
        f"steps={value!r} is not allowed: steps must be a whole number >= {minimum}.",
    )


@pytest.mark.parametrize(("value", "high"), [(0, 1), (1, 1), (0.5, 1), (1e300, math.inf)])
def test_a_range_holds_both_its_ends(value: object, high: float) -> None:
    require_range("margin", value, 0, high)


@pytest.mark.parametrize("value", [-1e-9, 1.5, *NO_NUMBERS])
def test_what_lies_outside_a_range_is_refused(value: object) -> None:
    refused(
        lambda: require_range("margin", value, 0, 1),
        f"margin={value!r} is not allowed: margin must be a number in [0, 1].",
    )


@pytest.mark.parametrize("value", [-1e-9, math.inf])
def test_a_range_without_an_upper_end_says_so(value: object) -> None:
    refused(
        lambda: require_range("gamma", value, 0, math.inf),
        f"gamma={value!r} is not allowed: gamma must be a number >= 0.",
    )


def test_a_count_with_both_bounds_says_both() -> None:
    for count in (2, 8):
        require_count("bits", count, minimum=2, maximum=8)


@pytest.mark.parametrize("count", [1, 9, 2.5])
def test_a_count_beyond_its_bounds_is_refused_with_both(count: object) -> None:
    message = f"bits={count} is not allowed: bits must be a whole number in 2 .. 8."
    refused(lambda: require_count("bits", count, minimum=2, maximum=8), message)


@pytest.mark.parametrize(
    ("value", "expected"), [(np.int64(3), 3), (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (2, 2), (0.25, 0.25)]
)
def test_a_plain_number_is_pythons_own(value: object, expected: float) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


@pytest.mark.parametrize("value", [True, False, None, "fitted", (1,)])
def test_what_is_no_number_stays_as_it_is(value: object) -> None:
    assert plain(value) is value


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 3, np.float32(3), np.array(3), None])
def test_texts_mappings_and_single_numbers_give_no_items(value: object) -> None:
    assert not gives_items(value)
    assert gives_items([value])
    assert gives_items(iter([value]))
