"""Equal sums among the values of a row give its planes away, and what comes of them is right or None."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsurgery.graph.plane_relations import relations, sign_vectors, signed_sums
from netsurgery.graph.plane_scales import exact_scales, unit_of
from netsurgery.methods.expansion import expand


def magnitudes_of(row: np.ndarray) -> np.ndarray:
    return np.unique(np.abs(row)).astype(np.float64)


def all_relations(values: np.ndarray, terms: int) -> np.ndarray:
    """The slow reference: all coefficients in {-1, 0, 1} with so many terms, or twice, whose sum is 0."""
    coefficients = np.array(list(itertools.product((-1, 0, 1), repeat=len(values))))
    count = np.abs(coefficients).sum(axis=1)
    shared = (count % 2 == 0) & (count > 0) & (count <= 2 * terms)
    return coefficients[shared & (coefficients @ values == 0)]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=7, unique=True), st.integers(2, 3))
def test_relations_are_those_of_a_search_through_all_coefficients(values: list[int], terms: int) -> None:
    given = np.array(values, np.float64)
    found, known = relations(given, terms), all_relations(given, terms)
    assert {tuple(row) for row in found} <= {tuple(row) for row in known}
    two_pairs = known[np.abs(known).sum(axis=1) == 2 * terms]
    if len(two_pairs) == 2:  # a single one, with either sign: it can't follow from others
        assert np.linalg.matrix_rank(np.concatenate([found, two_pairs])) == np.linalg.matrix_rank(found)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(0, 6))
def test_sign_vectors_are_those_of_a_search_through_all_signs(seed: int, count: int, many: int) -> None:
    related = np.random.default_rng(seed).integers(-1, 2, (many, count)).astype(np.float64)
    every = np.array(list(itertools.product((-1, 1), repeat=count)))
    known = every[~(every @ related.T).any(axis=1)]
    found = sign_vectors(related)
    dimensions = count - np.linalg.matrix_rank(related) if many else count
    assert (found is None) == (dimensions == 0)
    if found is not None:
        assert found[1] == dimensions
        both = np.concatenate([found[0].T, -found[0].T]).astype(int)
        assert sorted(map(tuple, both)) == sorted(map(tuple, known))


@pytest.mark.parametrize("count", range(1, 9))
def test_scales_come_back_from_their_sums(count: int) -> None:
    """Scales as training leaves them: sums of theirs agree with none but those that they have to agree with."""
    draws = np.random.default_rng(count)
    for _ in range(12):
        expected = np.sort(draws.choice(2**20, count, replace=False).astype(np.float64) + 1)[::-1]
        sums = signed_sums(expected)
        found = exact_scales(magnitudes_of(sums), 8)
        assert found is not None
        assert len(found) == count
        assert np.isin(sums, signed_sums(found)).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 2**20), min_size=1, max_size=8, unique=True))
def test_scales_that_are_found_make_all_sums(scales: list[int]) -> None:
    """Of any scales; where sums of theirs agree by chance, as those of powers of two, none may be found."""
    expected = np.sort(np.array(scales, np.float64))[::-1]
    sums = signed_sums(expected)
    found = None if 0 in sums or len(np.unique(sums)) < len(sums) else exact_scales(magnitudes_of(sums), 8)
    if found is not None:
        assert len(found) == len(expected)
        assert np.isin(sums, signed_sums(found)).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True), st.integers(1, 4))
def test_whatever_is_found_makes_all_values_by_exact_sums(values: list[int], most: int) -> None:
    given = np.sort(np.array(values, np.float64))
    found = exact_scales(given, most)
    if found is not None:
        assert len(found) <= most
        assert np.isin(given, signed_sums(found)).all()
        assert (np.diff(found) <= 0).all()
        assert found[-1] > 0


def test_a_whole_relation_among_scales_does_not_mislead() -> None:
    """-s_0 + 2 s_1 - s_2 + s_4 + s_5 - 2 s_7 = 0: sums agree that are of different planes."""
    scales = np.array([3343822, 2014655, 1244111, 791452, 537063, 376106, 269327, 177273], np.float64)
    assert np.dot(scales, [-1, 2, -1, 0, 1, 1, 0, -2]) == 0
    sums = np.random.default_rng(0).permutation(magnitudes_of(signed_sums(scales)))[:100]
    np.testing.assert_array_equal(exact_scales(np.sort(sums), 8), scales)


@pytest.mark.parametrize(
    ("planes", "entries"), [(1, 25), (2, 25), (3, 25), (4, 25), (5, 25), (6, 100), (7, 500), (8, 500)]
)
def test_rows_long_enough_are_told_in_as_many_planes(planes: int, entries: int) -> None:
    weight = torch.randn(30, entries, generator=torch.Generator().manual_seed(planes))
    for row in expand(weight, planes).total.numpy():
        found = exact_scales(magnitudes_of(row), 8)
        assert found is not None
        assert len(found) <= planes


def test_values_off_the_grid_too_many_values_and_values_without_relations_are_none() -> None:
    rng = np.random.default_rng(0)
    assert exact_scales(np.array([1.0, 1.0 + 2.0**-23, 2.5]), 8) is None
    assert exact_scales(np.arange(1.0, 130.0), 8) is None
    assert exact_scales(np.sort(rng.choice(2**24, 40, replace=False)) + 1.0, 8) is None


def test_more_planes_than_asked_for_are_none() -> None:
    sums = magnitudes_of(signed_sums(np.array([1000003.0, 500007.0, 250013.0])))
    assert exact_scales(sums, 3) is not None
    assert exact_scales(sums, 2) is None


@pytest.mark.parametrize(
    ("largest", "unit"), [(1.0, 2.0**-24), (1.0 + 2.0**-23, 2.0**-23), (3.0, 2.0**-22), (1e-45, 2.0**-149)]
)
def test_the_grid_has_the_largest_value_within_2_to_the_24_steps(largest: float, unit: float) -> None:
    assert unit_of(largest) == unit
