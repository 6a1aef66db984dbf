"""Filters as sums of binary planes, in torch and in place: as good as the paper's float64, within its bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.reference_expansion import expanded, projections, squared_error
from torch import Tensor

from netsurgery import _native
from netsurgery.graph import planes as packed_planes
from netsurgery.methods.expansion import MOST_PLANES, Expansion, _in_whole_steps, expand, sum_of_planes
from netsurgery.methods.expansion_in_place import Place, adopt_in_place, expand_in_place, fits, sum_in_place

Way = Callable[[Tensor, int, bool], Expansion]


def expand_by_place(weight: Tensor, planes: int, refined: bool = True) -> Expansion:
    """What `expand` returns, by expand_in_place."""
    place = Place(
        weight.clone(),
        torch.full_like(weight, torch.nan),
        torch.full((len(weight), planes), torch.nan),
        torch.full_like(weight, 0xAA, dtype=torch.uint8),
    )
    expand_in_place([place], refined)
    assert torch.equal(place.latent.view(torch.int32), weight.view(torch.int32))
    return Expansion(place.scales, place.codes, place.weight)


EPSILON = float(np.finfo(np.float32).eps)
BOTH = pytest.mark.parametrize("refined", [False, True], ids=["direct", "refined"])
WAYS = pytest.mark.parametrize("way", [expand, expand_by_place], ids=["torch", "in place"])
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


@WAYS
@BOTH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), entries=st.integers(32, 200), planes=PLANES)
def test_the_error_is_that_of_the_papers_algorithm_in_float64(
    way: Way, refined: bool, seed: int, entries: int, planes: int
) -> None:
    # Where few entries or values leave residuals of 0, rounding would decide about signs.
    weight = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, entries)).astype(np.float32))
    found = errors_of(weight, way(weight, planes, refined))
    for row, error, slack in zip(weight.double().numpy(), found, tolerance(weight), strict=True):
        assert error == pytest.approx(squared_error(row, *expanded(row, planes, refined)), abs=slack)


@WAYS
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_the_direct_error_keeps_the_papers_bound(way: Way, shape: tuple[int, int, int], planes: int) -> None:
    weight = drawn(*shape)
    found = errors_of(weight, way(weight, planes, refined=False))
    for row, error, slack in zip(weight.double().numpy(), found, tolerance(weight), strict=True):
        assert error <= np.square(row).sum() * (1 - 1 / len(row)) ** planes + slack


@WAYS
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_the_refined_error_keeps_the_papers_bound(way: Way, shape: tuple[int, int, int], planes: int) -> None:
    weight = drawn(*shape)
    expansion = way(weight, planes, refined=True)
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


@WAYS
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_refined_scales_are_the_least_squares_solution_for_their_planes(
    way: Way, shape: tuple[int, int, int], planes: int
) -> None:
    weight = drawn(*shape)
    expansion = way(weight, planes, refined=True)
    found = errors_of(weight, expansion)
    for row, signs, error, slack in zip(
        weight.double().numpy(), signs_of(expansion), found, tolerance(weight), strict=True
    ):
        best = np.linalg.lstsq(signs, row, rcond=None)[0]
        assert error <= squared_error(row, best, signs) + slack


@WAYS
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES)
def test_two_refined_planes_never_fit_worse_than_two_direct_ones_and_more_planes_never_worse_than_fewer(
    way: Way,
    shape: tuple[int, int, int],
) -> None:
    weight = drawn(*shape)
    slack = np.array(tolerance(weight))
    two = [np.array(errors_of(weight, way(weight, 2, refined))) for refined in (False, True)]
    assert (two[1] <= two[0] + slack).all()
    for refined in (False, True):
        before = weight.double().square().sum(dim=1).numpy()
        for planes in range(1, MOST_PLANES + 1):
            error = np.array(errors_of(weight, way(weight, planes, refined)))
            assert (error <= before + slack).all()
            before = error


@WAYS
def test_on_bell_shaped_filters_errors_are_the_published_means(way: Way) -> None:
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(2000, 576)).astype(np.float32))
    lengths = weight.double().square().sum(dim=1).numpy()
    expected = {False: (0.362, 0.132, 0.060, 0.034, 0.024), True: (0.362, 0.127, 0.052, 0.025, 0.013)}
    for refined, means in expected.items():
        for planes, mean in enumerate(means, start=1):
            found = (np.array(errors_of(weight, way(weight, planes, refined))) / lengths).mean()
            assert found == pytest.approx(mean, abs=0.003), (refined, planes)


@WAYS
@BOTH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_the_total_is_bit_for_bit_the_sum_that_a_packed_file_makes(
    way: Way, refined: bool, shape: tuple[int, int, int], planes: int
) -> None:
    expansion = way(drawn(*shape), planes, refined)
    signs = (expansion.codes.numpy()[None] >> np.arange(planes)[:, None, None] & 1).astype(np.uint8)
    expected = packed_planes.sum_of_planes(expansion.scales.numpy(), signs)
    for total in (expansion.total, sum_of_planes(expansion.scales, expansion.codes)):
        np.testing.assert_array_equal(total.numpy().view(np.uint32), expected.view(np.uint32))


@WAYS
@BOTH
@settings(max_examples=40, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=PLANES)
def test_scales_fall_and_are_not_negative(way: Way, refined: bool, shape: tuple[int, int, int], planes: int) -> None:
    scales = way(drawn(*shape), planes, refined).scales
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


@WAYS
@BOTH
@settings(max_examples=30, deadline=None, derandomize=True)
@given(shape=SHAPES, planes=st.integers(1, 4), exponent=st.integers(-150, 120))
def test_every_sum_of_scales_is_exact_in_any_order(
    way: Way, refined: bool, shape: tuple[int, int, int], planes: int, exponent: int
) -> None:
    weight = drawn(*shape)
    weight *= 2.0**exponent / float(weight.abs().max().clamp(min=1e-6))  # down to where float32 has fewer bits
    check_exact_sums(way(weight, planes, refined).scales)


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


@WAYS
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
    way: Way, refined: bool, values: tuple[float, ...], used: int
) -> None:
    weight = torch.tensor(values).repeat(24 // len(values))[None]
    expansion = way(weight, 4, refined)
    assert not bool(torch.isnan(expansion.scales).any())
    torch.testing.assert_close(expansion.total, weight, rtol=4 * EPSILON, atol=0)
    assert int((expansion.scales > 0).sum()) == used


@WAYS
@BOTH
def test_zero_is_positive_whatever_its_sign(way: Way, refined: bool) -> None:
    expansion = way(torch.tensor([[0.0, -0.0, 1.0, -1.0], [0.0, -0.0, 0.0, -0.0]]), 1, refined)
    assert expansion.codes.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert not bool(torch.signbit(expansion.total[1]).any())


@WAYS
def test_a_filter_does_not_depend_on_the_filters_beside_it(way: Way) -> None:
    weight = drawn(3, 5, 90)
    together = way(weight, 3)
    for index in range(len(weight)):
        alone = way(weight[index : index + 1], 3)
        assert torch.equal(alone.codes[0], together.codes[index])
        assert torch.equal(alone.scales[0], together.scales[index])


def test_room_that_is_used_again_changes_nothing() -> None:
    weight = drawn(4, 5, 90)
    room = torch.full((5, 1000), torch.nan)
    expected, found = expand(weight, 3), expand(weight, 3, True, room)
    assert all(torch.equal(left, right) for left, right in zip(expected, found, strict=True))


@BOTH
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), entries=st.integers(1, 300), planes=st.integers(1, 4))
def test_both_ways_agree_where_nothing_that_is_left_over_lies_within_rounding_of_0(
    refined: bool, seed: int, entries: int, planes: int
) -> None:
    weight = torch.from_numpy(np.random.default_rng(seed).normal(size=(6, entries)).astype(np.float32))
    one, other = expand(weight, planes, refined), expand_by_place(weight, planes, refined)
    for index, row in enumerate(weight.double().numpy()):
        left = [row - signs @ scales for scales, signs in (expanded(row, m, refined) for m in range(1, planes))]
        if all(np.abs(residual).min() > 1e-4 for residual in left):
            assert torch.equal(one.codes[index], other.codes[index])
            torch.testing.assert_close(one.scales[index], other.scales[index], rtol=0, atol=16 * EPSILON)


def placed(weight: Tensor, planes: int) -> tuple[np.ndarray, ...]:
    """What _native.expand_in_place takes of a layer."""
    rows, entries = weight.shape
    latent, codes = np.empty((rows, entries), np.float32), np.empty((rows, entries), np.uint8)
    return weight.numpy().copy(), latent, np.empty((rows, planes), np.float32), codes


def same_bits(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(left.tobytes() == right.tobytes() for left, right in zip(one, other, strict=True))


def test_in_place_results_do_not_depend_on_the_number_of_threads() -> None:
    layers = [drawn(5, 700, 1_201), drawn(6, 3, 5)]  # enough weights for four threads
    expected = [placed(weight, 3) for weight in layers]
    _native.expand_in_place(expected, True, 1)
    for threads in (2, 4, 9):
        found = [placed(weight, 3) for weight in layers]
        _native.expand_in_place(found, True, threads)
        assert all(same_bits(*pair) for pair in zip(expected, found, strict=True))


@BOTH
def test_in_place_results_do_not_depend_on_the_instruction_set(refined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for planes in range(1, MOST_PLANES + 1):
        results = []
        for name in _native.available_instructions():
            monkeypatch.setenv("NETSURGERY_ISA", name)
            results.append([placed(drawn(entries, 4, entries), planes) for entries in (1, 7, 16, 33, 1_100)])
            _native.expand_in_place(results[-1], refined, 1)
        for others in results[1:]:
            assert all(same_bits(*pair) for pair in zip(results[0], others, strict=True))


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@BOTH
@WAYS
def test_a_filter_that_is_not_finite_has_a_scale_that_is_not_and_the_others_are_as_they_would_be(
    way: Way, refined: bool, value: float, planes: int
) -> None:
    weight = drawn(7, 3, 37)
    expected = way(weight, planes, refined).scales[[0, 2]]
    weight[1, 35] = value
    found = way(weight, planes, refined).scales
    assert not bool(torch.isfinite(found[1]).all())
    assert torch.equal(found[[0, 2]], expected)


@settings(deadline=None)
@given(shape=SHAPES, planes=PLANES, share=st.sampled_from([0.0, 0.01, 0.5]))
def test_what_was_written_over_a_sum_is_found_by_its_content_and_nothing_else_becomes_latent(
    shape: tuple[int, int, int], planes: int, share: float
) -> None:
    """In place, against a comparison with `sum_of_planes`."""
    before = drawn(*shape)
    found = expand_by_place(before, planes)
    written = found.total.clone()
    there = torch.rand(written.shape, generator=torch.Generator().manual_seed(shape[0] % 1000)) < share
    written[there] = torch.nextafter(written[there], torch.tensor(torch.inf))  # the smallest change there is
    place = Place(written.clone(), before.clone(), found.scales.clone(), found.codes.clone())
    assert torch.equal(sum_of_planes(found.scales, found.codes), found.total)
    other = written != found.total
    assert adopt_in_place([place]) == [bool(other.any())]
    assert torch.equal(place.latent, torch.where(other, written, before))
    for kept, given_ in ((place.weight, written), (place.scales, found.scales), (place.codes, found.codes)):
        assert torch.equal(kept, given_)
    sum_in_place([place])
    assert torch.equal(place.weight, found.total)
    assert torch.equal(place.codes, found.codes)


@pytest.mark.parametrize("instructions", _native.available_instructions())
def test_nan_and_what_lies_in_the_last_lanes_of_a_filter_is_found_by_every_instruction_set(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSURGERY_ISA", instructions)
    for entries in (1, 15, 16, 17, 100):
        before = drawn(entries, 3, entries)
        found = expand_by_place(before, 2)
        places = [Place(found.total.clone(), before.clone(), found.scales, found.codes) for _ in range(3)]
        places[1].weight[1, -1] = torch.nan
        assert adopt_in_place(places) == [False, True, False]
        assert bool(places[1].latent[1, -1].isnan())
        places[1].latent[1, -1] = before[1, -1]
        assert all(torch.equal(place.latent, before) for place in places)
        sum_in_place(places)
        assert all(torch.equal(place.weight, found.total) for place in places)


def test_writes_are_found_by_any_number_of_threads() -> None:
    before = drawn(0, 700, 4000)
    found = expand_by_place(before, 2)
    written = found.total + (torch.arange(700) == 650)[:, None]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        place = Place(written.clone(), before.clone(), found.scales, found.codes)
        assert adopt_in_place([place]) == [True]
        sum_in_place([place])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(place.latent, torch.where(written != found.total, written, before))
    assert torch.equal(place.weight, found.total)


def test_what_does_not_fit_in_place_is_refused() -> None:
    weight, latent, scales, codes = placed(drawn(8, 3, 10), 2)
    for layer in (
        (weight, latent[:2], scales, codes),
        (weight, latent, scales[:2], codes),
        (weight, latent, scales, codes[:, :9].copy()),
        (weight, latent, np.empty((3, 0), np.float32), codes),
        (weight, latent, np.empty((3, 9), np.float32), codes),
        (weight[:, :0].copy(), latent[:, :0].copy(), scales, codes[:, :0].copy()),
    ):
        with pytest.raises(ValueError, match=r"planes|need"):
            _native.expand_in_place([layer], True, 1)
    with pytest.raises(ValueError, match="threads must be >= 1"):
        _native.expand_in_place([], True, 0)
    square = placed(drawn(8, 3, 3), 2)
    for index, other in enumerate((square[0].T, square[1].astype(np.float64), scales[:, ::-1], square[3].T)):
        with pytest.raises(TypeError):  # and no copy is made, which would be written to in vain
            _native.expand_in_place([(*square[:index], other, *square[index + 1 :])], True, 1)


def test_tensors_of_other_types_and_layouts_do_not_fit_in_place() -> None:
    weight = drawn(9, 3, 10)
    assert fits(weight, weight[1:])
    assert not any(
        fits(other) for other in (weight.double(), weight.half(), weight.T, weight[:, 1:], weight.to("meta"))
    )
    assert not fits(weight, weight.T)


def test_sums_of_the_largest_scales_do_not_overflow_on_the_way() -> None:
    codes = torch.tensor([[0, 1]], dtype=torch.uint8)
    assert sum_of_planes(torch.tensor([[2e38]]), codes).tolist() == [[-torch.tensor(2e38), torch.tensor(2e38)]]
