"""The comparators: the naive cut, and Han et al. 2015."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns


def test_the_naive_cut_happens_at_once_and_for_good() -> None:
    torch.manual_seed(0)
    model = nn.Linear(30, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.1))
    kept = model.weight != 0
    assert sum(row.kept for row in operation.report()) == 31
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(4, 30)).square().mean().backward()
        optimizer.step()
    assert torch.equal(model.weight != 0, kept)
    operation.finish()


def test_the_naive_cut_remembers_no_latent_weights() -> None:
    model = nn.Linear(30, 10)
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.NaiveCut(density=0.1))
    weights = operation.state_dict()["stages"][0]["weights"]
    assert torch.equal(weights["weight"], model.weight)


def test_han_prunes_below_quality_times_the_deviation_of_what_is_left_each_round() -> None:
    values = np.random.default_rng(0).normal(size=(20, 20))
    model = nn.Linear(20, 20, bias=False).double()
    model.weight.data = torch.from_numpy(values.copy())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.HanPruning(quality=0.5, rounds=3, round_steps=2))
    expected = values.copy()
    for steps in range(1, 8):
        if (steps - 1) % 2 == 0 and (steps - 1) // 2 < 3:
            left = expected[expected != 0]
            expected[np.abs(expected) <= 0.5 * left.std()] = 0
        np.testing.assert_array_equal(model.weight.detach().numpy(), expected)
        model.weight.grad = torch.zeros_like(model.weight)
        optimizer.step()
    assert operation.report()[0].spliced_total == 0
    assert operation.report()[0].kept == np.count_nonzero(expected)


def test_han_never_lets_a_connection_back() -> None:
    torch.manual_seed(0)
    model = nn.Linear(30, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    ns.attach(model, optimizer, ns.HanPruning(quality=0.7, rounds=4, round_steps=3))
    pruned = model.weight == 0
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.randn(4, 30)).square().mean().backward()
        optimizer.step()
        now = model.weight == 0
        assert bool(now[pruned].all())
        pruned = now


@pytest.mark.parametrize(("setting", "value"), [("quality", -1), ("rounds", 0), ("round_steps", 0)])
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ns.errors.SettingError, match=rf"{setting}=.* is not allowed"):
        ns.HanPruning(**{setting: value})
