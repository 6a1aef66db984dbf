"""Writing tensors: of the encodings that are exact for a type the shortest, chosen by trying.

- floats: sign, exponent and as many bits of the mantissa as any entry needs. Powers of two need none, those that are
  exact in bfloat16 need 7; where all entries of a row share a mantissa (powers of two times one scale for each output),
  it is written once for each row. Every type can be written so.
- codebook: at most 256 distinct values, and a code for each entry. For all types but Dense, and powers without scales.
- planes: of Planes.
- uniform: of Uniform, a scale for each row, and a code for each entry.

An entry that is +0 is not written, but for planes; -0.0 is. NaN and infinity are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from netsurgery._native import Encoder as ScratchEncoder
from netsurgery.errors import NonFiniteWeightsError
from netsurgery.graph.fixed_point import is_of_signs
from netsurgery.graph.weights import Array, Codebook, Dense, Planes, Powers, Uniform, Weights
from netsurgery.packed.encoder_face import Bits, Bytes, EncoderFace, Grid
from netsurgery.packed.format import MOST_CODES, Context, Encoding, Mask
from netsurgery.packed.structure import grid_of, zigzag
from netsurgery.packed.tensor_forms import Expectations, FloatForm, code_width, form_of, write_form, write_table

TRIED_ENTRIES = 2**20
"""Up to so many entries the writer tries every way and keeps the shortest; beyond, it goes by estimates."""
MIXED_MASK_ENTRIES = 2**19
"""Up to so many entries a mask is worth the better of the two models, at some 50 ns an entry."""
_MOST_ZEROS = 1 / 8
"""Share of the entries that may be +0 in a sum of planes, where they are written like the others: no other way has a
mask without cost, and the engine runs planes faster."""
_SCALE_BITS, _FLOAT_BITS = 32, 24
"""Of a scale, and of an entry that is written as a float, roughly."""

_Write = Callable[[EncoderFace, Expectations], None]


class _Way(NamedTuple):
    """One way to write the entries of a tensor: which of them, and what comes behind their mask."""

    mask: Bytes
    encoding: Encoding
    write: _Write


class TensorWriter:
    """Writes tensors one after another."""

    def __init__(self, encoder: EncoderFace) -> None:
        self._encoder = encoder
        self._expected = Expectations()

    def write(self, name: str, weights: Weights, plane: int = 1, width: int = 1) -> None:
        """Write one constant. Raises NonFiniteWeightsError; `name` is for that sentence only."""
        require_finite(name, weights.values)
        grid = grid_of(weights.shape, plane, width)
        kind = int(weights.ndim >= 2)
        encoder = self._encoder
        if weights.ndim == 2:
            encoder.integer(Context.PLANE, plane - 1)
            if plane > 1:
                encoder.integer(Context.WIDTH, width - 1)
        bits = weights.values.view(np.uint32).reshape(grid[:2])
        if not bits.any():
            encoder.integer(Context.MASK + kind, Mask.ZERO)
            return
        way = _shortest(_ways(grid, weights, bits, kind), grid)
        chosen = _mask_kind(grid, way.mask)
        encoder.integer(Context.MASK + kind, chosen)
        _write_mask(encoder, grid, way.mask, chosen)
        encoder.integer(Context.ENCODING + kind, way.encoding)
        way.write(encoder, self._expected)


def require_finite(name: str, values: Array) -> None:
    """Raise NonFiniteWeightsError if a constant holds NaN or infinity."""
    if not np.isfinite(values).all():
        what = "NaN" if np.isnan(values).any() else "infinity"
        raise NonFiniteWeightsError(f"{name} holds {what}; only finite weights can be written. Repair the model first.")


def _ways(grid: Grid, weights: Weights, bits: Bits, kind: int) -> list[_Way]:
    """All encodings that are exact and worth trying; of a large tensor, the only one."""
    mask = (bits != 0).astype(np.uint8)
    kept = bits[mask.view(bool)]
    if isinstance(weights, Planes) and (
        (1 - _MOST_ZEROS) * bits.size <= kept.size < bits.size or _are_many_signs(weights)
    ):
        return [_Way(np.ones_like(mask), Encoding.PLANES, _planes_writer(weights))]
    form = form_of(kept, _shares_mantissas(weights, mask, bits))
    ways = [_Way(mask, Encoding.FLOATS, _floats_writer(grid, mask, bits, form, kind))]
    book = _codebook(weights, kept) if form.mantissa else None
    if book is not None:
        ways.append(_Way(mask, Encoding.CODEBOOK, _codebook_writer(grid, mask, bits, book)))
    if isinstance(weights, Uniform):
        ways.append(_Way(mask, Encoding.UNIFORM, _uniform_writer(grid, mask, weights)))
    small = bits.size <= TRIED_ENTRIES
    if isinstance(weights, Planes) and (small or _are_worth_it(weights, kept, form, book)):
        ways.append(_Way(np.ones_like(mask), Encoding.PLANES, _planes_writer(weights)))
    return ways if small else ways[-1:]


def _shortest(ways: list[_Way], grid: Grid) -> _Way:
    if len(ways) == 1:
        return ways[0]
    masks_differ = any(way.mask.sum() != ways[0].mask.sum() for way in ways)

    def cost(way: _Way) -> int:
        scratch = ScratchEncoder()
        if masks_differ:
            _write_mask(scratch, grid, way.mask, _mask_kind(grid, way.mask))
        way.write(scratch, Expectations())
        return len(scratch.finish())

    return min(ways, key=cost)


def _shares_mantissas(weights: Weights, mask: Bytes, bits: Bits) -> bool:
    """True if each row has one mantissa for all its entries, and some row has more than one entry."""
    kept = mask.view(bool)
    if isinstance(weights, Dense) or not (kept.sum(axis=1) > 1).any():
        return False
    if isinstance(weights, Powers):
        return True
    mantissas = bits & np.uint32(0x7FFFFF)
    largest = np.where(kept, mantissas, 0).max(axis=1, keepdims=True)
    return bool((~kept | (mantissas == largest)).all())


def _codebook(weights: Weights, kept: Bits) -> Bits | None:
    """The distinct values but +0, sorted; None if there are more than 256 or nearly as many as entries."""
    if isinstance(weights, Dense):
        return None
    if isinstance(weights, Codebook):
        present = np.bincount(weights.codes.reshape(-1), minlength=len(weights.book)) > 0
        distinct = np.unique(weights.book.view(np.uint32)[present])
        distinct = distinct[distinct != 0]
    elif len(np.unique(kept[:4096])) > MOST_CODES:
        return None
    else:
        distinct = np.unique(kept)
    return distinct if len(distinct) <= MOST_CODES and 2 * len(distinct) <= len(kept) else None


def _are_many_signs(weights: Planes) -> bool:
    """True for a plane of ±1 in long rows: an entry takes a bit as in any other way, and the engine runs it faster."""
    return is_of_signs(weights) and weights.rows_of_signs.shape[2] >= _SCALE_BITS


def _are_worth_it(weights: Planes, kept: Bits, form: FloatForm, book: Bits | None) -> bool:
    """True if planes take no more bits than floats or codes would, by estimate."""
    columns = weights.rows_of_signs.shape[2]
    pays = weights.planes * (columns + _SCALE_BITS) <= _FLOAT_BITS * columns
    if not pays or kept.size < weights.size:
        return False
    if book is not None:
        return weights.planes <= code_width(len(book))
    distinct = len(np.unique(kept >> 23)) if form.mantissa == 0 or form.shared else 2 << form.mantissa
    return weights.planes <= code_width(distinct)


def _mask_kind(grid: Grid, mask: Bytes) -> Mask:
    kept = int(np.count_nonzero(mask))
    if kept in (0, mask.size):
        return Mask.ZERO if kept == 0 else Mask.DENSE
    live = int(np.count_nonzero(mask.any(axis=0)))
    if mask.size > MIXED_MASK_ENTRIES:
        return Mask.SPARSE_LIVE_COLUMNS if 2 * live < mask.shape[1] else Mask.SPARSE_PLAIN
    if live == mask.shape[1]:
        return Mask.SPARSE
    lengths = {}
    for kind in (Mask.SPARSE, Mask.SPARSE_LIVE_COLUMNS):
        scratch = ScratchEncoder()
        scratch.mask(grid, kind == Mask.SPARSE_LIVE_COLUMNS, mask)
        lengths[kind] = len(scratch.finish())
    return min(lengths, key=lambda kind: lengths[kind])


def _write_mask(encoder: EncoderFace, grid: Grid, mask: Bytes, kind: Mask) -> None:
    if kind in (Mask.SPARSE, Mask.SPARSE_LIVE_COLUMNS):
        encoder.mask(grid, kind == Mask.SPARSE_LIVE_COLUMNS, mask)
    elif kind == Mask.SPARSE_PLAIN:
        encoder.plain_mask(grid, mask)


def _floats_writer(grid: Grid, mask: Bytes, bits: Bits, form: FloatForm, kind: int) -> _Write:
    def write(encoder: EncoderFace, expected: Expectations) -> None:
        write_form(encoder, expected, kind, form)
        encoder.floats(grid, mask, form.mantissa, form.exponent, form.shared, form.mixed, bits)

    return write


def _codebook_writer(grid: Grid, mask: Bytes, bits: Bits, book: Bits) -> _Write:
    def write(encoder: EncoderFace, expected: Expectations) -> None:
        encoder.integer(Context.CODES, len(book) - 1)
        write_table(encoder, expected, book.reshape(1, -1))
        codes = np.searchsorted(book, bits)
        encoder.codes(grid, mask, code_width(len(book)), np.where(mask.view(bool), codes, 0).astype(np.uint8))

    return write


def _uniform_writer(grid: Grid, mask: Bytes, weights: Uniform) -> _Write:
    counts = weights.counts.reshape(grid[:2])
    kept = counts[mask.view(bool)]
    least, most = int(kept.min()), int(kept.max())

    def write(encoder: EncoderFace, expected: Expectations) -> None:
        encoder.integer(Context.CODES, most - least)
        encoder.integer(Context.LEAST_COUNT, zigzag(least))
        write_table(encoder, expected, weights.scales.view(np.uint32).reshape(-1, 1))
        codes = np.where(mask.view(bool), counts - least, 0).astype(np.uint8)
        encoder.codes(grid, mask, code_width(most - least + 1), codes)

    return write


def _planes_writer(weights: Planes) -> _Write:
    def write(encoder: EncoderFace, expected: Expectations) -> None:
        encoder.integer(Context.PLANES, weights.planes - 1)
        write_table(encoder, expected, weights.scales.view(np.uint32))
        encoder.plain_bits(weights.signs.reshape(-1))

    return write
