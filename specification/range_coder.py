"""Arithmetic coding of bits with given probabilities (docs/format.md, "The range coder").

RangeEncoder and RangeDecoder have the same face, `code(bit, p)` and `raw(value, count)`, so that a model is written
once: the encoder returns what it was given, the decoder ignores it and returns what the file holds.
"""

from __future__ import annotations

import math
from typing import Protocol

WHOLE_RANGE = 2**32 - 1
SMALLEST_RANGE = 2**24
"""The interval is narrowed until its width falls below this; then a byte is settled."""


class Coder(Protocol):
    """What a model needs of an encoder or a decoder."""

    def code(self, bit: int, p: int) -> int:
        """Code one bit; p / 65536 is the probability that it is 1, 1 <= p <= 65535."""
        ...

    def raw(self, value: int, count: int) -> int:
        """Code `count` (0..16) bits as they are."""
        ...


class RangeEncoder:
    """The interval [low, low + range) holds all numbers that begin with what was coded so far.

    `low` is the part of its lower end that can still change: the next four bytes, and a carry above them.
    """

    __slots__ = ("_low", "_range", "_settled", "decisions")

    def __init__(self) -> None:
        self.decisions = 0
        self._low = 0
        self._range = WHOLE_RANGE
        self._settled = bytearray()

    def code(self, bit: int, p: int) -> int:
        self.decisions += 1
        bound = self._range * p >> 16
        if bit:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        while self._range < SMALLEST_RANGE:
            self._range <<= 8
            self._settle()
        return bit

    def raw(self, value: int, count: int) -> int:
        self._range >>= count
        self._low += value * self._range
        while self._range < SMALLEST_RANGE:
            self._range <<= 8
            self._settle()
        return value

    def finish(self) -> bytes:
        """The bytes of that number in the last interval which has the most zeros at its end; those are left out."""
        for kept in range(5):
            unit = 1 << 32 - 8 * kept
            number = -(-self._low // unit) * unit
            if number < self._low + self._range:
                break
        self._low = number
        for _ in range(4):
            self._settle()
        return bytes(self._settled).rstrip(b"\0")

    def _settle(self) -> None:
        """Move the first byte of `low` to the settled ones. A carry goes to them first, past all that are 0xFF."""
        settled = self._settled
        if self._low >> 32:
            last = len(settled) - 1
            while settled[last] == 0xFF:
                settled[last] = 0
                last -= 1
            settled[last] += 1
        settled.append(self._low >> 24 & 0xFF)
        self._low = (self._low & 0xFFFFFF) << 8


class RangeDecoder:
    """Reads what a RangeEncoder wrote. `value` is the file's number, counted from the interval's lower end.

    Bits that were foretold cost next to nothing, so the file's size bounds no work: after `most_decisions` of them
    `code` raises OverflowError.
    """

    __slots__ = ("_bytes", "_decisions_left", "_position", "_range", "_value")

    def __init__(self, content: bytes, most_decisions: int) -> None:
        self._bytes = content
        self._decisions_left = most_decisions
        self._position = 0
        self._range = WHOLE_RANGE
        self._value = 0
        for _ in range(4):
            self._value = self._value << 8 | self._next()
        self._value = min(self._value, self._range - 1)  # no encoder writes more; a damaged file may

    def code(self, bit: int, p: int) -> int:
        if not self._decisions_left:
            raise OverflowError("the content asks for more decisions than allowed")
        self._decisions_left -= 1
        bound = self._range * p >> 16
        if self._value < bound:
            bit = 1
            self._range = bound
        else:
            bit = 0
            self._value -= bound
            self._range -= bound
        while self._range < SMALLEST_RANGE:
            self._range <<= 8
            self._value = self._value << 8 | self._next()
        return bit

    def raw(self, value: int, count: int) -> int:
        self._range >>= count
        value = min(self._value // self._range, (1 << count) - 1)  # the bound only matters in a damaged file
        self._value = min(self._value - value * self._range, self._range - 1)  # here too
        while self._range < SMALLEST_RANGE:
            self._range <<= 8
            self._value = self._value << 8 | self._next()
        return value

    @property
    def bits_read(self) -> float:
        """How much of the file the decisions so far have cost, to a fraction of a bit."""
        return 8.0 * self._position - math.log2(self._range)

    @property
    def at_end(self) -> bool:
        """True once every byte of the file has been taken."""
        return self._position >= len(self._bytes)

    def _next(self) -> int:
        """The next byte; beyond the end there are zeros."""
        byte = self._bytes[self._position] if self._position < len(self._bytes) else 0
        self._position += 1
        return byte
