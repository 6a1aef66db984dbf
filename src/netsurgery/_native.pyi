"""The coder of the .nsm file in C++; netsurgery.packed.reference_coder is the same in Python.

docs/format.md says what each part is. Matrices have one row for each output; a grid (rows, columns, plane, width) says
that a row is columns / plane channels of `plane` entries, in lines of `width`; plane 1 is no picture. All methods raise
ValueError where an argument lies outside its range. An object is for one thread at a time.
"""

import numpy as np
import numpy.typing as npt

class Encoder:
    """Writes flags, numbers and tensors, one after another."""

    def __init__(self) -> None: ...
    def flag(self, context: int, bit: bool) -> None:
        """Write a bit that is usually False. context: 0..255, what it means."""

    def integer(self, context: int, value: int) -> None:
        """Write 0 <= value <= 2^32 - 2; small ones are short. context: 0..255, what it means."""

    def raw(self, value: int, count: int) -> None:
        """Write a number of `count` (0..16) bits as it is."""

    def mask(self, grid: tuple[int, int, int, int], live_columns: bool, mask: npt.NDArray[np.uint8]) -> None:
        """Write a mask of 0 and 1. live_columns: first say which columns hold any 1, shorter where many hold none."""

    def plain_mask(self, grid: tuple[int, int, int, int], mask: npt.NDArray[np.uint8]) -> None:
        """Write a mask in a fraction of the time, somewhat longer: for large grids."""

    def floats(
        self,
        grid: tuple[int, int, int, int],
        mask: npt.NDArray[np.uint8],
        mantissa: int,
        exponent: int,
        shared: bool,
        mixed: bool,
        bits: npt.NDArray[np.uint32],
    ) -> None:
        """Write the floats whose mask is 1; a reader knows the mask and gets +0 for the others.

        mantissa: how many of its bits are written (0..23), the others are left out. exponent: the most frequent one,
        biased (0..255). shared: a row's first mantissa is that of all its floats. mixed: predict signs and exponents
        from many sides, which takes a few times longer. bits: float32 as integers.
        """

    def codes(
        self,
        grid: tuple[int, int, int, int],
        mask: npt.NDArray[np.uint8],
        width: int,
        codes: npt.NDArray[np.uint8],
    ) -> None:
        """Write the numbers below 2^width (0..8) whose mask is 1; a reader knows the mask and gets 0 for the others."""

    def plain_bits(self, bits: npt.NDArray[np.uint8]) -> None:
        """Write bits (an array of 0 and 1 of any shape) as they are."""

    def take(self, least: int) -> bytes:
        """The bytes of the stream that can't change any more, if there are at least so many, else none. Not kept."""

    def finish(self) -> bytes:
        """The stream of all that was written, without what was taken. Nothing more can be written then."""

    @property
    def decisions(self) -> int:
        """How many bits were coded by their probability so far."""

class Decoder:
    """Reads what an Encoder wrote, in its order. Other bytes give other values.

    All methods raise OverflowError once the content has asked for more than `most_decisions`.
    """

    def __init__(self, content: bytes, start: int = 0, most_decisions: int = 2**62) -> None:
        """Read from byte `start` on. most_decisions: bits coded by their probability, of which a byte can hold many."""

    def flag(self, context: int) -> bool:
        """The next flag."""

    def integer(self, context: int) -> int:
        """The next integer."""

    def raw(self, count: int) -> int:
        """The next number of `count` bits."""

    def mask(self, grid: tuple[int, int, int, int], live_columns: bool) -> npt.NDArray[np.uint8]:
        """The next mask, (rows, columns)."""

    def plain_mask(self, grid: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
        """The next plain mask, (rows, columns)."""

    def floats(
        self,
        grid: tuple[int, int, int, int],
        mask: npt.NDArray[np.uint8],
        mantissa: int,
        exponent: int,
        shared: bool,
        mixed: bool,
    ) -> npt.NDArray[np.uint32]:
        """The next floats as integers, (rows, columns)."""

    def codes(self, grid: tuple[int, int, int, int], mask: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
        """The next codes, (rows, columns)."""

    def plain_bits(self, count: int) -> npt.NDArray[np.uint8]:
        """The next bits, (1, count)."""

    @property
    def at_end(self) -> bool:
        """True once every byte has been taken."""

    @property
    def bits_read(self) -> float:
        """How much of the stream the decisions so far have cost, to a fraction of a bit."""
