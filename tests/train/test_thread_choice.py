"""The number of threads is the one with which steps are quickest, seen on a clock of our own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from netsurgery.train.thread_choice import candidate_threads, quickest_threads


class Machine:
    """A step takes as long as `seconds` says for the number of threads that torch has then."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.seconds, self.now_ns, self.steps = seconds, 0, 0

    def step(self) -> None:
        self.now_ns += round(1e9 * self.seconds(torch.get_num_threads()))
        self.steps += 1

    def clock(self) -> int:
        return self.now_ns


@pytest.mark.parametrize(
    ("seconds", "most", "expected"),
    [
        (lambda threads: 1 / threads, 8, 8),
        (lambda threads: 1 / threads, 6, 6),
        (lambda threads: 0.1 if threads == 1 else 3.0, 2, 1),  # a busy machine: threads wait for each other
        (lambda threads: 1.0 if threads == 1 else 0.95, 4, 1),  # too little to be more than chance
        (lambda threads: {1: 1.0, 2: 0.6, 4: 0.58}[threads], 4, 2),
        (lambda _: 1.0, 1, 1),
    ],
)
def test_as_many_threads_as_pay(seconds: Callable[[int], float], most: int, expected: int) -> None:
    before = torch.get_num_threads()
    machine = Machine(seconds)
    chosen, medians_us = quickest_threads(machine.step, most, machine.clock)
    assert chosen == expected
    assert medians_us[chosen] == pytest.approx(1e6 * seconds(chosen))
    assert torch.get_num_threads() == before


def test_a_step_that_fails_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        quickest_threads(fail, 4)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_candidates_rise_in_powers_of_two_to_all_there_are(most: int, expected: list[int]) -> None:
    assert candidate_threads(most) == expected
