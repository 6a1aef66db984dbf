"""Runtimes in turns: each runs a while, then the next, round after round, so that all see the same machine.

A turn begins with calls that aren't counted (caches, threads that wake) and ends with a pause, in which the threads of
the last runtime stop spinning. Who begins changes from round to round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from runtimes import Runtime
from timing import summary

from netsurgery.deployment.comparison import TOLERANCE, largest_difference

PAUSE_S = 0.05
TURN_S = 0.15
"""A turn takes so long, or as long as LEAST_CALLS calls."""
LEAST_CALLS = 2


@dataclass(frozen=True)
class Turns:
    """times_us: runtime -> those of each round."""

    times_us: dict[str, list[list[float]]]

    def figures(self, name: str) -> dict[str, Any]:
        """Median and spread over all calls of a runtime."""
        return summary([time_us for turn in self.times_us[name] for time_us in turn])

    def ratio(self, name: str, other: str) -> dict[str, float]:
        """How many times faster `name` is than `other`: of the medians, and the spread of that over the rounds."""
        rounds = [
            statistics.median(theirs) / statistics.median(ours)
            for ours, theirs in zip(self.times_us[name], self.times_us[other], strict=True)
        ]
        low, high = (float(np.quantile(rounds, share)) for share in (0.1, 0.9))
        median = self.figures(other)["median_us"] / self.figures(name)["median_us"]
        return {"median": round(median, 3), "p10": round(low, 3), "p90": round(high, 3)}


def agreement(runtimes: Mapping[str, Runtime]) -> float:
    """The largest difference of any output from the first runtime's, as a share of the largest.

    Raises SystemExit if it is beyond the tolerance: times of wrong answers mean nothing.
    """
    (first, expected), *others = ((name, runtime.outputs()) for name, runtime in runtimes.items())
    worst = 0.0
    for name, given in others:
        difference = largest_difference(given, expected)
        if not difference <= TOLERANCE:
            raise SystemExit(f"{name} differs from {first} by {difference:.1e} of the largest output.")
        worst = max(worst, difference)
    return worst


def in_turns(runtimes: Mapping[str, Runtime], rounds: int) -> Turns:
    """Times of all runtimes, whatever network each of them runs."""
    calls = {name: _calls(runtime) for name, runtime in runtimes.items()}
    times: dict[str, list[list[float]]] = {name: [] for name in runtimes}
    for number in range(rounds):
        for name in list(runtimes)[:: 1 if number % 2 else -1]:
            runtimes[name].turn(max(1, calls[name] // 10))
            times[name].append(runtimes[name].turn(calls[name]))
            time.sleep(PAUSE_S)
    return Turns(times)


def _calls(runtime: Runtime) -> int:
    """So many that a turn takes TURN_S."""
    once = min(runtime.turn(3)) * 1e-6
    return max(LEAST_CALLS, int(TURN_S / once))
