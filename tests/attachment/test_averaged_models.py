"""An average of weights becomes effective: kept connections have their average, all others what is declared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import netsurgery as ns
from netsurgery.errors import AttachmentError

METHODS: dict[str, Any] = {
    "surgery": ns.Surgery(density=0.2, steps=20, interval=2),
    "threshold-surgery": ns.ThresholdSurgery(c_rate=0.3, gamma=0.2, iter_stop=14),
    "inq": ns.INQ(bits=3, steps=30, portions=(0.5, 0.75, 1), biases=True),
    "sketching": ns.Sketching(planes=2, steps=30),
    "two stages": ns.Plan(
        (
            ns.Stage(method=ns.Surgery(density=0.3, steps=10, interval=1)),
            ns.Stage(method=ns.INQ(bits=3, steps=20, portions=(0.5, 1), biases=True), start=10),
        )
    ),
}


class LikeTimms(nn.Module):
    """As timm's ModelEmaV2: a deep copy in `module`, and an update of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        for mean, tensor in zip(self.module.parameters(), model.parameters(), strict=True):
            mean.lerp_(tensor, 0.1)


AVERAGES: dict[str, Callable[[nn.Module], Any]] = {
    "ema": lambda model: AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)),
    "swa": AveragedModel,
    "timm": LikeTimms,
}


def trained(plan: Any, make: Callable[[nn.Module], Any], seed: int = 0) -> tuple[nn.Module, Any, ns.Operation]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, plan)
    averaged = make(model)
    for step in range(22):
        x = torch.randn(6, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (model(x) - x[:, :4]).square().mean().backward()
        optimizer.step()
        averaged.update_parameters(model)
    return model, averaged, operation


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("make", AVERAGES.values(), ids=AVERAGES.keys())
@pytest.mark.parametrize("plan", METHODS.values(), ids=METHODS.keys())
def test_kept_entries_are_averaged_and_all_others_are_what_is_declared(
    plan: Any, make: Callable[[nn.Module], Any], seed: int
) -> None:
    model, averaged, operation = trained(plan, make, seed)
    before = {name: tensor.clone() for name, tensor in averaged.module.named_parameters()}
    there = copy.deepcopy(model.state_dict())
    operation.apply(averaged)
    free: dict[str, Tensor] = {}
    for running in operation._stages.begun:
        for layer in running.layers:
            for name in layer.tensors:
                own = running.state.own(name)
                home = torch.zeros_like(there[name], dtype=torch.bool) if own is None else own
                free[name] = free[name] & home if name in free else home
    assert free
    for name, tensor in averaged.module.named_parameters():
        home = free.get(name, torch.ones_like(tensor, dtype=torch.bool))
        assert torch.equal(tensor[home], before[name][home])
        assert torch.equal(tensor[~home], there[name][~home])
        if name in operation.masks:
            assert not bool(tensor[~operation.masks[name]].any())
    assert all(torch.equal(tensor, there[name]) for name, tensor in model.state_dict().items())


def test_without_it_an_average_is_denser_than_the_operation_says() -> None:
    _, averaged, operation = trained(METHODS["surgery"], AVERAGES["ema"])
    kept = sum(int(tensor.count_nonzero()) for tensor in averaged.module.parameters())
    operation.apply(averaged)
    applied = sum(int(tensor.count_nonzero()) for tensor in averaged.module.parameters())
    assert applied == sum(row.kept for row in operation.report()) < kept


def test_a_quantized_average_packs_as_powers_of_two(tmp_path: Any) -> None:
    _, averaged, operation = trained(ns.INQ(bits=3, steps=10, portions=(0.5, 1), biases=True), AVERAGES["swa"])
    operation.finish()
    operation.apply(averaged)
    for tensor in averaged.module.parameters():
        mantissas, _ = torch.frexp(tensor.detach()[tensor != 0])
        assert bool((mantissas.abs() == 0.5).all())
    ns.pack(averaged.module, tmp_path / "average.nsm", example_inputs=torch.zeros(1, 8))


@pytest.mark.parametrize("wrong", [nn.Sequential(nn.Linear(8, 10)), nn.Sequential(nn.Linear(8, 11)), 3])
def test_what_is_no_copy_is_refused_with_the_name(wrong: Any) -> None:
    _, _, operation = trained(METHODS["surgery"], AVERAGES["ema"])
    with pytest.raises(AttachmentError, match=r"is no copy of the model: .*\.weight|int is not a torch"):
        operation.apply(wrong)
