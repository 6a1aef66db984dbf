"""Bits of whole numbers by remainders: those from the i-th to the one before the j-th are x mod 2^j - x mod 2^i.

Remainders are those that have the sign of the divisor, which makes this hold for negative numbers in two's complement.
"""

from __future__ import annotations

from netsurgery.errors import UnsupportedOperatorError

MOST_BITS = 30
"""2 to this power is the largest one that a constant of whole numbers holds."""


def runs_of_ones(mask: int) -> list[tuple[int, int | None]]:
    """Where bits are 1: from one place on, before another; None where all further ones are, as in negative numbers.

    Raises UnsupportedOperatorError for bits beyond the 30th.
    """
    runs: list[tuple[int, int | None]] = []
    place = 0
    while mask not in (0, -1):
        if mask & 1:
            start = place
            while mask & 1 and mask != -1:
                mask, place = mask >> 1, place + 1
            if mask == -1:
                runs.append((start, None))
                break
            runs.append((start, place))
        else:
            mask, place = mask >> 1, place + 1
    if mask == -1 and (not runs or runs[-1][1] is not None):
        runs.append((place, None))
    if any(place > MOST_BITS for run in runs for place in run if place is not None):
        raise UnsupportedOperatorError(f"reads bits beyond the {MOST_BITS}th; netsurgery computes those below")
    return runs
