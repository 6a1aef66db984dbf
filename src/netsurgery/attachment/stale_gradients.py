"""Gradients that were there before an operation was attached: the first step may not learn from them.

A loop that begins with `zero_grad` drops them. One that attaches between `backward` and `step`, or never clears, would
rank connections by gradients of other weights than those that it operates on.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor


class StaleGradients:
    """The gradients of some parameters as they are now."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._known = [(p, weakref.ref(p.grad), p.grad._version) for p in parameters if p.grad is not None]

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Within, parameters whose gradient hasn't changed since then have none."""
        stale = [(p, p.grad) for p, gradient, version in self._known if self._is_same(p, gradient, version)]
        for parameter, _ in stale:
            parameter.grad = None
        try:
            yield
        finally:
            for parameter, gradient in stale:
                parameter.grad = gradient

    def covers(self, parameter: Tensor) -> bool:
        """True if the parameter has no gradient but the one that it had."""
        return parameter.grad is None or any(
            p is parameter and self._is_same(p, gradient, version) for p, gradient, version in self._known
        )

    @staticmethod
    def _is_same(parameter: Tensor, gradient: weakref.ref[Tensor], version: int) -> bool:
        return parameter.grad is not None and parameter.grad is gradient() and parameter.grad._version == version
