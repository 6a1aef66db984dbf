"""Sums of binary planes are told from their values alone, or not at all: never almost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsurgery.graph.planes import MOST_RECOGNISED, on_grid, recognised_planes, sum_of_planes
from netsurgery.graph.rounded_planes import MOST_ROUNDED

LARGEST = np.finfo(np.float32).max


def sketched(rng: np.random.Generator, rows: int, planes: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales as network sketching finds them, each smaller than the one before, and signs that show every sum."""
    scales = np.cumprod(rng.uniform(0.3, 0.6, (rows, planes)), axis=1) * 2.0 ** rng.integers(-8, 8, (rows, 1))
    every = np.array(list(itertools.product((0, 1), repeat=planes)), np.uint8)
    signs = np.concatenate([every, rng.integers(0, 2, (columns - len(every), planes), np.uint8)])
    return scales.astype(np.float32), np.stack([rng.permutation(signs).T for _ in range(rows)], axis=1)


def assert_makes(found: tuple[np.ndarray, np.ndarray] | None, matrix: np.ndarray, planes: int) -> None:
    assert found is not None
    assert (found[0].dtype, found[1].dtype) == (np.float32, np.uint8)
    assert (found[0].shape, found[1].shape) == ((len(matrix), planes), (planes, *matrix.shape))
    np.testing.assert_array_equal(sum_of_planes(*found).view(np.uint32), matrix.view(np.uint32))


def test_planes_are_added_one_after_another_in_float32() -> None:
    scales = np.array([[1, 2**-24, 2**-24], [4, 2, 1]], np.float32)
    signs = np.array([[[1, 0], [1, 0]], [[1, 1], [0, 1]], [[1, 1], [1, 1]]], np.uint8)
    np.testing.assert_array_equal(sum_of_planes(scales, signs), [[1, -1 + 2**-23], [3, -1]])


@pytest.mark.parametrize("planes", range(1, MOST_RECOGNISED + 1))
@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 4), more=st.integers(0, 40))
def test_exact_sums_of_up_to_eight_planes_are_recognised_with_their_scales_and_signs(
    planes: int, seed: int, rows: int, more: int
) -> None:
    scales, signs = sketched(np.random.default_rng(seed), rows, planes, 2 ** (planes + 1) + more)
    scales = on_grid(scales)
    found = recognised_planes(sum_of_planes(scales, signs))
    assert found is not None
    np.testing.assert_array_equal(found[0], scales)
    np.testing.assert_array_equal(found[1], signs)


@pytest.mark.parametrize("planes", range(1, MOST_ROUNDED + 1))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), more=st.integers(0, 40))
def test_sums_of_up_to_three_planes_are_recognised_where_they_round(
    planes: int, seed: int, rows: int, more: int
) -> None:
    scales, signs = sketched(np.random.default_rng(seed), rows, planes, 2 ** (planes + 1) + more)
    matrix = sum_of_planes(scales, signs)
    assert_makes(recognised_planes(matrix), matrix, planes)


