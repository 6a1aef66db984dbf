"""Contenders timed in turns: each a while, then the next, round after round, so that all of them see the same machine.

A turn begins with calls that aren't counted (caches fill, threads wake) and ends with a pause in which the threads of
what ran last stop waiting for more. Who begins changes from round to round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Turn: TypeAlias = Callable[[int], Sequence[float]]
"""turn(calls) makes so many calls of a contender and gives the microseconds of those that it timed, at least of one;
`functools.partial(timed, call)` is the turn of a call in this process."""

_TRIED = 3  # calls before the first round, which tell how long one takes


@dataclass(frozen=True)
class Pace:
    """How contenders take turns.

    rounds: turns of each, >= 1. turn_s: seconds of a turn, about; or calls: how many it has, whatever they take.
    least_calls: of a turn that lasts turn_s. warm_up_calls: at the begin of each turn, not counted; None: a tenth of
    the turn's. warm_up_rounds: before those that count. pause_s: seconds behind each turn of several contenders.
    """

    rounds: int = 9
    turn_s: float = 0.15
    calls: int | None = None
    least_calls: int = 1
    warm_up_calls: int | None = None
    warm_up_rounds: int = 0
    pause_s: float = 0.05

    def lasting(self, seconds: float) -> Pace:
        """The same rounds in so many seconds of each contender, all rounds together."""
        return replace(self, turn_s=seconds / self.rounds)


@dataclass(frozen=True)
class Spread:
    """A median, and where the lowest and the highest tenth begin."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """At least one value."""
        p10, median, p90 = np.quantile(np.fromiter(values, np.float64), (0.1, 0.5, 0.9)).tolist()
        return cls(median, p10, p90)

    def rounded(self, digits: int = 3) -> dict[str, float]:
        """As records have it."""
        return {key: round(value, digits) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Times:
    """Microseconds of a contender's calls, an array for each round."""

    rounds: tuple[npt.NDArray[np.float64], ...]

    @classmethod
    def of(cls, rounds: Iterable[Sequence[float]]) -> Times:
        """From numbers."""
        return cls(tuple(np.array(times, np.float64) for times in rounds))

    @property
    def calls(self) -> int:
        """How many were timed."""
        return sum(map(len, self.rounds))

    @property
    def latency_us(self) -> Spread:
        """Over all calls that were timed."""
        return Spread.of(np.concatenate(self.rounds))

    @property
    def mean_us(self) -> float:
        """Over all calls that were timed: of work that is rare too."""
        return float(np.concatenate(self.rounds).mean())

    def figures(self) -> dict[str, float]:
        """Median and tenths in microseconds, and how many calls these are of, as records have them."""
        return {f"{key}_us": value for key, value in self.latency_us.rounded(2).items()} | {"calls": self.calls}

    def times_faster_than(self, other: Times) -> Spread:
        """The other's time divided by this one's, both taken in turns: of the medians of each round.

        2 is twice as fast; a spread on both sides of 1 is no difference.
        """
        pairs = zip(self.rounds, other.rounds, strict=True)
        return Spread.of([float(np.median(theirs) / np.median(ours)) for ours, theirs in pairs])


def in_turns(turns: Mapping[str, Turn], pace: Pace) -> dict[str, Times]:
    """Time each contender in each of the rounds."""
    calls = {name: pace.calls or _calls(turn, pace) for name, turn in turns.items()}
    taken: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in turns}
    for number in range(-pace.warm_up_rounds, pace.rounds):
        for name in list(turns)[:: -1 if number % 2 else 1]:
            warm_up = -(-calls[name] // 10) if pace.warm_up_calls is None else pace.warm_up_calls
            if warm_up:
                turns[name](warm_up)
            times = np.array(turns[name](calls[name]), np.float64)
            if number >= 0:
                taken[name].append(times)
            if pace.pause_s and len(turns) > 1:
                time.sleep(pace.pause_s)
    return {name: Times(tuple(rounds)) for name, rounds in taken.items()}


def _calls(turn: Turn, pace: Pace) -> int:
    """How many calls a turn has."""
    once_us = min(turn(_TRIED))
    return max(pace.least_calls, int(pace.turn_s * 1e6 / max(once_us, 0.1)))
