"""Schedule-free optimizers: `eval` and `train` write other weights into the model, which have to be effective too.

Such an optimizer (Defazio et al. 2024, arXiv 2405.15682) trains with y, an average of two sequences: z, which it moves,
and x, which is the average of z and what is to be evaluated and shipped. `eval` puts x in the place of y, and `train`
takes it back. What is hidden is hidden in either: kept connections show x, pruned ones +0, quantized ones their value.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

from torch.optim import Optimizer

from netsurgery.attachment.optimizer_hooks import switches_modes
from netsurgery.attachment.tell_after import TellAfter


class ModeSwitches:
    """Has `hide` called after each switch between the two. Nothing at all for an optimizer that has no such modes."""

    def __init__(self, optimizer: Optimizer, hide: Callable[[], None]) -> None:
        self._optimizer = weakref.ref(optimizer)
        self._names = ("eval", "train") if switches_modes(optimizer) else ()
        self._told = TellAfter(optimizer, self._names, hide)

    @property
    def shows_averages(self) -> bool:
        """False while the model holds weights that are trained with; always True without such modes."""
        optimizer = self._optimizer()
        groups = optimizer.param_groups if optimizer is not None and self._names else []
        return not any(group.get("train_mode", False) for group in groups)

    def remove(self) -> None:
        """Tell no more."""
        self._told.remove()
