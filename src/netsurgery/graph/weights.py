"""The types of a network's constants: the numbers, and what is known of them.

    Dense      any numbers
    Powers     0 or ±2^e, times a scale for each row
    Planes     each row a sum of binary planes, each times a scale
    Uniform    whole numbers, times a scale for each row
    Codebook   a few values, and for each entry which of them it is

All are exact: `values` are the numbers that a network computes with, bit for bit. Operations keep the type where the
result is exact in it; elsewhere it is Dense. A row is what makes one output: an entry of the first axis, with all that
lies behind it. A constant with fewer than two axes is one row.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from netsurgery.graph.operators import Shape
from netsurgery.graph.planes import Signs, on_grid, sum_of_planes

Array = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
Bits = npt.NDArray[np.uint32]
SmallIntegers = npt.NDArray[np.int8]

MOST_VALUES = 256
"""Of a codebook, +0 not counted: as many as a file holds."""
_MANTISSA = np.uint32(0x7FFFFF)
_SAMPLE = 4096
"""So many entries are looked at first: nearly everything that is something else shows it there."""


class Weights(ABC):
    """A constant. Immutable; equal if type and parts are, bit for bit. NumPy takes it for its values.

    Its arrays are C-contiguous, however those were that it was made of: what is written down and compared is their
    bytes.
    """

    def __post_init__(self) -> None:
        for part in fields(self):  # type: ignore[arg-type]  # all subclasses are dataclasses
            array = getattr(self, part.name)
            if isinstance(array, np.ndarray):
                object.__setattr__(self, part.name, np.require(array, requirements="C"))

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Sizes of the axes."""

    @cached_property
    def values(self) -> Array:
        """The numbers, C-contiguous and read-only; worked out once."""
        return _read_only(np.require(self._decoded(), requirements="C"))  # an array, where one entry is none, too

    @abstractmethod
    def _decoded(self) -> Array: ...

    @abstractmethod
    def take(self, places: Places, axis: int) -> Weights:
        """The entries at these places along an axis >= 0, in this order."""

    @abstractmethod
    def transposed(self) -> Weights:
        """A matrix with its axes exchanged."""

    def combined(self, operation: np.ufunc, factors: Array) -> Weights:
        """Each row times or over its factor: `operation` is np.multiply or np.divide; factors (rows,).

        What is exact as float32 products is those products; planes stay planes, with scales rounded so that their sums
        don't round.
        """
        return Dense(operation(self.values, self._per_row(factors)))

    @property
    def size(self) -> int:
        """How many entries."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return np.dtype(np.float32)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.values, dtype, copy=True) if copy else np.asarray(self.values, dtype)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, part.name), getattr(other, part.name)) for part in fields(self) if part.compare)  # type: ignore[arg-type]
        return all(_same(one, another) for one, another in pairs)

    __hash__ = None  # type: ignore[assignment]

    def _per_row(self, factors: Array) -> Array:
        return factors.reshape(-1, *[1] * (self.ndim - 1))


@final
@dataclass(frozen=True, eq=False)
class Dense(Weights):
    """Any numbers.

    is_plain: recognition has looked at them, and found no other type.
    """

    values: Array = field()
    is_plain: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _read_only(np.require(self.values, requirements="C")))

    @property
    def shape(self) -> Shape:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    def take(self, places: Places, axis: int) -> Dense:
        return Dense(self.values.take(places, axis))

    def transposed(self) -> Dense:
        return Dense(self.values.T)

    def remember_plain(self) -> None:
        """Note that recognition need not look again."""
        object.__setattr__(self, "is_plain", True)

    def _decoded(self) -> Array:
        return self.values


@final
@dataclass(frozen=True, eq=False)
class Powers(Weights):
    """signs · scale · 2^exponents: 0 or powers of two, and a scale for each row if they have one.

    signs: int8, -1, 0 or 1. exponents: int8 of the same shape, -126 .. 127, and 0 where the sign is 0: float32 that
    are not subnormal. scales: float32 (rows,), 1 <= scale < 2; None if all are 1.
    """

    signs: SmallIntegers
    exponents: SmallIntegers
    scales: Array | None = None

    @classmethod
    def of(cls, values: Array) -> Powers | None:
        """The numbers as powers of two; None if they aren't. Where no row has two entries, scales would say nothing."""
        rows, columns = matrix_shape(values.shape)
        matrix = values.view(np.uint32).reshape(rows, columns)
        mantissas = _row_mantissas(matrix[: max(1, _SAMPLE // columns)])
        if mantissas is not None and len(mantissas) < rows:
            mantissas = _row_mantissas(matrix)
        if mantissas is None:
            return None
        scales = (mantissas | np.uint32(0x3F800000)).view(np.float32)
        scaled = bool(mantissas.any())
        if scaled and not (np.count_nonzero(matrix, axis=1) > 1).any():
            return None
        biased = (matrix >> np.uint32(23) & np.uint32(255)).astype(np.int16)
        signs = np.where(matrix == 0, 0, 1 - 2 * (matrix >> np.uint32(31)).astype(np.int8)).astype(np.int8)
        exponents = np.where(matrix == 0, 0, biased - 127).astype(np.int8)
        return cls(signs.reshape(values.shape), exponents.reshape(values.shape), scales if scaled else None)

    @property
    def shape(self) -> Shape:
        return self.signs.shape

    def take(self, places: Places, axis: int) -> Powers:
        rows = axis == 0 and self.ndim > 1 and self.scales is not None
        scales = self.scales.take(places) if rows and self.scales is not None else self.scales
        return Powers(self.signs.take(places, axis), self.exponents.take(places, axis), scales)

    def transposed(self) -> Weights:
        scales = self.scales
        if scales is not None and (scales != scales[0]).any():
            return Dense(self.values.T)
        turned = None if scales is None else scales[0].repeat(self.shape[1])
        return Powers(np.ascontiguousarray(self.signs.T), np.ascontiguousarray(self.exponents.T), turned)

    def combined(self, operation: np.ufunc, factors: Array) -> Weights:
        """Exact where no product is subnormal, zero or beyond float32; there it is Dense."""
        scales = np.ones(len(factors), np.float32) if self.scales is None else self.scales
        with np.errstate(all="ignore"):
            mantissas, shifts = np.frexp(operation(scales, factors))
        usable = np.isfinite(mantissas).all() and (mantissas != 0).all() and not (shifts < -125).any()
        moved = self.exponents.astype(np.int16) + self._per_row(shifts - 1).astype(np.int16)
        kept = self.signs != 0
        if not usable or (kept & ((moved < -126) | (moved > 127))).any():
            return super().combined(operation, factors)
        new = np.abs(mantissas) * np.float32(2)
        signs = self.signs * self._per_row(np.sign(mantissas)).astype(np.int8)
        return Powers(signs, np.where(kept, moved, 0).astype(np.int8), new if (new != 1).any() else None)

    def _decoded(self) -> Array:
        bits = (self.exponents.astype(np.int32) + 127).view(np.uint32) << np.uint32(23)
        if self.scales is not None:
            rows = self.scales.view(np.uint32) & _MANTISSA
            bits |= rows.reshape(-1, *[1] * (self.ndim - 1)) if self.ndim > 1 else rows
        bits |= (self.signs < 0).astype(np.uint32) << np.uint32(31)
        result: Array = np.where(self.signs == 0, np.uint32(0), bits).view(np.float32).reshape(self.shape)
        return result


@final
@dataclass(frozen=True, eq=False)
class Planes(Weights):
    """Entry (r, c) is ((±s_0 ± s_1) ± s_2) ..., each sum rounded to float32, s = scales[r], + where the sign is 1.

    scales: float32 (rows, m). signs: uint8 (m, rows, ...), 0 or 1; behind m, the shape of the constant.
    """

    scales: Array
    signs: Signs

    @property
    def shape(self) -> Shape:
        return self.signs.shape[1:]

    @property
    def planes(self) -> int:
        """M."""
        return len(self.signs)

    @property
    def rows_of_signs(self) -> Signs:
        """(m, rows, columns)."""
        return self.signs.reshape(self.planes, *matrix_shape(self.shape))

    def take(self, places: Places, axis: int) -> Planes:
        scales = self.scales.take(places, 0) if axis == 0 else self.scales
        return Planes(scales, self.signs.take(places, axis + 1))

    def transposed(self) -> Weights:
        if (self.scales.view(np.uint32) != self.scales[:1].view(np.uint32)).any():
            return Dense(self.values.T)
        turned = np.ascontiguousarray(self.signs.transpose(0, 2, 1))
        return Planes(self.scales[:1].repeat(turned.shape[1], axis=0), turned)

    def combined(self, operation: np.ufunc, factors: Array) -> Planes:
        """The scales times or over the factors, on a grid where sums are exact (`on_grid`); a negative turns signs."""
        scales = on_grid(operation(self.scales.astype(np.float64), np.abs(factors)[:, None].astype(np.float64)))
        turned = self.rows_of_signs ^ np.signbit(factors).astype(np.uint8)[:, None]
        turned[:, ~scales.any(axis=1)] = 1  # a row of zeros is one of +0
        return Planes(scales, turned.reshape(self.signs.shape))

    def _decoded(self) -> Array:
        return sum_of_planes(self.scales, self.rows_of_signs).reshape(self.shape)


@final
@dataclass(frozen=True, eq=False)
class Codebook(Weights):
    """book[codes]. book: float32 (n,). codes: whole numbers below n; n <= 257, of which +0 is one if there are 257."""

    book: Array
    codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

    @classmethod
    def of(cls, values: Array) -> Codebook | None:
        """The numbers as a codebook; None if more than 256 differ, or more than half of those that aren't +0."""
        bits = values.view(np.uint32).reshape(-1)
        if len(np.unique(bits[:_SAMPLE])) > MOST_VALUES + 1:
            return None
        book = np.unique(bits)
        if len(book) > MOST_VALUES + 1:
            return None
        if len(book) - int(book[0] == 0) > min(MOST_VALUES, np.count_nonzero(bits) // 2):
            return None
        codes = np.searchsorted(book, bits).astype(np.uint8 if len(book) <= 256 else np.uint16)
        return cls(book.view(np.float32), codes.reshape(values.shape))

    @property
    def shape(self) -> Shape:
        return self.codes.shape

    def take(self, places: Places, axis: int) -> Codebook:
        return Codebook(self.book, self.codes.take(places, axis))

    def transposed(self) -> Codebook:
        return Codebook(self.book, np.ascontiguousarray(self.codes.T))

    def _decoded(self) -> Array:
        return self.book[self.codes]


@final
@dataclass(frozen=True, eq=False)
class Uniform(Weights):
    """counts · scale: whole numbers, as uniform quantisation leaves them, each product rounded to float32.

    counts: int16, not more than 256 from the smallest to the largest. scales: float32 (rows,), positive and finite.
    """

    counts: npt.NDArray[np.int16]
    scales: Array

    @property
    def shape(self) -> Shape:
        return self.counts.shape

    def take(self, places: Places, axis: int) -> Uniform:
        scales = self.scales.take(places) if axis == 0 and self.ndim > 1 else self.scales
        return Uniform(self.counts.take(places, axis), scales)

    def transposed(self) -> Weights:
        if (self.scales != self.scales[0]).any():
            return Dense(self.values.T)
        return Uniform(np.ascontiguousarray(self.counts.T), self.scales[:1].repeat(self.shape[1]))

    def _decoded(self) -> Array:
        scales = self._per_row(self.scales) if self.ndim > 1 else self.scales
        products = (self.counts * scales.astype(np.float64)).astype(np.float32)
        result: Array = np.where(self.counts == 0, np.float32(0), products)  # +0, whatever the scale
        return result


def as_weights(given: Weights | Array) -> Weights:
    """An array as Dense; weights as they are."""
    return given if isinstance(given, Weights) else Dense(given)


def same_bits(one: Weights, other: Weights) -> bool:
    """True if both hold the same numbers, bit for bit, whatever they are known to be."""
    return _same(one.values, other.values)


def matrix_shape(shape: Shape) -> tuple[int, int]:
    """(rows, columns) of a constant; one row for fewer than two axes."""
    if len(shape) < 2:
        return 1, max(math.prod(shape), 1)
    return shape[0], math.prod(shape[1:])


def _row_mantissas(matrix: Bits) -> Bits | None:
    """(rows,): the mantissa that all entries of a row but +0 have; None if they haven't, or some float isn't normal."""
    zero = matrix == 0
    exponents = matrix & np.uint32(0x7F800000)
    if (((exponents == 0) | (exponents == np.uint32(0x7F800000))) & ~zero).any():
        return None
    mantissas = matrix & _MANTISSA
    largest: Bits = mantissas.max(axis=1)
    return largest if bool((zero | (mantissas == largest[:, None])).all()) else None


def _read_only(values: Array) -> Array:
    view: Array = values.view()
    view.flags.writeable = False
    return view


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return bool(one is other or (type(one) is type(other) and one == other))
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    unsigned = np.dtype(f"u{one.dtype.itemsize}")
    return bool(np.array_equal(one.view(unsigned), other.view(unsigned)))
