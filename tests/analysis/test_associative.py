"""Associative convolution: the tree is a minimum spanning tree, and outputs along it are those of the planes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsurgery.analysis.associative import AssociativeLayer, DependencyTree
from netsurgery.analysis.operation_counts import LARGEST_TREE, additions_in_stretches, counts_of
from netsurgery.errors import SettingError
from netsurgery.graph.planes import sum_of_planes

ROUNDING = float(np.finfo(np.float32).eps) / 2
SHAPES = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 9), st.integers(1, 60))


def drawn(seed: int, planes: int, filters: int, entries: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales (filters, planes), signs (planes, filters, entries); some planes are alike, or nearly."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, (3, entries), np.uint8)
    flips = rng.random((planes, filters, entries)) < rng.choice([0.0, 0.05, 0.5], (planes, filters, 1))
    signs = kinds[rng.integers(0, 3, (planes, filters))] ^ flips ^ rng.integers(0, 2, (planes, filters, 1), np.uint8)
    return rng.uniform(0.01, 2, (filters, planes)).astype(np.float32), signs.astype(np.uint8)


def distance(left: np.ndarray, right: np.ndarray) -> int:
    """min(Ham, t - Ham)."""
    differing = int((left != right).sum())
    return min(differing, len(left) - differing)


def spanning_length(signs: np.ndarray) -> int:
    """The length of a minimum spanning tree, by Kruskal's algorithm."""
    part = list(range(len(signs)))
    length = 0
    for gap, i, j in sorted((distance(signs[i], signs[j]), i, j) for i, j in itertools.combinations(part, 2)):
        if part[i] != part[j]:
            length += gap
            part = [part[i] if one == part[j] else one for one in part]
    return length


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=SHAPES)
def test_the_tree_spans_all_planes_parents_first_and_no_tree_is_shorter(shape: tuple[int, int, int, int]) -> None:
    signs = drawn(*shape)[1].reshape(-1, shape[3])
    tree = DependencyTree.of(signs)
    assert sorted(tree.order) == list(range(len(signs)))
    place = np.argsort(tree.order)
    for plane, parent in enumerate(tree.parents):
        if parent < 0:
            assert plane == tree.order[0]
            assert tree.distances[plane] == 0
        else:
            assert place[parent] < place[plane]
            base = signs[parent] ^ tree.negated[plane]
            assert tree.distances[plane] == (signs[plane] != base).sum() == distance(signs[plane], signs[parent])
    assert tree.distances.sum() == spanning_length(signs)


@pytest.mark.parametrize("stretch", [None, 1, 8])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=SHAPES)
def test_outputs_equal_the_plain_sum_of_planes_within_what_float32_rounds(
    stretch: int | None, shape: tuple[int, int, int, int]
) -> None:
    scales, signs = drawn(*shape)
    layer = AssociativeLayer.of(scales, signs, stretch)
    x = np.random.default_rng(shape[0]).normal(size=(3, shape[3])).astype(np.float32)
    exact = x.astype(np.float64) @ np.tensordot(scales.T.astype(np.float64), signs * 2.0 - 1, ((0,), (0,))).diagonal()
    found = layer.outputs(x)
    assert (found.dtype, found.shape) == (np.float32, (3, shape[2]))
    # Each addition rounds a number of at most 1.5 ‖x‖₁, and no product sees more of them than the layer takes in all.
    steps = layer.additions + 3
    bound = steps * ROUNDING * 1.5 * np.abs(x).sum(axis=1)[:, None] * 2 * scales.sum(axis=1) * (1 + 1e-3)
    assert (np.abs(found - exact) <= bound).all()
    dense = x @ sum_of_planes(scales, signs).T
    np.testing.assert_allclose(found, dense, atol=2 * float(bound.max()))


