"""Calls are timed in turns, each of them as often as the seconds allow; ratios are of rounds, not of lucky moments."""

from __future__ import annotations

import time
from functools import partial

import pytest

from netsurgery.deployment import turns
from netsurgery.deployment.turns import ROUNDS, Spread, Times, in_turns


def test_the_spread_is_the_median_and_the_tenths() -> None:
    assert Spread.of([float(value) for value in range(101)]) == Spread(50, 10, 90)
    assert Spread.of([3.0]) == Spread(3, 3, 3)


def test_latency_is_over_all_calls_of_all_rounds() -> None:
    times = Times(([1.0, 1.0, 100.0], [3.0, 3.0]))
    assert times.calls == 5
    assert times.latency_us.median == 3


def test_how_many_times_faster_is_told_by_rounds_which_saw_the_same_machine() -> None:
    """The machine is ten times slower in the second round; a ratio of all calls together would know nothing of it."""
    ours, theirs = Times(([1.0], [10.0], [1.0])), Times(([2.0], [20.0], [2.0]))
    assert ours.times_faster_than(theirs) == Spread(2, 2, 2)
    assert theirs.times_faster_than(ours) == Spread(0.5, 0.5, 0.5)


def test_calls_take_turns_and_who_begins_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE_S", 0)
    order: list[str] = []
    times = in_turns({name: partial(order.append, name) for name in "ab"}, 1e-9)
    assert {name: len(one.rounds) for name, one in times.items()} == {"a": ROUNDS, "b": ROUNDS}
    choosing, rounds = order[:6], order[6:]  # by three calls each it is chosen how many a turn has: here one
    assert choosing == list("aaabbb")
    pairs = ["aabb", "bbaa"]  # one to warm up, one that counts
    assert "".join(rounds) == "".join(pairs[number % 2] for number in range(ROUNDS))


def test_time_is_the_callers_to_set_and_every_round_has_a_call() -> None:
    short = in_turns({"a": lambda: time.sleep(0.002)}, 0.001)["a"]
    assert [len(calls) for calls in short.rounds] == [1] * ROUNDS
    long = in_turns({"a": lambda: time.sleep(0.0005)}, 0.1)["a"]
    assert 5 * ROUNDS < long.calls <= 200
    assert long.latency_us.median >= 500
