"""Learning rates that begin again with each round of training, whatever torch scheduler makes them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from netsurgery.checks import require
from netsurgery.errors import StateError
from netsurgery.methods.saved_state import check_keys

_SCHEDULED = ("lr", "momentum", "betas")  # what torch's schedulers set in a parameter group


@final
class Restarts:
    """A torch scheduler that is put back to its beginning at given steps. Use it in the scheduler's place.

    >>> method = ns.INQ(bits=5, steps=9_000)
    >>> round_steps = method.steps // len(method.round_starts)
    >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=round_steps)
    >>> scheduler = ns.Restarts(scheduler, method.round_starts)
    >>> scheduler.at_steps
    (0, 3000, 6000)

    With restarts at 0 < s1 < s2 the learning rates after n calls of step() are those that the scheduler alone has after
    n calls, n - s1 calls, n - s2 calls.

    scheduler: any of torch.optim.lr_scheduler, new: nothing has been trained with it yet. The optimizer's learning
        rates, and momenta where the scheduler cycles them, are remembered as they are now.
    at_steps: numbers of calls of step(), rising, each >= 0; at 0 it begins anyway. With a scheduler that is stepped
        once an epoch, these are epochs.

    Raises SettingError for something else.
    """

    def __init__(self, scheduler: LRScheduler | ReduceLROnPlateau, at_steps: Sequence[int]) -> None:
        allowed = "a scheduler of torch.optim.lr_scheduler"
        known = isinstance(scheduler, LRScheduler | ReduceLROnPlateau)
        require(known, "scheduler", type(scheduler).__name__, allowed)
        whole = isinstance(at_steps, list | tuple) and all(type(step) is int and step >= 0 for step in at_steps)
        rising = whole and list(at_steps) == sorted(set(at_steps))
        require(rising, "at_steps", at_steps, "a tuple of whole numbers >= 0 that rise", "see INQ.round_starts")
        self.at_steps = tuple(at_steps)
        self.steps = 0
        """Calls of step()."""
        self._scheduler = scheduler
        self._first_state = copy.deepcopy(scheduler.state_dict())
        self._first_rates = self._rates()

    def step(self, *arguments: Any, **keywords: Any) -> None:
        """Step the scheduler, with what it takes (ReduceLROnPlateau: the metric), or put it back to its beginning."""
        self.steps += 1
        if self.steps not in self.at_steps:
            self._scheduler.step(*arguments, **keywords)
            return
        self._scheduler.load_state_dict(copy.deepcopy(self._first_state))
        for group, rates in zip(self._scheduler.optimizer.param_groups, self._first_rates, strict=True):
            for name, value in rates.items():
                if isinstance(group[name], Tensor):
                    group[name].fill_(value)
                else:
                    group[name] = value

    def get_last_lr(self) -> list[float]:
        """The learning rate of each parameter group."""
        return [float(group["lr"]) for group in self._scheduler.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs beside the optimizer's own state_dict."""
        return {
            "steps": self.steps,
            "scheduler": self._scheduler.state_dict(),
            "first_state": copy.deepcopy(self._first_state),
            "first_rates": copy.deepcopy(self._first_rates),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume with a scheduler of the same kind. Raises StateError if `saved` is not such a state."""
        known = {"steps", "scheduler", "first_state", "first_rates"}
        advice = "Load what Restarts.state_dict() returned, not that of the scheduler inside it."
        check_keys(saved, known, "The saved state of the restarts", "Restarts", advice)
        groups, rates = len(self._first_rates), saved["first_rates"]
        listed = isinstance(rates, list) and all(isinstance(one, Mapping) for one in rates)
        if not isinstance(saved["steps"], int) or not listed or len(rates) != groups:
            raise StateError(
                f"The saved state of the restarts has steps={saved['steps']!r} and "
                f"{f'{len(rates)} groups of parameters' if listed else f'first_rates={rates!r}'}, expected a whole "
                f"number and {groups} groups. Load what Restarts.state_dict() returned."
            )
        for name in ("scheduler", "first_state"):
            if not isinstance(saved[name], Mapping):
                raise StateError(
                    f"The saved state of the restarts holds {saved[name]!r} in {name!r}, expected the state of a "
                    "scheduler. Load what Restarts.state_dict() returned."
                )
        self.steps = saved["steps"]
        self._scheduler.load_state_dict(saved["scheduler"])
        self._first_state = copy.deepcopy(saved["first_state"])
        self._first_rates = copy.deepcopy(saved["first_rates"])

    def _rates(self) -> list[dict[str, Any]]:
        """Of each parameter group, what schedulers set, as plain numbers."""
        return [
            {name: _number(group[name]) for name in _SCHEDULED if name in group}
            for group in self._scheduler.optimizer.param_groups
        ]


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value
