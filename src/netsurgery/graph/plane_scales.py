"""The scales of a row that is a sum of planes, from its distinct magnitudes, where sums are exact.

`netsurgery.methods.expansion` puts the scales of a filter on a grid so coarse that float32 adds them without rounding.
In units of that grid a row's values are whole numbers, and `plane_relations` tells their planes. What comes of it is
tried on every value of the row; so it is right, or it is None.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from netsurgery.graph.plane_relations import Doubles, relations, sign_vectors, signed_sums

MANTISSA = 24
"""Bits of a float32's significand: whole numbers up to 2^24 are exact, and so are all sums that stay below."""

_SAMPLES = (44, *64 * (36, 32, 28, 24))
"""How many values each try looks at. Sums agree by chance now and then: other values may be free of that, and fewer
more likely."""
_TERMS = ((2, 44), (3, 20), (4, 12))
"""Terms of the sums that are compared, and of how many values. Two tell most rows, more those that lack values."""
_MOST_SILENT = 32
"""Tries that find no relation, from the first on, before a row is given up: floats that are no sums have none."""
_MOST_UNDECIDED = 4
"""Tries that leave a choice."""
_MOST_SUBSETS = 10_000
_FREE = 6
"""So many values are sums of so many planes, whatever they are. More have to show relations."""


class _Told(NamedTuple):
    """Candidates for planes, -1 and +1 (n, found), of n values; in a space of so many dimensions."""

    values: Doubles
    planes: Doubles
    dimensions: int


def unit_of(largest: float) -> float:
    """The grid of a row: the power of two of which the largest magnitude is at most 2^24. largest: > 0."""
    mantissa, exponent = math.frexp(largest)
    return float(2.0 ** max(exponent - MANTISSA - (mantissa == 0.5), -149))


def exact_scales(magnitudes: Doubles, most: int) -> Doubles | None:
    """Scales (m,), falling and > 0, whose signed sums in float32 are exact and hold all magnitudes; m <= most, or None.

    magnitudes: distinct, > 0, sorted. It finds the fewest planes wherever the values leave no choice, as they do in all
    but very short rows.
    """
    unit = unit_of(magnitudes[-1])
    values = magnitudes / unit
    if len(values) > 2 ** (most - 1) or (values % 1).any():
        return None
    for planes, given in _guesses(values, most):
        scales = np.round(np.linalg.lstsq(planes, given, rcond=None)[0])
        scales = np.sort(np.abs(scales[scales != 0]))[::-1]
        if len(scales) <= most and _sums_are_exact(scales) and np.isin(values, signed_sums(scales)).all():
            return scales * unit
    return None


def _sums_are_exact(scales: Doubles) -> bool:
    """True if float32 adds these whole numbers, ± each, without rounding."""
    bits = int(np.bitwise_or.reduce(scales.astype(np.int64), initial=0))
    return bits > 0 and scales.sum() <= 2**MANTISSA * (bits & -bits)


def _guesses(values: Doubles, most: int) -> Iterator[tuple[Doubles, Doubles]]:
    """Planes (n, m), and the n values, some or all, that they may explain; the likeliest first."""
    random, undecided = np.random.default_rng(0), list[_Told]()
    related = False
    for tries, size in enumerate(_SAMPLES):
        if tries >= _MOST_SILENT and not related:
            return
        told, found = _told(random.permutation(values)[:size], most)
        related = related or found
        if told is None:
            continue
        if told.planes.shape[1] == told.dimensions:
            yield told.planes, told.values
            continue
        undecided.append(told)
        if len(undecided) == _MOST_UNDECIDED:
            break
    if undecided:
        yield from _subsets(min(undecided, key=lambda told: told.dimensions), most)


def _told(values: Doubles, most: int) -> tuple[_Told | None, bool]:
    """What the relations of these values tell, None if nothing or if some are by chance; and whether there are any."""
    related, several = np.zeros((0, len(values))), None
    for terms, most_values in _TERMS:
        found = relations(values[:most_values], terms)
        related = np.concatenate([related, np.pad(found, ((0, 0), (0, len(values) - found.shape[1])))])
        if not len(related) and len(values) > _FREE:
            continue
        told = _within(related, values, most)
        if told is None:
            continue
        if told.planes.shape[1] <= told.dimensions:
            return told if told.planes.shape[1] == told.dimensions else several, len(related) > 0
        several = told
    return several, len(related) > 0


def _within(related: Doubles, values: Doubles, most: int) -> _Told | None:
    """The planes that relations (found, n) leave; if that is too much, of those values only that are in relations."""
    told = sign_vectors(related)
    if told is not None and told[1] <= most:
        return _Told(values, *told)
    used = related.any(axis=0)
    told = sign_vectors(related[:, used]) if used.any() else None
    return None if told is None else _Told(values[used], *told)


def _subsets(told: _Told, most: int) -> Iterator[tuple[Doubles, Doubles]]:
    """As few of the candidates, independent, as have the values in their span."""
    given, planes, dimensions = told
    found = planes.shape[1]
    vectors = np.column_stack([planes / math.sqrt(len(given)), given / np.linalg.norm(given)])
    gram = vectors.T @ vectors
    for size in range(1 + math.ceil(math.log2(len(given))), min(dimensions, most) + 1):
        if math.comb(found, size) <= _MOST_SUBSETS:
            chosen = np.array(list(itertools.combinations(range(found), size)))
        else:
            chosen = np.argsort(np.random.default_rng(0).random((_MOST_SUBSETS, found)), axis=1)[:, :size]
        chosen = chosen[_volume(gram, chosen) > 1e-9]
        chosen = chosen[_volume(gram, np.pad(chosen, ((0, 0), (0, 1)), constant_values=found)) < 1e-13]
        for subset in chosen[:50]:
            yield planes[:, subset], given


def _volume(gram: Doubles, chosen: np.ndarray) -> Doubles:
    """Squared volumes (subsets,) that the vectors of each subset span, from all their products: 0 if dependent."""
    volume: Doubles = np.linalg.det(gram[chosen[:, :, None], chosen[:, None, :]])
    return volume
