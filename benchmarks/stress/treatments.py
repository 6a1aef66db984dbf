"""What is done to a trained network, and at which settings: one table, from which runs and tables are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import netsurgery as ns
from netsurgery.methods.base import Method
from stress.gradual import GradualPruning

DENSITIES = (0.3, 0.1, 0.05, 0.02)
DENSE = "dense"
NEVER = 1e6
"""A hysteresis at which no pruned connection ever comes back."""


@dataclass(frozen=True)
class Treatment:
    """method: (setting, optimizer steps of the training) -> method, None for none. settings: densities, bits, planes.

    unit: what a setting is, None where there is nothing to set.
    """

    title: str
    method: Callable[[float, int], Method[Any] | None]
    settings: tuple[float, ...]
    unit: str | None


TREATMENTS = {
    DENSE: Treatment("dense", lambda *_: None, (1,), None),
    "surgery": Treatment("surgery", lambda density, steps: ns.Surgery(density, steps=steps), DENSITIES, "density"),
    "no-splicing": Treatment(
        "no splicing", lambda density, steps: ns.Surgery(density, steps=steps, hysteresis=NEVER), DENSITIES, "density"
    ),
    "naive-cut": Treatment("naive cut", lambda density, _: ns.NaiveCut(density), DENSITIES, "density"),
    "gradual": Treatment("gradual magnitude", GradualPruning, DENSITIES, "density"),
    "inq": Treatment("powers of two", lambda bits, steps: ns.INQ(int(bits), steps=steps), (5, 3), "bits"),
    "sketching": Treatment(
        "binary planes", lambda planes, steps: ns.Sketching(int(planes), steps=steps), (2, 1), "planes"
    ),
}
"""Name -> treatment, in the order of the tables. INQ takes its last portion at the last step, and its learning rate
begins again with each round, as its page advises.
"""
