"""How many threads a training is given: as many as are really quicker on this machine, as busy as it is now.

Threads of OpenMP wait for each other at the end of every operator, and spin while they wait. Beside one other busy
process on two cores a step of a small network takes thirty times as long with two threads as with one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

_ROUNDS = 5
_WARM_UP = 2  # steps, in which memory is found and code chosen
_GAIN = 1.15  # by which more threads have to be quicker: less is chance, and another process may come


def quickest_threads(
    step: Callable[[], None], most: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[int, dict[int, float]]:
    """The number of threads for steps like this one, and the median seconds of a step by number of threads.

    step: a training step of its own, which may be repeated. most: threads at most, >= 1. Candidates are 1, 2, 4, ...
    and `most`, interleaved. torch's number of threads is afterwards what it was.
    """
    before = torch.get_num_threads()
    candidates = candidate_threads(most)
    times_s: dict[int, list[float]] = {count: [] for count in candidates}
    try:
        for place in range(_WARM_UP + _ROUNDS):
            for count in candidates:
                torch.set_num_threads(count)
                started_s = clock()
                step()
                if place >= _WARM_UP:
                    times_s[count].append(clock() - started_s)
    finally:
        torch.set_num_threads(before)
    medians_s = {count: statistics.median(times) for count, times in times_s.items()}
    chosen = 1
    for count in candidates[1:]:
        if medians_s[count] * _GAIN < medians_s[chosen]:
            chosen = count
    return chosen, medians_s


def candidate_threads(most: int) -> Sequence[int]:
    """1, 2, 4, ... and `most` itself, rising."""
    powers = [1 << place for place in range(most.bit_length()) if 1 << place < most]
    return [*powers, most]
