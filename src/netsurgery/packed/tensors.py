"""Tensors in the file: recognising how one is best written, writing it, reading it back bit for bit.

Three encodings, chosen by themselves:

- floats: sign, exponent and as many bits of the mantissa as any entry needs. Weights that are all ±2^e need none, those
  that are exact in bfloat16 need 7; where all entries of a row share a mantissa (powers of two times one scale for each
  output), it is written once for each row.
- codebook: at most 256 distinct values, and a code for each entry.
- planes: each row is a sum of a few binary tensors in {-1, +1}, each times a scale (network sketching).

An entry that is +0 is not written; -0.0 is. NaN and infinity are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from netsurgery._native import Encoder as ScratchEncoder
from netsurgery.errors import NonFiniteWeightsError, PackedFileError
from netsurgery.graph.operators import Shape
from netsurgery.graph.planes import recognised_planes, sum_of_planes
from netsurgery.packed.format import MOST_CODES, MOST_PLANES, Context, Encoding, Mask
from netsurgery.packed.structure import grid_of, unzigzag, zigzag

Bits = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Grid = tuple[int, int, int, int]

TRIED_ENTRIES = 2**20
"""Up to so many entries the writer tries every way and keeps the shortest; beyond, it goes by estimates."""
_LIVING_ROWS = 7 / 8
"""Of a sum of planes, where a row of zeros is written like the others."""
MIXED_MASK_ENTRIES = 2**19
"""Up to so many entries a mask is worth the better of the two models, at some 50 ns an entry."""
MIXED_ENTRIES = 2**16
"""Up to so many entries, or with a mantissa of at most MIXED_MANTISSA bits, exponents and signs are worth mixing."""
MIXED_MANTISSA = 7


class EncoderFace(Protocol):
    """What writing needs of a coder."""

    def flag(self, context: int, bit: bool) -> None: ...
    def integer(self, context: int, value: int) -> None: ...
    def raw(self, value: int, count: int) -> None: ...
    def mask(self, grid: Grid, live_columns: bool, mask: Bytes) -> None: ...
    def plain_mask(self, grid: Grid, mask: Bytes) -> None: ...
    def floats(
        self, grid: Grid, mask: Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool, bits: Bits
    ) -> None: ...
    def codes(self, grid: Grid, mask: Bytes, width: int, codes: Bytes) -> None: ...
    def plain_bits(self, bits: Bytes) -> None: ...
    def take(self, least: int) -> bytes: ...
    def finish(self) -> bytes: ...
    @property
    def decisions(self) -> int: ...


class DecoderFace(Protocol):
    """What reading needs of a coder. All of it raises OverflowError where a file asks for too many decisions."""

    def flag(self, context: int) -> bool: ...
    def integer(self, context: int) -> int: ...
    def raw(self, count: int) -> int: ...
    def mask(self, grid: Grid, live_columns: bool) -> Bytes: ...
    def plain_mask(self, grid: Grid) -> Bytes: ...
    def floats(self, grid: Grid, mask: Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool) -> Bits: ...
    def codes(self, grid: Grid, mask: Bytes, width: int) -> Bytes: ...
    def plain_bits(self, count: int) -> Bytes: ...
    @property
    def at_end(self) -> bool: ...
    @property
    def bits_read(self) -> float: ...


@dataclass(frozen=True)
class FloatForm:
    """How floats are written: mantissa bits (0..23), the most frequent exponent (biased), the coder's two flags."""

    mantissa: int
    exponent: int
    shared: bool
    mixed: bool


@dataclass(frozen=True)
class Stored:
    """How one constant lies in a file.

    bits: what it costs there. packed_signs: of binary planes, (planes, rows, ceil(columns / 8)) with eight signs in a
    byte, the first the highest bit; None for other encodings.
    """

    shape: Shape
    encoding: str
    kept: int
    distinct: int
    bits: float
    packed_signs: Bytes | None = field(default=None, compare=False, repr=False)


class Expectations:
    """What the header of the next tensor is expected to say: what the one before it of its kind said."""

    def __init__(self) -> None:
        self.mantissa = [23, 23]
        self.exponent = [124, 124]


