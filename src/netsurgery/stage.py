"""One method on some layers of a model, from some step on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from netsurgery.checks import plain, require, require_count
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One method on some layers, from some step on.

    method: e.g. Surgery(density=0.01).
    layers: patterns of module names as in `model.named_modules()`, e.g. ("features.*", "fc1"); a layer is selected if
        any matches. `*`, `?` and `[...]` as in file names. The whole model by default. An embedding, and a parameter
        that isn't a layer's weight, is selected only where a pattern names it: ("blocks.*.w1",) for the latter.
    types: patterns of class names, e.g. ("Conv*",), or all types if empty; both `layers` and `types` must match. A
        layer has the types of all classes that its own is derived from: ("Linear",) takes attention's projections too.
    skip: patterns of names that are left out.
    start: optimizer step, counted since `attach`, at which the stage begins, >= 0. Its layers train on as usual
        before, and what is taken "once at step 0" is taken then.

    >>> stage = ns.Stage(method=ns.Surgery(density=0.1), types=("Linear",), skip=("head",))
    >>> print(ns.Plan.of(stage).describe(model))
    stage 0: 210 connections in 2 parameters of hidden
    left alone: norm.weight, norm.bias (normalisation)
    left alone: head.weight, head.bias (not selected by layers, types and skip)
    """

    method: Method[Any]
    layers: tuple[str, ...] = ("*",)
    types: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        require(
            isinstance(self.method, Method),
            "method",
            self.method,
            f"one of {', '.join(cls.__name__ for cls in ALL_METHODS.values())}",
            "for example Stage(method=Surgery(density=0.01))",
        )
        object.__setattr__(self, "method", _with_plain_numbers(self.method))
        for setting in ("layers", "types", "skip"):
            given = getattr(self, setting)
            listed = isinstance(given, list | tuple) and all(isinstance(pattern, str) for pattern in given)
            require(listed, setting, given, "a tuple of patterns", 'for one pattern write ("conv*",)')
            object.__setattr__(self, setting, tuple(given))
        require(len(self.layers) > 0, "layers", self.layers, "at least one pattern", 'for all layers write ("*",)')
        require_count("start", self.start, minimum=0)
        object.__setattr__(self, "start", plain(self.start))


def _with_plain_numbers(method: Method[Any]) -> Method[Any]:
    """The method with Python's numbers in place of NumPy's."""

    def converted(value: Any) -> Any:
        return tuple(map(plain, value)) if isinstance(value, tuple) else plain(value)

    settings = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    return dataclasses.replace(method, **{name: converted(value) for name, value in settings.items()})  # type: ignore[type-var]
