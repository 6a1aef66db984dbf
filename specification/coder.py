"""The coder of the .nsm file in Python: what docs/format.md says, made to run. netsurgery._native is the same in C++.

Both write the same bytes and read the same values; this one is for reading, and some hundred times slower.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from specification.code_model import code_codes, code_plain_bits
from specification.float_model import FloatModel
from specification.grids import Grid, Matrix
from specification.integer_model import CONTEXTS, LARGEST_INTEGER, IntegerModel
from specification.mask_model import MaskModel
from specification.range_coder import RangeDecoder, RangeEncoder

Bytes = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint32]
GridTuple = tuple[int, int, int, int]

MOST_ENTRIES = 2**40
MOST_DECISIONS = 2**62


class Encoder:
    """Writes flags, numbers and tensors, one after another. See netsurgery._native.Encoder."""

    def __init__(self) -> None:
        self._coder = RangeEncoder()
        self._integers = IntegerModel(self._coder)
        self._masks = MaskModel(self._coder)
        self._floats = FloatModel(self._coder)

    def flag(self, context: int, bit: bool) -> None:
        self._integers.flag(_checked_context(context), int(bit))

    def integer(self, context: int, value: int) -> None:
        _require(0 <= value <= LARGEST_INTEGER, "an integer must be 0 .. 2^32 - 2")
        self._integers.integer(_checked_context(context), value)

    def raw(self, value: int, count: int) -> None:
        _require(0 <= count <= 16 and value >> count == 0, "raw takes 0 .. 16 bits that hold the value")
        self._coder.raw(value, count)

    def mask(self, grid: GridTuple, live_columns: bool, mask: Bytes) -> None:
        checked = _checked_grid(grid)
        self._masks.code(checked, live_columns, _checked_mask(checked, mask))

    def plain_mask(self, grid: GridTuple, mask: Bytes) -> None:
        checked = _checked_grid(grid)
        self._masks.code_plain(checked, _checked_mask(checked, mask))

    def floats(
        self, grid: GridTuple, mask: Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool, bits: Bits
    ) -> None:
        checked = _checked_grid(grid)
        _check_floats(mantissa, exponent)
        kept = _checked_mask(checked, mask)
        self._floats.code(checked, kept, mantissa, exponent, shared, mixed, _checked_array(checked, bits))

    def codes(self, grid: GridTuple, mask: Bytes, width: int, codes: Bytes) -> None:
        checked = _checked_grid(grid)
        _check_width(width)
        kept = _checked_mask(checked, mask)
        entries = _checked_array(checked, codes)
        fits = not ((codes.reshape(-1) >> width) * mask.reshape(-1)).any()
        _require(fits, "a code needs more bits")
        code_codes(self._coder, checked, kept, width, entries)

    def plain_bits(self, bits: Bytes) -> None:
        _require(not (bits > 1).any(), "plain_bits takes 0 and 1 only")
        code_plain_bits(self._coder, bits.reshape(-1).tolist())

    def take(self, least: int) -> bytes:
        return b""  # a carry may still change any byte here

    def finish(self) -> bytes:
        return self._coder.finish()

    @property
    def decisions(self) -> int:
        return self._coder.decisions


class Decoder:
    """Reads flags, numbers and tensors in the order in which they were written. See netsurgery._native.Decoder."""

    def __init__(self, content: bytes, start: int = 0, most_decisions: int = MOST_DECISIONS) -> None:
        _require(0 <= start <= len(content), "start lies behind the end")
        self._coder = RangeDecoder(content[start:], most_decisions)
        self._integers = IntegerModel(self._coder)
        self._masks = MaskModel(self._coder)
        self._floats = FloatModel(self._coder)

    def flag(self, context: int) -> bool:
        return bool(self._integers.flag(_checked_context(context), 0))

    def integer(self, context: int) -> int:
        return self._integers.integer(_checked_context(context), 0)

    def raw(self, count: int) -> int:
        _require(0 <= count <= 16, "raw takes 0 .. 16 bits")
        return self._coder.raw(0, count)

    def mask(self, grid: GridTuple, live_columns: bool) -> Bytes:
        checked = _checked_grid(grid)
        entries = _zeros(checked)
        self._masks.code(checked, live_columns, entries)
        return np.array(entries, np.uint8)

    def plain_mask(self, grid: GridTuple) -> Bytes:
        checked = _checked_grid(grid)
        entries = _zeros(checked)
        self._masks.code_plain(checked, entries)
        return np.array(entries, np.uint8)

    def floats(self, grid: GridTuple, mask: Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool) -> Bits:
        checked = _checked_grid(grid)
        _check_floats(mantissa, exponent)
        kept = _checked_mask(checked, mask)
        entries = _zeros(checked)
        self._floats.code(checked, kept, mantissa, exponent, shared, mixed, entries)
        return np.array(entries, np.uint32)

    def codes(self, grid: GridTuple, mask: Bytes, width: int) -> Bytes:
        checked = _checked_grid(grid)
        _check_width(width)
        kept = _checked_mask(checked, mask)
        entries = _zeros(checked)
        code_codes(self._coder, checked, kept, width, entries)
        return np.array(entries, np.uint8)

    def plain_bits(self, count: int) -> Bytes:
        _require(0 < count <= MOST_ENTRIES, "plain_bits takes a count of at least 1")
        bits = [0] * count
        code_plain_bits(self._coder, bits)
        return np.array([bits], np.uint8)

    @property
    def at_end(self) -> bool:
        return self._coder.at_end

    @property
    def bits_read(self) -> float:
        return self._coder.bits_read


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _checked_grid(given: GridTuple) -> Grid:
    grid = Grid(*given)
    _require(min(grid) > 0, "a grid needs sizes of at least 1")
    _require(grid.rows * grid.columns <= MOST_ENTRIES, "a grid is too large")
    divides = grid.columns % grid.plane == 0 and grid.plane % grid.width == 0
    _require(divides, "a grid's width must divide its plane, its plane the columns")
    return grid


def _checked_array(grid: Grid, array: Bytes | Bits) -> Matrix:
    _require(array.size == grid.rows * grid.columns, "an array doesn't fit its grid")
    entries: Matrix = array.reshape(grid.rows, grid.columns).tolist()
    return entries


def _checked_mask(grid: Grid, mask: Bytes) -> Matrix:
    entries = _checked_array(grid, mask)
    _require(not (mask > 1).any(), "a mask holds 0 and 1 only")
    return entries


def _check_floats(mantissa: int, exponent: int) -> None:
    _require(0 <= mantissa <= 23, "mantissa must be 0 .. 23")
    _require(0 <= exponent <= 255, "exponent must be 0 .. 255")


def _check_width(width: int) -> None:
    _require(0 <= width <= 8, "width must be 0 .. 8")


def _checked_context(context: int) -> int:
    _require(0 <= context < CONTEXTS, "context must be 0 .. 383")
    return context


def _zeros(grid: Grid) -> Matrix:
    return [[0] * grid.columns for _ in range(grid.rows)]
