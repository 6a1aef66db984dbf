"""Schedule-free optimizers: `eval` and `train` write other weights into the model, which have to be effective too.

Such an optimizer (Defazio et al. 2024, arXiv 2405.15682) trains with y, an average of two sequences: z, which it moves,
and x, which is the average of z and what is to be evaluated and shipped. `eval` puts x in the place of y, and `train`
takes it back. What is hidden is hidden in either: kept connections show x, pruned ones +0, quantized ones their value.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from netsurgery.attachment.optimizer_hooks import switches_modes


class _Switch:
    """An optimizer's `eval` or `train`, and who is told after it."""

    def __init__(self, method: Callable[[], Any]) -> None:
        self.method = method
        self.told: list[Callable[[], None]] = []

    def __call__(self) -> Any:
        result = self.method()
        for tell in self.told:
            tell()
        return result


class ModeSwitches:
    """Has `hide` called after each switch between the two. Nothing at all for an optimizer that has no such modes."""

    def __init__(self, optimizer: Optimizer, hide: Callable[[], None]) -> None:
        self._optimizer, self._hide = weakref.ref(optimizer), hide
        self._names = ("eval", "train") if switches_modes(optimizer) else ()
        for name in self._names:
            if not isinstance(vars(optimizer).get(name), _Switch):
                setattr(optimizer, name, _Switch(getattr(optimizer, name)))
            getattr(optimizer, name).told.append(hide)

    @property
    def shows_averages(self) -> bool:
        """False while the model holds weights that are trained with; always True without such modes."""
        optimizer = self._optimizer()
        groups = optimizer.param_groups if optimizer is not None and self._names else []
        return not any(group.get("train_mode", False) for group in groups)

    def remove(self) -> None:
        """Tell no more."""
        optimizer = self._optimizer()
        for name in self._names if optimizer is not None else ():
            switch = vars(optimizer).get(name)
            if isinstance(switch, _Switch):
                switch.told = [tell for tell in switch.told if tell != self._hide]
                if not switch.told:
                    delattr(optimizer, name)
