"""A method is four functions and a state that declares its fields: this file, and one entry in ALL_METHODS."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Layer, Method, tensors_of
from netsurgery.methods.encoded import EncodedPowers, EncodedSparse, says
from netsurgery.methods.fields import per_parameter
from netsurgery.methods.state import State, no_counts


@dataclass
class OneSignState(State):
    signs: dict[str, Tensor] = per_parameter(torch.bool)

    def own(self, name: str) -> Tensor:
        return self.signs[name]

    def kept(self, name: str) -> Tensor:
        return self.signs[name]


@final
@dataclass(frozen=True)
class OneSign(Method[OneSignState]):
    """Negative weights go, one layer after another."""

    biases: bool = False

    name: ClassVar[str] = "one-sign"
    state_type: ClassVar[type[OneSignState]] = OneSignState
    active_steps: ClassVar[int] = 2  # type: ignore[misc]

    def init(self, layers: Sequence[Layer], seed: int) -> OneSignState:
        signs = {name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in tensors_of(layers)}
        return OneSignState(pruned=no_counts(layers), spliced=no_counts(layers), signs=signs)

    def update(self, state: OneSignState, layers: Sequence[Layer], step: int) -> None:
        for name, tensor in tensors_of(layers[step : step + 1]):
            state.signs[name] &= tensor >= 0
            state.pruned[name] = int((~state.signs[name]).sum())

    def project(self, state: OneSignState, name: str, tensor: Tensor) -> None:
        tensor.masked_fill_(~state.signs[name], 0.0)

    def encode(self, state: OneSignState, name: str, tensor: Tensor) -> EncodedSparse:
        return EncodedSparse.of(tensor, state.signs[name])


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALL_METHODS, OneSign.name, OneSign)


def attached(seed: int = 0, plan: Any = None) -> tuple[nn.Module, torch.optim.Optimizer, ns.Operation]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, ns.attach(model, optimizer, plan or OneSign())


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        model(torch.randn(5, 6, generator=torch.Generator().manual_seed(step))).square().sum().backward()
        optimizer.step()


def test_it_trains_reports_finishes_and_encodes() -> None:
    model, optimizer, operation = attached()
    assert [row.kept == row.size for row in operation.report()] == [False, True, True]
    train(model, optimizer, range(4))
    operation.finish()
    train(model, optimizer, range(4, 6))
    parameters = dict(model.named_parameters())
    forms = operation.encoded()
    for row in operation.report():
        assert row.kept + row.pruned_total == row.size
        assert row.kept == int(operation.masks[row.name].sum()) == int(parameters[row.name].count_nonzero())
        form = forms[row.name]
        assert form is not None
        assert says(form, parameters[row.name].detach())


@pytest.mark.parametrize("stop", [1, 3])
def test_it_stops_and_resumes_bit_for_bit(stop: int) -> None:
    model, optimizer, operation = attached()
    train(model, optimizer, range(stop))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in (model, optimizer, operation)], file)
    file.seek(0)
    train(model, optimizer, range(stop, 5))
    resumed = attached(seed=9)
    for part, saved in zip(resumed, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(saved)
    train(resumed[0], resumed[1], range(stop, 5))
    expected, found = model.state_dict(), resumed[0].state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert resumed[2].report() == operation.report()


def test_a_damaged_state_is_refused_by_what_is_declared() -> None:
    _, _, operation = attached()
    saved = copy.deepcopy(operation.state_dict())
    saved["stages"][0]["signs"]["0.weight"] = torch.ones(8, 6)
    with pytest.raises(ns.errors.StateError, match=r"float32 \(8, 6\) in 'signs' for 0\.weight, expected torch\.bool"):
        operation.load_state_dict(saved)


def test_plan_files_name_it_and_another_method_may_follow_it(tmp_path: Path) -> None:
    plan = ns.Plan((ns.Stage(method=OneSign()), ns.Stage(method=ns.INQ(bits=3, steps=4, portions=(0.5, 1)), start=2)))
    plan.write(tmp_path / "plan.toml")
    assert ns.Plan.read(tmp_path / "plan.toml") == plan
    model, optimizer, operation = attached(plan=tmp_path / "plan.toml")
    train(model, optimizer, range(8))
    operation.finish()
    pruned = {row.name: row.pruned_total for row in operation.report()}
    assert all(pruned.values())
    for name, form in operation.encoded().items():
        assert isinstance(form, EncodedPowers)
        assert int((form.signs == 0).sum()) == pruned[name]
