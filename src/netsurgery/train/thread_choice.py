"""How many threads a training is given: as many as are really quicker on this machine, as busy as it is now.

Threads of OpenMP wait for each other at the end of every operator, and spin while they wait. Beside one other busy
process on two cores a step of a small network takes thirty times as long with two threads as with one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from netsurgery.timing.calls import timed
from netsurgery.timing.turns import Pace, Turn, in_turns

_PACE = Pace(rounds=5, calls=1, warm_up_calls=0, warm_up_rounds=2, pause_s=0)  # memory is found, code is chosen
_GAIN = 1.15  # by which more threads have to be quicker: less is chance, and another process may come


def quickest_threads(
    step: Callable[[], None], most: int, clock: Callable[[], int] = time.perf_counter_ns
) -> tuple[int, dict[int, float]]:
    """The number of threads for steps like this one, and the median microseconds of a step by number of threads.

    step: a training step of its own, which may be repeated. most: threads at most, >= 1. Candidates are 1, 2, 4, ...
    and `most`, in turns. torch's number of threads is afterwards what it was. clock: nanoseconds.
    """
    before = torch.get_num_threads()
    candidates = candidate_threads(most)

    def turn_with(count: int) -> Turn:
        def turn(calls: int) -> list[float]:
            torch.set_num_threads(count)
            return timed(step, calls, clock)

        return turn

    try:
        times = in_turns({str(count): turn_with(count) for count in candidates}, _PACE)
    finally:
        torch.set_num_threads(before)
    medians_us = {count: times[str(count)].latency_us.median for count in candidates}
    chosen = 1
    for count in candidates[1:]:
        if medians_us[count] * _GAIN < medians_us[chosen]:
            chosen = count
    return chosen, medians_us


def candidate_threads(most: int) -> Sequence[int]:
    """1, 2, 4, ... and `most` itself, rising."""
    powers = [1 << place for place in range(most.bit_length()) if 1 << place < most]
    return [*powers, most]
