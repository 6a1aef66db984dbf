"""Budgets as users write them."""

from __future__ import annotations

from typing import Any

import pytest

from netsurgery.compression.budget import Budget
from netsurgery.errors import SettingError


@pytest.mark.parametrize(
    ("given", "amount", "unit", "words"),
    [
        ("30m", 1800, "seconds", "30 min"),
        ("1.5 h", 5400, "seconds", "1.5 h"),
        ("90s", 90, "seconds", "1.5 min"),
        ("20 s", 20, "seconds", "20 s"),
        ("2d", 172_800, "seconds", "48 h"),
        ("40 epochs", 40, "epochs", "40 epochs"),
        ("0.5 epochs", 0.5, "epochs", "0.5 epochs"),
        ("20_000 steps", 20_000, "steps", "20,000 steps"),
        ("20,000 steps", 20_000, "steps", "20,000 steps"),
        (400, 400, "steps", "400 steps"),
        (400.0, 400, "steps", "400 steps"),
    ],
)
def test_a_budget_is_read_and_said(given: object, amount: float, unit: str, words: str) -> None:
    budget = Budget.of(given)
    assert (budget.amount, budget.unit, str(budget)) == (amount, unit, words)
    assert Budget.of(budget) is budget


@pytest.mark.parametrize(
    ("amount", "unit"), [(-3, "steps"), (0, "seconds"), (1.5, "steps"), (3, "parsecs"), (float("inf"), "seconds")]
)
def test_a_budget_that_is_made_by_hand_is_checked_as_well(amount: Any, unit: Any) -> None:
    with pytest.raises(SettingError, match=rf"budget='{amount} {unit}' is not allowed"):
        Budget(amount, unit)


@pytest.mark.parametrize(
    "given", ["", "30", "m", "-3m", "0 steps", "1.5 steps", "3 weeks", 0, -1, 2.5, None, True, "inf s"]
)
def test_what_is_no_budget_is_refused_with_what_is_one(given: object) -> None:
    with pytest.raises(SettingError, match=r"budget=.* is not allowed: budget must be optimizer steps.*'30m'"):
        Budget.of(given)
