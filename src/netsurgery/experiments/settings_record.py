"""Recipes and plans as a record's configuration has them: plain numbers and words that JSON gives back."""

from __future__ import annotations

import dataclasses
from typing import Any

from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.plan import Plan
from netsurgery.train.recipe import Recipe


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """Field by field, schedules with their kinds."""
    schedules = {name: _schedule(getattr(recipe, name)) for name in ("learning_rate", "weight_decay")}
    return {**dataclasses.asdict(recipe), **schedules}


def weight_forms(plan: Plan) -> list[str]:
    """What the plan's methods make of a weight, in words, each once."""
    methods = [stage.method for stage in plan.stages]
    bits = [
        f"{method.bits} bits" + (f", {method.mantissa_bits} of them mantissa" if method.mantissa_bits else "")
        for method in methods
        if isinstance(method, INQ)
    ]
    planes = [
        f"{method.planes} plane" + "s" * (method.planes > 1) for method in methods if isinstance(method, Sketching)
    ]
    return list(dict.fromkeys(bits + planes))


def _schedule(schedule: Any) -> dict[str, Any]:
    """A schedule with its kind, and those that it is made of likewise."""
    parts = {field.name: getattr(schedule, field.name) for field in dataclasses.fields(schedule)}
    for name, part in parts.items():
        if dataclasses.is_dataclass(part):
            parts[name] = _schedule(part)
        elif isinstance(part, tuple):
            parts[name] = list(part)  # as JSON gives it back
    return {"schedule": type(schedule).__name__, **parts}
