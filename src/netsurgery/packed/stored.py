"""What a file's constants are told by, decoded -> weights of the type that their encoding shows, and a word for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsurgery.graph.operators import Shape
from netsurgery.graph.weights import Array, Codebook, Dense, Planes, Powers, Uniform, Weights
from netsurgery.packed.encoder_face import Bits, Bytes


@dataclass(frozen=True)
class Stored:
    """How one constant lies in a file.

    kept: entries that the file has numbers for; distinct: how many values other than +0 there are, -1 for more than
    256; bits: what it costs in the file.
    """

    shape: Shape
    encoding: str
    kept: int
    distinct: int
    bits: float


ZERO = "zero"
"""The encoding of a constant of nothing else."""


def zeros(shape: Shape) -> Dense:
    """A constant of zeros."""
    return Dense(np.zeros(shape, np.float32))


def floats(shape: Shape, bits: Bits, mantissa: int, shared: bool) -> tuple[Weights, str]:
    """Floats with so many bits of mantissa. bits: all entries; shared: each row has one mantissa."""
    values: Array = bits.reshape(shape).view(np.float32)
    powers = Powers.of(values) if mantissa == 0 or shared else None
    return Dense(values) if powers is None else powers, _float_name(mantissa, shared)


def codebook(shape: Shape, book: Bits, codes: Bytes, present: Bytes) -> tuple[Weights, str]:
    """A few values, and of the entries that are present which of them they are; the others are +0."""
    count = len(book)
    used = codes
    if not present.all():
        book = np.append(book, np.uint32(0))
        wide = codes.astype(np.uint8 if count < 256 else np.uint16)
        used = np.where(present.view(bool), wide, wide.dtype.type(count))
    return Codebook(book.view(np.float32), used.reshape(shape)), f"codebook of {count}"


def uniform(shape: Shape, scales: Array, codes: Bytes, present: Bytes, least: int, span: int) -> tuple[Weights, str]:
    """Whole numbers from `least` on, `span` of them, times the scales of rows; entries that aren't present are 0."""
    counts = np.where(present.view(bool), codes.astype(np.int16) + np.int16(least), np.int16(0))
    return Uniform(counts.reshape(shape), scales), f"{span} whole numbers times scales"


def planes(shape: Shape, scales: Array, signs: Bytes) -> tuple[Weights, str]:
    """Sums of binary planes. scales: (rows, planes); signs: 0 and 1 of one plane after another."""
    count = scales.shape[1]
    return Planes(scales, signs.reshape(count, *shape)), f"{count} binary planes" if count > 1 else "1 binary plane"


def _float_name(mantissa: int, shared: bool) -> str:
    if mantissa == 0:
        return "powers of two"
    if shared:
        return "scaled powers of two"
    return {23: "float32", 7: "bfloat16", 10: "float16"}.get(mantissa, f"{mantissa}-bit mantissa")
