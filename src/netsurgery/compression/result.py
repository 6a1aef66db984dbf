"""What a search says while it is at work, and what it has found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torch import nn

from netsurgery.compression.candidate import REFERENCE, Candidate, Objective, best, frontier

Progress: TypeAlias = Callable[["Moment"], None]
"""Called now and then while a search is at work."""


@dataclass(frozen=True)
class Moment:
    """How far a search is.

    what: in words, what is being done. step, steps: of it. spent: share of the budget, 0 .. 1. best: so far.
    """

    what: str
    step: int
    steps: int
    spent: float
    best: Candidate | None


@dataclass(frozen=True)
class Compression:
    """What a search has found.

    model: the model that was given, with the weights of the best network. best: that network; the reference itself
    where no smaller one held the limit. candidates: all that were tried, the reference first. curve: those of them that
    none beats in both cost and metric. met: True if a network was found that holds the limit and costs less than the
    reference. interrupted: True if Ctrl-C or the clock ended the search. folder: where everything is. path: the packed
    best network, None where it can't be packed, for the reason in `unpacked`; where `best.activations` is "fixed", its
    activations are in fixed point, as the model's aren't, and the metric is the file's. report: a page.

    >>> result = ns.compress(
    ...     model,
    ...     loader,
    ...     lambda model: 1.0,  # your metric on held-out data
    ...     loss=lambda model, batch: loss_of(model(batch[0]), batch[1]),
    ...     budget="200 steps",
    ...     out="mine",
    ... )
    >>> result.path.name, result.report.name
    ('best.nsm', 'report.html')
    >>> ns.load(result.path)(images.numpy()).shape
    (5, 3)
    """

    model: nn.Module
    objective: Objective
    candidates: tuple[Candidate, ...]
    interrupted: bool
    folder: Path
    path: Path | None
    unpacked: str
    report: Path | None

    @property
    def reference(self) -> Candidate:
        """The network that the search began with."""
        return self.candidates[REFERENCE]

    @property
    def best(self) -> Candidate:
        """The cheapest network that holds the limit."""
        return best(self.candidates, self.objective)

    @property
    def curve(self) -> list[Candidate]:
        """The frontier of cost and metric, from the most expensive network to the cheapest."""
        return frontier(self.candidates, self.objective)

    @property
    def met(self) -> bool:
        """Whether anything was gained within the limit."""
        return self.best.number != REFERENCE

    @property
    def nearest(self) -> Candidate | None:
        """Where no cheaper network held the limit, the one of those tried that lost least; None if there is none."""
        cost = self.reference.cost(self.objective)
        tried = [one for one in self.candidates if not one.failed and one.cost(self.objective) < cost]
        return None if self.met or not tried else min(tried, key=lambda one: one.drop)

    def __str__(self) -> str:
        first, now = self.reference, self.best
        if not self.met:
            stands = f"metric {first.value:.6g}, {first.connections:,} connections{self._unpacked_note}"
            if len(self.candidates) == 1:
                why = "the search was ended early" if self.interrupted else "the budget is too small for a trial"
                return f"nothing smaller was tried, as {why}: {stands}"
            words = f"no smaller network holds the limit: {stands}"
            if self.nearest is not None:
                return f"{words}; nearest to it: {_lost(self.nearest)}"
            failed = [one.failed for one in self.candidates if one.failed]
            return f"{words}; none of {len(failed)} trainings gave one: {failed[0]}" if failed else words
        parts = [
            f"{now.connections / max(now.kept, 1):,.1f}x fewer connections",
            f"metric {first.value:.6g} -> {now.value:.6g}",
        ]
        if first.size_bytes and now.size_bytes:
            parts.append(f"file {first.size_bytes:,} -> {now.size_bytes:,} bytes")
        if now.activations == "fixed":
            parts.append("activations in fixed point")
        if first.latency_us and now.latency_us:
            parts.append(f"{first.latency_us:,.1f} -> {now.latency_us:,.1f} us")
        return "\n".join(filter(None, (", ".join(parts) + self._unpacked_note, now.chance)))

    @property
    def _unpacked_note(self) -> str:
        return f"; not packed: {self.unpacked}" if self.unpacked else ""


def _lost(one: Candidate) -> str:
    """What a network would save, and what it lost for that."""
    size = f", {one.size_bytes:,} bytes" if one.size_bytes else ""
    error = "" if one.error is None else f" (standard error {one.error:.2g})"
    return f"{one.compression:,.1f}x fewer connections, {one.bits} bits{size}, lost {one.drop:.3g}{error}"
