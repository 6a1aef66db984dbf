"""Numbers that follow open axes as flags and numbers: each is told once, and called by its number from then on."""

from __future__ import annotations

from collections.abc import Sequence

from netsurgery.errors import FileLimitError
from netsurgery.graph.extents import Extent, Factor, Quotient
from netsurgery.graph.operators import LARGEST_INT
from netsurgery.packed import format as fmt
from netsurgery.packed.encoder_face import EncoderFace
from netsurgery.packed.format import Context
from netsurgery.packed.structure import zigzag

END, QUOTIENT, ABOVE, AXIS = range(4)
"""What a factor is; from AXIS on it is that axis."""


class ExtentWriter:
    """Writes the extents of a graph, whose axes have these names."""

    def __init__(self, coder: EncoderFace, axes: Sequence[str]) -> None:
        self._coder = coder
        self._axes = {name: number for number, name in enumerate(axes)}
        self._numbers: dict[Extent, int] = {}

    def write(self, extent: Extent) -> None:
        """Its number; where that is new, what it is. Raises FileLimitError."""
        known = extent in self._numbers
        number = self._numbers.setdefault(extent, len(self._numbers))
        if number == fmt.MOST_EXTENTS:
            raise FileLimitError(f"more than {fmt.MOST_EXTENTS:,} numbers of the graph follow open axes.")
        self._coder.integer(Context.EXTENT, number)
        if not known:
            _check(extent)
            self._tell(extent)

    def _tell(self, extent: Extent) -> None:
        self._coder.integer(Context.TERMS, len(extent.terms) - 1)
        for factors, coefficient in sorted(extent.terms, key=lambda term: [self._key(one) for one in term[0]]):
            self._coder.integer(Context.COEFFICIENT, zigzag(coefficient))
            for factor in sorted(factors, key=self._key):
                self._factor(factor)
            self._coder.integer(Context.FACTOR, END)

    def _factor(self, factor: Factor) -> None:
        if isinstance(factor, str):
            self._coder.integer(Context.FACTOR, AXIS + self._axes[factor])
            return
        self._coder.integer(Context.FACTOR, QUOTIENT if isinstance(factor, Quotient) else ABOVE)
        if isinstance(factor, Quotient):
            self._coder.integer(Context.DIVISOR, factor.divisor - 2)
        self._tell(factor.of)

    def _key(self, factor: Factor) -> tuple[object, ...]:
        """The order of factors, which doesn't depend on what axes are called."""
        if isinstance(factor, str):
            return (0, self._axes[factor])
        kind = (1, QUOTIENT, factor.divisor) if isinstance(factor, Quotient) else (1, ABOVE, 0)
        terms = (([self._key(one) for one in factors], number) for factors, number in factor.of.terms)
        return (*kind, sorted(terms))


def _check(extent: Extent) -> None:
    """Raise FileLimitError for what a reader would refuse."""
    parts, deepest, largest = _measured(extent)
    if parts > fmt.MOST_PARTS or deepest > fmt.DEEPEST_PART or largest > LARGEST_INT:
        raise FileLimitError(f"{extent} is too long a number for an .nsm file: fix an axis that it follows.")


def _measured(extent: Extent) -> tuple[int, int, int]:
    """How many terms and factors, how deep, the largest number in it."""
    parts, deepest, largest = len(extent.terms), 0, 0
    for factors, coefficient in extent.terms:
        largest = max(largest, abs(coefficient))
        parts += len(factors)
        for factor in factors:
            if not isinstance(factor, str):
                inner = _measured(factor.of)
                parts, deepest = parts + inner[0], max(deepest, inner[1])
                largest = max(largest, inner[2], factor.divisor if isinstance(factor, Quotient) else 0)
    return parts, deepest + 1, largest
