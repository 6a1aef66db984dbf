"""One trial's training: steps of a plan in the user's loop, from any step on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from netsurgery.attachment.operation import Operation, attach
from netsurgery.compression.calls import Loss
from netsurgery.compression.feed import Feed, on_device, random_state, restore_random_state
from netsurgery.compression.rates import OptimizerFactory, Rate, optimizer_for, set_rate
from netsurgery.compression.teaching import Precision, loss_of
from netsurgery.errors import NetsurgeryError, NonFiniteWeightsError
from netsurgery.plan import Plan

Keep = Callable[[Callable[[], dict[str, Any]]], None]
"""Called after each step, with what gives the training's state at that moment."""
_TAIL = 0.2  # share of a training's steps whose mean loss says how well it went


class DivergedError(NetsurgeryError, ArithmeticError):
    """The loss or the weights of a training became infinite or NaN."""


@dataclass(frozen=True)
class Trainer:
    """What all trials have in common. teacher: whose outputs are learnt from, or None. factory: of the optimizer."""

    model: nn.Module
    loader: Iterable[Any]
    loss: Loss
    factory: OptimizerFactory | None
    teacher: nn.Module | None
    seed: int
    precision: Precision = "float32"

    def train(
        self,
        plan: Plan,
        rate: Rate,
        steps: int,
        number: int,
        *,
        taught: bool,
        advance: Callable[[int], None] = lambda _: None,
        keep: Keep | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> tuple[Operation, float]:
        """Train the model in place for so many steps; returns the operation, finished, and the mean loss at the end.

        number: of the trial; with the seed it decides which batches are shown. The operation is still attached: detach
        it. advance(step): called after each step. Raises DivergedError, and whatever the user's functions raise; the
        operation is detached then.
        """
        device = next(self.model.parameters()).device
        optimizer = optimizer_for(self.model, rate, self.factory)
        optimizer.zero_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they advise, the search finds out by itself
            operation = attach(self.model, optimizer, plan)
        try:
            first, losses = 0, torch.zeros(2, dtype=torch.float64)
            feed_seed = self.seed * 7919 + number
            if resume is not None:
                self.model.load_state_dict(resume["model"])
                operation.load_state_dict(resume["operation"])
                optimizer.load_state_dict(resume["optimizer"])
                first, losses = int(resume["step"]), resume["losses"].clone()
                feed = Feed(self.loader, feed_seed, int(resume["taken"]))
                restore_random_state(resume["random"])
            else:
                feed = Feed(self.loader, feed_seed)
            set_training(self.model)
            begins = math.floor(steps * (1 - _TAIL))
            for step in range(first, steps):
                set_rate(optimizer, plan, step)
                optimizer.zero_grad()
                batch = on_device(feed.next(), device)
                value = loss_of(self.model, batch, self.loss, self.teacher if taught else None, self.precision)
                value.backward()
                optimizer.step()
                if step >= begins:
                    losses[0] += value.detach().double().cpu()
                    losses[1] += 1
                advance(step + 1)
                if keep is not None:
                    keep(lambda taken=step + 1: self._state(taken, optimizer, operation, feed, losses))  # type: ignore[misc]
            mean = float(losses[0] / losses[1])
            if not math.isfinite(mean):
                raise DivergedError("The loss became infinite or NaN.")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                operation.finish()
        except NonFiniteWeightsError as error:
            _give_up(operation)
            raise DivergedError(str(error)) from error
        except BaseException:
            _give_up(operation)
            raise
        return operation, mean

    def _state(
        self, step: int, optimizer: torch.optim.Optimizer, operation: Operation, feed: Feed, losses: torch.Tensor
    ) -> dict[str, Any]:
        return {
            "operation": operation.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "taken": feed.taken,
            "losses": losses.clone(),
            "random": random_state(),
        }


def set_training(model: nn.Module) -> nn.Module:
    """The model, in training mode, but for norms that are frozen: these keep their statistics as well."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and getattr(module, "running_mean", None) is not None and not any(one.requires_grad for one in own):
            module.training = False
    return model


def _give_up(operation: Operation) -> None:
    """Detach from weights that nobody will look at: what isn't finite revives connections, and nobody wrote to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operation.detach()
