"""The tables are what their formulas say on every machine, and what learns stays within its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext

import pytest

from specification.mixing import (
    LARGEST_LOGIT,
    LOGIT,
    PROBABILITY,
    SLOT_RATE,
    Mixer,
    Slot,
    Slots,
    code_with,
)

NEAREST_TIE = Decimal("9e-5")  # what docs/format.md says; double precision is off by about 1e-10 at most


def exact_logits() -> list[Decimal]:
    return [256 * (Decimal(2 * i + 1) / Decimal(8191 - 2 * i)).ln() for i in range(4096)]


def exact_probabilities() -> list[Decimal]:
    return [65536 / (1 + (Decimal(-t) / 256).exp()) for t in range(-LARGEST_LOGIT, LARGEST_LOGIT + 1)]


@pytest.mark.parametrize(("table", "exact"), [(LOGIT, exact_logits), (PROBABILITY, exact_probabilities)])
def test_no_entry_of_a_table_hangs_on_rounding(table: list[int], exact) -> None:
    with localcontext() as context:
        context.prec = 40
        for entry, value in zip(table, exact(), strict=True):
            floor = (value + Decimal("0.5")).to_integral_value(ROUND_FLOOR)
            assert entry == floor
            above = value + Decimal("0.5") - floor
            assert NEAREST_TIE < above < 1 - NEAREST_TIE


def test_tables_have_the_ends_that_the_format_names() -> None:
    assert (LOGIT[0], LOGIT[-1], PROBABILITY[0], PROBABILITY[-1]) == (-2307, 2307, 1, 65535)
    assert (*SLOT_RATE[:3], SLOT_RATE[-1]) == (26214, 18724, 14563, 254)


class Recorder:
    """A coder that notes the probability of each bit."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def code(self, bit: int, p: int) -> int:
        self.seen.append(p)
        return bit

    def raw(self, value: int, count: int) -> int:
        return value


def contexts(bits: Sequence[int], mixer: Mixer | None) -> list[int]:
    """The probabilities of 1 that a slot, or a mixer of three, gave to these bits one after another."""
    coder, slot, slots = Recorder(), Slot(), Slots()
    for i, bit in enumerate(bits):
        if mixer is None:
            code_with(coder, slot, bit)
        else:
            mixer.code(coder, 0, (slot, slots["parity", i % 2], slots["third", i % 3]), bit)
    return coder.seen


@pytest.mark.parametrize("bit", [0, 1])
def test_certainty_grows_to_its_bound_and_no_further(bit: int) -> None:
    alone = contexts([bit] * 5000, None)
    assert alone[0] == 32768
    assert alone[-1] == (65536 - 16 if bit else 16)
    mixed = contexts([bit] * 5000, Mixer(3, 1, 983))
    assert abs(mixed[-1] - 65536 * bit) <= 16
    assert all(1 <= p <= 65535 for p in mixed)


def test_a_slot_alone_counts_the_first_bits_and_then_forgets() -> None:
    seen = contexts([1, 1, 1, 0, 0, 0], None)
    assert seen[:2] == [32768, (2**21 + (2**21 * 26214 >> 16)) >> 6]
    assert seen[3] == max(seen)
    drifting = contexts([1] * 2000 + [0] * 400, None)
    assert drifting[-1] < 32768 / 2  # 400 times 254 / 65536 of what is left: e^-1.55


def test_a_mixer_learns_which_slot_knows() -> None:
    alternating = [i % 2 for i in range(600)]
    seen = contexts(alternating, Mixer(3, 1, 983))
    assert all(abs(p - 65536 * bit) < 3000 for p, bit in zip(seen[400:], alternating[400:], strict=True))
    assert all(abs(p - 32768) < 14000 for p in contexts(alternating, None)[8:])
