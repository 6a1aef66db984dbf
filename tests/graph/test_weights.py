"""Weights of every type say exactly their numbers, and keep their type through what passes do where that is exact."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsurgery.graph.ir import GraphBuilder
from netsurgery.graph.planes import on_grid
from netsurgery.graph.recognition import recognise_weights, recognised
from netsurgery.graph.weights import Codebook, Dense, Planes, Powers, Uniform, Weights, same_bits

SHAPES = ((1, 1), (1, 9), (6, 5), (4, 3, 3, 3), (5, 2, 4))


def powers(rng: np.random.Generator, shape: tuple[int, ...]) -> Powers:
    signs = rng.integers(-1, 2, shape).astype(np.int8)
    exponents = np.where(signs == 0, 0, rng.integers(-9, 3, shape)).astype(np.int8)
    scales = np.float32(rng.uniform(1, 2, shape[0])) if rng.random() < 0.5 else None
    return Powers(signs, exponents, scales)


def planes(rng: np.random.Generator, shape: tuple[int, ...]) -> Planes:
    count = int(rng.integers(1, 9))
    scales = on_grid(np.cumprod(rng.uniform(0.3, 0.6, (shape[0], count)), axis=1))
    return Planes(scales, rng.integers(0, 2, (count, *shape), np.uint8))


def codebook(rng: np.random.Generator, shape: tuple[int, ...]) -> Codebook:
    return Codebook(rng.normal(size=7).astype(np.float32), rng.integers(0, 7, shape, np.uint8))


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Uniform:
    low = int(rng.integers(-250, 0))
    scales = rng.uniform(1e-4, 1, shape[0] if len(shape) > 1 else 1)
    return Uniform(rng.integers(low, low + 255, shape, np.int16), scales.astype(np.float32))


def dense(rng: np.random.Generator, shape: tuple[int, ...]) -> Dense:
    return Dense(rng.normal(size=shape).astype(np.float32))


MAKERS = (powers, planes, codebook, uniform, dense)
WEIGHTS = st.builds(
    lambda make, shape, seed: make(np.random.default_rng(seed), shape),
    st.sampled_from(MAKERS),
    st.sampled_from(SHAPES),
    st.integers(0, 2**32 - 1),
)


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS)
def test_values_are_float32_of_the_shape_and_read_only(weights: Weights) -> None:
    assert weights.values.dtype == np.float32
    assert weights.values.shape == weights.shape
    assert (weights.size, weights.ndim) == (weights.values.size, weights.values.ndim)
    with pytest.raises(ValueError, match="read-only"):
        weights.values[...] = 0
    np.testing.assert_array_equal(np.asarray(weights), weights.values)


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS, seed=st.integers(0, 2**32 - 1))
def test_entries_taken_along_an_axis_keep_the_type(weights: Weights, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for axis, size in enumerate(weights.shape):
        places = rng.permutation(size)[: rng.integers(1, size + 1)]
        taken = weights.take(places, axis)
        assert type(taken) is type(weights)
        assert taken.values.tobytes() == weights.values.take(places, axis).tobytes()


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS)
def test_a_matrix_turned_is_the_same_numbers_turned(weights: Weights) -> None:
    if weights.ndim == 2:
        assert weights.transposed().values.tobytes() == np.ascontiguousarray(weights.values.T).tobytes()


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS, seed=st.integers(0, 2**32 - 1), operation=st.sampled_from([np.multiply, np.divide]))
def test_rows_times_a_factor_are_float32_products_and_planes_stay_as_many_planes(
    weights: Weights, seed: int, operation: np.ufunc
) -> None:
    factors = np.random.default_rng(seed).normal(size=weights.shape[0]).astype(np.float32)
    scaled = weights.combined(operation, factors)
    exact = operation(weights.values, factors.reshape(-1, *[1] * (weights.ndim - 1)))
    if isinstance(weights, Planes):
        assert isinstance(scaled, Planes)
        assert scaled.planes == weights.planes
        size = operation(np.abs(weights.scales).sum(axis=1), np.abs(factors)).max()
        np.testing.assert_allclose(scaled.values, exact, rtol=0, atol=weights.planes * size * 2.0**-23)
    else:
        np.testing.assert_array_equal(scaled.values, exact)
    if isinstance(weights, Powers):
        assert isinstance(scaled, Powers)


def test_powers_times_what_float32_cannot_hold_are_dense() -> None:
    weights = Powers(np.int8([[1, -1]]), np.int8([[-126, 127]]))
    for factor in (0.25, 4.0, 0.0):
        with np.errstate(over="ignore"):
            scaled = weights.combined(np.multiply, np.float32([factor]))
        assert isinstance(scaled, Dense)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(scaled.values, weights.values * np.float32(factor))


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS)
def test_recognition_changes_no_bit_and_is_done_once(weights: Weights) -> None:
    found = recognised(Dense(weights.values))
    assert same_bits(found, weights)
    assert recognised(found) is found


def whole_times_scales(low: int, beyond: int) -> Any:
    rng = np.random.default_rng(0)
    return (rng.integers(low, beyond, (40, 50)) * rng.random((40, 1), np.float32).astype(np.float64)).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.float32([[1, -2], [0, 4]]), Powers),
        (np.float32([[3, -6], [0, 5]]), Powers),
        (np.float32([0.5, 0.25, 0.5]), Powers),
        (np.float32([[0.3, -0.3], [0.7, 0.7]]), Planes),
        (np.float32([0.1, 0.7, 0.1, 0.7]), Codebook),
        (np.float32([[0.1, 0.23, 0.37]]), Dense),
        (np.float32([0, 0]), Dense),
        (np.float32([np.nan, 1]), Dense),
        (np.float32(2.5), Dense),
        (np.float32([1e-45, 1e-45, 0]), Codebook),
        (whole_times_scales(-127, 128), Uniform),
        (whole_times_scales(0, 256), Uniform),
        (whole_times_scales(-300, 300), Dense),
    ],
)
def test_recognition_names_the_type_that_says_most(values: Any, kind: type[Weights]) -> None:
    assert type(recognised(Dense(np.asarray(values)))) is kind


def test_weights_are_equal_if_type_and_parts_are_bit_for_bit() -> None:
    assert Dense(np.float32([0.0])) != Dense(np.float32([-0.0]))
    assert Dense(np.float32([1.0])) == Dense(np.float32([1.0]))
    assert Powers(np.int8([1]), np.int8([0])) != Dense(np.float32([1.0]))
    assert same_bits(Powers(np.int8([1]), np.int8([0])), Dense(np.float32([1.0])))


def test_a_graph_wraps_arrays_at_its_door_and_keeps_types() -> None:
    builder = GraphBuilder()
    typed = planes(np.random.default_rng(0), (3, 4))
    x = builder.node("Linear", [builder.input("x", ("batch", 4)), builder.constant(typed, "typed")])
    graph = builder.graph([builder.node("Add", [x, builder.constant([1.0, 2.0, 4.0], "plain")])])
    assert graph.constants["typed"] is typed
    assert isinstance(graph.constants["plain"], Dense)
    assert recognise_weights(recognise_weights(graph)).constants == recognise_weights(graph).constants


@pytest.mark.parametrize(
    "weights",
    [
        Codebook(np.float32([0.1, 2.5]), np.uint8(1).reshape(())),
        Powers(np.int8(-1).reshape(()), np.int8(3).reshape(())),
        Powers(np.int8(1).reshape(()), np.int8(0).reshape(()), np.float32([1.5])),
        Dense(np.float32(0.3).reshape(())),
    ],
)
def test_a_single_number_without_axes_is_an_array_too(weights: Weights) -> None:
    assert weights.values.shape == weights.shape == ()
    assert isinstance(weights.values, np.ndarray)
    assert weights.values.dtype == np.float32


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), low=st.integers(-255, 0), span=st.integers(8, 256), zeros=st.floats(0, 0.9))
def test_whole_numbers_with_a_scale_for_each_row_are_recognised_from_their_products(
    seed: int, low: int, span: int, zeros: float
) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(low, low + span, (20, 120)) * (rng.random((20, 120)) >= zeros)
    scales = np.exp(rng.uniform(-20, 5, (20, 1))).astype(np.float32)
    values = (counts * scales.astype(np.float64)).astype(np.float32)
    found = recognised(Dense(values))
    assert same_bits(found, Dense(values))
    assert isinstance(found, Uniform | Dense | Powers | Codebook)
    if span > 16 and zeros < 0.5 and int(np.abs(counts).max()) <= 255:
        assert isinstance(found, Uniform)


@settings(deadline=None, derandomize=True)
@given(weights=WEIGHTS)
def test_arrays_of_another_memory_order_are_brought_into_that_of_the_file(weights: Weights) -> None:
    """As those of modules whose channels lie last in memory, or of slices."""
    parts = {part.name: getattr(weights, part.name) for part in fields(weights)}
    turned = {name: np.asfortranarray(one) if isinstance(one, np.ndarray) else one for name, one in parts.items()}
    spread = {name: one.repeat(2, -1)[..., ::2] if np.ndim(one) else one for name, one in parts.items()}
    for laid_out in (turned, spread):
        made = type(weights)(**laid_out)
        assert made == weights
        assert made.values.tobytes() == weights.values.tobytes()
        arrays = [getattr(made, part.name) for part in fields(made)] + [made.values]
        assert all(one.flags.c_contiguous for one in arrays if isinstance(one, np.ndarray))
