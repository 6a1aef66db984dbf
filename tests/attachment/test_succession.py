"""Operations one after another on the same weights: what the first one has pruned stays pruned, or somebody says so."""

from __future__ import annotations

import copy
import gc
import warnings
from typing import Any

import pytest
import torch
from tests.methods.training import is_power, train
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import AttachmentError, RevivedWarning

SURGERY = ns.Surgery(density=0.3, steps=20, interval=2)
INQ = ns.INQ(bits=3, steps=9, portions=(0.4, 0.7, 0.9, 1))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3)))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)


def finished(method: Any = SURGERY, **names: Any) -> tuple[Net, torch.optim.Optimizer, ns.Operation]:
    torch.manual_seed(7)
    model = Net()
    optimizer = sgd(model)
    operation = ns.attach(model, optimizer, ns.Stage(method=method, **names))
    train(model, optimizer, 20)
    operation.finish()
    return model, optimizer, operation


def parameters(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("renewed", [False, True])
def test_the_second_follows_a_finished_one_that_stays_attached_and_no_pruned_bias_comes_back(renewed: bool) -> None:
    model, optimizer, first = finished()
    kept = first.masks
    if renewed:
        optimizer = sgd(model)
    second = ns.attach(model, optimizer, INQ)
    del first
    gc.collect()
    for step in range(20, 32):
        train(model, optimizer, 1, first=step)
        for name, mask in kept.items():
            assert not bool(parameters(model)[name][~mask].any()), name
    second.finish()
    assert is_power(model.conv.weight)
    assert is_power(model.head.weight)
    assert set(second.masks) == {"conv.weight", "head.weight"}


def test_two_operations_give_the_bits_of_one_plan() -> None:
    model, optimizer, _ = finished()
    ns.attach(model, optimizer, INQ)
    train(model, optimizer, 12, first=20)
    torch.manual_seed(7)
    twin = Net()
    other = sgd(twin)
    ns.attach(twin, other, ns.Plan((ns.Stage(method=SURGERY), ns.Stage(method=INQ, start=20))))
    train(twin, other, 32)
    assert all(torch.equal(value, parameters(twin)[name]) for name, value in parameters(model).items())


def test_what_the_second_says_counts_what_the_first_has_pruned() -> None:
    model, optimizer, first = finished()
    before = {name: int(mask.sum()) for name, mask in first.masks.items()}
    second = ns.attach(model, optimizer, ns.Surgery(density=0.8, steps=10, interval=1))
    for step in range(20, 32):
        train(model, optimizer, 1, first=step)
        for row in second.report():
            assert row.kept <= before[row.name]
            assert row.kept >= int(parameters(model)[row.name].count_nonzero())
    assert second.density <= first.density
    first.detach()
    assert second.density > 0.7


def test_both_resume_to_the_bits_of_a_straight_run() -> None:
    model, optimizer, first = finished()
    second = ns.attach(model, optimizer, INQ)
    train(model, optimizer, 4, first=20)
    saved = copy.deepcopy([part.state_dict() for part in (model, optimizer, first, second)])
    train(model, optimizer, 8, first=24)
    resumed = Net()
    again = sgd(resumed)
    resumed.load_state_dict(saved[0])
    third = ns.attach(resumed, again, SURGERY)
    third.load_state_dict(saved[2])
    fourth = ns.attach(resumed, again, INQ)
    fourth.load_state_dict(saved[3])
    again.load_state_dict(saved[1])
    train(resumed, again, 8, first=24)
    assert all(torch.equal(value, parameters(resumed)[name]) for name, value in parameters(model).items())


def test_a_later_stage_that_never_began_is_no_trouble_for_what_the_first_operation_holds() -> None:
    model, optimizer, first = finished()
    second = ns.attach(model, optimizer, ns.Stage(method=INQ, start=50))
    train(model, optimizer, 2, first=20)
    assert second.density < 1
    with pytest.warns(ns.errors.UnfinishedWarning):
        second.finish()
    assert {row.name: row.kept for row in second.report()} == {
        row.name: row.kept for row in first.report() if row.name.endswith("weight")
    }
    second.detach()


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (INQ, SURGERY, "'inq' leaves none free"),
        (SURGERY, ns.Sketching(steps=5), "'sketching' shares its tensors with no other"),
        (ns.Sketching(steps=5), SURGERY, "'sketching' shares its tensors with no other"),
    ],
)
def test_methods_that_could_not_follow_each_other_in_a_plan_are_refused(first: Any, second: Any, reason: str) -> None:
    model, optimizer, _ = finished(first)
    with pytest.raises(AttachmentError, match=rf"already holds conv\.weight, and {reason}.*Stage\(skip"):
        ns.attach(model, optimizer, second)


def test_one_that_has_not_finished_and_one_whose_stage_has_not_begun_are_refused_with_what_to_do() -> None:
    for start in (0, 50):
        model = Net()
        optimizer = sgd(model)
        operation = ns.attach(model, optimizer, ns.Stage(method=SURGERY, start=start))
        with pytest.raises(AttachmentError, match=r"already holds conv\.weight\. Call its finish\(\) first"):
            ns.attach(model, optimizer, INQ)
        operation.detach()


def test_after_detach_the_next_one_warns_of_biases_that_may_come_back() -> None:
    model, optimizer, first = finished()
    pruned = {name: ~mask for name, mask in first.masks.items()}
    biases = int(pruned["conv.bias"].sum() + pruned["head.bias"].sum())
    assert biases
    first.detach()
    with pytest.warns(RevivedWarning, match=rf"^{biases} connections of .*bias.* detached, and may come back now"):
        second = ns.attach(model, optimizer, INQ)
    train(model, optimizer, 9, first=20)
    assert not bool(parameters(model)["conv.weight"][pruned["conv.weight"]].any())
    second.detach()


def test_after_detach_nothing_is_said_where_the_next_one_operates_on_all_that_was_pruned() -> None:
    model, optimizer, first = finished(ns.Surgery(density=0.3, steps=20, interval=2, biases=False))
    first.detach()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ns.attach(model, optimizer, INQ).detach()
        other = Net()
        ns.attach(other, sgd(other), INQ)
