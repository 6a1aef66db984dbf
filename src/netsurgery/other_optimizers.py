"""Steps that another optimizer than the attached one takes with the same weights.

torch calls global hooks around every optimizer's step. A wrapper (SAM, Lookahead) that calls the attached optimizer's
step inside its own is welcome: what it writes after that is hidden again. An optimizer that moves the weights alone
leaves the operation blind, so that it is refused at its first step; once the operation is finished it does no harm,
since what was pruned is hidden after each of its steps too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle


class Watcher(Protocol):
    """What is told of other optimizers' steps."""

    calls: int
    """Steps of the attached optimizer that have begun."""

    @property
    def is_stepping(self) -> bool:
        """True inside a step of the attached optimizer."""

    def on_other_step(self, optimizer: Optimizer, wraps: bool) -> None:
        """Another optimizer has moved the weights; `wraps`: it has called the attached one's step meanwhile."""


class _Begun(NamedTuple):
    """A step of another optimizer that is under way. version: of the weights before."""

    optimizer: weakref.ref[Optimizer]
    calls: int
    version: int
    has_gradients: bool


class OtherOptimizers:
    """Watches every optimizer of the process but one, on behalf of an operation, which it doesn't keep alive."""

    def __init__(self, own: Optimizer, tensors: Sequence[Tensor], watcher: Watcher) -> None:
        self._own = weakref.ref(own)
        self._tensors = [weakref.ref(tensor) for tensor in tensors]
        self._watcher = weakref.ref(watcher)
        self._counts: weakref.WeakKeyDictionary[Optimizer, tuple[int, bool]] = weakref.WeakKeyDictionary()
        self._begun: list[_Begun] = []
        self._handles = [
            register_optimizer_step_pre_hook(uncompiled(self._before)),
            register_optimizer_step_post_hook(uncompiled(self._after)),
        ]
        weakref.finalize(watcher, _remove, self._handles)

    def stop(self) -> None:
        """Watch no more."""
        _remove(self._handles)

    def _before(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watcher = self._watcher()
        if watcher is not None and self._shares(optimizer) and not watcher.is_stepping:
            # Some optimizers write through .data, which torch doesn't count; a gradient tells that they move it, too.
            graded = any(t.grad is not None for reference in self._tensors if (t := reference()) is not None)
            self._begun.append(_Begun(weakref.ref(optimizer), watcher.calls, self._version(), graded))

    def _after(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watcher = self._watcher()
        while watcher is not None and self._begun:  # those of steps that ended by an exception lie above
            begun = self._begun[-1]
            if begun.optimizer() is not optimizer and not self._shares(optimizer):
                return
            self._begun.pop()
            if begun.optimizer() is optimizer:
                if begun.has_gradients or begun.version != self._version():
                    watcher.on_other_step(optimizer, wraps=watcher.calls != begun.calls)
                return

    def _shares(self, optimizer: Optimizer) -> bool:
        """True for another optimizer that owns one of the tensors; looked up again when it gets or loses parameters."""
        if optimizer is self._own():
            return False
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        known = self._counts.get(optimizer)
        if known is None or known[0] != count:
            held = {id(tensor) for reference in self._tensors if (tensor := reference()) is not None}
            shares = any(id(parameter) in held for group in optimizer.param_groups for parameter in group["params"])
            known = self._counts[optimizer] = (count, shares)
        return known[1]

    def _version(self) -> int:
        """Grows with each change of a tensor that torch counts."""
        return sum(tensor._version for reference in self._tensors if (tensor := reference()) is not None)


def uncompiled(hook: Callable[..., Any]) -> Callable[..., Any]:
    """The hook, not traced by torch.compile(optimizer.step): its Python state would have it traced at each step."""
    return torch.compiler.disable(hook)  # type: ignore[no-any-return]


def _remove(handles: Sequence[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
