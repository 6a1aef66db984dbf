"""How the floats of a tensor are written: its form, which writer and reader code alike, and what one expects of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsurgery.packed.encoder_face import Bits, EncoderFace
from netsurgery.packed.format import Context
from netsurgery.packed.structure import zigzag

MIXED_ENTRIES = 2**16
"""Up to so many entries, or with a mantissa of at most MIXED_MANTISSA bits, exponents and signs are worth mixing."""
MIXED_MANTISSA = 7


@dataclass(frozen=True)
class FloatForm:
    """How floats are written: mantissa bits (0..23), the most frequent exponent (biased), the coder's two flags."""

    mantissa: int
    exponent: int
    shared: bool
    mixed: bool


class Expectations:
    """What the header of the next tensor is expected to say: what the one before it of its kind said."""

    def __init__(self) -> None:
        self.mantissa = [23, 23]
        self.exponent = [124, 124]


def form_of(kept: Bits, shared: bool) -> FloatForm:
    """The form of entries (k,), k >= 1. shared: each row has one mantissa."""
    used = int(np.bitwise_or.reduce(kept) & 0x7FFFFF)
    mantissa = 23 - ((used & -used).bit_length() - 1) if used else 0
    exponent = int(np.bincount((kept >> 23 & 255).astype(np.uint8), minlength=256).argmax())
    return FloatForm(mantissa, exponent, shared and mantissa > 0, _worth_mixing(len(kept), mantissa, shared))


def _worth_mixing(entries: int, mantissa: int, shared: bool) -> bool:
    return entries <= MIXED_ENTRIES or mantissa <= MIXED_MANTISSA or shared


def write_form(encoder: EncoderFace, expected: Expectations, kind: int, form: FloatForm) -> None:
    """Write a form. kind: 1 for a constant of two axes or more, 0 for any other and for tables."""
    encoder.flag(Context.MANTISSA + kind, form.mantissa != expected.mantissa[kind])
    if form.mantissa != expected.mantissa[kind]:
        encoder.raw(form.mantissa, 5)
    encoder.integer(Context.EXPONENT + kind, zigzag(form.exponent - expected.exponent[kind]))
    if form.mantissa:
        encoder.flag(Context.SHARED + kind, form.shared)
    encoder.flag(Context.MIXED + kind, not form.mixed)
    expected.mantissa[kind], expected.exponent[kind] = form.mantissa, form.exponent


def write_table(encoder: EncoderFace, expected: Expectations, table: Bits) -> None:
    """A small table of floats, written with the zeros among them: the values of a codebook, the scales of planes."""
    grid = (*table.shape, 1, 1)
    form = form_of(table.reshape(-1), shared=False)
    write_form(encoder, expected, 0, form)
    ones = np.ones(table.shape, np.uint8)
    encoder.floats(grid, ones, form.mantissa, form.exponent, form.shared, form.mixed, table)


def code_width(count: int) -> int:
    """Bits of a code for so many values."""
    return (count - 1).bit_length()
