"""Sums of binary planes are told from their values alone, or not at all: never almost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsurgery.graph.planes import MOST_RECOGNISED, recognised_planes, sum_of_planes

LARGEST = np.finfo(np.float32).max


def sketched(rng: np.random.Generator, rows: int, planes: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales as network sketching finds them, each smaller than the one before, and signs that show every sum."""
    scales = np.cumprod(rng.uniform(0.3, 0.6, (rows, planes)), axis=1) * 2.0 ** rng.integers(-8, 8, (rows, 1))
    every = np.array(list(itertools.product((0, 1), repeat=planes)), np.uint8)
    signs = np.concatenate([every, rng.integers(0, 2, (columns - len(every), planes), np.uint8)])
    return scales.astype(np.float32), np.stack([rng.permutation(signs).T for _ in range(rows)], axis=1)


def test_planes_are_added_one_after_another_in_float32() -> None:
    scales = np.array([[1, 2**-24, 2**-24], [4, 2, 1]], np.float32)
    signs = np.array([[[1, 0], [1, 0]], [[1, 1], [0, 1]], [[1, 1], [1, 1]]], np.uint8)
    np.testing.assert_array_equal(sum_of_planes(scales, signs), [[1, -1 + 2**-23], [3, -1]])


@pytest.mark.parametrize("planes", range(1, MOST_RECOGNISED + 1))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), more=st.integers(0, 40))
def test_sums_of_up_to_three_planes_are_recognised_bit_for_bit(planes: int, seed: int, rows: int, more: int) -> None:
    scales, signs = sketched(np.random.default_rng(seed), rows, planes, 2 ** (planes + 1) + more)
    matrix = sum_of_planes(scales, signs)
    found = recognised_planes(matrix)
    assert found is not None
    assert (found[0].dtype, found[1].dtype) == (np.float32, np.uint8)
    assert (found[0].shape, found[1].shape) == (scales.shape, signs.shape)
    np.testing.assert_array_equal(sum_of_planes(*found).view(np.uint32), matrix.view(np.uint32))


@pytest.mark.parametrize("planes", range(1, MOST_RECOGNISED + 1))
def test_one_entry_that_is_off_by_one_place_makes_it_no_sum(planes: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        matrix = sum_of_planes(*sketched(rng, 3, planes, 40))
        matrix.view(np.uint32)[rng.integers(3), rng.integers(40)] ^= 1
        assert recognised_planes(matrix) is None


@pytest.mark.parametrize("lacking", ["---", "--+", "-+-", "+--"])
def test_a_row_that_lacks_one_of_its_sums_is_recognised(lacking: str) -> None:
    for seed in range(10):
        scales, signs = sketched(np.random.default_rng(seed), 1, 3, 64)
        columns = (signs[:, 0] != [[sign == "+"] for sign in lacking]).any(axis=0)
        assert recognised_planes(sum_of_planes(scales, signs[:, :, columns])) is not None


def test_four_planes_are_not_looked_for() -> None:
    assert recognised_planes(sum_of_planes(*sketched(np.random.default_rng(0), 2, 4, 64))) is None


@pytest.mark.parametrize(("columns", "recognised"), [(3, False), (4, True)])
def test_a_plane_needs_four_columns_to_be_worth_its_scale(columns: int, recognised: bool) -> None:
    assert (recognised_planes(np.full((5, columns), 0.3, np.float32)) is not None) is recognised


def test_a_row_of_one_value_is_a_plane_of_one_sign() -> None:
    scales, signs = recognised_planes(np.array([[0.3] * 4, [-0.7] * 4], np.float32))
    np.testing.assert_array_equal(scales, np.float32([[0.3], [0.7]]))
    np.testing.assert_array_equal(signs, [[[1] * 4, [0] * 4]])


def test_rows_of_fewer_planes_than_the_others_are_not_forced_in() -> None:
    two = sum_of_planes(*sketched(np.random.default_rng(0), 1, 2, 16))
    one = sum_of_planes(*sketched(np.random.default_rng(1), 1, 1, 16))
    assert recognised_planes(np.concatenate([two, one])) is None
    assert recognised_planes(np.concatenate([one, two])) is None


@pytest.mark.parametrize("values", [(LARGEST, -LARGEST), (1e-45, -1e-45), (LARGEST, -LARGEST, LARGEST / 2), (1, -2)])
@pytest.mark.parametrize("columns", [4, 17])
def test_the_largest_and_the_smallest_numbers_neither_warn_nor_come_back_changed(values, columns: int) -> None:
    matrix = np.random.default_rng(0).choice(np.array(values, np.float32), (3, columns))
    matrix[:, : len(values)] = values
    found = recognised_planes(matrix)
    assert (found is not None) == (abs(values[0]) == abs(values[-1]))
    if found is not None:
        np.testing.assert_array_equal(sum_of_planes(*found), matrix)


def test_a_sum_beyond_float32_is_infinite_without_a_warning() -> None:
    signs = np.array([[[1, 1]], [[1, 0]]], np.uint8)
    np.testing.assert_array_equal(sum_of_planes(np.array([[LARGEST, LARGEST]]), signs), [[np.inf, 0]])
    assert np.isnan(sum_of_planes(np.array([[np.inf, np.inf]], np.float32), signs)[0, 1])
