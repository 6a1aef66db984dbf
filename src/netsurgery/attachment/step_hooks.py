"""Around each step of one optimizer: latent weights before it, effective ones after it, whatever happens in between."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import torch
from torch.optim import Optimizer

from netsurgery.attachment.optimizer_hooks import caller, hook, is_within, searches_lines
from netsurgery.attachment.other_optimizers import uncompiled
from netsurgery.attachment.share import Share
from netsurgery.layers.parts import part
from netsurgery.methods import exchange


class Around(Protocol):
    """What happens around the steps of each optimizer that is attached; all of it without autograd."""

    def before_step(self, hooks: StepHooks) -> None:
        """Check that a step may be taken, and that no earlier one has left latent weights behind."""

    def reveal(self, share: Share) -> None:
        """Effective -> latent."""

    def complete_step(self, hooks: StepHooks, optimizer: Optimizer) -> None:
        """After a step: parameters hold latent weights, which are hidden again."""

    def hide_all(self) -> None:
        """Latent -> effective, whatever was revealed."""

    def after_step(self) -> None:
        """After that, outside of the step."""


class StepHooks:
    """The hooks of one optimizer that is attached, on its share of the tensors.

    Raises OptimizerError for what has no hooks.
    """

    def __init__(self, optimizer: Optimizer, share: Share, around: Around) -> None:
        self.calls = 0
        """Of optimizer.step so far, those that failed or were skipped counted."""
        self.under_way: FrameType | None = None
        """The call of optimizer.step that hasn't come to its end, as far as is known."""
        self.share = share
        self._thread = 0  # in which that call was made
        self._around = around
        self._clears_gradients = searches_lines(optimizer)
        self._handles = hook(optimizer, uncompiled(self._before), uncompiled(self._after))

    def remove(self) -> None:
        """Leave the optimizer alone from here on."""
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def leave(self) -> None:
        """After a step that was interrupted between its hooks: hide what was revealed. Inside a step: nothing."""
        if self.under_way is not None and not self.is_stepping():
            self.under_way = None
            self._around.hide_all()

    def is_stepping(self) -> bool:
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
            self._around.before_step(self)
            self.under_way, self._thread = call, threading.get_ident()
            self._around.reveal(self.share)
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
                self._around.complete_step(self, optimizer)
                self.under_way = None  # last: after an exception above, `leave` still hides what is revealed
                self._around.after_step()

    def _on_effective_weights(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        tensors = [part(tensor) for tensor in self.share.tensors.values()]
        revealed = exchange.marks(tensors)

        def evaluate() -> Any:
            with torch.no_grad():
                # What has moved since it was revealed is known to the optimizer alone, and has to be put back as it is.
                moved = exchange.marks(tensors) != revealed
                latent = [tensor.detach().clone() for tensor in tensors] if moved else []
                self.share.hide()
            loss = closure()  # if it raises, the step is over, and effective weights are what has to remain
            with torch.no_grad():
                if self._clears_gradients:
                    self.share.clear_gradients()
                if moved:
                    for tensor, value in zip(tensors, latent, strict=True):
                        tensor.copy_(value)
                else:
                    self._around.reveal(self.share)
                    revealed[:] = exchange.marks(tensors)
            return loss

        return evaluate
