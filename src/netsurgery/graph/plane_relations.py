"""Which signs the values of a row take in planes that nobody knows, told from equal sums among the values.

Values v = s_0 b_0 + s_1 b_1 + ..., with b in {-1, +1}, are whole numbers of up to 24 bits. Where two sums of some of
them are equal, as in v_1 - v_2 = v_3 - v_4, that is hardly by chance: their planes satisfy it too, each on its own. All
such relations together leave a space of m dimensions, and in it the planes are the vectors that hold only -1 and +1.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MOST_DIMENSIONS = 11
"""A space of k dimensions is searched in 2^(k - 1) steps."""
_ROUNDING = 1e-6
"""Relations are whole numbers, and so few that what isn't 0 in their solution is far from it."""


def relations(values: Doubles, terms: int) -> Doubles:
    """Coefficients (found, n) in {-1, 0, 1}: two sums of so many terms, ± each, of n distinct values > 0 that agree.

    Of several sums that agree it takes each with the next. A value on both sides with the same sign is on neither; one
    with opposite signs would count twice, and that is left out.
    """
    places, signs = _signed_choices(len(values), terms)
    sums = (values[places] * signs).sum(axis=1)
    order = np.argsort(np.abs(sums), kind="stable")
    equal = np.flatnonzero(np.diff(np.abs(sums)[order]) == 0)
    difference = np.zeros((len(equal), len(values)))
    for side, chosen in ((1, order[equal]), (-1, order[equal + 1])):
        for term in range(terms):
            difference[np.arange(len(equal)), places[chosen, term]] += (
                side * np.sign(sums[chosen]) * signs[chosen, term]
            )
    found: Doubles = difference[(np.abs(difference) <= 1).all(axis=1) & difference.any(axis=1)]
    return found


def sign_vectors(related: Doubles) -> tuple[Doubles, int] | None:
    """All vectors of -1 and +1 that satisfy the relations (found, n): (n, vectors) but for their sign, and k.

    k: dimensions of the space that the relations leave. None if it has none, or more than MOST_DIMENSIONS.
    """
    space = _solutions(related)
    dimensions = space.shape[1]
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        return None
    candidates = np.einsum("nk,kc->nc", space, _signs(dimensions)[:, : 2 ** (dimensions - 1)])
    vectors: Doubles = np.sign(candidates[:, (np.abs(np.abs(candidates) - 1) < _ROUNDING).all(axis=0)])
    return vectors, dimensions


def signed_sums(scales: Doubles) -> Doubles:
    """All 2^m sums of ±scales, (m,) -> (2^m,); bit j of sum i, the highest first, is 0 where scale j is added."""
    sums: Doubles = (scales[:, None] * _signs(len(scales))).sum(axis=0)
    return sums


def _solutions(related: Doubles) -> Doubles:
    """(n, k): what satisfies the relations, from what it is at k places that are free; by elimination."""
    rows, pivots, free = related.copy(), list[int](), list[int]()
    for column in range(related.shape[1]):
        rank = len(pivots)
        largest = rank + int(np.argmax(np.abs(rows[rank:, column]))) if rank < len(rows) else rank
        if largest == len(rows) or abs(rows[largest, column]) < _ROUNDING:
            free.append(column)
            continue
        rows[[rank, largest]] = rows[[largest, rank]]
        rows[rank] /= rows[rank, column]
        factors = rows[:, column].copy()
        factors[rank] = 0
        rows -= np.outer(factors, rows[rank])
        pivots.append(column)
    solutions = np.zeros((related.shape[1], len(free)))
    solutions[free] = np.eye(len(free))
    solutions[pivots] = -rows[: len(pivots), free]
    return solutions


@lru_cache(maxsize=16)
def _signs(count: int) -> Doubles:
    """Every choice of `count` signs: (count, 2^count), beginning with those whose first sign is +."""
    signs: Doubles = np.array(list(itertools.product((1.0, -1.0), repeat=count))).T
    return signs


@lru_cache(maxsize=64)
def _signed_choices(count: int, terms: int) -> tuple[Places, Doubles]:
    """Each choice of so many out of `count`, and of signs but for a common one: places and signs, (choices, terms)."""
    places = np.array(list(itertools.combinations(range(count), terms)), np.int64).reshape(-1, terms)
    signs = _signs(terms)[:, : 2 ** (terms - 1)].T
    return np.repeat(places, len(signs), axis=0), np.tile(signs, (len(places), 1))
