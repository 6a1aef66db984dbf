"""Restarts: every torch scheduler begins again where it is told to, as if it were new."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, Optimizer
from torch.optim import lr_scheduler as torch_schedulers

import netsurgery as ns
from netsurgery.methods.quantization import PORTIONS

Scheduled = tuple[Optimizer, Any]
LENGTHS = (7, 5, 9)  # of rounds, in steps
STARTS = (0, 7, 12)


def sgd() -> Optimizer:
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    return SGD([{"params": parameters[:1], "lr": 0.5}, {"params": parameters[1:]}], lr=0.1, momentum=0.9)


def scheduled(make: Callable[[Optimizer], Any], optimizer: Callable[[], Optimizer] = sgd) -> Callable[[], Scheduled]:
    def build() -> Scheduled:
        made = optimizer()
        return made, make(made)

    return build


def sequential(optimizer: Optimizer) -> Any:
    warm = torch_schedulers.LinearLR(optimizer, 0.1, total_iters=3)
    return torch_schedulers.SequentialLR(optimizer, [warm, torch_schedulers.ExponentialLR(optimizer, 0.8)], [3])


def adam() -> Optimizer:
    return Adam([torch.nn.Parameter(torch.ones(2))], lr=torch.tensor(0.1), betas=(0.8, 0.99))


SCHEDULERS: dict[str, Callable[[], Scheduled]] = {
    "cosine": scheduled(lambda o: torch_schedulers.CosineAnnealingLR(o, T_max=9)),
    "step": scheduled(lambda o: torch_schedulers.StepLR(o, step_size=2, gamma=0.5)),
    "one-cycle": scheduled(lambda o: torch_schedulers.OneCycleLR(o, max_lr=[1.0, 2.0], total_steps=9)),
    "one-cycle of adam": scheduled(lambda o: torch_schedulers.OneCycleLR(o, max_lr=1.0, total_steps=9), adam),
    "lambda": scheduled(lambda o: torch_schedulers.LambdaLR(o, lambda step: 1 / (1 + step))),
    "sequential": scheduled(sequential),
}


def rates(optimizer: Optimizer) -> list[tuple[float, ...]]:
    """Of each group: learning rate and momenta."""
    groups = optimizer.param_groups
    return [(float(group["lr"]), *group.get("betas", (group.get("momentum"),))) for group in groups]


def run(optimizer: Optimizer, scheduler: Any, steps: int) -> list[Any]:
    """Rates before each step."""
    seen = []
    for _ in range(steps):
        seen.append(rates(optimizer))
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("build", SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_each_round_has_the_rates_of_a_new_scheduler(build: Callable[[], Scheduled]) -> None:
    expected = [entry for length in LENGTHS for entry in run(*build(), length)]
    optimizer, scheduler = build()
    assert run(optimizer, ns.Restarts(scheduler, STARTS), sum(LENGTHS)) == expected


@pytest.mark.parametrize("build", SCHEDULERS.values(), ids=SCHEDULERS.keys())
@pytest.mark.parametrize("stop", [3, 7, 10])
def test_resuming_equals_a_straight_run(build: Callable[[], Scheduled], stop: int) -> None:
    optimizer, scheduler = build()
    straight = ns.Restarts(scheduler, STARTS)
    run(optimizer, straight, stop)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), straight.state_dict()], file)
    expected = run(optimizer, straight, sum(LENGTHS) - stop)

    file.seek(0)
    of_optimizer, of_restarts = torch.load(file, weights_only=True)
    optimizer, scheduler = build()
    resumed = ns.Restarts(scheduler, STARTS)
    optimizer.load_state_dict(of_optimizer)
    resumed.load_state_dict(of_restarts)
    assert run(optimizer, resumed, sum(LENGTHS) - stop) == expected


def test_a_scheduler_that_waits_for_a_plateau_forgets_it() -> None:
    optimizer = sgd()
    plateau = torch_schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    restarts = ns.Restarts(plateau, (6,))
    seen = []
    for _ in range(12):
        restarts.step(1.0)
        seen.append(restarts.get_last_lr()[0])
    assert seen == [0.5, 0.5, 0.25, 0.25, 0.125, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_rounds_of_incremental_quantization_begin_with_the_first_rate() -> None:
    model = torch.nn.Linear(4, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    method = ns.INQ(bits=4, steps=20)
    ns.attach(model, optimizer, method)
    scheduler = ns.Restarts(torch_schedulers.CosineAnnealingLR(optimizer, T_max=4), method.round_starts)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    seen = [entry[0][0] for entry in run(optimizer, scheduler, 20)]
    assert seen == seen[:4] * (len(PORTIONS[4]) - 1)
    assert seen[0] == 0.1 > seen[1] > seen[2] > seen[3]


def test_other_settings_of_the_optimizer_stay_as_the_user_set_them() -> None:
    optimizer, scheduler = SCHEDULERS["cosine"]()
    restarts = ns.Restarts(scheduler, (2,))
    optimizer.param_groups[0]["weight_decay"] = 0.25
    run(optimizer, restarts, 3)
    assert optimizer.param_groups[0]["weight_decay"] == 0.25


@pytest.mark.parametrize("at_steps", [3, (3, 2), (2, 2), (-1,), (1.5,), "12", (True,)])
def test_steps_that_are_no_rising_numbers_are_refused(at_steps: Any) -> None:
    with pytest.raises(ns.errors.SettingError, match=r"^at_steps=.* is not allowed"):
        ns.Restarts(SCHEDULERS["cosine"]()[1], at_steps)


def test_what_is_no_scheduler_is_refused() -> None:
    with pytest.raises(ns.errors.SettingError, match=r"^scheduler='SGD' is not allowed"):
        ns.Restarts(sgd(), (1,))  # type: ignore[arg-type]


def test_a_state_of_something_else_is_refused() -> None:
    restarts = ns.Restarts(SCHEDULERS["cosine"]()[1], (1,))
    good = restarts.state_dict()
    kinds = [{**good, name: kind} for name in ("scheduler", "first_rates", "first_state") for kind in (None, 3, [1])]
    for wrong in ({}, {**good, "steps": "3"}, {**good, "first_rates": []}, None, good["scheduler"], *kinds):
        with pytest.raises(ns.errors.StateError, match=r"saved state of the restarts.*Load what Restarts\.state_dict"):
            restarts.load_state_dict(wrong)
