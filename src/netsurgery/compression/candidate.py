"""Networks that a search has trained: what was tried, and what came of it. Plain records, kept as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Objective = Literal["size", "latency"]
Activations = Literal["float", "fixed"]
REFERENCE = 0
"""The number of the network that a search began with."""


@dataclass(frozen=True)
class Trial:
    """What is tried next.

    start: the number of the candidate whose weights it begins with. density: kept / all that surgery goes to; None
    leaves connections as they are. bits: of each value of what is left; None leaves them floats. steps: optimizer
    steps. rate_share: of the learning rate that was found best.
    """

    start: int
    density: float | None
    bits: int | None
    steps: int
    rate_share: float = 1.0

    @property
    def words(self) -> str:
        """In a few words."""
        parts = []
        if self.density is not None:
            parts.append(f"density {self.density:.3g}")
        if self.bits is not None:
            parts.append(f"{self.bits} bits")
        if self.rate_share != 1.0:
            parts.append(f"{self.rate_share:.2g} of the rate")
        return ", ".join(parts)


@dataclass(frozen=True)
class Candidate:
    """A network, and what it is worth.

    number: counted from 0, the reference. kept: connections other than 0 of the weights operated on, of `connections`.
    bits: of a weight, 32 for floats. value: of the metric on held-out data. drop, error, held: as in Verdict.
    size_bytes: of the whole packed file. latency_us: median microseconds of one example in the engine, one thread; both
    None where the network can't be packed. failed: why there is no network, as where training diverged; "" otherwise.
    activations: "fixed" where those of the packed network are in fixed point, and metric, size and latency are its own.
    examples: how many held-out ones it was judged on, 0 where the metric is one number. most: as in Verdict.
    """

    number: int
    trial: Trial | None
    kept: int
    connections: int
    bits: int
    value: float
    drop: float
    error: float | None
    held: bool
    size_bytes: int | None = None
    latency_us: float | None = None
    failed: str = ""
    activations: Activations = "float"
    examples: int = 0
    most: float | None = None

    @property
    def compression(self) -> float:
        """All connections / kept ones."""
        return self.connections / max(self.kept, 1)

    @property
    def density(self) -> float:
        """Kept / all."""
        return self.kept / self.connections

    @property
    def chance(self) -> str:
        """How far the drop may be chance, in a sentence; of the network that a search began with, none."""
        if self.trial is None:
            return ""
        if self.error is None:
            return "How far chance moved it isn't known: `evaluate` gives no number for each of several examples."
        if self.most is None:  # of a search of an earlier version
            return ""
        judged = f"Judged on {self.examples:,} held-out examples"
        if self.most <= 0:
            return f"{judged}: the gain is more than chance."
        return f"{judged}: on others like them it may lose up to {self.most:.2g}."

    def cost(self, objective: Objective) -> float:
        """What is to be made small. Where a network can't be packed, the bits of its values and places, roughly."""
        if objective == "latency" and self.latency_us is not None:
            return self.latency_us
        if self.size_bytes is not None:
            return float(self.size_bytes)
        return float(self.kept) * (self.bits + 4.0) / 8

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> Candidate:
        """The inverse of `to_dict`."""
        trial = table["trial"]
        return cls(**{**table, "trial": None if trial is None else Trial(**trial)})


def best(candidates: Sequence[Candidate], objective: Objective) -> Candidate:
    """The one of least cost among those that hold the limit; the earlier of two equal ones. The reference holds it."""
    return min((one for one in candidates if one.held and not one.failed), key=lambda one: one.cost(objective))


def frontier(candidates: Sequence[Candidate], objective: Objective) -> list[Candidate]:
    """Those that no other one beats in both cost and metric, from the most expensive to the cheapest."""
    found: list[Candidate] = []
    for one in sorted((one for one in candidates if not one.failed), key=lambda one: (one.cost(objective), -one.value)):
        if not found or one.value > found[-1].value:
            found.append(one)
    return found[::-1]
