"""Checks of settings that several parts share: each returns nothing or raises SettingError."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from numbers import Integral, Real

from netsurgery.errors import SettingError


def require(condition: bool, setting: str, given: object, allowed: str, advice: str = "") -> None:
    """Raise SettingError unless `condition` holds: who, what was given, what is allowed, what to do."""
    if not condition:
        end = f"; {advice}" if advice else ""
        raise SettingError(f"{setting}={given!r} is not allowed: {setting} must be {allowed}{end}.")


def is_number(value: object) -> bool:
    """True for a finite whole or real number, NumPy's among them; booleans are not numbers here."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def plain(value: object) -> object:
    """A number as Python's own int or float, as TOML and torch.save take it; anything else as it is."""
    if isinstance(value, bool | int | float):
        return float(value) if isinstance(value, float) else value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def require_choice(setting: str, value: object, *allowed: str) -> None:
    """One of these words."""
    words = f"{', '.join(map(repr, allowed[:-1]))} or {allowed[-1]!r}"
    require(isinstance(value, str) and value in allowed, setting, value, words)


def require_flag(setting: str, value: object) -> None:
    """True or False, nothing that merely counts as one."""
    require(isinstance(value, bool), setting, value, "True or False")


def require_density(density: object) -> None:
    """A density is kept / all, in (0, 1]."""
    require(
        is_number(density) and 0 < density <= 1,  # type: ignore[operator]
        "density",
        density,
        "a number in (0, 1]",
        "it is the share of connections that stays, 0.01 for 1 %",
    )


def require_count(setting: str, value: object, minimum: int = 1, maximum: float = math.inf) -> None:
    """A count is a whole number not below `minimum` and not above `maximum`."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    allowed = f"a whole number >= {minimum}" if math.isinf(maximum) else f"a whole number in {minimum} .. {maximum}"
    require(whole and minimum <= value <= maximum, setting, value, allowed)  # type: ignore[operator]


def gives_items(value: object) -> bool:
    """True for what items can be taken from, one after another: no text, no mapping, and no single number or tensor."""
    if isinstance(value, str | bytes | Mapping) or getattr(value, "ndim", 1) == 0:  # NumPy's numbers have __getitem__
        return False
    return hasattr(value, "__iter__") or hasattr(value, "__getitem__")


def require_takes(setting: str, function: object, call: str, count: int) -> None:
    """A function that can be called so, with `count` arguments, as far as its signature tells; or None."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # of what is written in C, and of what is no function
        return
    try:
        signature.bind(*range(count))
    except TypeError as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise SettingError(f"{setting}={name}{signature} can't be called as {call}: {error}.") from error


def require_range(setting: str, value: object, low: float, high: float) -> None:
    """A number in [low, high]; `high` may be infinite."""
    bounds = f"a number >= {low:g}" if math.isinf(high) else f"a number in [{low:g}, {high:g}]"
    require(is_number(value) and low <= value <= high, setting, value, bounds)  # type: ignore[operator]
