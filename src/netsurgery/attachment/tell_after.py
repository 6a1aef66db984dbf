"""Calls of methods for which torch has no hook: somebody is told after each of them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any


class _Told:
    """A method of one object, and who is told after it. What else the method has, such as marks of torch's, it has."""

    def __init__(self, method: Callable[..., Any], was_there: bool) -> None:
        self.method = method
        self.was_there = was_there
        """Whether the object had it as an attribute of its own, as where a scheduler has put something around it."""
        self.told: list[Callable[[], None]] = []

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        result = self.method(*arguments, **keywords)
        for tell in self.told:
            tell()
        return result

    def __getattr__(self, name: str) -> Any:
        if name == "method" or name.startswith("__"):  # of a copy that isn't whole yet, or asked for by one
            raise AttributeError(name)
        return getattr(self.method, name)

    @property
    def __func__(self) -> Callable[..., Any]:
        """What torch's schedulers put something around: with the object before the arguments."""
        return functools.wraps(self.method)(lambda _, *arguments, **keywords: self(*arguments, **keywords))


class TellAfter:
    """Has `tell` called after each call of the methods of those names of one object, which isn't kept alive."""

    def __init__(self, holder: object, names: Sequence[str], tell: Callable[[], None]) -> None:
        self._holder, self._tell = weakref.ref(holder), tell
        self._methods: dict[str, _Told] = {}
        for name in names:
            method = vars(holder).get(name)
            if not isinstance(method, _Told):
                method = _Told(getattr(holder, name), method is not None)
                setattr(holder, name, method)
            method.told.append(tell)
            self._methods[name] = method

    def remove(self) -> None:
        """Tell no more; the object is as it was once nobody is told."""
        holder = self._holder()
        for name, method in self._methods.items():
            method.told = [tell for tell in method.told if tell != self._tell]
            if holder is not None and not method.told and vars(holder).get(name) is method:
                if method.was_there:
                    setattr(holder, name, method.method)
                else:
                    delattr(holder, name)
