"""Matrices times one vector or a few, as at batch 1: rows side by side, whatever they look like."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from netsurgery import _native
from netsurgery.graph.ir import Array, GraphBuilder
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

EPSILON = np.finfo(np.float32).eps


@pytest.fixture(params=_native.available_instructions(), autouse=True)
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NETSURGERY_ISA", request.param)
    yield request.param
    assert os.environ["NETSURGERY_ISA"] == request.param


def drawn(seed: int) -> Array:
    """Sparse or full, of few or many rows and columns, with rows that have nothing, or most of what there is."""
    rng = np.random.default_rng(seed)
    rows, columns = (int(rng.choice([1, 3, 7, 8, 17, 64, 65, 130, 300])) for _ in range(2))
    density = float(rng.choice([0.01, 0.05, 0.1, 0.3, 1.0]))
    shares = np.where(rng.random((rows, 1)) < 0.2, rng.choice([0.0, 4.0], (rows, 1)), 1.0)
    weight = np.where(rng.random((rows, columns)) < density * shares, rng.normal(size=(rows, columns)), 0)
    if rng.random() < 0.3:  # all at one end
        weight[:, : columns // 2] = 0
    return weight.astype(np.float32)


def product_of(weight: Array, threads: int = 1) -> Session:
    builder = GraphBuilder()
    layer = builder.node("Linear", [builder.input("x", ("batch", weight.shape[1])), builder.constant(weight)])
    return Session(encode(builder.graph([layer])), threads=threads)


@pytest.mark.parametrize("seed", range(40))
def test_products_are_those_of_float64_within_what_sums_round(seed: int) -> None:
    weight = drawn(seed)
    session = product_of(weight)
    for batch in (1, 2, 3, 5):
        x = np.random.default_rng(seed).normal(size=(batch, weight.shape[1])).astype(np.float32)
        wanted = x.astype(np.float64) @ weight.T.astype(np.float64)
        bound = (np.count_nonzero(weight, axis=1) + 1) * EPSILON * (np.abs(x) @ np.abs(weight).T)
        assert (np.abs(session(x) - wanted) <= bound + 1e-30).all()


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_reaches_no_row_without_a_connection_to_it(number: float) -> None:
    weight = np.where(np.random.default_rng(0).random((300, 256)) < 0.1, 1.0, 0.0).astype(np.float32)
    x = np.ones((1, 256), np.float32)
    x[0, 77] = number
    given = product_of(weight)(x)[0]
    assert (np.isfinite(given) == (weight[:, 77] == 0)).all()
    np.testing.assert_array_equal(given[weight[:, 77] == 0], weight.sum(axis=1)[weight[:, 77] == 0])


def test_what_is_not_finite_in_one_vector_changes_no_bits_of_the_others() -> None:
    rng = np.random.default_rng(2)
    weight = np.where(rng.random((300, 256)) < 0.15, rng.normal(size=(300, 256)), 0).astype(np.float32)
    builder = GraphBuilder()
    layer = builder.node("Linear", [builder.input("x", ("batch", 3, 256)), builder.constant(weight)])
    session = Session(encode(builder.graph([layer])), threads=1)
    x = rng.normal(size=(1, 3, 256)).astype(np.float32)
    wanted = session(x)
    x[0, 1, 5] = np.nan
    np.testing.assert_array_equal(session(x)[:, ::2], wanted[:, ::2])


@pytest.mark.parametrize("uneven", [0.0, 0.7])
def test_a_row_has_the_same_bits_whatever_stands_beside_it(uneven: float) -> None:
    rng = np.random.default_rng(0)
    density = 0.1 * np.exp(uneven * rng.normal(size=(512, 1)))
    weight = np.where(rng.random((512, 256)) < density, rng.normal(size=(512, 256)), 0).astype(np.float32)
    x, order = rng.normal(size=(1, 256)).astype(np.float32), rng.permutation(512)
    given = product_of(weight)(x)[0]
    np.testing.assert_array_equal(product_of(weight[order])(x)[0], given[order])
    np.testing.assert_array_equal(product_of(weight, threads=3)(x)[0], given)
    np.testing.assert_array_equal(product_of(weight)(np.repeat(x, 3, axis=0)), np.repeat(given[None], 3, axis=0))


def test_full_rows_have_the_same_bits_whatever_stands_beside_them() -> None:
    rng = np.random.default_rng(1)
    weight, x = rng.normal(size=(37, 91)).astype(np.float32), rng.normal(size=(1, 91)).astype(np.float32)
    given = product_of(weight)(x)[0]
    for rows in (1, 2, 3, 4, 5, 36):
        np.testing.assert_array_equal(product_of(weight[:rows])(x)[0], given[:rows])
