"""Reading the tensors of a file, bit for bit, with the type that their encoding shows."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from netsurgery.errors import PackedFileError
from netsurgery.graph.operators import Shape
from netsurgery.graph.weights import Array, Weights
from netsurgery.packed import stored as decoded
from netsurgery.packed.encoder_face import Bits, Bytes, Grid
from netsurgery.packed.format import LARGEST_UNIFORM, MOST_CODES, MOST_PLANES, Context, Encoding, Mask
from netsurgery.packed.stored import Stored
from netsurgery.packed.structure import grid_of, unzigzag
from netsurgery.packed.tensor_forms import Expectations, FloatForm, code_width
from specification.decoder_face import DecoderFace

_Kind = TypeVar("_Kind", Mask, Encoding)


class TensorReader:
    """Reads tensors in the order in which they were written."""

    def __init__(self, decoder: DecoderFace) -> None:
        self._decoder = decoder
        self._expected = Expectations()

    def read(self, shape: Shape) -> tuple[Weights, Stored]:
        """The next constant, and how it was stored. Raises PackedFileError."""
        decoder = self._decoder
        before = decoder.bits_read
        kind = int(len(shape) >= 2)
        grid = self._grid(shape)
        chosen = _member(Mask, decoder.integer(Context.MASK + kind), "mask")
        if chosen == Mask.ZERO:
            return decoded.zeros(shape), Stored(shape, decoded.ZERO, 0, 0, decoder.bits_read - before)
        mask = self._mask(grid, chosen)
        encoding = _member(Encoding, decoder.integer(Context.ENCODING + kind), "encoding")
        if encoding == Encoding.FLOATS:
            weights, name = self._floats(shape, grid, mask, kind)
        elif encoding == Encoding.CODEBOOK:
            weights, name = self._codebook(shape, grid, mask)
        elif encoding == Encoding.UNIFORM:
            weights, name = self._uniform(shape, grid, mask)
        else:
            weights, name = self._planes(shape, grid, chosen)
        if not np.isfinite(weights.values).all():
            raise PackedFileError(f"a tensor of shape {shape} holds a value that isn't finite.")
        distinct = _distinct(weights.values.view(np.uint32))
        return weights, Stored(shape, name, int(np.count_nonzero(mask)), distinct, decoder.bits_read - before)

    def _grid(self, shape: Shape) -> Grid:
        plane = width = 1
        if len(shape) == 2:
            plane = self._decoder.integer(Context.PLANE) + 1
            if plane > 1:
                width = self._decoder.integer(Context.WIDTH) + 1
            if shape[1] % plane or plane % width:
                raise PackedFileError(f"a matrix of shape {shape} has planes of {plane} entries in lines of {width}.")
        return grid_of(shape, plane, width)

    def _mask(self, grid: Grid, chosen: Mask) -> Bytes:
        if chosen == Mask.DENSE:
            return np.ones(grid[:2], np.uint8)
        if chosen == Mask.SPARSE_PLAIN:
            return self._decoder.plain_mask(grid)
        return self._decoder.mask(grid, chosen == Mask.SPARSE_LIVE_COLUMNS)

    def _floats(self, shape: Shape, grid: Grid, mask: Bytes, kind: int) -> tuple[Weights, str]:
        form = read_form(self._decoder, self._expected, kind)
        bits = self._decoder.floats(grid, mask, form.mantissa, form.exponent, form.shared, form.mixed)
        return decoded.floats(shape, bits, form.mantissa, form.shared)

    def _codebook(self, shape: Shape, grid: Grid, mask: Bytes) -> tuple[Weights, str]:
        decoder = self._decoder
        kept = int(np.count_nonzero(mask))
        count = decoder.integer(Context.CODES) + 1
        if count > min(MOST_CODES, kept):
            raise PackedFileError(
                f"a codebook has {count} values for {kept} entries; so many, and at most {MOST_CODES}, are allowed."
            )
        book = read_table(decoder, self._expected, (1, count, 1, 1)).reshape(-1)
        codes = decoder.codes(grid, mask, code_width(count))
        if count < MOST_CODES and int(codes.max()) >= count:
            raise PackedFileError(f"code {int(codes.max())} lies beyond a codebook of {count} values.")
        return decoded.codebook(shape, book, codes, mask)

    def _uniform(self, shape: Shape, grid: Grid, mask: Bytes) -> tuple[Weights, str]:
        decoder = self._decoder
        span = decoder.integer(Context.CODES) + 1
        least = unzigzag(decoder.integer(Context.LEAST_COUNT))
        if span > MOST_CODES or abs(least) > LARGEST_UNIFORM:
            raise PackedFileError(
                f"a tensor has {span} counts from {least} on; at most {MOST_CODES}, from {-LARGEST_UNIFORM} to "
                f"{LARGEST_UNIFORM} on, are allowed."
            )
        scales: Array = read_table(decoder, self._expected, (grid[0], 1, 1, 1)).view(np.float32).reshape(-1)
        codes = decoder.codes(grid, mask, code_width(span))
        if span < MOST_CODES and int(codes.max()) >= span:
            raise PackedFileError(f"code {int(codes.max())} lies beyond the {span} counts of a tensor.")
        return decoded.uniform(shape, scales, codes, mask, least, span)

    def _planes(self, shape: Shape, grid: Grid, chosen: Mask) -> tuple[Weights, str]:
        decoder = self._decoder
        planes = decoder.integer(Context.PLANES) + 1
        if planes > MOST_PLANES or chosen != Mask.DENSE:
            raise PackedFileError(f"a tensor has {planes} planes; 1 to {MOST_PLANES}, without a mask, are allowed.")
        scales: Array = read_table(decoder, self._expected, (grid[0], planes, 1, 1)).view(np.float32)
        signs = decoder.plain_bits(planes * grid[0] * grid[1])
        return decoded.planes(shape, scales, signs)


def read_form(decoder: DecoderFace, expected: Expectations, kind: int) -> FloatForm:
    """Read a form. Raises PackedFileError."""
    mantissa = decoder.raw(5) if decoder.flag(Context.MANTISSA + kind) else expected.mantissa[kind]
    exponent = expected.exponent[kind] + unzigzag(decoder.integer(Context.EXPONENT + kind))
    if mantissa > 23 or not 0 <= exponent <= 254:
        raise PackedFileError(f"floats with {mantissa} bits of mantissa around exponent {exponent} don't exist.")
    shared = mantissa > 0 and decoder.flag(Context.SHARED + kind)
    mixed = not decoder.flag(Context.MIXED + kind)
    expected.mantissa[kind], expected.exponent[kind] = mantissa, exponent
    return FloatForm(mantissa, exponent, shared, mixed)


def read_table(decoder: DecoderFace, expected: Expectations, grid: Grid) -> Bits:
    """The table of a grid of this shape."""
    form = read_form(decoder, expected, 0)
    ones = np.ones(grid[:2], np.uint8)
    return decoder.floats(grid, ones, form.mantissa, form.exponent, form.shared, form.mixed)


def _distinct(bits: Bits) -> int:
    """How many distinct values other than +0 a tensor has; -1 says "more than 256" without counting them."""
    flat = bits.reshape(-1)
    sample = np.unique(flat[flat != 0][:4096])
    if len(sample) > MOST_CODES:
        return -1
    distinct = np.unique(flat)
    count = len(distinct) - int(distinct[0] == 0)
    return count if count <= MOST_CODES else -1


def _member(kind: type[_Kind], number: int, what: str) -> _Kind:
    try:
        return kind(number)
    except ValueError:
        raise PackedFileError(f"{what} {number} doesn't exist in this version of the format.") from None
