"""Filters as sums of binary planes: as good as the paper's float64, within its bounds, and never NaN."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.reference_expansion import expanded, projections, squared_error
from torch import Tensor

from netsurgery.graph import planes as packed_planes
from netsurgery.methods.expansion import MOST_PLANES, Expansion, _in_whole_steps, expand, sum_of_planes

EPSILON = float(np.finfo(np.float32).eps)
BOTH = pytest.mark.parametrize("refined", [False, True], ids=["direct", "refined"])
SHAPES = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 120))
PLANES = st.integers(1, MOST_PLANES)


def drawn(seed: int, filters: int, entries: int) -> Tensor:
    """Filters of three kinds: bell-shaped, of a few values, of magnitudes far apart; some entries are 0."""
    rng = np.random.default_rng(seed)
    bell = rng.normal(size=(filters, entries))
    few = rng.choice([-0.75, -0.1, 0.0, 0.1, 0.3], size=(filters, entries))
    wide = bell * 2.0 ** rng.integers(-12, 12, size=(filters, entries))
    weight = np.stack([bell, few, wide])[rng.integers(0, 3, filters), np.arange(filters)]
    weight[rng.random((filters, entries)) < 0.1] = rng.choice([0.0, -0.0])
    return torch.tensor(weight, dtype=torch.float32)


def signs_of(expansion: Expansion) -> np.ndarray:
    """(filters, t, planes) of -1 and +1."""
    planes = np.arange(expansion.scales.shape[1])
    return (expansion.codes.numpy()[:, :, None] >> planes & 1) * 2.0 - 1.0


def errors_of(weight: Tensor, expansion: Expansion) -> list[float]:
    rows = zip(weight.double().numpy(), expansion.scales.double().numpy(), signs_of(expansion), strict=True)
    return [squared_error(*row) for row in rows]


def tolerance(weight: Tensor) -> list[float]:
    """Of a squared error e²: scales and residuals are off by t roundings at most, and rounding decides near ties."""
    rows = weight.double()
    return (64 * EPSILON * rows.shape[1] * rows.square().sum(dim=1)).tolist()


@BOTH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), entries=st.integers(32, 200), planes=PLANES)
def test_the_error_is_that_of_the_papers_algorithm_in_float64(
    refined: bool, seed: int, entries: int, planes: int
) -> None:
    # Where few entries or values leave residuals of 0, rounding would decide about signs.
    weight = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, entries)).astype(np.float32))
    found = errors_of(weight, expand(weight, planes, refined))
    for row, error, slack in zip(weight.double().numpy(), found, tolerance(weight), strict=True):
        assert error == pytest.approx(squared_error(row, *expanded(row, planes, refined)), abs=slack)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_the_direct_error_keeps_the_papers_bound(shape: tuple[int, int, int], planes: int) -> None:
    weight = drawn(*shape)
    found = errors_of(weight, expand(weight, planes, refined=False))
    for row, error, slack in zip(weight.double().numpy(), found, tolerance(weight), strict=True):
        assert error <= np.square(row).sum() * (1 - 1 / len(row)) ** planes + slack


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_the_refined_error_keeps_the_papers_bound(shape: tuple[int, int, int], planes: int) -> None:
    weight = drawn(*shape)
    expansion = expand(weight, planes, refined=True)
    for index, slack in enumerate(tolerance(weight)):
        row, scales = weight[index].double().numpy(), expansion.scales[index].double().numpy()
        used = signs_of(expansion)[index][:, scales > 0]  # a plane that lies in the span of the others has scale 0
        # The planes lie in the order of their scales here, the bound counts them in the order in which they were found.
        own = [len(row) - projection for projection in projections(_as_found(row, used))]
        bound = np.square(row).sum() * np.prod([1 - 1 / left for left in own if left > 1e-6])
        assert squared_error(row, scales, signs_of(expansion)[index]) <= bound + slack


def _as_found(row: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The planes, up to their sign, in the order of the paper's algorithm."""
    found = expanded(row, signs.shape[1], refined=True)[1]
    same = [any(abs(plane @ other) == len(row) for other in signs.T) for plane in found.T]
    return found if all(same) else signs


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_refined_scales_are_the_least_squares_solution_for_their_planes(
    shape: tuple[int, int, int], planes: int
) -> None:
    weight = drawn(*shape)
    expansion = expand(weight, planes, refined=True)
    found = errors_of(weight, expansion)
    for row, signs, error, slack in zip(
        weight.double().numpy(), signs_of(expansion), found, tolerance(weight), strict=True
    ):
        best = np.linalg.lstsq(signs, row, rcond=None)[0]
        assert error <= squared_error(row, best, signs) + slack


@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES)
def test_two_refined_planes_never_fit_worse_than_two_direct_ones_and_more_planes_never_worse_than_fewer(
    shape: tuple[int, int, int],
) -> None:
    weight = drawn(*shape)
    slack = np.array(tolerance(weight))
    two = [np.array(errors_of(weight, expand(weight, 2, refined))) for refined in (False, True)]
    assert (two[1] <= two[0] + slack).all()
    for refined in (False, True):
        before = weight.double().square().sum(dim=1).numpy()
        for planes in range(1, MOST_PLANES + 1):
            error = np.array(errors_of(weight, expand(weight, planes, refined)))
            assert (error <= before + slack).all()
            before = error


