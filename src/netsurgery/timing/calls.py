"""Times of single calls. Needs nothing but Python 3.8: an interpreter that lacks this library loads the file alone."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_TIMED = 8_192
"""Times that are kept of one turn, at most: memory is bounded however long a measurement lasts."""


def timed(call: Callable[[], object], calls: int, clock: Callable[[], int] = time.perf_counter_ns) -> list[float]:
    """Make so many calls, one after another, and give the microseconds of each.

    Of more than MOST_TIMED calls every second, third, ... is timed, so that no more than MOST_TIMED are: a sample from
    begin to end, whose quantiles are exact. clock: nanoseconds.
    """
    every = -(-calls // MOST_TIMED)
    times = []
    for place in range(0, calls, max(every, 1)):
        started = clock()
        call()
        times.append((clock() - started) / 1000)
        for _ in range(min(every, calls - place) - 1):
            call()
    return times
