"""Powers of two against a reference that compares rational numbers one weight at a time."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from netsurgery.methods.powers import fitted_powers, nearest_power, powers

BITS = st.integers(2, 8)
BOTH_BITS = st.sampled_from([(bits, mantissa_bits) for bits in range(2, 9) for mantissa_bits in range(bits - 1)])
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Tensors of these are exact in all types that hold them; the range of float64 is left to its own test.
WEIGHTS = st.lists(st.floats(-60_000, 60_000, width=16), min_size=1, max_size=30).filter(any)


def reference_sizes(n1: int, n2: int, mantissa_bits: int) -> list[Fraction]:
    """What weights may be in size, from 0 on."""
    steps = 2**mantissa_bits
    return [
        Fraction(0),
        *((1 + Fraction(step, steps)) * Fraction(2) ** power for power in range(n2, n1 + 1) for step in range(steps)),
    ]


def reference_exponents(largest: float, bits: int) -> tuple[int, int]:
    """n1 = floor(log2(4s / 3)) by trying; n2 = n1 + 1 - 2^(b-1) / 2."""
    bound = Fraction(largest) * 4 / 3
    n1 = -1100
    while Fraction(2) ** (n1 + 1) <= bound:
        n1 += 1
    return n1, n1 + 1 - 2 ** (bits - 1) // 2


def reference_power(weight: float, n1: int, n2: int) -> float:
    """Equation 4 as it is printed, with alpha and beta adjacent in {0, 2^n2, ..., 2^n1}."""
    size = abs(Fraction(weight))
    sign = 1 if weight > 0 else -1
    ordered = [Fraction(0), *(Fraction(2) ** exponent for exponent in range(n2, n1 + 1))]
    for alpha, beta in pairwise(ordered):
        if (alpha + beta) / 2 <= size < 3 * beta / 2:
            return sign * float(beta)
    return sign * 2.0**n1 if size >= Fraction(3, 2) * Fraction(2) ** n1 else 0.0


@settings(max_examples=100, deadline=None)
@given(largest=st.floats(1e-300, 1e300) | st.floats(5e-324, 1e-300), bits=BITS)
def test_the_exponents_are_those_of_the_paper(largest: float, bits: int) -> None:
    assert powers(largest, bits) == reference_exponents(largest, bits)


@pytest.mark.parametrize("exponent", [-1000, -30, 0, 7, 1000])
def test_the_largest_exponent_changes_exactly_at_three_quarters_of_a_power(exponent: int) -> None:
    boundary = 0.75 * 2.0**exponent
    assert powers(boundary, 5) == (exponent, exponent - 7)
    assert powers(float(np.nextafter(boundary, 0)), 5) == (exponent - 1, exponent - 8)


def test_bits_give_as_many_powers_as_the_paper_says() -> None:
    for bits in range(2, 9):
        n1, n2 = powers(1.0, bits)
        assert n1 - n2 + 1 == 2 ** (bits - 1) // 2
    assert powers(1.0, 2) == (0, 0)  # ternary


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@settings(max_examples=60, deadline=None)
@given(values=WEIGHTS, bits=BITS)
def test_every_weight_becomes_what_equation_4_says(dtype: torch.dtype, values: list[float], bits: int) -> None:
    weights = torch.tensor(values, dtype=dtype)
    n1, n2 = powers(float(weights.abs().max()), bits)
    largest = 2.0**15 if dtype is torch.float16 else 2.0**16  # float16 ends below 2^16
    expected = [min(max(reference_power(weight, n1, n2), -largest), largest) for weight in weights.tolist()]
    found = nearest_power(weights, n1, n2)
    assert found.dtype == dtype
    assert found.tolist() == expected


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@settings(max_examples=60, deadline=None)
@given(values=WEIGHTS, both=BOTH_BITS)
def test_every_weight_becomes_the_nearest_size_and_the_larger_of_two_that_are_as_near(
    dtype: torch.dtype, values: list[float], both: tuple[int, int]
) -> None:
    weights = torch.tensor(values, dtype=dtype)
    bits, mantissa_bits = both
    n1, n2 = powers(float(weights.abs().max()), bits, mantissa_bits)
    sizes = reference_sizes(n1, n2, mantissa_bits)
    assert len(sizes) == 1 + 2 ** (bits - 2)  # as many as with powers alone
    found = nearest_power(weights, n1, n2, mantissa_bits)
    for weight, rounded in zip(weights.tolist(), found.tolist(), strict=True):
        nearest = min(sizes, key=lambda size: (abs(size - abs(Fraction(weight))), -size))
        own_type = torch.tensor(float(nearest), dtype=dtype)  # tiny sizes between two of float16's
        if bool(own_type.isinf()):  # the largest power is beyond the type
            own_type = torch.tensor((2 - 0.5**mantissa_bits) * 2.0**15, dtype=dtype)
        assert rounded == (float(own_type) if weight > 0 else -float(own_type))


@pytest.mark.parametrize("mantissa_bits", range(1, 5))
def test_with_mantissa_bits_the_largest_weight_stays_near_to_what_it_was(mantissa_bits: int) -> None:
    for weight in torch.linspace(1, 4, 301).tolist():
        n1, n2 = powers(weight, 8, mantissa_bits)
        rounded = float(nearest_power(torch.tensor(weight, dtype=torch.float64), n1, n2, mantissa_bits))
        assert abs(rounded - weight) <= weight / (2 * 2**mantissa_bits + 1) * (1 + 1e-12)


def around(values: list[float], dtype: torch.dtype) -> Tensor:
    """Each value with its neighbours on both sides, with both signs."""
    exact = torch.tensor(values, dtype=dtype)
    down, up = torch.nextafter(exact, torch.zeros_like(exact)), torch.nextafter(exact, torch.full_like(exact, 1e4))
    return torch.cat([exact, down, up, -exact, -down, -up])


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_boundaries_are_exact_from_below_and_above(dtype: torch.dtype) -> None:
    n1, n2 = 1, -6
    weights = around([1.5 * 2.0**n for n in range(n2 - 3, n1 + 2)] + [2.0**n for n in range(n2 - 3, n1 + 2)], dtype)
    expected = [reference_power(weight, n1, n2) for weight in weights.tolist()]
    assert nearest_power(weights, n1, n2).tolist() == expected
    assert nearest_power(torch.tensor([2.0 ** (n2 - 1), 3.0, 1e4], dtype=dtype), n1, n2).tolist() == [2.0**n2, 2.0, 2.0]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_powers_are_themselves_and_zeros_are_plus_zero(dtype: torch.dtype) -> None:
    exact = torch.tensor([sign * 2.0**n for n in range(-7, 1) for sign in (1, -1)], dtype=dtype)
    assert torch.equal(nearest_power(exact, 0, -7), exact)
    zeros = nearest_power(torch.tensor([0.0, -0.0, 1e-5, -1e-5], dtype=dtype), 0, -7)
    assert zeros.tolist() == [0, 0, 0, 0]
    assert not bool(torch.signbit(zeros).any())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_weights_at_the_ends_of_their_type(dtype: torch.dtype) -> None:
    """A power beyond the largest number becomes the largest power; no weight wants one below the smallest."""
    limits = torch.finfo(dtype)
    largest = nearest_power(torch.tensor([limits.max, limits.min], dtype=dtype), *powers(limits.max, 5))
    power = 2.0 ** {torch.float16: 15, torch.float64: 1023}.get(dtype, 127)
    assert largest.tolist() == [power, -power]
    sizes = nearest_power(torch.tensor([limits.max], dtype=dtype), *powers(limits.max, 6, 2), 2)
    assert sizes.tolist() == [1.75 * power]
    smallest = limits.tiny * limits.eps if dtype is not torch.float64 else limits.tiny
    weights = torch.tensor([smallest, 3 * smallest], dtype=dtype)
    assert nearest_power(weights, *powers(3 * smallest, 8)).tolist() == [smallest, 4 * smallest]


def test_weights_stay_as_they_are_in_any_layout() -> None:
    for weights in (torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last), torch.randn(6, 5).double().t()):
        before = weights.clone()
        found = nearest_power(weights, 0, -3)
        assert torch.equal(weights, before)
        assert torch.equal(found, nearest_power(weights.contiguous(), 0, -3))


@settings(max_examples=60, deadline=None)
@given(values=WEIGHTS, outlier=st.sampled_from([0.0, 1e3, 1e20]), both=BOTH_BITS)
@example(values=[1.0, *[2.25] * 4], outlier=0.0, both=(4, 2))
@example(values=[0.5, *[2.03125] * 48], outlier=0.0, both=(8, 5))
def test_fitted_powers_lose_least_of_all_there_are(values: list[float], outlier: float, both: tuple[int, int]) -> None:
    weights = torch.tensor([*values, outlier], dtype=torch.float64)
    bits, mantissa_bits = both
    span = 2 ** (bits - 2 - mantissa_bits) - 1

    def lost(n1: int) -> Fraction:
        rounded = nearest_power(weights, n1, n1 - span, mantissa_bits)
        return sum((Fraction(w) - Fraction(r)) ** 2 for w, r in zip(weights.tolist(), rounded.tolist(), strict=True))

    n1, n2 = fitted_powers(lambda: iter(weights.split(7)), bits, mantissa_bits)
    highest, _ = powers(float(weights.abs().max()), bits, mantissa_bits)
    assert n2 == n1 - span
    assert n1 <= highest
    best = min(lost(tried) for tried in range(highest - 120, highest + 3))
    assert float(lost(n1)) <= float(best) * (1 + 1e-12)


@pytest.mark.parametrize("factor", [2.0**-140, 2.0**120])
def test_fitted_powers_follow_the_size_of_the_weights(factor: float) -> None:
    weights = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    expected = [exponent + int(np.log2(factor)) for exponent in fitted_powers(lambda: iter([weights]), 3)]
    assert list(fitted_powers(lambda: iter([weights * factor]), 3)) == expected
