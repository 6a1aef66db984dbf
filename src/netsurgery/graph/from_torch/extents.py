"""torch's expressions for sizes that follow open axes, as extents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number, axis, larger, quotient, rounded_up, smaller


def extent_of(expression: Any, axes: Mapping[Any, str]) -> Number:
    """The same number of the axes that torch's symbols stand for. Raises UnsupportedOperatorError if it is none."""
    if isinstance(expression, int) or getattr(expression, "is_Integer", False):
        return int(expression)
    if expression in axes:
        return axis(axes[expression])
    parts = [extent_of(part, axes) for part in expression.args] if hasattr(expression, "args") else []
    kind = type(expression).__name__
    found = _MEANINGS[kind](parts) if kind in _MEANINGS and parts else None
    if found is None:
        raise UnsupportedOperatorError(
            f"computes the size {expression}, which follows open axes in no way that is known"
        )
    return found


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
