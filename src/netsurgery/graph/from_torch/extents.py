"""torch's expressions for sizes that follow open axes, as extents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import reduce
from typing import Any

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number, axis, in_entries, larger, quotient, rounded_up, smaller


class Symbols:
    """What torch's symbols stand for: the size of an axis, or, where that is 32 * a symbol, a 32nd of it.

    steps: of the axes of which all sizes are multiples.
    """

    def __init__(self, axes: Mapping[Any, str], steps: Mapping[str, int] | None = None) -> None:
        """axes: torch's expression for the size of each -> its name; steps: such as the expressions don't say."""
        self.steps: dict[str, int] = {}
        self._symbols: dict[Any, tuple[str, int]] = {}
        """Each with the name of its axis, and how many of the symbol this is."""
        self._extents: dict[Any, Number] = {}
        """What a symbol is, where axes are counted in steps."""
        for expression, name in axes.items():
            many, symbol = expression.as_coeff_Mul()
            step = math.lcm(int(many), (steps or {}).get(name, 1))
            if step > 1:
                self.steps[name] = step
            self._symbols[symbol] = name, int(many)
            self._extents[symbol] = step // int(many) * axis(name)

    def extent(self, expression: Any) -> Number:
        """A number as it follows the axes. Raises UnsupportedOperatorError if it does so in no way that is known."""
        return in_entries(_extent_of(expression, self._extents), self.steps)

    def hold(self, conditions: Iterable[Any], sizes: Mapping[str, int]) -> bool:
        """Whether torch's conditions are true at sizes of the axes; those that follow from other things, too, are."""
        here = {symbol: sizes[name] // many for symbol, (name, many) in self._symbols.items()}
        return all(str(condition.subs(here)) != "False" for condition in conditions)


def _extent_of(expression: Any, symbols: Mapping[Any, Number]) -> Number:
    if isinstance(expression, int) or getattr(expression, "is_Integer", False):
        return int(expression)
    if expression in symbols:
        return symbols[expression]
    kind = type(expression).__name__
    if kind in _ROUNDED and (share := _share_of(expression.args[0], symbols)) is not None:
        return _ROUNDED[kind](*share)
    parts = [_extent_of(part, symbols) for part in expression.args] if hasattr(expression, "args") else []
    found = _MEANINGS[kind](parts) if kind in _MEANINGS and parts else None
    if found is None:
        raise UnsupportedOperatorError(
            f"computes the size {expression}, which follows open axes in no way that is known"
        )
    return found


def _share_of(expression: Any, symbols: Mapping[Any, Number]) -> tuple[Number, int] | None:
    """A float as the quotient of an extent and a number; None unless it rounds to the same whole number at any sizes.

    A quotient of whole numbers does so though floats don't hold it: where it isn't whole, it is further from the next
    whole number than floats below 2^53 are from each other.
    """
    if type(expression).__name__ == "IntTrueDiv":
        number, divisor = (_extent_of(part, symbols) for part in expression.args)
        return (number, divisor) if isinstance(divisor, int) and divisor >= 1 else None
    factor, rest = expression.as_coeff_Mul()
    share = Fraction(float(factor))
    if type(rest).__name__ == "FloatTrueDiv" and rest.args[1].is_number and rest.args[1] != 0:
        rest, divisor = rest.args
        share /= Fraction(float(divisor))
    if type(rest).__name__ != "ToFloat" or not share:
        return None
    if share.denominator > _FINEST_SHARE or abs(share.numerator) > _FINEST_SHARE:
        return None
    return _extent_of(rest.args[0], symbols) * share.numerator, share.denominator


_FINEST_SHARE = 2**16

_ROUNDED: dict[str, Callable[[Number, int], Number]] = {
    "TruncToInt": lambda number, divisor: number // divisor,
    "FloorToInt": lambda number, divisor: number // divisor,
    "CeilToInt": rounded_up,
}
"""How floats become whole numbers; a size isn't negative."""


def _product(parts: list[Number]) -> Number:
    return reduce(lambda one, other: one * other, parts)


def _power(parts: list[Number]) -> Number | None:
    base, exponent = parts
    return _product([base] * exponent) if isinstance(exponent, int) and 1 <= exponent <= 8 else None


def _remainder(parts: list[Number]) -> Number | None:
    number, divisor = parts
    return number % divisor if isinstance(divisor, int) and divisor >= 1 else None


def _up(parts: list[Number]) -> Number | None:
    number, divisor = parts
    return rounded_up(number, divisor) if isinstance(divisor, int) and divisor >= 1 else None


_MEANINGS: dict[str, Callable[[list[Number]], Number | None]] = {
    "Add": lambda parts: reduce(lambda one, other: one + other, parts),
    "Mul": _product,
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": lambda parts: quotient(*parts),
    "CleanDiv": lambda parts: quotient(*parts),
    "CeilDiv": _up,
    "Mod": _remainder,
    "PythonMod": _remainder,
    "Max": lambda parts: reduce(larger, parts),
    "Min": lambda parts: reduce(smaller, parts),
}
"""Name of sympy's or torch's function -> what it is of extents; None where it is none."""