class TensorWriter:
    """Writes tensors one after another."""

    def __init__(self, encoder: EncoderFace) -> None:
        self._encoder = encoder
        self._expected = Expectations()

    def write(self, name: str, values: npt.NDArray[np.float32], plane: int = 1, width: int = 1) -> None:
        """Write one constant. Raises NonFiniteWeightsError; `name` is for that sentence only."""
        require_finite(name, values)
        shape = values.shape
        grid = grid_of(shape, plane, width)
        kind = int(len(shape) >= 2)
        encoder = self._encoder
        if len(shape) == 2:
            encoder.integer(Context.PLANE, plane - 1)
            if plane > 1:
                encoder.integer(Context.WIDTH, width - 1)
        bits = np.ascontiguousarray(values).view(np.uint32).reshape(grid[:2])
        mask = (bits != 0).astype(np.uint8)
        planes = _planes(grid, mask, bits)
        if planes is not None:
            mask = np.ones_like(mask)  # planes have no mask: a row of zeros has scales of 0
        chosen = _mask_kind(grid, mask)
        encoder.integer(Context.MASK + kind, chosen)
        if chosen in (Mask.SPARSE, Mask.SPARSE_LIVE_COLUMNS):
            encoder.mask(grid, chosen == Mask.SPARSE_LIVE_COLUMNS, mask)
        elif chosen == Mask.SPARSE_PLAIN:
            encoder.plain_mask(grid, mask)
        if chosen != Mask.ZERO:
            encoding, write = self._best(grid, mask, bits, kind, planes)
            encoder.integer(Context.ENCODING + kind, encoding)
            write(encoder, self._expected)

    def _best(
        self, grid: Grid, mask: Bytes, bits: Bits, kind: int, planes: tuple[npt.NDArray[np.float32], Bytes] | None
    ) -> tuple[Encoding, _Write]:
        """The shortest of all encodings that fit."""
        if planes is not None and not bits.all():
            return Encoding.PLANES, _planes_writer(*planes)
        kept = bits[mask.view(bool)]
        form = _form(kept, _shares_mantissa(mask, bits))

        def floats(encoder: EncoderFace, expected: Expectations) -> None:
            _write_form(encoder, expected, kind, form)
            encoder.floats(grid, mask, form.mantissa, form.exponent, form.shared, form.mixed, bits)

        ways: list[tuple[Encoding, _Write]] = [(Encoding.FLOATS, floats)]
        book = _codebook(kept) if form.mantissa else None
        if book is not None:
            ways.append((Encoding.CODEBOOK, _codebook_writer(grid, mask, bits, book)))
        small = bits.size <= TRIED_ENTRIES
        if planes is not None and (small or len(planes[1]) <= _code_width(_distinct_codes(kept, form, book))):
            ways.append((Encoding.PLANES, _planes_writer(*planes)))
        if len(ways) == 1 or not small:
            return ways[-1]

        def cost(way: tuple[Encoding, _Write]) -> int:
            scratch = ScratchEncoder()
            way[1](scratch, Expectations())
            return len(scratch.finish())

        return min(ways, key=cost)


