"""Numbers that follow open axes: exact whole-number expressions, in one form for all that are equal in the same way.

An extent is a sum of terms, each a number times a product of factors. A factor is an axis, a quotient rounded down, or
what an extent is above zero:

    ceil(H / 2) * W - 3       2 * B * T       max(T - 8, 0) = T - 8, where that is above zero

Quotients rounded up, smaller and larger ones of two, and remainders are made of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from netsurgery.errors import GraphError

LARGEST_STEP = 2**62
"""No number on the way to an extent's value lies beyond ± this, so that 64 bits hold it."""


@dataclass(frozen=True)
class Quotient:
    """floor(of / divisor), divisor >= 2."""

    of: Extent
    divisor: int

    def __str__(self) -> str:
        return f"floor(({self.of}) / {self.divisor})"


@dataclass(frozen=True)
class Above:
    """max(of, 0)."""

    of: Extent

    def __str__(self) -> str:
        return f"max({self.of}, 0)"


Factor: TypeAlias = str | Quotient | Above
"""The name of an axis, or what is made of an extent."""

Number: TypeAlias = "int | Extent"


@dataclass(frozen=True)
class Extent:
    """A number that follows open axes: the sum over `terms` of coefficient times the product of factors.

    Made by `axis` and arithmetic with +, -, *, // (rounded down), % and `larger`, `smaller`, `rounded_up`; whatever
    turns out not to follow any axis is an int. Equal extents are equal at all sizes; of unequal ones that isn't known.

    >>> height = axis("height")
    >>> str((height - 1) // 2 + 1), (height + 6) // 2 - height // 2
    ('floor((height + 1) / 2)', 3)
    """

    terms: tuple[tuple[tuple[Factor, ...], int], ...]

    def at(self, sizes: Mapping[str, int]) -> int:
        """The number at sizes of the axes. Raises GraphError beyond 2^62, or if a size is missing."""
        total = 0
        for factors, coefficient in self.terms:
            product = coefficient
            for factor in factors:
                product = _counted(product * _factor_at(factor, sizes))
            total = _counted(total + product)
        return total

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes that it follows, each once."""
        return tuple(dict.fromkeys(name for factor in self._factors() for name in _axes_of(factor)))

    @property
    def period(self) -> int:
        """Behind how many entries of an axis the stairs of its quotients repeat."""
        return math.lcm(1, *(_period_of(factor) for factor in self._factors()))

    def turns(self, sizes: Mapping[str, int], steps: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """(an axis, its first size) at which what is above zero is so no longer, or what wasn't is; others as in sizes.

        steps: of axes whose sizes are multiples.

        >>> list(smaller(axis("time"), 10).turns({"time": 2}, {}))
        [('time', 11)]
        """
        for factor in self._factors():
            if isinstance(factor, str):
                continue
            yield from factor.of.turns(sizes, steps)
            for name in factor.of.axes if isinstance(factor, Above) else ():
                size = _turn(factor.of, name, sizes, steps.get(name, 1))
                if size is not None:
                    yield name, size

    def put(self, numbers: Mapping[str, Number]) -> Number:
        """The same with numbers, or extents, in the place of axes; others stay."""
        total: Number = 0
        for factors, coefficient in self.terms:
            product: Number = coefficient
            for factor in factors:
                product = product * _put(factor, numbers)
            total = total + product
        return total

    def lowest(self) -> int | None:
        """A number that it never lies below, each axis being at least 1; None if there is none to see."""
        low = self._lowest_of_terms()
        for kind in (Above, Quotient) if low is None else ():
            simple = [factors[0] for factors, _ in self.terms if len(factors) == 1 and isinstance(factors[0], kind)]
            times = math.lcm(*(one.divisor for one in simple if isinstance(one, Quotient)))
            less: Number = 0
            for factors, coefficient in self.terms:
                term = Extent(((factors, coefficient * times),)) if factors else coefficient * times
                plain = _no_more(factors[0], coefficient * times) if factors and factors[0] in simple else None
                less = less + (term if plain is None or len(factors) > 1 else plain)
            if less != self * times:
                low = _low(less)
                return None if low is None else -(-low // times)
        return low

    def _lowest_of_terms(self) -> int | None:
        """The sum of what each term is at least."""
        total = 0
        for factors, coefficient in self.terms:
            least = [_lowest_of(factor) for factor in factors]
            if factors and coefficient < 0:
                return None
            product = coefficient
            for low in least:
                if low is None or low < 0:
                    return None
                product *= low
            total += product
        return total

    def _factors(self) -> Iterator[Factor]:
        for factors, _ in self.terms:
            yield from factors

    def __str__(self) -> str:
        said = ""
        for factors, coefficient in sorted(self.terms, key=lambda term: not term[0]):
            size = abs(coefficient)
            product = " * ".join(([str(size)] if size != 1 or not factors else []) + [str(one) for one in factors])
            sign = ("-" if coefficient < 0 else "") if not said else (" - " if coefficient < 0 else " + ")
            said += sign + product
        return said or "0"

    def __add__(self, other: Number) -> Number:
        return _sum(self, other, 1)

    def __radd__(self, other: int) -> Number:
        return _sum(self, other, 1)

    def __sub__(self, other: Number) -> Number:
        return _sum(self, other, -1)

    def __rsub__(self, other: int) -> Number:
        return _sum(other, self, -1)

    def __neg__(self) -> Number:
        return _sum(0, self, -1)

    def __mul__(self, other: Number) -> Number:
        collected: dict[tuple[Factor, ...], int] = {}
        for left, one in self.terms:
            for right, two in _terms(other):
                factors = tuple(sorted((*left, *right), key=_order))
                collected[factors] = collected.get(factors, 0) + one * two
        return _settled(collected)

    def __rmul__(self, other: int) -> Number:
        return self * other

    def __floordiv__(self, divisor: int) -> Number:
        """Rounded down, by a number of at least 1."""
        if divisor < 1:
            raise GraphError(f"({self}) // {divisor}: extents are divided by numbers of at least 1.")
        whole = _settled({factors: coefficient // divisor for factors, coefficient in self.terms})
        left = _settled({factors: coefficient % divisor for factors, coefficient in self.terms})
        if isinstance(left, int):
            return whole + left // divisor
        constant = dict(left.terms).get((), 0)
        common = math.gcd(divisor, *(coefficient for factors, coefficient in left.terms if factors))
        left, divisor = _reduced(left, common), divisor // common
        if divisor == 1:
            return whole + left
        if isinstance(left, Extent) and (inner := _only_quotient(left)) is not None:
            # floor((floor(x / a) + c) / b) = floor((x + a * c) / (a * b))
            constant = dict(left.terms).get((), 0)
            return whole + (inner.of + constant * inner.divisor) // (inner.divisor * divisor)
        return whole if isinstance(left, int) else whole + Extent((((Quotient(left, divisor),), 1),))

    def __mod__(self, divisor: int) -> Number:
        return self - (self // divisor) * divisor


def axis(name: str) -> Extent:
    """The size of an open axis itself."""
    return Extent((((name,), 1),))


def rounded_up(number: Number, divisor: int) -> Number:
    """The quotient, rounded up."""
    return (number + (divisor - 1)) // divisor


def larger(one: Number, other: Number) -> Number:
    """The larger of two."""
    return other + _above(one - other)


def smaller(one: Number, other: Number) -> Number:
    """The smaller of two."""
    return one - _above(one - other)


def quotient(number: Number, divisor: Number) -> Number | None:
    """The quotient, rounded down, where the divisor is a number, or what is left is seen to be less; None otherwise."""
    if isinstance(divisor, int):
        return number // divisor if divisor >= 1 else None
    whole: Number = 0
    rest = number
    for _ in range(_MOST_TERMS):
        if rest == 0:
            return whole
        shares = (_share(term, divisor.terms[-1]) for term in _terms(rest))
        share = next((one for one in shares if one is not None), None)
        if share is None:
            break
        whole, rest = whole + share, rest - share * divisor
    for less in (0, 1):  # where what is left lies between nothing and the divisor
        left = rest + less * divisor
        if all((low := _low(number)) is not None and low >= 0 for number in (left, divisor - 1 - left)):
            return whole - less
    return None


def remainder(number: int, divisor: Extent) -> Number:
    """What a number leaves, with the sign of the divisor, where that is larger than the number is far from 0.

    >>> str(remainder(2, axis("width"))), str(remainder(-1, axis("width")))
    ('2', 'width - 1')
    """
    return number if number >= 0 else divisor + number


_MOST_TERMS = 32
"""Of a quotient."""


def _share(term: tuple[tuple[Factor, ...], int], divisor: tuple[tuple[Factor, ...], int]) -> Number | None:
    """What a term is of another one; None where that isn't whole."""
    (factors, coefficient), (below, by) = term, divisor
    left = list(factors)
    for factor in below:
        if factor not in left:
            return None
        left.remove(factor)
    return None if coefficient % by else _settled({tuple(left): coefficient // by})


def reshaping(before: Sequence[Number], after: Sequence[Number]) -> tuple[Number, ...]:
    """The attribute of a Reshape between these shapes.

    -1 for the only size that follows axes. Of several, 0 where one stays in its place, and -1 for one other; if there
    are more of these, they are said.
    """
    moved = [place for place, size in enumerate(after) if isinstance(size, Extent)]
    if len(moved) > 1:
        moved = [place for place in moved if tuple(before[place : place + 1]) != (after[place],)]
    return tuple(
        size if isinstance(size, int) or (place in moved and len(moved) > 1) else -1 if place in moved else 0
        for place, size in enumerate(after)
    )


def never_equal(one: Number, other: Number) -> bool:
    """True if two numbers are seen to differ at all sizes."""
    return any(isinstance(apart, int) and apart > 0 for apart in (_low(one - other), _low(other - one)))


def in_entries(number: Number, steps: Mapping[str, int]) -> Number:
    """A number that was computed with axes counted in steps of theirs, said of their sizes in entries.

    steps: of the axes that are counted so; their sizes are multiples of these, so that nothing is rounded.

    >>> str(in_entries(48 * axis("width") + 1, {"width": 32}))
    '3 * floor((width) / 2) + 1'
    """
    total: Number = 0
    for factors, coefficient in _terms(number):
        product: Number = 1
        for factor in factors:
            if isinstance(factor, str):
                step = steps.get(factor, 1)
                common = math.gcd(coefficient, step)
                coefficient //= common
                product = product * (axis(factor) // (step // common))
            elif isinstance(factor, Quotient):
                product = product * (in_entries(factor.of, steps) // factor.divisor)
            else:
                product = product * larger(in_entries(factor.of, steps), 0)
        total = total + coefficient * product
    return total


def at(number: Number, sizes: Mapping[str, int]) -> int:
    """The number at sizes of the axes. Raises GraphError."""
    return number if isinstance(number, int) else number.at(sizes)


def _counted(number: int) -> int:
    if abs(number) > LARGEST_STEP:
        raise GraphError("a number that follows open axes is too large to be counted in 64 bits.")
    return number


def _factor_at(factor: Factor, sizes: Mapping[str, int]) -> int:
    if isinstance(factor, Quotient):
        return factor.of.at(sizes) // factor.divisor
    if isinstance(factor, Above):
        return max(factor.of.at(sizes), 0)
    if factor not in sizes:
        raise GraphError(f"an attribute follows the open axis {factor!r}, of which no size is given.")
    return sizes[factor]


def _turn(number: Extent, name: str, sizes: Mapping[str, int], step: int) -> int | None:
    """The first size of an axis, in steps from that in `sizes` on, at which a number has another sign."""

    def sign(size: int) -> int:
        value = number.at({**sizes, name: size})
        return (value > 0) - (value < 0)

    low = high = sizes[name]
    begins = sign(low)
    try:
        while (sign(high) or begins) == begins:  # nothing is on the one side as well as on the other
            low, high = high, high + max(high // step, 1) * step
            begins = begins or sign(low)
            if high > _FURTHEST_TURN:
                return None
    except GraphError:  # no such size has a number that can be counted
        return None
    while high - low > step:
        middle = low + (high - low) // step // 2 * step
        low, high = (middle, high) if (sign(middle) or begins) == begins else (low, middle)
    return high


_FURTHEST_TURN = 2**26
"""No axis is looked at further: in fewer entries than that, nothing is to be cut from what would be longer."""


def _axes_of(factor: Factor) -> tuple[str, ...]:
    return (factor,) if isinstance(factor, str) else factor.of.axes


def _period_of(factor: Factor) -> int:
    if isinstance(factor, str):
        return 1
    return factor.of.period * (factor.divisor if isinstance(factor, Quotient) else 1)


def _put(factor: Factor, numbers: Mapping[str, Number]) -> Number:
    if isinstance(factor, str):
        return numbers.get(factor, axis(factor))
    inner = factor.of.put(numbers)
    return inner // factor.divisor if isinstance(factor, Quotient) else larger(inner, 0)


def _lowest_of(factor: Factor) -> int | None:
    if isinstance(factor, str):
        return 1
    low = factor.of.lowest()
    if isinstance(factor, Above):
        return max(low or 0, 0)
    return None if low is None else low // factor.divisor


def _low(number: Number) -> int | None:
    return number if isinstance(number, int) else number.lowest()


def _no_more(factor: Factor, coefficient: int) -> Number | None:
    """Without stairs and turns, a number that coefficient * factor never lies below; None if there is none to see."""
    if isinstance(factor, Above):
        return factor.of * coefficient if coefficient > 0 else None
    if not isinstance(factor, Quotient) or coefficient % factor.divisor:
        return None
    beginning = factor.of - (factor.divisor - 1) if coefficient > 0 else factor.of  # of a stair, or its end
    return beginning * (coefficient // factor.divisor)


def _above(number: Number) -> Number:
    """max(number, 0), in one form for a number and its negative."""
    if isinstance(number, int):
        return max(number, 0)
    low, low_of_negative = number.lowest(), _low(-number)
    if low is not None and low >= 0:
        return number
    if low_of_negative is not None and low_of_negative >= 0:
        return 0
    leading = next(coefficient for factors, coefficient in number.terms if factors)
    if leading < 0:
        return number + _above_itself(-number)
    return _above_itself(number)


def _above_itself(number: Number) -> Number:
    return max(number, 0) if isinstance(number, int) else Extent((((Above(number),), 1),))


def _order(factor: Factor) -> tuple[int, str]:
    return (0 if isinstance(factor, str) else 1, str(factor))


def _terms(number: Number) -> tuple[tuple[tuple[Factor, ...], int], ...]:
    return number.terms if isinstance(number, Extent) else (((), int(number)),)


def _sum(one: Number, other: Number, sign: int) -> Number:
    collected = dict(_terms(one))
    for factors, coefficient in _terms(other):
        collected[factors] = collected.get(factors, 0) + sign * coefficient
    return _settled(collected)


def _settled(collected: Mapping[tuple[Factor, ...], int]) -> Number:
    kept = {factors: coefficient for factors, coefficient in collected.items() if coefficient}
    if not any(kept):
        return kept.get((), 0)
    return Extent(tuple(sorted(kept.items(), key=lambda term: [_order(factor) for factor in term[0]])))


def _reduced(number: Extent, common: int) -> Number:
    """The number divided by what divides all of it but its constant, which is rounded down."""
    return _settled({factors: coefficient // common for factors, coefficient in number.terms})


def _only_quotient(number: Extent) -> Quotient | None:
    """The quotient that is all of the number but a constant."""
    moving = [(factors, coefficient) for factors, coefficient in number.terms if factors]
    if len(moving) == 1 and moving[0][1] == 1 and len(moving[0][0]) == 1 and isinstance(moving[0][0][0], Quotient):
        return moving[0][0][0]
    return None
