"""Contenders are timed in turns, as long as the pace says; ratios are of rounds, not of lucky moments."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netsurgery.timing.calls import MOST_TIMED, timed
from netsurgery.timing.turns import Pace, Spread, Times, in_turns

AT_ONCE = Pace(turn_s=1e-9, pause_s=0)


class Clock:
    """Every call takes as many nanoseconds as its number, from 1 on."""

    def __init__(self) -> None:
        self.now_ns, self.calls = 0, 0

    def call(self) -> None:
        self.calls += 1
        self.now_ns += self.calls

    def __call__(self) -> int:
        return self.now_ns


def test_the_spread_is_the_median_and_the_tenths() -> None:
    assert Spread.of([float(value) for value in range(101)]) == Spread(50, 10, 90)
    assert Spread.of([3.0]) == Spread(3, 3, 3)
    assert Spread.of([1 / 3]).rounded(2) == {"median": 0.33, "p10": 0.33, "p90": 0.33}


def test_latency_is_over_all_calls_of_all_rounds() -> None:
    times = Times.of([[1.0, 1.0, 100.0], [3.0, 3.0]])
    assert times.calls == 5
    assert times.latency_us.median == 3
    assert times.mean_us == 108 / 5
    assert times.figures()["median_us"] == 3
    assert times.figures()["calls"] == 5


def test_how_many_times_faster_is_told_by_rounds_which_saw_the_same_machine() -> None:
    """The machine is ten times slower in two rounds of which there are more calls of one contender."""
    ours, theirs = Times.of([[1.0], [10.0], [10.0]]), Times.of([[2.0] * 9, [20.0], [20.0]])
    assert theirs.latency_us.median / ours.latency_us.median < 1
    assert ours.times_faster_than(theirs) == Spread(2, 2, 2)
    assert theirs.times_faster_than(ours) == Spread(0.5, 0.5, 0.5)


def test_contenders_take_turns_and_who_begins_changes() -> None:
    order: list[str] = []
    times = in_turns({name: partial(timed, partial(order.append, name)) for name in "ab"}, AT_ONCE)
    assert {name: len(one.rounds) for name, one in times.items()} == {"a": 9, "b": 9}
    choosing, rounds = order[:6], order[6:]  # by three calls each it is chosen how many a turn has: here one
    assert choosing == list("aaabbb")
    pairs = ["aabb", "bbaa"]  # one to warm up, one that counts
    assert "".join(rounds) == "".join(pairs[number % 2] for number in range(9))


def test_a_pace_says_how_many_calls_a_turn_has_and_what_does_not_count() -> None:
    asked: list[int] = []

    def turn(calls: int) -> Sequence[float]:
        asked.append(calls)
        return [float(len(asked))]

    pace = Pace(rounds=2, calls=5, warm_up_calls=0, warm_up_rounds=1, pause_s=0)
    times = in_turns({"a": turn}, pace)["a"]
    assert asked == [5, 5, 5]
    assert [own.tolist() for own in times.rounds] == [[2.0], [3.0]]


def test_a_turn_lasts_as_long_as_it_should_and_has_a_call_at_least() -> None:
    short = in_turns({"a": partial(timed, lambda: time.sleep(0.002))}, Pace(pause_s=0).lasting(0.001))["a"]
    assert [len(calls) for calls in short.rounds] == [1] * 9
    more = in_turns({"a": partial(timed, lambda: time.sleep(0.002))}, Pace(3, 1e-9, least_calls=2, pause_s=0))["a"]
    assert [len(calls) for calls in more.rounds] == [2] * 3
    long = in_turns({"a": partial(timed, lambda: time.sleep(0.0005))}, Pace(pause_s=0).lasting(0.1))["a"]
    assert 5 * 9 < long.calls <= 200
    assert long.latency_us.median >= 500


@given(st.one_of(st.integers(0, 3 * MOST_TIMED), st.sampled_from([MOST_TIMED, MOST_TIMED + 1, 2 * MOST_TIMED])))
def test_all_calls_are_made_and_a_bounded_number_evenly_spread_over_them_is_timed(calls: int) -> None:
    clock = Clock()
    times = timed(clock.call, calls, clock)
    assert clock.calls == calls
    assert len(times) <= MOST_TIMED
    assert len(times) >= min(calls, MOST_TIMED / 2)
    numbers = np.round(1000 * np.array(times)).astype(int)  # which call it was
    assert calls == 0 or numbers[0] == 1
    assert len(set(np.diff(numbers))) <= 1


def test_memory_does_not_grow_with_the_length_of_a_measurement() -> None:
    def kept_bytes(calls: int) -> int:
        pace = Pace(rounds=3, calls=calls, warm_up_calls=0, pause_s=0)
        tracemalloc.start()
        times = in_turns({"a": partial(timed, int)}, pace)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(times["a"].rounds) == 3
        return peak

    assert kept_bytes(20 * MOST_TIMED) < 1.5 * kept_bytes(MOST_TIMED) < 2e6