@pytest.mark.parametrize("planes", range(1, MOST_ROUNDED + 1))
def test_one_entry_that_is_off_by_one_place_makes_it_no_sum(planes: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        matrix = sum_of_planes(*sketched(rng, 3, planes, 40))
        matrix.view(np.uint32)[rng.integers(3), rng.integers(40)] ^= 1
        assert recognised_planes(matrix) is None


@pytest.mark.parametrize("planes", range(1, MOST_RECOGNISED + 1))
def test_entries_of_exact_sums_that_are_off_are_never_mended(planes: int) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        scales, signs = sketched(rng, 2, planes, 2 ** (planes + 1))
        matrix = sum_of_planes(on_grid(scales), signs)
        matrix.view(np.uint32)[0, rng.integers(matrix.shape[1], size=3)] ^= 2
        found = recognised_planes(matrix)
        if found is not None:
            assert_makes(found, matrix, len(found[1]))


@pytest.mark.parametrize("lacking", ["---", "--+", "-+-", "+--"])
def test_a_row_that_lacks_one_of_its_sums_is_recognised(lacking: str) -> None:
    for seed in range(10):
        scales, signs = sketched(np.random.default_rng(seed), 1, 3, 64)
        columns = (signs[:, 0] != [[sign == "+"] for sign in lacking]).any(axis=0)
        assert recognised_planes(sum_of_planes(scales, signs[:, :, columns])) is not None


@pytest.mark.parametrize(("columns", "recognised"), [(1, False), (2, True)])
def test_planes_that_take_more_bits_than_floats_are_not_looked_for(columns: int, recognised: bool) -> None:
    assert (recognised_planes(np.full((5, columns), 0.3, np.float32)) is not None) is recognised


def test_a_row_of_one_value_is_a_plane_of_one_sign() -> None:
    scales, signs = recognised_planes(np.array([[0.3] * 4, [-0.7] * 4], np.float32))
    np.testing.assert_array_equal(scales, np.float32([[0.3], [0.7]]))
    np.testing.assert_array_equal(signs, [[[1] * 4, [0] * 4]])


def test_rows_of_fewer_planes_than_the_others_have_scales_of_0() -> None:
    rows = [sum_of_planes(*sketched(np.random.default_rng(planes), 1, planes, 16)) for planes in (2, 3, 1)]
    matrix = np.concatenate(rows)
    found = recognised_planes(matrix)
    assert_makes(found, matrix, 3)
    np.testing.assert_array_equal(found[0] > 0, [[True, True, False], [True] * 3, [True, False, False]])


def test_a_row_of_zeros_has_scales_of_0() -> None:
    scales, signs = sketched(np.random.default_rng(0), 4, 2, 40)
    matrix = sum_of_planes(scales, signs)
    matrix[[0, 2]] = 0
    found = recognised_planes(matrix)
    assert found is not None
    np.testing.assert_array_equal(sum_of_planes(*found).view(np.uint32), matrix.view(np.uint32))
    assert (found[0][[0, 2]] == 0).all()


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_zero_beside_other_values_and_a_row_of_negative_zeros_are_no_sum(zero: float) -> None:
    matrix = sum_of_planes(*sketched(np.random.default_rng(0), 4, 2, 40))
    matrix[1, 5] = zero
    assert recognised_planes(matrix) is None
    matrix[1] = zero
    assert (recognised_planes(matrix) is None) == bool(np.signbit(zero))


def test_a_matrix_of_one_row_that_is_no_sum_is_none() -> None:
    rng = np.random.default_rng(0)
    matrix = np.concatenate([sum_of_planes(*sketched(rng, 3, 2, 16)), rng.normal(size=(1, 16)).astype(np.float32)])
    assert recognised_planes(matrix) is None


@pytest.mark.parametrize("planes", [4, 8])
def test_the_largest_and_the_smallest_sums_of_many_planes_come_back(planes: int) -> None:
    _, signs = sketched(np.random.default_rng(0), 2, planes, 600)
    steps = np.random.default_rng(1).integers(1, 2**19, planes)
    scales = np.stack([np.ldexp(steps, 104), np.ldexp(steps, -149)])  # below 2^23 steps: finite, and subnormal
    matrix = sum_of_planes(scales.astype(np.float32), signs)
    assert_makes(recognised_planes(matrix), matrix, planes)


@pytest.mark.parametrize("values", [(LARGEST, -LARGEST), (1e-45, -1e-45), (LARGEST, -LARGEST, LARGEST / 2)])
@pytest.mark.parametrize("columns", [4, 17])
def test_the_largest_and_the_smallest_numbers_neither_warn_nor_come_back_changed(values, columns: int) -> None:
    matrix = np.random.default_rng(0).choice(np.array(values, np.float32), (3, columns))
    matrix[:, : len(values)] = values
    found = recognised_planes(matrix)
    assert (found is not None) == (abs(values[0]) == abs(values[-1]))
    if found is not None:
        np.testing.assert_array_equal(sum_of_planes(*found), matrix)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_on_its_grid_scales_move_by_as_much_as_float32_rounds_and_sums_are_exact_in_any_order(scales, random) -> None:
    before = np.array([scales])
    after = on_grid(before)
    assert np.abs(after - before).max() <= max(2.0**-24 * np.abs(before).sum(), 2.0**-150)
    order = random.sample(range(len(scales)), len(scales))
    signs = np.array([random.choice((0, 1)) for _ in order], np.uint8)
    exact = ((2.0 * signs - 1) * after[0, order].astype(np.float64)).sum()
    assert sum_of_planes(after[:, order], signs[:, None, None])[0, 0] == exact


def test_a_sum_beyond_float32_is_infinite_without_a_warning() -> None:
    signs = np.array([[[1, 1]], [[1, 0]]], np.uint8)
    np.testing.assert_array_equal(sum_of_planes(np.array([[LARGEST, LARGEST]]), signs), [[np.inf, 0]])
    assert np.isnan(sum_of_planes(np.array([[np.inf, np.inf]], np.float32), signs)[0, 1])
