"""Zeros that are there stay; nothing else is held."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import netsurgery as ns

OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.05),
}


def pruned_model() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    with torch.no_grad():
        for index in (0, 4):
            weight = model[index].weight
            weight[torch.rand_like(weight) < 0.7] = 0
    return model


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(4, 2, 8, generator=generator)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_zeros_stay_and_everything_else_trains_on(kind: str) -> None:
    model = pruned_model()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = OPTIMIZERS[kind](model.parameters())
    operation = ns.attach(model, optimizer, ns.KeepZeros())
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    train(model, optimizer, 8)
    operation.finish()
    for name in ("0.weight", "4.weight"):
        now = model.get_parameter(name)
        assert torch.equal(now == 0, before[name] == 0)
        assert not torch.equal(now, before[name])
    assert operation.density == pytest.approx(
        float(sum((before[n] != 0).sum() for n in ("0.weight", "4.weight"))) / 144
    )


def test_biases_are_held_only_on_request() -> None:
    for held in (False, True):
        model = pruned_model()
        nn.init.zeros_(model[4].bias)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        operation = ns.attach(model, optimizer, ns.KeepZeros(biases=held))
        train(model, optimizer, 3)
        operation.finish()
        assert bool((model[4].bias == 0).all()) == held


def test_a_resumed_training_ends_with_the_bits_of_a_straight_one() -> None:
    def begun() -> tuple[nn.Module, torch.optim.Optimizer, ns.Operation]:
        model = pruned_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return model, optimizer, ns.attach(model, optimizer, ns.KeepZeros())

    straight, optimizer, _ = begun()
    train(straight, optimizer, 5)
    train(straight, optimizer, 5)
    model, optimizer, operation = begun()
    train(model, optimizer, 5)
    saved = (model.state_dict(), optimizer.state_dict(), operation.state_dict())
    again, optimizer, operation = begun()
    again.load_state_dict(saved[0])
    operation.load_state_dict(saved[2])
    optimizer.load_state_dict(saved[1])
    train(again, optimizer, 5)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), again.parameters(), strict=True))


def test_quantization_may_follow() -> None:
    model = pruned_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    plan = ns.Plan((ns.Stage(method=ns.KeepZeros()), ns.Stage(method=ns.INQ(bits=3, steps=9), start=0)))
    operation = ns.attach(model, optimizer, plan)
    zeros = model[4].weight == 0
    train(model, optimizer, 9)
    operation.finish()
    assert bool((model[4].weight[zeros] == 0).all())
    assert len(model[4].weight.abs().unique()) <= 3
