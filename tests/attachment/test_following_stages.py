"""Stages that follow each other on a tensor: surgery decides what stays, then what stays becomes powers of two."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from tests.methods.training import is_power, train
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import PlanError
from netsurgery.methods import exchange
from netsurgery.methods.state import report

SURGERY = ns.Surgery(density=0.3, steps=20, interval=2)  # masks are fixed at step 14
INQ = ns.INQ(bits=3, steps=9, portions=(0.4, 0.7, 0.9, 1))
PLAN = ns.Plan((ns.Stage(method=SURGERY), ns.Stage(method=INQ, start=16)), seed=4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3)))


def attached(plan: Any = PLAN, model: nn.Module | None = None) -> tuple[nn.Module, torch.optim.Optimizer, ns.Operation]:
    torch.manual_seed(7)
    model = model or Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)
    return model, optimizer, ns.attach(model, optimizer, plan)


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_zeros_of_surgery_stay_and_portions_are_of_the_survivors() -> None:
    model, optimizer, operation = attached()
    train(model, optimizer, 16)
    after_surgery = {name: mask.clone() for name, mask in operation.masks.items()}
    assert sum(int(mask.sum()) for mask in after_surgery.values()) == round(0.3 * 135)
    for step in range(16, 30):
        rows = {row.name: row for row in operation.report()}
        portion = INQ.portions[min((step - 16) // 3, 3)]
        for name in ("conv.weight", "head.weight"):
            survivors = int(after_surgery[name].sum())
            zeroed = survivors - rows[name].kept
            assert rows[name].quantized + zeroed == round(portion * survivors)
        train(model, optimizer, 1, first=step)
        for name, mask in after_surgery.items():
            assert not bool((dict(model.named_parameters())[name] != 0)[~mask].any())
    assert is_power(model.conv.weight)
    assert is_power(model.head.weight)
    assert not is_power(model.head.bias)
    operation.finish()
    before = copy.deepcopy(model.state_dict())
    train(model, optimizer, 5, first=30)
    assert torch.equal(model.conv.weight, before["conv.weight"])
    assert not torch.equal(model.head.bias, before["head.bias"])


def test_the_earlier_stage_alone_gives_the_same_weights_until_the_later_one_begins() -> None:
    model, optimizer, _ = attached()
    twin, other, _ = attached(ns.Plan(PLAN.stages[:1], seed=4))
    train(model, optimizer, 15)
    train(twin, other, 15)
    assert same(model.state_dict(), twin.state_dict())
    train(model, optimizer, 1, first=15)
    train(twin, other, 1, first=15)
    assert not same(model.state_dict(), twin.state_dict())


@pytest.mark.parametrize("stop", [9, 15, 16, 18, 25])
def test_resuming_equals_a_straight_run_bit_for_bit_in_either_stage(stop: int) -> None:
    straight, optimizer, operation = attached()
    train(straight, optimizer, stop)
    file = io.BytesIO()
    parts = {"model": straight, "optimizer": optimizer, "operation": operation}
    torch.save({name: part.state_dict() for name, part in parts.items()}, file)
    train(straight, optimizer, 28 - stop, first=stop)

    resumed, optimizer, again = attached()
    train(resumed, optimizer, 20)  # in the later stage already; loading has to undo that too
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    for name, part in {"model": resumed, "optimizer": optimizer, "operation": again}.items():
        part.load_state_dict(saved[name])
    assert again.step == stop
    train(resumed, optimizer, 28 - stop, first=stop)
    assert same(resumed.state_dict(), straight.state_dict())
    assert same(again.masks, operation.masks)
    assert again.report() == operation.report()


def test_a_tensor_has_one_row_with_the_prunes_and_splices_of_both_stages() -> None:
    model, optimizer, operation = attached()
    names = [row.name for row in operation.report()]
    assert names == ["conv.weight", "conv.bias", "head.weight", "head.bias"]
    train(model, optimizer, 15)
    assert sum(row.kept for row in operation.report()) == round(0.3 * 135)  # the later stage hasn't begun
    train(model, optimizer, 1, first=15)
    earlier = {row.name: row for row in report(*_of(operation, 0))}
    train(model, optimizer, 12, first=16)
    later = {row.name: row for row in report(*_of(operation, 1))}
    rows = {row.name: row for row in operation.report()}
    assert list(rows) == names
    assert rows["head.bias"] == earlier["head.bias"]
    for name in ("conv.weight", "head.weight"):
        assert rows[name].kept == later[name].kept == rows[name].quantized
        assert rows[name].pruned_total == earlier[name].pruned_total + later[name].pruned_total
        assert earlier[name].pruned_total > later[name].pruned_total >= 0
        assert rows[name].spliced_total == earlier[name].spliced_total
        assert rows[name].kept == int(dict(model.named_parameters())[name].count_nonzero())
    assert operation.density == sum(row.kept for row in rows.values()) / 135


def _of(operation: ns.Operation, index: int) -> tuple[Any, Any]:
    running = operation._stages[index]
    return running.state, running.layers


def test_printing_says_what_is_quantized_once_something_is() -> None:
    model, optimizer, operation = attached()
    assert "quantized" not in str(operation)
    train(model, optimizer, 26)
    head, *_, total, alone = str(operation).splitlines()
    assert alone == "left alone: norm.weight, norm.bias (normalisation)"
    assert head.split() == ["tensor", "kept", "of", "density", "quantized"]
    assert total.split()[-1] == str(sum(row.quantized for row in operation.report()))


def test_both_stages_may_begin_when_attached() -> None:
    plan = ns.Plan((ns.Stage(method=ns.NaiveCut(density=0.5)), ns.Stage(method=ns.INQ(bits=5, portions=(1,)))))
    model, optimizer, operation = attached(plan)
    assert sum(row.kept for row in operation.report()) == round(0.5 * 135)
    assert is_power(model.conv.weight)
    train(model, optimizer, 3)
    assert is_power(model.conv.weight)


def test_a_later_stage_that_cannot_begin_leaves_the_model_untouched() -> None:
    model = Net()
    model.head.weight.data[0, 0] = float("nan")
    before = copy.deepcopy(model.state_dict())
    cut = ns.Stage(method=ns.NaiveCut(density=0.5), layers=("conv",))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ns.errors.NonFiniteWeightsError, match=r"head\.weight holds NaN or infinity before training"):
        ns.attach(model, optimizer, ns.Plan((cut, ns.Stage(method=INQ))))
    assert torch.equal(model.conv.weight, before["conv.weight"])
    assert not optimizer._optimizer_step_pre_hooks


def test_the_earlier_stage_is_finished_when_the_later_one_begins_and_asked_for_no_changes_after_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, optimizer, operation = attached()
    calls: list[tuple[str, int]] = []
    settle = exchange.settle
    monkeypatch.setattr(ns.Surgery, "update", lambda *_: calls.append(("update", operation.step)))
    monkeypatch.setattr(exchange, "settle", lambda *_: (calls.append(("settle", operation.step)), settle(*_)))
    train(model, optimizer, 20)
    assert calls == [*(("update", step) for step in range(1, 17)), ("settle", 16)]


def test_a_closure_meets_the_weights_of_both_stages() -> None:
    torch.manual_seed(0)
    model = Net().eval()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    cut = ns.NaiveCut(density=0.5, biases=False)
    plan = ns.Plan((ns.Stage(method=cut), ns.Stage(method=ns.INQ(bits=2, portions=(1,)))))
    operation = ns.attach(model, optimizer, plan)
    weights = model.conv.weight.detach().clone()
    x, calls = torch.randn(8, 2, 6, 6), []

    def closure() -> Tensor:
        calls.append(torch.equal(model.conv.weight, weights))
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert len(calls) > 3
    assert all(calls)
    assert operation.step == 3
    assert torch.equal(model.conv.weight, weights)


def test_one_file_holds_both_stages(tmp_path: Any) -> None:
    PLAN.write(tmp_path / "plan.toml")
    found = ns.Plan.read(tmp_path / "plan.toml")
    assert found == PLAN
    model, optimizer, operation = attached(tmp_path / "plan.toml")
    assert operation.plan == PLAN
    train(model, optimizer, 25)
    assert is_power(model.conv.weight)


def test_nothing_follows_inq_on_a_tensor_and_the_message_says_what_to_do() -> None:
    for later in (ns.Surgery(density=0.1, steps=10), ns.INQ(bits=3, steps=20), ns.NaiveCut(density=0.1)):
        plan = ns.Plan((ns.Stage(method=INQ), ns.Stage(method=later, start=50)))
        with pytest.raises(PlanError, match=r"leaves no weight there that could still change. Let 'inq' come last"):
            attached(plan)


def test_what_an_earlier_surgery_pruned_counts_as_pruned_whatever_density_a_later_one_asks_for() -> None:
    first, second = ns.Surgery(density=0.2, steps=10, interval=2), ns.Surgery(density=0.6, steps=10, interval=2)
    model, optimizer, operation = attached(ns.Plan((ns.Stage(method=first), ns.Stage(method=second, start=10))))
    for step in range(20):
        train(model, optimizer, 1, first=step)
        parameters = dict(model.named_parameters())
        for row in operation.report():
            assert row.kept >= int(parameters[row.name].count_nonzero())
            assert row.kept == int(operation.masks[row.name].sum())
    assert operation.density <= 0.2 + 1 / 135
    operation.finish()
    assert operation.density <= 0.2 + 1 / 135
