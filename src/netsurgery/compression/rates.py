"""How a trial trains: which optimizer, and what learning rate at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.optim import Optimizer

from netsurgery.checks import require
from netsurgery.compression.candidate import Objective, Trial
from netsurgery.methods.quantization import INQ
from netsurgery.methods.surgery import Surgery
from netsurgery.plan import Plan
from netsurgery.stage import Stage

OptimizerFactory: TypeAlias = Callable[[Any], Optimizer]
"""What makes an optimizer of parameters, or of groups of them; its learning rates are those of a trial's beginning."""

_CONCENTRATION: dict[Objective, float] = {"size": 1.0, "latency": 0.0}
MOMENTUM = 0.9
DECAY = 5e-4
"""Weight decay while connections come and go, of weights alone: those that the loss doesn't hold sink to where they can
be cut. What is left then has none: small networks don't overfit, and weights that sink leave their power of two."""
_ROUND_RATE = 0.5  # learning rate of INQ's rounds over that of surgery
_WARM_UP = 0.02  # share of a schedule's steps
_POWER_BITS = 4  # bits beyond lie between powers of two: more powers were smaller ones alone, and surgery cut those
_MOST_POWER_BITS = 5  # where powers of two alone run in fixed point


@dataclass(frozen=True)
class Rate:
    """An optimizer's kind and its learning rate: what a probe chooses among. kind: "sgd", "adamw", or "given"."""

    kind: str
    value: float

    def __str__(self) -> str:
        return f"{ {'sgd': 'SGD', 'adamw': 'AdamW'}.get(self.kind, 'your optimizer') } at {self.value:g}"


PROBED = (Rate("sgd", 0.1), Rate("adamw", 3e-3))
"""Two optimizers, each at the learning rate where its search begins: one of them suits nearly every network."""
PROBED_GIVEN = (Rate("given", 1.0),)
"""A user's own optimizer, its learning rates times this."""
RATE_STEP = 3.0
"""Factor between learning rates that are tried."""
SLOWEST_SHARE = 1 / 100
"""Of the learning rate where a search begins, below which it ends."""


def best_rate(begin: Rate, loss: Callable[[Rate], float]) -> Rate:
    """The learning rate of least loss near that where the search begins, by steps of RATE_STEP: down, else up.

    A user's own rate isn't raised. loss: of a training at a rate; infinite where it diverged. Where all do, the rate of
    the beginning.
    """
    best = begin
    while best.value > SLOWEST_SHARE * begin.value:
        slower = Rate(best.kind, best.value / RATE_STEP)
        if loss(slower) >= loss(best) and math.isfinite(loss(best)):
            break
        best = slower
    if best == begin and best.kind != "given":
        faster = Rate(best.kind, best.value * RATE_STEP)
        best = faster if loss(faster) < loss(best) else best
    return best if math.isfinite(loss(best)) else begin


def optimizer_for(model: nn.Module, rate: Rate, factory: OptimizerFactory | None) -> Optimizer:
    """An optimizer of what is trained in a model. Raises SettingError where nothing is."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    require(len(trained) > 0, "model", type(model).__name__, "one with parameters that require gradients")
    if factory is not None:
        optimizer = factory(trained)
        made = isinstance(optimizer, Optimizer)
        require(made, "optimizer", type(optimizer).__name__, "a function of parameters that makes a torch optimizer")
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * rate.value
    else:
        groups = [
            {"params": [one for one in trained if one.dim() > 1], "decay_while_pruned": DECAY},
            {"params": [one for one in trained if one.dim() <= 1], "decay_while_pruned": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if rate.kind == "sgd":
            optimizer = torch.optim.SGD(groups, lr=rate.value, momentum=MOMENTUM, weight_decay=0.0)
        else:
            fused = all(one.is_floating_point() and one.device.type in ("cpu", "cuda") for one in trained)
            optimizer = torch.optim.AdamW(groups, lr=rate.value, weight_decay=0.0, fused=fused)
    for group in optimizer.param_groups:
        group["begun_at"] = float(group["lr"])
    return optimizer


def plan_for(
    trial: Trial, *, warm: bool, objective: Objective, seed: int, uses: tuple[tuple[str, float], ...] = ()
) -> Plan:
    """What is operated on in a trial. warm: the network it begins with was pruned before. uses: as Surgery takes it."""
    if trial.bits is not None:
        rounds = len(INQ(bits=trial.bits, steps=10**6).round_starts)
        powers_alone = objective == "latency" and trial.bits <= _MOST_POWER_BITS
        between = 0 if powers_alone else max(0, trial.bits - _POWER_BITS)
        method = INQ(trial.bits, max(trial.steps, rounds), biases=True, mantissa_bits=between)
        return Plan((Stage(method=method),), seed)
    density = 1.0 if trial.density is None else trial.density
    concentration = _CONCENTRATION[objective]
    surgery = Surgery(density=density, steps=trial.steps, concentration=concentration, warm_start=warm, uses=uses)
    return Plan((Stage(method=surgery),), seed)


def rate_factor(plan: Plan, step: int) -> float:
    """By which the learning rate is multiplied at a step: half a cosine to 0 behind a short rise, in each round."""
    method = plan.stages[0].method
    length = int(method.steps)  # type: ignore[attr-defined]
    if isinstance(method, INQ):
        starts: Sequence[int] = method.round_starts or (0,)
        begin = max(start for start in starts if start <= step)
        length = min([start for start in starts if start > step], default=method.steps) - begin
        step, share = step - begin, _ROUND_RATE
    else:
        share = 1.0
    rise = max(1, round(_WARM_UP * length))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(length, 1))))
    return share * min(1.0, (step + 1) / rise) * cosine


def set_rate(optimizer: Optimizer, plan: Plan, step: int) -> None:
    """Put the learning rates of a step into an optimizer, and the weight decay into one of this module's own."""
    method = plan.stages[0].method
    prunes = isinstance(method, Surgery) and step < method.active_steps
    for group in optimizer.param_groups:
        value = group["begun_at"] * rate_factor(plan, step)
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value
        if "decay_while_pruned" in group:
            group["weight_decay"] = group["decay_while_pruned"] if prunes else 0.0
