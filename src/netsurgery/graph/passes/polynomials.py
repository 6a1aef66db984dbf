"""What arithmetic with single numbers makes of a few values, as a polynomial in them: every spelling is one then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from netsurgery.graph.ir import Node
from netsurgery.graph.weights import Weights

Polynomial: TypeAlias = dict[tuple[int, ...], float]
"""Exponents, one for each value -> the factor before their product."""

_DEEPEST = 8  # nodes above one another
_HIGHEST = 4  # exponent of Pow
_SAME = 1e-6  # relative: a few units in the last place of float32


class Polynomials:
    """Reads expressions back out of the nodes of a graph."""

    def __init__(self, producers: Mapping[str, Node], constants: Mapping[str, Weights]) -> None:
        self._producers = producers
        self._constants = constants

    def number(self, name: str) -> float | None:
        """The entry of a constant that has one only."""
        constant = self._constants.get(name)
        return float(constant.values.item()) if constant is not None and constant.size == 1 else None

    def reached(self, name: str) -> list[str]:
        """Every value that one may be a polynomial in: itself, and what lies behind arithmetic. Nearest last."""
        found: dict[str, None] = {}
        level = [name]
        for _ in range(_DEEPEST):
            level = [one for one in level if one not in found and one not in self._constants]
            found.update(dict.fromkeys(level))
            makers = [self._producers[one] for one in level if one in self._producers]
            level = [operand for made in makers if made.operator in _ARITHMETIC for operand in made.given]
        return list(found)[::-1]

    def of(self, name: str, values: Sequence[str], depth: int = _DEEPEST) -> Polynomial | None:
        """A value as a polynomial in `values`; None if it is none, or lies too far away."""
        if name in values:
            return {tuple(int(value == name) for value in values): 1.0}
        zeros = (0,) * len(values)
        if (number := self.number(name)) is not None:
            return {zeros: number}
        made = self._producers.get(name)
        if made is None or depth == 0 or made.operator not in _ARITHMETIC:
            return None
        a, b = made.given
        if made.operator == "Pow":
            exponent, base = self.number(b), self.of(a, values, depth - 1)
            if base is None or exponent is None or exponent not in range(1, _HIGHEST + 1):
                return None
            return _power(base, int(exponent))
        left = self.of(a, values, depth - 1)
        right = None if left is None else self.of(b, values, depth - 1)
        if left is None or right is None:
            return None
        if made.operator == "Mul":
            return _product(left, right)
        if made.operator == "Div":
            divisor = right.get(zeros, 0.0)
            return (
                {powers: one / divisor for powers, one in left.items()} if set(right) == {zeros} and divisor else None
            )
        sign = 1.0 if made.operator == "Add" else -1.0
        return _sum(left, {powers: sign * one for powers, one in right.items()})


_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Pow")


def same(a: Polynomial | None, b: Polynomial) -> bool:
    """True if they are equal but for what rounding to float32 does to numbers."""
    if a is None:
        return False
    a = {powers: one for powers, one in a.items() if one}
    return set(a) == set(b) and all(math.isclose(a[powers], one, rel_tol=_SAME) for powers, one in b.items())


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    return {powers: a.get(powers, 0.0) + b.get(powers, 0.0) for powers in {**a, **b}}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for left, x in a.items():
        for right, y in b.items():
            powers = tuple(i + j for i, j in zip(left, right, strict=True))
            result[powers] = result.get(powers, 0.0) + x * y
    return result


def _power(base: Polynomial, exponent: int) -> Polynomial:
    result = base
    for _ in range(exponent - 1):
        result = _product(result, base)
    return result
