"""Calls of methods for which torch has no hook: somebody is told after each of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any


class _Told:
    """A method of one object, and who is told after it."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.told: list[Callable[[], None]] = []

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        result = self.method(*arguments, **keywords)
        for tell in self.told:
            tell()
        return result


class TellAfter:
    """Has `tell` called after each call of the methods of those names of one object, which isn't kept alive."""

    def __init__(self, holder: object, names: Sequence[str], tell: Callable[[], None]) -> None:
        self._holder, self._names, self._tell = weakref.ref(holder), names, tell
        for name in names:
            if not isinstance(vars(holder).get(name), _Told):
                setattr(holder, name, _Told(getattr(holder, name)))
            getattr(holder, name).told.append(tell)

    def remove(self) -> None:
        """Tell no more; the object is as it was once nobody is told."""
        holder = self._holder()
        for name in self._names if holder is not None else ():
            method = vars(holder).get(name)
            if isinstance(method, _Told):
                method.told = [tell for tell in method.told if tell != self._tell]
                if not method.told:
                    delattr(holder, name)