class TensorReader:
    """Reads tensors in the order in which they were written."""

    def __init__(self, decoder: DecoderFace) -> None:
        self._decoder = decoder
        self._expected = Expectations()

    def read(self, shape: Shape) -> tuple[npt.NDArray[np.float32], Stored]:
        """The next constant, and how it was stored. Raises PackedFileError."""
        decoder = self._decoder
        before = decoder.bits_read
        kind = int(len(shape) >= 2)
        plane = width = 1
        if len(shape) == 2:
            plane = decoder.integer(Context.PLANE) + 1
            if plane > 1:
                width = decoder.integer(Context.WIDTH) + 1
            if shape[1] % plane or plane % width:
                raise PackedFileError(f"a matrix of shape {shape} has planes of {plane} entries in lines of {width}.")
        grid = grid_of(shape, plane, width)
        chosen = _member(Mask, decoder.integer(Context.MASK + kind), "mask")
        if chosen == Mask.ZERO:
            return np.zeros(shape, np.float32), Stored(shape, "zero", 0, 0, decoder.bits_read - before)
        if chosen == Mask.DENSE:
            mask = np.ones(grid[:2], np.uint8)
        elif chosen == Mask.SPARSE_PLAIN:
            mask = decoder.plain_mask(grid)
        else:
            mask = decoder.mask(grid, chosen == Mask.SPARSE_LIVE_COLUMNS)
        encoding = _member(Encoding, decoder.integer(Context.ENCODING + kind), "encoding")
        packed_signs = None
        kept = int(np.count_nonzero(mask))
        if encoding == Encoding.FLOATS:
            form = _read_form(decoder, self._expected, kind)
            bits = decoder.floats(grid, mask, form.mantissa, form.exponent, form.shared, form.mixed)
            name = _float_name(form)
        elif encoding == Encoding.CODEBOOK:
            count = decoder.integer(Context.CODES) + 1
            if count > min(MOST_CODES, kept):
                raise PackedFileError(
                    f"a codebook has {count} values for {kept} entries; so many, and at most {MOST_CODES}, are allowed."
                )
            book = _read_table(decoder, self._expected, (1, count, 1, 1)).reshape(-1)
            codes = decoder.codes(grid, mask, _code_width(count))
            if count < MOST_CODES and int(codes.max()) >= count:
                raise PackedFileError(f"code {int(codes.max())} lies beyond a codebook of {count} values.")
            bits = np.where(mask.view(bool), book[codes], np.uint32(0))
            name = f"codebook of {count}"
        else:
            planes = decoder.integer(Context.PLANES) + 1
            if planes > MOST_PLANES or chosen != Mask.DENSE:
                raise PackedFileError(f"a tensor has {planes} planes; 1 to {MOST_PLANES}, without a mask, are allowed.")
            scales = _read_table(decoder, self._expected, (grid[0], planes, 1, 1)).view(np.float32)
            signs = decoder.plain_bits(planes * grid[0] * grid[1]).reshape(planes, *grid[:2])
            bits = sum_of_planes(scales, signs).view(np.uint32)
            packed_signs = np.packbits(signs, axis=2)
            name = f"{planes} binary planes" if planes > 1 else "1 binary plane"
        values = bits.reshape(shape).view(np.float32)
        if not np.isfinite(values).all():
            raise PackedFileError(f"a tensor of shape {shape} holds a value that isn't finite.")
        distinct = _distinct(bits)
        return values, Stored(shape, name, kept, distinct, decoder.bits_read - before, packed_signs)


def require_finite(name: str, values: npt.NDArray[np.float32]) -> None:
    """Raise NonFiniteWeightsError if a constant holds NaN or infinity."""
    if not np.isfinite(values).all():
        what = "NaN" if np.isnan(values).any() else "infinity"
        raise NonFiniteWeightsError(f"{name} holds {what}; only finite weights can be written. Repair the model first.")


_Write = Callable[[EncoderFace, Expectations], None]
_Kind = TypeVar("_Kind", Mask, Encoding)


def _planes(grid: Grid, mask: Bytes, bits: Bits) -> tuple[npt.NDArray[np.float32], Bytes] | None:
    """Scales and signs of a matrix that is a sum of binary planes, but for a few rows of zeros."""
    living = np.flatnonzero(mask.any(axis=1))
    most = len(living) >= max(1, _LIVING_ROWS * grid[0])
    return recognised_planes(bits.view(np.float32)) if grid[0] > 1 and most and mask[living].all() else None


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


def _form(kept: Bits, shared: bool) -> FloatForm:
    used = int(np.bitwise_or.reduce(kept) & 0x7FFFFF)
    mantissa = 23 - ((used & -used).bit_length() - 1) if used else 0
    exponent = int(np.bincount((kept >> 23 & 255).astype(np.uint8), minlength=256).argmax())
    return FloatForm(mantissa, exponent, shared and mantissa > 0, _worth_mixing(len(kept), mantissa, shared))


def _worth_mixing(entries: int, mantissa: int, shared: bool) -> bool:
    return entries <= MIXED_ENTRIES or mantissa <= MIXED_MANTISSA or shared


def _shares_mantissa(mask: Bytes, bits: Bits) -> bool:
    """True if each row has one mantissa for all its entries, and some row has more than one entry."""
    mantissas = bits & np.uint32(0x7FFFFF)
    kept = mask.view(bool)
    largest = np.where(kept, mantissas, 0).max(axis=1, keepdims=True)
    return bool((kept.sum(axis=1) > 1).any()) and bool((~kept | (mantissas == largest)).all())


def _codebook(kept: Bits) -> Bits | None:
    """The distinct values, sorted; None if there are more than 256 or nearly as many as entries."""
    if len(np.unique(kept[:4096])) > MOST_CODES:
        return None
    distinct = np.unique(kept)
    return distinct if len(distinct) <= MOST_CODES and 2 * len(distinct) <= len(kept) else None


