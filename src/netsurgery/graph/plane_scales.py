"""The scales of a row that is a sum of planes, from its distinct magnitudes, where sums are exact.

`netsurgery.methods.expansion` puts the scales of a filter on a grid so coarse that float32 adds them without rounding.
In units of that grid a row's values are whole numbers, and `plane_relations` tells their planes. What comes of it is
tried on every value of the row; so it is right, or it is None.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from netsurgery.graph.plane_relations import Doubles, relations, sign_vectors, signed_sums

MANTISSA = 24
"""Bits of a float32's significand: whole numbers up to 2^24 are exact, and so are all sums that stay below."""

_SAMPLES = (44, 44, 36, 28, 20, 14)
"""How many values a try looks at. Sums agree by chance now and then, most often among many: another try leaves out
some."""
_TERMS = ((2, 44), (3, 20), (4, 12))
"""Terms of the sums that are compared, and of how many values. Two tell most rows; more are for rows that lack values."""
_MOST_SUBSETS = 10_000
_FREE = 5
"""So many values are sums of so many planes, whatever they are. More have to show relations."""


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
    several: tuple[Doubles, Doubles, int] | None = None
    random = np.random.default_rng(0)
    for size in _SAMPLES:
        sample = random.permutation(values)[:size]
        related = np.zeros((0, len(sample)))
        for terms, most_values in _TERMS:
            found = relations(sample[:most_values], terms)
            related = np.concatenate([related, np.pad(found, ((0, 0), (0, len(sample) - found.shape[1])))])
            if not len(related) and len(sample) > _FREE:
                continue
            told = _told(related, sample, most)
            if told is None:
                continue
            planes, given, dimensions = told
            if planes.shape[1] < dimensions:
                break  # a relation by chance
            if planes.shape[1] == dimensions:
                yield planes, given
                break
            several = told
    if several is not None:
        yield from _subsets(*several, most)


def _told(related: Doubles, sample: Doubles, most: int) -> tuple[Doubles, Doubles, int] | None:
    """Candidates for planes (n, found), the values that they are of, dimensions; of values in relations if all is much."""
    told = sign_vectors(related)
    if told is not None and told[1] <= most:
        return told[0], sample, told[1]
    used = related.any(axis=0)
    told = sign_vectors(related[:, used]) if used.any() else None
    return None if told is None else (told[0], sample[used], told[1])


def _subsets(planes: Doubles, given: Doubles, dimensions: int, most: int) -> Iterator[tuple[Doubles, Doubles]]:
    """Of candidates (n, found) as few independent ones as have the n values in their span."""
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
