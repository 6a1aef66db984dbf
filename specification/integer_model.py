"""Flags and whole numbers of the graph, each with a context that says what it means (docs/format.md)."""

from __future__ import annotations

from specification.mixing import EVEN, Slots, code_with
from specification.range_coder import Coder

CONTEXTS = 384
LARGEST_INTEGER = 2**32 - 2


class IntegerModel:
    """Codes flags and numbers. Flags learn apart from numbers, each context apart from the others."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._flags = Slots()
        self._longer = Slots()
        self._second = Slots()

    def flag(self, context: int, bit: int) -> int:
        """Usually 0: a new context begins with a probability of 1/4 for 1."""
        slot = self._flags[context]
        slot.begin_with(EVEN // 2)
        return code_with(self._coder, slot, bit)

    def integer(self, context: int, value: int) -> int:
        """0 <= value <= LARGEST_INTEGER.

        With n = value + 1: the number of its bits in unary, the bit after its first, the others plain.
        """
        n = value + 1
        length = 0
        while length < 31 and code_with(self._coder, self._longer[context, length], int(n >> length + 1 != 0)):
            length += 1
        if length == 0:
            return 0
        result = 2 + code_with(self._coder, self._second[context, length], n >> length - 1 & 1)
        left = length - 1
        while left > 0:
            count = min(left, 16)
            left -= count
            result = result << count | self._coder.raw(n >> left & (1 << count) - 1, count)
        return result - 1
