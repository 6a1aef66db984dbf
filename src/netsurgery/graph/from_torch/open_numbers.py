"""Numbers that torch computes from open sizes, as values of the graph: floats of them by the graph's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from netsurgery.errors import UnsupportedOperatorError

Made = Callable[[str, list[str]], str]
"""Adds a node, an operator of values; gives its output."""

_FLOATS = {
    "Add": "Add",
    "Mul": "Mul",
    "FloatTrueDiv": "Div",
    "IntTrueDiv": "Div",
    "FloatPow": "Pow",
    "Pow": "Pow",
    "PowByNatural": "Pow",
    "Max": "Max",
    "Min": "Min",
    "OpaqueUnaryFn_sqrt": "Sqrt",
    "OpaqueUnaryFn_exp": "Exp",
    "OpaqueUnaryFn_log": "Log",
}
"""Name of sympy's or torch's function of floats -> the operator, which joins more than two from the left."""


def is_whole(expression: Any) -> bool:
    """Whether an expression of sizes is a whole number at any sizes."""
    return isinstance(expression, int) or bool(getattr(expression, "is_integer", False))


def floats_of(expression: Any, whole: Callable[[Any], str], number: Callable[[float], str], made: Made) -> str:
    """An expression of open sizes as a float32 value without axes.

    whole: the value of an expression that is a whole number; number: that of a number. Raises UnsupportedOperatorError
    for what floats aren't computed by.
    """
    kind = type(expression).__name__
    if kind == "ToFloat":
        return floats_of(expression.args[0], whole, number, made)
    if isinstance(expression, int | float) or getattr(expression, "is_number", False):
        return number(float(expression))
    if is_whole(expression):
        return whole(expression)
    if kind not in _FLOATS:
        raise UnsupportedOperatorError(f"computes {expression}, which follows open axes in no way that is known")
    parts = [floats_of(part, whole, number, made) for part in expression.args]
    operator = _FLOATS[kind]
    return made(operator, parts) if len(parts) == 1 else reduce(lambda one, other: made(operator, [one, other]), parts)
