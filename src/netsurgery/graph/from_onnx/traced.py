"""Whole numbers that know how they follow open axes: a reading computes with them as with any other.

A model is read for one choice of sizes, so that shapes are numbers. A size that an open axis has carries its extent
along, through Python's arithmetic and, in arrays of objects, through NumPy's. Where that is lost, a plain number is
left, and the other reading, at other sizes, finds that it differs.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from netsurgery.graph.extents import Extent, Number, larger, quotient, remainder
from netsurgery.graph.from_onnx.constants import AnyArray


class Traced(int):
    """A number, and the extent that it is at the sizes of this reading."""

    extent: Extent

    def __add__(self, other: Any) -> Any:
        return _of(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _of(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _of(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _of(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _of(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _of(operator.mul, other, self)

    def __neg__(self) -> Any:
        return 0 - self

    def __floordiv__(self, other: Any) -> Any:
        if not isinstance(other, int | np.integer) or isinstance(other, bool):
            return NotImplemented
        return traced(int(self) // int(other), quotient(self.extent, extent_of(other)))

    def __rfloordiv__(self, other: Any) -> Any:
        return traced(int(other) // int(self), quotient(extent_of(other), self.extent))

    def __mod__(self, other: Any) -> Any:
        return self - self // other * other

    def __rmod__(self, other: Any) -> Any:
        if not isinstance(other, int | np.integer) or isinstance(other, bool):
            return NotImplemented
        left = int(other) % int(self)
        return traced(left, remainder(int(other), self.extent)) if abs(int(other)) < int(self) else left

    def __truediv__(self, other: Any) -> Any:
        return Share(self, 1) / other

    def __int__(self) -> int:
        return int.__add__(self, 0)


class Share:
    """A float that is a quotient of whole numbers, one of them traced: a size divided by two, or by another size."""

    def __init__(self, number: int, divisor: int) -> None:
        self.number, self.divisor = number, divisor

    def __float__(self) -> float:
        return int(self.number) / int(self.divisor)

    def __mul__(self, other: Any) -> Share:
        part = _fraction(other)
        return Share(self.number * part.numerator, self.divisor * part.denominator)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Share:
        if isinstance(other, Share):
            return Share(self.number * other.divisor, self.divisor * other.number)
        part = 1 / _fraction(other)
        return Share(self.number * part.numerator, self.divisor * part.denominator)

    def __rtruediv__(self, other: Any) -> Share:
        part = _fraction(other)
        return Share(part.numerator * self.divisor, part.denominator * self.number)

    def __add__(self, other: Any) -> Share:
        part = share_of(other)
        if part.divisor == 1:
            return Share(self.number + part.number * self.divisor, self.divisor)
        return Share(self.number * part.divisor + part.number * self.divisor, self.divisor * part.divisor)

    __radd__ = __add__

    def __neg__(self) -> Share:
        return Share(-self.number, self.divisor)

    def __sub__(self, other: Any) -> Share:
        return self + -share_of(other)

    def __rsub__(self, other: Any) -> Share:
        return -self + share_of(other)

    def __floor__(self) -> int:
        return self.number // self.divisor

    def __ceil__(self) -> int:
        return (self.number + (self.divisor - 1)) // self.divisor

    def floor(self) -> Share:
        return Share(math.floor(self), 1)

    def ceil(self) -> Share:
        return Share(math.ceil(self), 1)


def share_of(number: Any) -> Share:
    """Any number as a quotient of whole numbers. Raises ValueError for a float that is no simple fraction."""
    if isinstance(number, Share):
        return number
    if isinstance(number, int) or float(number).is_integer():
        return Share(number if isinstance(number, int) else int(number), 1)
    part = _fraction(number)
    return Share(part.numerator, part.denominator)


def traced(number: int, extent: Number | None) -> int:
    """The number with its extent, if that is known and follows any axis."""
    result = int(number)
    if isinstance(extent, Extent):
        result = Traced(result)
        result.extent = extent
    return result


def at_least_zero(number: int) -> int:
    """The number where it is above zero, else zero; with its extent."""
    return traced(max(int(number), 0), larger(extent_of(number), 0))


def extent_of(number: Any) -> Number:
    """What a number is at any sizes."""
    return number.extent if isinstance(number, Traced) else int(number)


def extents_of(numbers: Any) -> Any:
    """The same of an attribute's numbers, or of its only one."""
    if isinstance(numbers, tuple | list):
        return tuple(extent_of(one) if isinstance(one, Traced) else one for one in numbers)
    return extent_of(numbers) if isinstance(numbers, Traced) else numbers


def is_traced(numbers: AnyArray) -> bool:
    """True if an array of objects holds any traced number."""
    return any(isinstance(one, Traced | Share) for one in numbers.ravel())


def whole_numbers(numbers: AnyArray) -> tuple[int, ...] | None:
    """An array of objects as whole numbers, with their extents; None if some are none."""
    found = [one.number if isinstance(one, Share) and one.divisor == 1 else one for one in numbers.ravel()]
    if any(isinstance(one, Share) or int(one) != one for one in found):
        return None
    return tuple(one if isinstance(one, int) else int(one) for one in found)


def objects(numbers: Sequence[int]) -> AnyArray:
    """An array of Python's own numbers."""
    array = np.empty(len(numbers), object)
    array[:] = numbers
    return array


def _of(function: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    if isinstance(one, float) or isinstance(other, float):
        return function(*(each if isinstance(each, float) else share_of(each) for each in (one, other)))
    if any(isinstance(each, bool) or not isinstance(each, int | np.integer) for each in (one, other)):
        return NotImplemented
    return traced(function(int(one), int(other)), function(extent_of(one), extent_of(other)))


def _fraction(number: Any) -> Fraction:
    """A float as it stands: 0.5 and 2.0 are themselves, 0.1 is none that anybody meant."""
    found = Fraction(float(number)).limit_denominator(2**16)
    if isinstance(number, Traced | Share) or found == 0 or float(found) != float(number):
        raise ValueError(f"{number} is no simple fraction")
    return found
