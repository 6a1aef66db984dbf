"""Latent weights are not thrown far."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import netsurgery as ns
from netsurgery.methods.latent_moves import BOUND, LatentMoves


def test_usual_moves_are_followed_in_full() -> None:
    moves = LatentMoves()
    for step in range(20):
        assert moves.shares(["a", "b"], torch.tensor([1.0, 5.0]) * (1 + step % 2)).tolist() == [1.0, 1.0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.just(0.0) | st.floats(1e-15, 1e15), min_size=1, max_size=30))
def test_what_is_followed_is_never_more_than_the_bound_times_the_mean(lengths: list[float]) -> None:
    moves = LatentMoves()
    for length in lengths:
        before = moves.means.get("a", torch.zeros(()))
        (share,) = moves.shares(["a"], torch.tensor([length]))
        assert 0 < share <= 1
        if before > 0:
            assert float(share) * length <= BOUND * float(before) * (1 + 1e-5)


def test_means_stay_where_they_are_and_what_was_saved_is_not_written_to() -> None:
    moves = LatentMoves()
    moves.shares(["a"], torch.tensor([1.0]))
    (place, saved) = moves.means["a"], moves.means["a"].clone()
    resumed = LatentMoves({"a": saved.clone()})
    for one in (moves, resumed):
        one.shares(["a"], torch.tensor([2.0]))
    assert moves.means["a"] is place
    assert saved == 1.0
    assert moves.means["a"] == resumed.means["a"] != 1.0


def test_names_do_not_mix() -> None:
    moves = LatentMoves()
    moves.shares(["a", "b"], torch.tensor([1.0, 100.0]))
    assert moves.shares(["b", "a"], torch.tensor([100.0, 100.0])).tolist() == pytest.approx([1.0, BOUND / 100])


def trained(seed: int, optimizer_type: str, odd_step: int | None, **settings: float) -> float:
    """Accuracy after a surgery; at `odd_step` the loss is a thousand times too large."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    if optimizer_type == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    ns.attach(model, optimizer, ns.Surgery(density=0.2, steps=400, **settings))  # type: ignore[arg-type]
    for step in range(400):
        x = torch.randn(32, 12, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), x[:, :4].argmax(dim=1))
        (loss * (1e3 if step == odd_step else 1.0)).backward()
        optimizer.step()
    x = torch.randn(1000, 12, generator=torch.Generator().manual_seed(99_999))
    return float((model.eval()(x).argmax(dim=1) == x[:, :4].argmax(dim=1)).float().mean())


@pytest.mark.parametrize("seed", range(3))
def test_one_batch_with_a_loss_a_thousand_times_too_large_hardly_changes_the_accuracy(seed: int) -> None:
    assert trained(seed, "adamw", odd_step=150) > trained(seed, "adamw", odd_step=None) - 0.1


@pytest.mark.parametrize("seed", range(3))
def test_coming_and_going_connections_do_not_make_an_odd_batch_worse(seed: int) -> None:
    assert trained(seed, "sgd", odd_step=150) > trained(seed, "sgd", odd_step=150, hysteresis=1e6) - 0.05
