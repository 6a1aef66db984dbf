"""Around each step of one optimizer: latent weights before it, effective ones after it, whatever happens in between."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch.optim import Optimizer

from netsurgery.attachment.optimizer_hooks import caller, hook, is_within, searches_lines
from netsurgery.attachment.other_optimizers import uncompiled
from netsurgery.attachment.running_stages import RunningStages
from netsurgery.methods import exchange


class StepHooks:
    """The hooks of an optimizer that is attached.

    check: called before each step. complete: called after each, with the optimizer, while parameters hold latent
    weights; it hides them again. go_on: called after that, outside of the step. All run without autograd. Raises
    OptimizerError for what has no hooks.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        stages: RunningStages,
        check: Callable[[], None],
        complete: Callable[[Optimizer], None],
        go_on: Callable[[], None],
    ) -> None:
        self.calls = 0
        """Of optimizer.step so far, those that failed or were skipped counted."""
        self.under_way: FrameType | None = None
        """The call of optimizer.step that hasn't come to its end, as far as is known."""
        self._thread = 0  # in which that call was made
        self._stages, self._check, self._complete, self._go_on = stages, check, complete, go_on
        self._clears_gradients = searches_lines(optimizer)
        self._handles = hook(optimizer, uncompiled(self._before), uncompiled(self._after))

    def remove(self) -> None:
        """Leave the optimizer alone from here on."""
        for handle in self._handles:
            handle.remove()

    def calls_begun(self) -> int | None:
        """How many calls of step have begun; None inside one of them."""
        return None if self._is_stepping() else self.calls

    @torch.no_grad()
    def leave(self) -> None:
        """After a step that was interrupted between its hooks: hide what was revealed. Inside a step: nothing."""
        if self.under_way is not None and not self._is_stepping():
            self.under_way = None
            self._stages.hide()

    def _is_stepping(self) -> bool:
        """True while a call of optimizer.step is under way, in whatever thread; False after one was interrupted."""
        return self.under_way is not None and is_within(sys._current_frames().get(self._thread), self.under_way)

    def _before(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        call = caller(sys._getframe(1))
        if self.under_way is not None:
            if is_within(call, self.under_way):
                return None  # a subclass calls its parent's step inside its own: torch runs the hooks of both
            self.leave()  # the last step ended by an exception
        self.calls += 1
        with torch.no_grad():
            self._check()
            self.under_way, self._thread = call, threading.get_ident()
            self._stages.reveal()
        # step(closure) evaluates the model while its parameters hold latent weights: show it effective ones.
        # Optimizer hooks see `optimizer` itself as the first positional argument.
        if kwargs.get("closure") is not None:
            return args, {**kwargs, "closure": self._on_effective_weights(kwargs["closure"])}
        if len(args) > 1 and args[1] is not None:
            return (args[0], self._on_effective_weights(args[1]), *args[2:]), kwargs
        return None

    def _after(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if caller(sys._getframe(1)) is self.under_way:
            with torch.no_grad():
                self._complete(optimizer)
                self.under_way = None  # last: after an exception above, `leave` still hides what is revealed
                self._go_on()

    def _on_effective_weights(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        tensors = self._stages.parts
        revealed = exchange.marks(tensors)

        def evaluate() -> Any:
            with torch.no_grad():
                # What has moved since it was revealed is known to the optimizer alone, and has to be put back as it is.
                moved = exchange.marks(tensors) != revealed
                latent = [tensor.detach().clone() for tensor in tensors] if moved else []
                self._stages.hide()
            loss = closure()  # if it raises, the step is over, and effective weights are what has to remain
            with torch.no_grad():
                if self._clears_gradients:
                    self._stages.clear_gradients()
                if moved:
                    for tensor, value in zip(tensors, latent, strict=True):
                        tensor.copy_(value)
                else:
                    self._stages.reveal()
                    revealed[:] = exchange.marks(tensors)
            return loss

        return evaluate
