"""What a search may spend: optimizer steps, passes over the training data, or time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from netsurgery.checks import is_number, require

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {"step": "steps", "steps": "steps", "epoch": "epochs", "epochs": "epochs"}
_ALLOWED = "optimizer steps such as 20_000, or a text such as '30m', '2h', '90s', '40 epochs', '20000 steps'"


@dataclass(frozen=True)
class Budget:
    """An amount of a unit.

    Steps and epochs give the same network each time. Time is turned into steps once, by the speed that this machine
    shows at the start.

    >>> Budget.of("30m")
    Budget(amount=1800.0, unit='seconds')
    >>> Budget.of(20_000)
    Budget(amount=20000, unit='steps')
    """

    amount: float
    unit: Literal["steps", "epochs", "seconds"]

    def __post_init__(self) -> None:
        known = self.unit in ("steps", "epochs", "seconds") and is_number(self.amount) and self.amount > 0
        known = known and (self.unit != "steps" or self.amount == int(self.amount))
        require(known, "budget", f"{self.amount} {self.unit}", _ALLOWED)

    @classmethod
    def of(cls, given: object) -> Budget:
        """From what a user writes. Raises SettingError."""
        if isinstance(given, Budget):
            return given
        if is_number(given):
            whole = float(given) == int(given) and given >= 1  # type: ignore[call-overload, operator, arg-type]
            require(whole, "budget", given, _ALLOWED)
            return cls(int(given), "steps")  # type: ignore[call-overload]
        text = given if isinstance(given, str) else ""
        found = re.fullmatch(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)\s*", text)
        digits, unit = found.groups() if found else ("0", "")
        amount = float(re.sub("[_,]", "", digits))
        amounts = 0 < amount < math.inf
        require(amounts and (unit in _SECONDS or unit in _WORDS), "budget", given, _ALLOWED)
        if unit in _SECONDS:
            return cls(amount * _SECONDS[unit], "seconds")
        if _WORDS[unit] == "steps":
            require(amount == int(amount), "budget", given, _ALLOWED)
            return cls(int(amount), "steps")
        return cls(amount, "epochs")

    def steps(self, batches: int | None) -> float:
        """Optimizer steps of a budget that isn't time. batches: of a pass, or None where the loader doesn't say.

        Raises SettingError for passes of such a loader.
        """
        if self.unit == "steps":
            return self.amount
        allowed, why = "steps or time for this train_loader", "it doesn't say how many batches a pass has"
        require(batches is not None, "budget", str(self), allowed, why)
        return self.amount * (batches or 1)

    def __str__(self) -> str:
        """As a person says it."""
        if self.unit != "seconds":
            return f"{self.amount:,g} {self.unit}"
        for unit, seconds in (("h", 3600.0), ("min", 60.0)):
            if self.amount >= seconds:
                return f"{self.amount / seconds:g} {unit}"
        return f"{self.amount:g} s"