def _distinct_codes(kept: Bits, form: FloatForm, book: Bits | None) -> int:
    """How many different things an entry may say if it isn't written as planes, roughly."""
    if book is not None:
        return len(book)
    return len(np.unique(kept >> 23)) if form.mantissa == 0 or form.shared else 2 << form.mantissa


def _code_width(count: int) -> int:
    return (count - 1).bit_length()


def _distinct(bits: Bits) -> int:
    """How many distinct values other than +0 a tensor has; -1 says "more than 256" without counting them."""
    flat = bits.reshape(-1)
    sample = np.unique(flat[flat != 0][:4096])
    if len(sample) > MOST_CODES:
        return -1
    distinct = np.unique(flat)
    count = len(distinct) - int(distinct[0] == 0)
    return count if count <= MOST_CODES else -1


def _write_form(encoder: EncoderFace, expected: Expectations, kind: int, form: FloatForm) -> None:
    encoder.flag(Context.MANTISSA + kind, form.mantissa != expected.mantissa[kind])
    if form.mantissa != expected.mantissa[kind]:
        encoder.raw(form.mantissa, 5)
    encoder.integer(Context.EXPONENT + kind, zigzag(form.exponent - expected.exponent[kind]))
    if form.mantissa:
        encoder.flag(Context.SHARED + kind, form.shared)
    encoder.flag(Context.MIXED + kind, not form.mixed)
    expected.mantissa[kind], expected.exponent[kind] = form.mantissa, form.exponent


def _read_form(decoder: DecoderFace, expected: Expectations, kind: int) -> FloatForm:
    mantissa = decoder.raw(5) if decoder.flag(Context.MANTISSA + kind) else expected.mantissa[kind]
    exponent = expected.exponent[kind] + unzigzag(decoder.integer(Context.EXPONENT + kind))
    if mantissa > 23 or not 0 <= exponent <= 254:
        raise PackedFileError(f"floats with {mantissa} bits of mantissa around exponent {exponent} don't exist.")
    shared = mantissa > 0 and decoder.flag(Context.SHARED + kind)
    mixed = not decoder.flag(Context.MIXED + kind)
    expected.mantissa[kind], expected.exponent[kind] = mantissa, exponent
    return FloatForm(mantissa, exponent, shared, mixed)


def _write_table(encoder: EncoderFace, expected: Expectations, table: Bits) -> None:
    """A small table of floats, written with the zeros among them: the values of a codebook, the scales of planes."""
    grid = (*table.shape, 1, 1)
    form = _form(table.reshape(-1), shared=False)
    _write_form(encoder, expected, 0, form)
    ones = np.ones(table.shape, np.uint8)
    encoder.floats(grid, ones, form.mantissa, form.exponent, form.shared, form.mixed, table)


def _read_table(decoder: DecoderFace, expected: Expectations, grid: Grid) -> Bits:
    form = _read_form(decoder, expected, 0)
    ones = np.ones(grid[:2], np.uint8)
    return decoder.floats(grid, ones, form.mantissa, form.exponent, form.shared, form.mixed)


def _codebook_writer(grid: Grid, mask: Bytes, bits: Bits, book: Bits) -> _Write:
    def write(encoder: EncoderFace, expected: Expectations) -> None:
        encoder.integer(Context.CODES, len(book) - 1)
        _write_table(encoder, expected, book.reshape(1, -1))
        codes = np.searchsorted(book, bits)
        encoder.codes(grid, mask, _code_width(len(book)), np.where(mask.view(bool), codes, 0).astype(np.uint8))

    return write


def _planes_writer(scales: npt.NDArray[np.float32], signs: Bytes) -> _Write:
    def write(encoder: EncoderFace, expected: Expectations) -> None:
        encoder.integer(Context.PLANES, len(signs) - 1)
        _write_table(encoder, expected, scales.view(np.uint32))
        encoder.plain_bits(signs.reshape(-1))

    return write


def _float_name(form: FloatForm) -> str:
    if form.mantissa == 0:
        return "powers of two"
    if form.shared:
        return "scaled powers of two"
    return {23: "float32", 7: "bfloat16", 10: "float16"}.get(form.mantissa, f"{form.mantissa}-bit mantissa")


def _member(kind: type[_Kind], number: int, what: str) -> _Kind:
    try:
        return kind(number)
    except ValueError:
        raise PackedFileError(f"{what} {number} doesn't exist in this version of the format.") from None