def test_on_bell_shaped_filters_errors_are_the_published_means() -> None:
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(2000, 576)).astype(np.float32))
    lengths = weight.double().square().sum(dim=1).numpy()
    expected = {False: (0.362, 0.132, 0.060, 0.034, 0.024), True: (0.362, 0.127, 0.052, 0.025, 0.013)}
    for refined, means in expected.items():
        for planes, mean in enumerate(means, start=1):
            found = (np.array(errors_of(weight, expand(weight, planes, refined))) / lengths).mean()
            assert found == pytest.approx(mean, abs=0.003), (refined, planes)


@BOTH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_the_total_is_bit_for_bit_the_sum_that_a_packed_file_makes(
    refined: bool, shape: tuple[int, int, int], planes: int
) -> None:
    expansion = expand(drawn(*shape), planes, refined)
    signs = (expansion.codes.numpy()[None] >> np.arange(planes)[:, None, None] & 1).astype(np.uint8)
    expected = packed_planes.sum_of_planes(expansion.scales.numpy(), signs)
    for total in (expansion.total, sum_of_planes(expansion.scales, expansion.codes)):
        np.testing.assert_array_equal(total.numpy().view(np.uint32), expected.view(np.uint32))


@BOTH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_scales_fall_and_are_not_negative(refined: bool, shape: tuple[int, int, int], planes: int) -> None:
    scales = expand(drawn(*shape), planes, refined).scales
    assert bool((scales >= 0).all())
    assert bool((scales.diff(dim=1) <= 0).all())


def check_exact_sums(scales: Tensor) -> None:
    """All sums of the scales with any signs, and all on the way there, in float32 and in exact arithmetic."""
    for row in scales.numpy():
        exact = [Fraction(float(scale)) for scale in row]
        for order in (range(len(row)), range(len(row) - 1, -1, -1), np.random.default_rng(0).permutation(len(row))):
            for signs in itertools.product((1, -1), repeat=len(row)):
                sum_float, sum_exact = np.float32(0), Fraction(0)
                for plane in order:
                    sum_float += np.float32(signs[plane]) * row[plane]
                    sum_exact += signs[plane] * exact[plane]
                    assert Fraction(float(sum_float)) == sum_exact


@BOTH
@settings(max_examples=30, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=st.integers(1, 4), exponent=st.integers(-150, 120))
def test_every_sum_of_scales_is_exact_in_any_order(
    refined: bool, shape: tuple[int, int, int], planes: int, exponent: int
) -> None:
    weight = drawn(*shape)
    weight *= 2.0**exponent / float(weight.abs().max().clamp(min=1e-6))  # down to where float32 has fewer bits
    check_exact_sums(expand(weight, planes, refined).scales)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    scales=st.lists(st.floats(0, 1e9), min_size=1, max_size=4),
    sum_exponent=st.integers(-160, 127),
    below=st.sampled_from([0.0, 2.0**-53, 2.0**-25, 2.0**-24, 0.3]),
)
def test_scales_move_by_half_a_step_at_most_and_by_none_if_their_sums_are_exact_already(
    scales: list[float], sum_exponent: int, below: float
) -> None:
    found = torch.tensor([sorted(scales, reverse=True)], dtype=torch.float64)
    found *= 2.0**sum_exponent * (1 - below) / float(found.sum().clamp(min=1e-9))  # sums close to powers of two too
    whole = _in_whole_steps(found)
    check_exact_sums(whole.float())
    step = max(2.0**-149, 2.0 ** (math.frexp(float(found.sum()))[1] - 24))
    crossing = 1 + (float((found / step).round().sum()) >= 2**24)  # rounding up reaches the power of two
    assert float((whole - found).abs().max()) <= crossing * step / 2
    assert torch.equal(_in_whole_steps(whole), whole)


@BOTH
@pytest.mark.parametrize(
    ("values", "used"),
    [
        ((0.0,), 0),
        ((0.3,), 1),
        ((-0.3,), 1),
        ((0.3, -0.3), 1),
        ((1e-30,), 1),
        ((0.5, 0.125), 2),
        ((-1.0, 0.5), 2),
        ((0.7, -0.1), 2),
    ],
)
def test_filters_of_fewer_values_than_planes_are_met_exactly_with_scales_of_0_for_the_rest(
    refined: bool, values: tuple[float, ...], used: int
) -> None:
    weight = torch.tensor(values).repeat(24 // len(values))[None]
    expansion = expand(weight, 4, refined)
    assert not bool(torch.isnan(expansion.scales).any())
    torch.testing.assert_close(expansion.total, weight, rtol=4 * EPSILON, atol=0)
    assert int((expansion.scales > 0).sum()) == used


@BOTH
def test_zero_is_positive_whatever_its_sign(refined: bool) -> None:
    expansion = expand(torch.tensor([[0.0, -0.0, 1.0, -1.0], [0.0, -0.0, 0.0, -0.0]]), 1, refined)
    assert expansion.codes.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert not bool(torch.signbit(expansion.total[1]).any())


def test_a_filter_does_not_depend_on_the_filters_beside_it() -> None:
    weight = drawn(3, 5, 90)
    together = expand(weight, 3)
    for index in range(len(weight)):
        alone = expand(weight[index : index + 1], 3)
        assert torch.equal(alone.codes[0], together.codes[index])
        assert torch.equal(alone.scales[0], together.scales[index])


def test_room_that_is_used_again_changes_nothing() -> None:
    weight = drawn(4, 5, 90)
    room = torch.full((5, 1000), torch.nan)
    expected, found = expand(weight, 3), expand(weight, 3, True, room)
    assert all(torch.equal(left, right) for left, right in zip(expected, found, strict=True))
