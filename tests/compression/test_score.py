"""Metrics, and the rule by which nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsurgery.compression.score import Rule, Score
from netsurgery.errors import SettingError

RIGHT = st.lists(st.booleans(), min_size=2, max_size=60)


@pytest.mark.parametrize(
    "given_",
    [
        [1, 0, 1, 1],
        [True, False, True, True],
        np.array([1.0, 0, 1, 1]),
        torch.tensor([1, 0, 1, 1], dtype=torch.bfloat16),
    ],
)
def test_examples_may_be_of_any_kind(given_: object) -> None:
    assert Score.of(given_) == Score(0.75, (1.0, 0.0, 1.0, 1.0))


@pytest.mark.parametrize("given_", [0.75, np.float32(0.75), torch.tensor(0.75), np.array(0.75)])
def test_a_number_has_no_examples(given_: object) -> None:
    assert Score.of(given_) == Score(0.75)


@pytest.mark.parametrize(
    "given_", ["0.9", None, [], [[1.0]], float("nan"), [1.0, float("inf")], ["a"], torch.ones(2, 2)]
)
def test_what_is_no_metric_is_refused(given_: object) -> None:
    with pytest.raises(
        SettingError, match=r"evaluate returned .* it must return a finite number, or one number for each"
    ):
        Score.of(given_)


@given(RIGHT, st.floats(0, 1))
def test_the_mean_decides_where_no_certainty_is_asked(right: list[bool], limit: float) -> None:
    before, after = Score.of([True] * len(right)), Score.of(right)
    verdict = Rule(limit).verdict(before, after)
    assert verdict.drop == pytest.approx(1 - np.mean(right))
    assert verdict.held == (verdict.drop <= limit)


@given(RIGHT, RIGHT, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_more_certainty_never_holds_more(one: list[bool], other: list[bool], low: float, high: float) -> None:
    size = min(len(one), len(other))
    scores = Score.of(one[:size]), Score.of(other[:size])
    low, high = sorted((low, high))
    assert Rule(0.05, low).verdict(*scores).held >= Rule(0.05, high).verdict(*scores).held


def test_what_both_get_wrong_doesn_t_widen_the_error() -> None:
    """Paired: networks that differ in one of 100 examples differ by little, however many both get wrong."""
    right = np.arange(100) % 2
    changed = right.copy()
    changed[1] = 0
    verdict = Rule().verdict(Score.of(right), Score.of(changed))
    assert verdict.drop == pytest.approx(0.01)
    assert verdict.error == pytest.approx(0.01)
    apart = np.sqrt(np.var(right, ddof=1) / 100 + np.var(changed, ddof=1) / 100)
    assert verdict.error < apart / 5


@pytest.mark.parametrize(("size", "share"), [(20, 0.139), (100, 0.0295), (10_000, 0.0003)])
def test_examples_that_show_no_difference_do_not_show_that_there_is_none(size: int, share: float) -> None:
    """A network that loses that share of all examples loses none of so many once in twenty times."""
    right = Score.of([100.0] * size)
    verdict = Rule(100 * share * 0.99, 0.95).verdict(right, right)
    assert (verdict.drop, verdict.error, verdict.held) == (0, 0, False)
    assert verdict.most == pytest.approx(100 * share, rel=0.01)
    assert (1 - (verdict.most or 0) / 100) ** size == pytest.approx(0.05)
    assert Rule(100 * share * 1.01, 0.95).verdict(right, right).held
    assert Rule().verdict(right, right).held  # where the mean decides


def test_a_network_seldom_loses_more_than_is_told_of_few_examples() -> None:
    rng, told = np.random.default_rng(0), []
    for _ in range(4_000):
        before, after = (Score.of(rng.random(50) < share) for share in (0.97, 0.9))
        told.append(Rule().verdict(before, after).most or 0.0)
    assert np.mean(np.array(told) < 0.97 - 0.9) < 0.06


def test_of_one_number_nobody_tells_how_much_may_be_lost() -> None:
    assert Rule().verdict(Score.of(0.9), Score.of(0.9)).most is None
    assert Rule().verdict(Score.of([0.9]), Score.of([0.9])).most is None


def test_other_examples_than_before_are_refused() -> None:
    with pytest.raises(SettingError, match=r"evaluate returned 3 numbers after 2 for the network it began with"):
        Rule().verdict(Score.of([1, 0]), Score.of([1, 0, 1]))


@pytest.mark.parametrize(("limit", "certainty"), [(-0.1, 0.5), (float("nan"), 0.5), (0, 0.4), (0, 1.0), (0, True)])
def test_limits_out_of_range_are_refused(limit: float, certainty: float) -> None:
    with pytest.raises(SettingError, match=r"max_loss=|certainty="):
        Rule(limit, certainty)
