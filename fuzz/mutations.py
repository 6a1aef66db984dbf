"""Files that are almost valid: bytes of a corpus changed, or decisions invented and written by a real encoder."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from netsurgery import _native
from netsurgery.errors import NetsurgeryError
from netsurgery.packed import format as fmt
from netsurgery.packed.encoder_face import Bits, Bytes, Grid
from specification.reader import StructureReader
from specification.tensors import TensorReader

REPAIRED = 0.95
"""Share of files whose checksum is right, so that they get behind it."""
INVENTED = 0.15
"""Share of files whose decisions are invented."""
MOST_INVENTED_ENTRIES = 300
LIKELY: dict[int, tuple[int, ...]] = {
    fmt.Context.INPUT_COUNT: (0, 0, 1, 2),
    fmt.Context.RANK: (4, 4, 3, 2, 2, 5, 1, 0, 8),
    fmt.Context.SIZE: (0, 1, 1, 3, 3, 5),
    fmt.Context.NODE_COUNT: (1, 1, 1, 2, 3, 9),
    fmt.Context.PLANE: (0, 0, 1, 3),
}
"""Numbers that an invented file mostly says, so that many a graph fits together."""


def mutated(seed: int, number: int, files: Sequence[bytes]) -> bytes:
    """File `number` of the series `seed`: the same bytes every time."""
    chance = random.Random(seed << 40 | number)
    if chance.random() < INVENTED:
        return with_header(Inventor(chance).stream())
    stream = chance.choice(files)[fmt.HEADER_BYTES :]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        stream = chance.choice(MUTATIONS)(stream, chance, files)
    content = with_header(stream)
    if chance.random() < REPAIRED:
        return content
    return flipped(content, chance, files) if chance.random() < 0.5 else content[: chance.randrange(len(content) + 1)]


def with_header(stream: bytes) -> bytes:
    """The file that holds this stream."""
    return fmt.MAGIC + bytes([fmt.VERSION]) + struct.pack("<I", zlib.crc32(stream)) + stream


def flipped(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    """One bit is another."""
    if not content:
        return content
    place = chance.randrange(8 * len(content))
    changed = bytearray(content)
    changed[place >> 3] ^= 1 << (place & 7)
    return bytes(changed)


def _replaced(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    """Some bytes are others, often extreme ones."""
    start = chance.randrange(len(content) + 1)
    end = min(start + chance.randint(0, 4), len(content))
    return content[:start] + _some_bytes(chance, end - start) + content[end:]


def _inserted(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + _some_bytes(chance, chance.randint(1, 8)) + content[start:]


def _deleted(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    start = chance.randrange(len(content) + 1)
    return content[:start] + content[start + chance.randint(1, 8) :]


def _truncated(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _spliced(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    """The beginning of one file, the end of another."""
    other = chance.choice(files)[fmt.HEADER_BYTES :]
    return content[: chance.randrange(len(content) + 1)] + other[chance.randrange(len(other) + 1) :]


def _random(content: bytes, chance: random.Random, files: Sequence[bytes]) -> bytes:
    """Nothing of the file is left behind some point."""
    return content[: chance.choice((0, 2, len(content) // 2))] + _some_bytes(chance, chance.randint(0, 150))


def _some_bytes(chance: random.Random, count: int) -> bytes:
    kind = chance.randrange(4)
    return bytes(count) if kind == 0 else b"\xff" * count if kind == 1 else chance.randbytes(count)


Mutation = Callable[[bytes, random.Random, Sequence[bytes]], bytes]
MUTATIONS: tuple[Mutation, ...] = (flipped, flipped, _replaced, _inserted, _deleted, _truncated, _spliced, _random)


class Inventor:
    """Has the reader as a decoder whose every answer is made up, and writes the answers down.

    So all of the grammar comes up, where mutated bytes soon decode to noise.
    """

    bits_read = 0.0
    at_end = True

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._encoder = _native.Encoder()
        self._rare = chance.choice((0.02, 0.2, 0.5))
        self._rng = np.random.default_rng(chance.getrandbits(32))

    def stream(self) -> bytes:
        """As far as the reader goes along with what it is told."""
        limits = fmt.Limits(elements=MOST_INVENTED_ENTRIES, value_elements=2**16)
        structure = StructureReader(self, limits, 0)
        try:
            structure.read()
            tensors = TensorReader(self)
            for shape in structure.constants.values():
                tensors.read(shape)
        except NetsurgeryError:
            pass
        return self._encoder.finish()

    def flag(self, context: int) -> bool:
        bit = self._chance.random() < (0.05 if context == fmt.Context.NAMES else self._rare)
        self._encoder.flag(context, bit)
        return bit

    def integer(self, context: int) -> int:
        if self._chance.random() < 0.01:
            value = min(self._chance.getrandbits(self._chance.randint(1, 32)), 2**32 - 2)
        elif context >= fmt.Context.OPERATOR:
            value = self._chance.randrange(31)
        else:
            value = self._chance.choice(LIKELY.get(context, (0, 0, 0, 1, 1, 2, 3, 5)))
        self._encoder.integer(context, value)
        return value

    def raw(self, count: int) -> int:
        value = self._chance.choice((0, (1 << count) - 1, self._chance.getrandbits(count), 0x3F80 & (1 << count) - 1))
        self._encoder.raw(value, count)
        return value

    def mask(self, grid: Grid, live_columns: bool) -> Bytes:
        mask = self._mask(grid)
        self._encoder.mask(grid, live_columns, mask)
        return mask

    def plain_mask(self, grid: Grid) -> Bytes:
        mask = self._mask(grid)
        self._encoder.plain_mask(grid, mask)
        return mask

    def floats(self, grid: Grid, mask: Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool) -> Bits:
        exponents = np.clip(self._rng.normal(exponent, 2, mask.shape), 0, self._chance.choice((254, 255)))
        bits = exponents.astype(np.uint32) << 23 | self._rng.integers(0, 2, mask.shape, np.uint32) << 31
        bits *= mask
        self._encoder.floats(grid, mask, mantissa, exponent, shared, mixed, bits)
        return bits

    def codes(self, grid: Grid, mask: Bytes, width: int) -> Bytes:
        codes = self._rng.integers(0, 2**width, mask.shape).astype(np.uint8) * mask
        self._encoder.codes(grid, mask, width, codes)
        return codes

    def plain_bits(self, count: int) -> Bytes:
        bits = self._rng.integers(0, 2, (1, count), np.uint8)
        self._encoder.plain_bits(bits)
        return bits

    def _mask(self, grid: Grid) -> Bytes:
        return (self._rng.random(grid[:2]) < self._rare).astype(np.uint8)
