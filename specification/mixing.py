"""Probabilities that learn, and their mixing (docs/format.md, "Slots" and "Mixing").

A slot estimates one bit in one situation. A mixer weighs the estimates of several slots, as deviations from the first
one, in the domain of logits. Everything is integer arithmetic, so that every machine gets the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from operator import mul

from specification.range_coder import Coder

LOGIT_UNIT = 256
"""One unit of logit."""
LARGEST_LOGIT = 2815
"""11 units: a probability of 1 / 65536 * 1.10."""
LARGEST_COUNT = 255
"""Observations after which a slot learns no more slowly."""
LARGEST_AGE = 1023
"""Decisions after which a set of weights learns no more slowly."""
LARGEST_WEIGHT = 16 * 65536
"""Far beyond what learning reaches."""
CERTAIN = 2**22
"""A slot's probability one."""
EVEN = 2**21
"""A slot's probability one half."""
MARGIN = 1024
"""How near a slot comes to 0 and to CERTAIN."""


def _logit(i: int) -> int:
    p = (i + 0.5) / 4096
    return math.floor(math.log(p / (1 - p)) * LOGIT_UNIT + 0.5)


def _probability(logit: int) -> int:
    return math.floor(65536 / (1 + math.exp(-logit / LOGIT_UNIT)) + 0.5)


LOGIT = [_logit(i) for i in range(4096)]
"""Of the probability (i + 1/2) / 4096."""
PROBABILITY = [_probability(logit) for logit in range(-LARGEST_LOGIT, LARGEST_LOGIT + 1)]
"""Of a logit, in 1 / 65536; the first entry is that of -LARGEST_LOGIT."""
SLOT_RATE = [131072 // (2 * count + 5) for count in range(LARGEST_COUNT + 1)]
"""1 / (count + 5/2), in 1 / 65536."""


class Slot:
    """One estimate: the probability of a 1 in units of 2^-22 (0: none yet), and how often it was seen."""

    __slots__ = ("count", "p")

    def __init__(self) -> None:
        self.p = 0
        self.count = 0

    def begin_with(self, p: int) -> None:
        """Start from p unless there is an estimate already."""
        if not self.p:
            self.p = p

    def learn(self, bit: int) -> None:
        """Move towards the bit that came."""
        p = self.p
        p += (bit * CERTAIN - p) * SLOT_RATE[self.count] >> 16
        self.p = MARGIN if p < MARGIN else CERTAIN - MARGIN if p > CERTAIN - MARGIN else p
        if self.count < LARGEST_COUNT:
            self.count += 1

    @property
    def p16(self) -> int:
        """The probability in units of 2^-16, 1 .. 65535."""
        return self.p >> 6


class Slots(dict[Hashable, Slot]):
    """Slots by context; each comes into being when it is first asked for."""

    def __missing__(self, context: Hashable) -> Slot:
        slot = self[context] = Slot()
        return slot


def code_with(coder: Coder, slot: Slot, bit: int) -> int:
    """Code one bit with one slot alone."""
    slot.begin_with(EVEN)
    bit = coder.code(bit, slot.p16)
    slot.learn(bit)
    return bit


class Mixer:
    """Weighs a fixed number of slots. It has several sets of weights; each decision says which one it uses."""

    def __init__(self, inputs: int, sets: int, steady_rate: int) -> None:
        self._weights = [[65536] + [10486] * (inputs - 1) for _ in range(sets)]  # 1, and 0.16
        self._ages = [0] * sets
        self._steady_rate = steady_rate

    def code(self, coder: Coder, chosen: int, slots: Sequence[Slot], bit: int) -> int:
        """Code one bit. A slot that has seen nothing begins where the first one stands."""
        weights = self._weights[chosen]
        slots[0].begin_with(EVEN)
        first = slots[0].p
        base = LOGIT[first >> 10]
        inputs = [base]
        for slot in slots[1:]:
            if not slot.p:
                slot.p = first
            inputs.append(LOGIT[slot.p >> 10] - base)
        logit = sum(map(mul, weights, inputs)) >> 16
        p = PROBABILITY[min(max(logit, -LARGEST_LOGIT), LARGEST_LOGIT) + LARGEST_LOGIT]

        bit = coder.code(bit, p)

        age = self._ages[chosen]
        step = (bit * 65536 - p) * (self._steady_rate + 65536 // (50 + age))
        moved = [weight + (step * value + 2**23 >> 24) for weight, value in zip(weights, inputs, strict=True)]
        if max(moved) > LARGEST_WEIGHT or min(moved) < -LARGEST_WEIGHT:
            moved = [min(max(weight, -LARGEST_WEIGHT), LARGEST_WEIGHT) for weight in moved]
        self._weights[chosen] = moved
        self._ages[chosen] = min(age + 1, LARGEST_AGE)
        for slot in slots:
            slot.learn(bit)
        return bit