def test_whole_numbers_come_out_exactly() -> None:
    _, signs = drawn(7, 2, 6, 40)
    x = np.random.default_rng(0).integers(-9, 10, (4, 40)).astype(np.float32)
    for stretch in (None, 7):
        found = AssociativeLayer.of(np.full((6, 2), 0.5, np.float32), signs, stretch).outputs(x)
        np.testing.assert_array_equal(found, x @ (signs[0] + signs[1] - 1.0).T)


def test_additions_are_those_that_the_executor_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in the numbers themselves."""
    made = 0

    class Counting(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, **options):
            nonlocal made
            plain = [np.asarray(each) for each in inputs]
            if ufunc is np.add:
                made += plain[0].shape[1] - 1 if method == "reduce" else 1
            return getattr(ufunc, method)(*plain, **options).view(Counting)

    _, signs = drawn(11, 2, 5, 30)
    tree = DependencyTree.of(signs.reshape(-1, 30))
    real_empty, real_where = np.empty, np.where
    monkeypatch.setattr(np, "empty", lambda *shape: real_empty(*shape).view(Counting))
    monkeypatch.setattr(np, "where", lambda *parts: real_where(*parts).view(Counting))
    tree.products(np.ones((1, 30), np.float32).view(Counting))
    assert made == tree.additions


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shape=SHAPES, stretch=st.integers(1, 8))
def test_counting_along_all_stretches_at_once_counts_what_their_trees_take(
    shape: tuple[int, int, int, int], stretch: int
) -> None:
    scales, signs = drawn(*shape)
    _, planes, filters, entries = shape
    layer = AssociativeLayer.of(scales, signs, stretch)
    counted = additions_in_stretches(signs.reshape(-1, entries), stretch)
    assert counted + (planes - 1) * filters == layer.additions


def test_counts_are_the_formulas_of_the_paper() -> None:
    _, signs = drawn(3, 2, 5, 30)
    counts = counts_of([signs], positions=7)
    flat = signs.reshape(10, 30)
    tree = DependencyTree.of(flat)
    assert counts.dense_multiplications == 7 * 5 * 30
    assert counts.multiplications == 7 * 2 * 5
    assert counts.dense_additions == 7 * 5 * 29
    assert counts.plain_additions == 7 * (2 * 5 * 29 + 5)
    edges = [gap for gap in tree.distances if gap > 0]
    assert counts.tree_additions == 7 * (29 + sum(gap + 1 for gap in edges) + 5)


def test_groups_of_a_convolution_have_trees_of_their_own() -> None:
    parts = [drawn(seed, 2, 5, 30)[1] for seed in (1, 2)]
    alone = [counts_of([part], 3) for part in parts]
    both = counts_of(parts, 3)
    for name in ("dense_additions", "plain_additions", "tree_additions", "stretch_additions", "multiplications"):
        assert getattr(both, name) == sum(getattr(one, name) for one in alone)


def test_the_tree_of_a_layer_too_large_is_left_out_and_the_rest_is_counted() -> None:
    filters = round((LARGEST_TREE / 16) ** 0.5) + 1
    counts = counts_of([np.random.default_rng(0).integers(0, 2, (1, filters, 16), np.uint8)], 1)
    assert counts.tree_additions is None
    assert counts.stretch_additions < counts.plain_additions


def test_random_planes_take_less_than_half_along_a_tree_and_a_quarter_in_stretches() -> None:
    counts = counts_of([np.random.default_rng(0).integers(0, 2, (2, 50, 500), np.uint8)], 1)
    assert counts.tree_additions is not None
    assert counts.plain_additions / counts.tree_additions > 2.2
    assert counts.plain_additions / counts.stretch_additions > 4


def test_scales_of_other_filters_and_stretches_of_nothing_are_refused() -> None:
    scales, signs = drawn(0, 2, 5, 30)
    with pytest.raises(SettingError, match="scales"):
        AssociativeLayer.of(scales[1:], signs)
    with pytest.raises(SettingError, match="stretch"):
        AssociativeLayer.of(scales, signs, 0)
