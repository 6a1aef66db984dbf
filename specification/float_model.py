"""What the bits of floats are predicted from (docs/format.md, "Floats")."""

from __future__ import annotations

from collections.abc import Callable

from specification.grids import COLUMN_SLOTS, Grid, Matrix, Place, share_level
from specification.mixing import Mixer, Slot, Slots, code_with
from specification.range_coder import Coder

NODES = 26
"""Decisions about an exponent that learn apart: is it another one?, downwards?, and 12 for each way."""
NO_EXPONENT = 8
"""The nearness of an entry that isn't there."""
STEADY_RATE = 983


def nearness(exponent: int, frequent: int) -> int:
    """An exponent's distance from the most frequent one, as a context 0 .. 7."""
    return min(max(exponent - frequent + 4, 0), 7)


def code_exponent(exponent: int, frequent: int, decide: Callable[[int, int], int]) -> int:
    """Code a distance from the most frequent exponent: is there any, downwards?, and how far in unary.

    What can only be one way is not asked. decide(node, bit) codes one decision.
    """
    distance = exponent - frequent
    if not decide(0, int(distance != 0)):
        return frequent
    down = 0 if frequent == 0 else 1 if frequent == 255 else decide(1, int(distance < 0))
    farthest = frequent if down else 255 - frequent
    steps = 1
    while steps < farthest and decide(1 + 12 * down + min(steps, 12), int(steps < abs(distance))):
        steps += 1
    return frequent - steps if down else frequent + steps


def code_mantissa(coder: Coder, bits: int, mantissa: int) -> int:
    """Code the first `mantissa` bits of a mantissa, plainly; those behind the twelfth last go first."""
    field = (bits & 0x7FFFFF) >> 23 - mantissa
    low = min(mantissa, 12)
    top = coder.raw(field >> 12, mantissa - low) if mantissa > low else 0
    rest = coder.raw(field & 0xFFF, low)
    return (top << 12 | rest) << 23 - mantissa


class FloatModel:
    """Codes tensors of floats, one after another. Slots begin anew with each, the mixers' weights go on."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._sign_mixer = Mixer(inputs=7, sets=2, steady_rate=STEADY_RATE)
        self._exponent_mixer = Mixer(inputs=8, sets=NODES, steady_rate=STEADY_RATE)

    def code(
        self, grid: Grid, mask: Matrix, mantissa: int, frequent: int, shared: bool, mixed: bool, bits: Matrix
    ) -> None:
        """Code sign, exponent and mantissa of every entry whose mask is 1; others become +0.

        bits: float32 as integers. mantissa: how many of its bits. frequent: the most frequent exponent (biased).
        shared: each row has one mantissa. mixed: signs and exponents with mixed contexts.
        """
        prediction = (
            _MixedPrediction(self._coder, self._sign_mixer, self._exponent_mixer, grid, mask, frequent)
            if mixed
            else _PlainPrediction(self._coder, frequent)
        )
        places = grid.places()
        for r, (kept, entries) in enumerate(zip(mask, bits, strict=True)):
            prediction.begin_row(r)
            common: int | None = None
            for place in places:
                c = place.column
                if not kept[c]:
                    entries[c] = 0
                    continue
                sign = prediction.sign(place, entries[c] >> 31)
                exponent = prediction.exponent(place, entries[c] >> 23 & 255)
                if common is None or not shared:
                    common = code_mantissa(self._coder, entries[c], mantissa)
                entries[c] = sign << 31 | exponent << 23 | common


class _PlainPrediction:
    """Signs as they are; exponents from the one before in the row."""

    def __init__(self, coder: Coder, frequent: int) -> None:
        self._coder = coder
        self._frequent = frequent
        self._slots = Slots()
        self._before = NO_EXPONENT

    def begin_row(self, row: int) -> None:
        self._before = NO_EXPONENT

    def sign(self, place: Place, bit: int) -> int:
        return self._coder.raw(bit, 1)

    def exponent(self, place: Place, exponent: int) -> int:
        exponent = code_exponent(exponent, self._frequent, self._decide)
        self._before = nearness(exponent, self._frequent)
        return exponent

    def _decide(self, node: int, bit: int) -> int:
        return code_with(self._coder, self._slots[self._before, node], bit)


class _MixedPrediction:
    """Signs and exponents from the row, the column, the channel, the neighbours and how dense the mask is.

    A sign is 1 for +, 2 for -, and 0 where there is none.
    """

    def __init__(
        self, coder: Coder, sign_mixer: Mixer, exponent_mixer: Mixer, grid: Grid, mask: Matrix, frequent: int
    ) -> None:
        self._coder = coder
        self._sign_mixer = sign_mixer
        self._exponent_mixer = exponent_mixer
        self._columns = grid.columns
        self._frequent = frequent
        self._row_levels = [share_level(sum(row), grid.columns) for row in mask]
        self._column_levels = [share_level(sum(column), grid.rows) for column in zip(*mask, strict=True)]

        self._sign_overall = Slot()
        self._sign_column, self._sign_channel = Slots(), Slots()
        self._sign_near, self._sign_above, self._sign_path = Slots(), Slots(), Slots()
        self._last_signs = [0] * grid.columns  # of each column, in the nearest row above that has one

        self._overall, self._column, self._channel = Slots(), Slots(), Slots()
        self._path, self._near = Slots(), Slots()
        self._row_density, self._column_density = Slots(), Slots()

    def begin_row(self, row: int) -> None:
        self._sign_row = Slot()
        self._row = Slots()
        self._row_level = self._row_levels[row]
        self._sign_before = 0
        self._before = NO_EXPONENT
        # Of this row's entries so far; the last one stands for a neighbour that doesn't exist.
        self._signs = [0] * (self._columns + 1)
        self._nearness = [NO_EXPONENT] * (self._columns + 1)

    def sign(self, place: Place, bit: int) -> int:
        c = place.column
        left, up, above = self._signs[place.left], self._signs[place.up], self._last_signs[c]
        slots = (
            self._sign_overall,
            self._sign_row,
            self._sign_column[c % COLUMN_SLOTS],
            self._sign_near[left, up],
            self._sign_above[above],
            self._sign_path[self._sign_before, above, left],
            self._sign_channel[place.channel % COLUMN_SLOTS],
        )
        bit = self._sign_mixer.code(self._coder, int(left > 0 or up > 0), slots, bit)
        self._sign_before = self._signs[c] = self._last_signs[c] = 1 + bit
        return bit

    def exponent(self, place: Place, exponent: int) -> int:
        c = place.column
        column, channel = c % COLUMN_SLOTS, place.channel % COLUMN_SLOTS
        left, up = self._nearness[place.left], self._nearness[place.up]

        def decide(node: int, bit: int) -> int:
            slots = (
                self._overall[node],
                self._row[node],
                self._column[column, node],
                self._path[self._before, node],
                self._near[left, up, node],
                self._row_density[self._row_level, node],
                self._channel[channel, node],
                self._column_density[self._column_levels[c], node],
            )
            return self._exponent_mixer.code(self._coder, node, slots, bit)

        exponent = code_exponent(exponent, self._frequent, decide)
        self._before = self._nearness[c] = nearness(exponent, self._frequent)
        return exponent
