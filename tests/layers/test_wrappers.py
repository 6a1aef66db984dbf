"""Wrappers around a model, or around a part of it, show neither in plans and reports nor in states and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

import netsurgery as ns
from netsurgery.errors import LayerNotFoundError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Linear(6, 8), nn.ReLU()), nn.Linear(8, 3))


def compiled_in_the_middle(model: nn.Sequential) -> nn.Module:
    model[0] = torch.compile(model[0], backend="eager")
    return model


def checkpointed(model: nn.Sequential) -> nn.Module:
    model[0] = checkpoint_wrapper(model[0])
    return model


WRAPPERS: dict[str, Callable[[nn.Sequential], nn.Module]] = {
    "compile": lambda model: torch.compile(model, backend="eager"),  # type: ignore[dict-item]
    "compile in the middle": compiled_in_the_middle,
    "activation checkpoints": checkpointed,
    "DataParallel": nn.DataParallel,
    "average": AveragedModel,
    "both": lambda model: torch.compile(nn.DataParallel(model), backend="eager"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_names_are_those_of_the_plain_model_everywhere(wrap: Callable[[nn.Sequential], nn.Module]) -> None:
    def operated(model: nn.Module) -> ns.Operation:
        return ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.NaiveCut(density=0.5))

    plain, wrapped = operated(network()), operated(wrap(network()))
    assert str(wrapped) == str(plain)
    assert wrapped.masks.keys() == plain.masks.keys()
    plain.load_state_dict(wrapped.state_dict())
    wrapped.load_state_dict(plain.state_dict())


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
@pytest.mark.parametrize("pattern", ["0.0", "0.*"])
def test_patterns_match_plain_names(wrap: Callable[[nn.Sequential], nn.Module], pattern: str) -> None:
    model = wrap(network())
    stage = ns.Stage(method=ns.NaiveCut(density=0.5), layers=(pattern,))
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), stage)
    assert set(operation.masks) == {"0.0.weight", "0.0.bias"}


def test_patterns_match_names_with_the_wrapper_too() -> None:
    model = nn.DataParallel(network())
    stage = ns.Stage(method=ns.NaiveCut(density=0.5), layers=("module.0.*",))
    assert set(ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), stage).masks) == {"0.0.weight", "0.0.bias"}


def test_errors_name_plain_layers() -> None:
    model = nn.DataParallel(network())
    with pytest.raises(LayerNotFoundError, match=r"There are: 0\.0 \(Linear\), 1 \(Linear\)\."):
        ns.Plan.of(ns.Stage(method=ns.NaiveCut(density=0.5), layers=("nowhere",))).describe(model)


class Own(nn.Module):
    """A model with a part that it calls "module" itself."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(4, 4)


def test_what_only_is_called_like_a_wrapper_keeps_its_name() -> None:
    model: Any = Own()
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.NaiveCut(density=0.5))
    assert set(operation.masks) == {"module.weight", "module.bias"}
