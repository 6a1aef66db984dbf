"""Steps that another optimizer than the attached one takes with the same weights.

torch calls global hooks around every optimizer's step. A wrapper (SAM, Lookahead) that calls the attached optimizer's
step inside its own is welcome: what it writes after that is hidden again. An optimizer that moves the weights alone
leaves the operation blind, so that it is refused at its first step; once the operation is finished it does no harm,
since what was pruned is hidden after each of its steps too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


class _Begun(NamedTuple):
    """A step of another optimizer that is under way, and what the weights were like before it."""

    optimizer: weakref.ref[Optimizer]
    calls: int
    version: int
    graded: bool


class OtherOptimizers:
    """Watches all optimizers but those attached, on behalf of an operation, which it doesn't keep alive.

    own: the attached optimizers. tensors: what is operated on.
    calls: a method that gives how many of its steps have begun, or None inside one of them.
    moved: a method that is told of another optimizer that has moved the weights, after its step; True if that has
        called the attached one's step meanwhile.
    """

    def __init__(
        self,
        own: Sequence[Optimizer],
        tensors: Sequence[Tensor],
        calls: Callable[[], int | None],
        moved: Callable[[Optimizer, bool], None],
    ) -> None:
        self._own = weakref.WeakSet(own)
        self._tensors = [weakref.ref(tensor) for tensor in tensors]
        self._calls = weakref.WeakMethod(calls)
        self._moved = weakref.WeakMethod(moved)
        self._counts: weakref.WeakKeyDictionary[Optimizer, tuple[int, bool]] = weakref.WeakKeyDictionary()
        self._begun: list[_Begun] = []
        _listen()
        _watchers.add(self)

    def stop(self) -> None:
        """Watch no more."""
        _watchers.discard(self)

    def before(self, optimizer: Optimizer) -> None:
        """Some optimizer is about to take a step."""
        method = self._calls()
        calls = method() if method is not None and self._shares(optimizer) else None
        if calls is not None:
            # Some optimizers write through .data, which torch doesn't count; a gradient tells that they move it, too.
            graded = any(t.grad is not None for reference in self._tensors if (t := reference()) is not None)
            self._begun.append(_Begun(weakref.ref(optimizer), calls, self._version(), graded))

    def after(self, optimizer: Optimizer) -> None:
        """It has taken its step."""
        while self._begun and (self._begun[-1].optimizer() is optimizer or self._shares(optimizer)):
            begun = self._begun.pop()  # those of steps that ended by an exception lie above
            if begun.optimizer() is optimizer:
                calls, moved = self._calls(), self._moved()
                if calls is not None and moved is not None and (begun.graded or begun.version != self._version()):
                    moved(optimizer, calls() != begun.calls)
                return

    def _shares(self, optimizer: Optimizer) -> bool:
        """True for another optimizer that owns one of the tensors; looked up again when it gets or loses parameters."""
        if optimizer in self._own:
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


_watchers: weakref.WeakSet[OtherOptimizers] = weakref.WeakSet()


@cache
def _listen() -> None:
    """Have torch tell all watchers of every step, once and for good.

    A hook for each operation would have to be removed when that is collected, which may happen at any moment: also
    while torch goes through its hooks.
    """
    register_optimizer_step_pre_hook(uncompiled(_before))
    register_optimizer_step_post_hook(uncompiled(_after))


def _before(optimizer: Optimizer, *_: object) -> None:
    for watcher in list(_watchers):
        watcher.before(optimizer)


def _after(optimizer: Optimizer, *_: object) -> None:
    for watcher in list(_watchers):
        watcher.after(optimizer)
