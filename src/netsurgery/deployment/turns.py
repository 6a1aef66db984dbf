"""Calls timed in turns: each a while, then the next, round after round, so that all of them see the same machine.

A turn begins with calls that aren't counted (caches fill, threads wake) and ends with a pause in which the threads of
what ran last stop waiting for more. Who begins changes from round to round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

ROUNDS = 9
PAUSE_S = 0.05
_WARMING_UP = 3  # calls before the first round


@dataclass(frozen=True)
class Spread:
    """A median, and where the lowest and the highest tenth begin."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """At least one value."""
        p10, median, p90 = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
        return cls(median, p10, p90)


@dataclass(frozen=True)
class Times:
    """Microseconds of each call, one list for each round."""

    rounds: tuple[list[float], ...]

    @property
    def calls(self) -> int:
        """How many were timed."""
        return sum(map(len, self.rounds))

    @property
    def latency_us(self) -> Spread:
        """Over all calls."""
        return Spread.of(list(chain.from_iterable(self.rounds)))

    def times_faster_than(self, other: Times) -> Spread:
        """The other's time divided by this one's, both taken in turns: of the medians of each round.

        2 is twice as fast; a spread on both sides of 1 is no difference.
        """
        pairs = zip(self.rounds, other.rounds, strict=True)
        return Spread.of([float(np.median(theirs) / np.median(ours)) for ours, theirs in pairs])


def in_turns(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """Time each call for about so many seconds in all, and at least once in each of the rounds."""
    counts = {name: _count(call, seconds / ROUNDS) for name, call in calls.items()}
    taken: dict[str, list[list[float]]] = {name: [] for name in calls}
    for number in range(ROUNDS):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            _timed(calls[name], -(-counts[name] // 10))
            taken[name].append(_timed(calls[name], counts[name]))
            if len(calls) > 1:
                time.sleep(PAUSE_S)
    return {name: Times(tuple(rounds)) for name, rounds in taken.items()}


def _count(call: Callable[[], Any], seconds: float) -> int:
    """How many calls take so long."""
    once_us = min(_timed(call, _WARMING_UP))
    return max(1, int(seconds * 1e6 / max(once_us, 0.1)))


def _timed(call: Callable[[], Any], count: int) -> list[float]:
    clock, times = time.perf_counter_ns, []
    for _ in range(count):
        started = clock()
        call()
        times.append((clock() - started) / 1000)
    return times
