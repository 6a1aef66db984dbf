"""What is tried next: a search over densities and bits that learns from what came of the trials before.

    density falls by large factors while the limit holds ──▶ few bits for the smallest that held it
         ▲ fails: back to the one before, a smaller factor, more steps       │
         └────────────── denser or sparser, with as many bits ◀──────────────┘ until the budget is spent

It is a generator that is sent the outcome of each trial, and nothing else decides: a search that goes on from what was
recorded takes the same way as one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from netsurgery.compression.candidate import REFERENCE, Candidate, Objective, Trial, best

Search: TypeAlias = Generator[Trial, Candidate, None]

_FIRST_FACTOR = 0.1  # of the density, in the first trial
_SMALLEST_GAIN = 0.93  # a factor nearer to 1 isn't worth a trial
_DENSITY_SHARE, _BITS_SHARE = 0.4, 0.15  # of the budget
_DENSITY_TRIALS, _BITS_TRIALS = 8, 3  # that these are divided among
_LONGER = 1.25  # how much more steps a trial gets after one that failed
_FEWEST_STEPS = 20
_BITS = (4, 3, 2)
_MORE_BITS = (5, 6)
_NEAR = 1.0  # standard errors beyond the limit up to which bits are tried all the same


@dataclass(frozen=True)
class Terms:
    """What a search is given.

    steps: optimizer steps that may be spent, what evaluating and packing takes counted as steps as well: `overhead` for
    each trial. prunes, quantizes: whether it may do either.
    """

    objective: Objective
    steps: int
    overhead: int
    prunes: bool = True
    quantizes: bool = True


class _Account:
    """Steps that are left."""

    def __init__(self, terms: Terms) -> None:
        self.left = terms.steps
        self._overhead = terms.overhead

    def affords(self, steps: int) -> bool:
        return steps >= _FEWEST_STEPS and steps + self._overhead <= self.left

    def spend(self, trial: Trial) -> None:
        self.left -= trial.steps + self._overhead


def search(reference: Candidate, terms: Terms) -> Search:
    """Yields trials and is sent what came of each; ends when nothing that is affordable promises anything.

    reference: the candidate that it begins with, number 0.
    """
    account = _Account(terms)
    found = [reference]
    pruned = reference
    factor = _FIRST_FACTOR
    unit = max(_FEWEST_STEPS, round(terms.steps * _DENSITY_SHARE / _DENSITY_TRIALS) - terms.overhead)

    # Few connections: large steps down, smaller ones where one fails.
    while terms.prunes and factor < _SMALLEST_GAIN and account.affords(unit):
        if account.left < terms.steps * (1 - _DENSITY_SHARE) and pruned.number != REFERENCE:
            break
        yield from _tried(Trial(pruned.number, _density(pruned, factor), None, unit), account, found)
        if found[-1].held and not found[-1].failed:
            pruned = found[-1]
        else:
            factor, unit = math.sqrt(factor), round(unit * _LONGER)

    # Few bits for what is left; where none hold, for the one before it.
    bits_unit = max(_FEWEST_STEPS, round(terms.steps * _BITS_SHARE / _BITS_TRIALS) - terms.overhead)
    fewest = None
    if terms.quantizes:
        fewest = yield from _fewest_bits(pruned, bits_unit, account, found)
        if fewest is None and pruned.number != REFERENCE and account.affords(bits_unit):
            parent = found[pruned.trial.start if pruned.trial else REFERENCE]
            fewest = yield from _fewest_bits(parent, bits_unit, account, found)

    # Both together, with what is left of the budget: each point gets longer than any before.
    factor = min(max(factor, 0.5), 0.8)
    while terms.prunes and factor < _SMALLEST_GAIN:
        behind = bits_unit + terms.overhead if fewest else 0
        longer = min(2 * unit, account.left - behind - terms.overhead)
        if not account.affords(longer) or longer < unit // 2:
            break
        yield from _tried(Trial(pruned.number, _density(pruned, factor), None, longer), account, found)
        latest = found[-1]
        near = latest.held or (latest.error is not None and latest.drop - _NEAR * latest.error <= 0)
        cheaper = False
        if fewest and near and not latest.failed and account.affords(bits_unit):
            before = best(found, terms.objective)
            yield from _tried(Trial(latest.number, None, fewest, bits_unit), account, found)
            cheaper = best(found, terms.objective) != before
        if latest.held and not latest.failed:
            pruned = latest
        elif not cheaper:
            factor = math.sqrt(factor)


def _tried(trial: Trial, account: _Account, found: list[Candidate]) -> Search:
    """Have a trial carried out: it is paid for, and what came of it is the last that was found."""
    account.spend(trial)
    found.append((yield trial))


def _fewest_bits(
    start: Candidate, steps: int, account: _Account, found: list[Candidate]
) -> Generator[Trial, Candidate, int | None]:
    """Try fewer and fewer bits from a candidate on; the fewest that hold the limit, or None."""
    fewest = None
    for bits in _BITS:
        if not account.affords(steps):
            return fewest
        yield from _tried(Trial(start.number, None, bits, steps), account, found)
        if not found[-1].held or found[-1].failed:
            break
        fewest = bits
    if fewest is None:
        for bits in _MORE_BITS:
            if not account.affords(steps):
                break
            yield from _tried(Trial(start.number, None, bits, steps), account, found)
            if found[-1].held and not found[-1].failed:
                return bits
    return fewest


def _density(candidate: Candidate, factor: float) -> float:
    """The density of the next trial; at least a connection is left."""
    return max(candidate.density * factor, 1 / candidate.connections)
