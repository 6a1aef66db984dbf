"""Schedules: a step goes in, a number comes out. Pure and frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Anything that turns a step (0, 1, 2, ...) into a number."""

    def __call__(self, step: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """The same value at every step."""

    value: float

    def __call__(self, step: int) -> float:
        return self.value


@dataclass(frozen=True)
class Switch:
    """`before` until a step, `after` from that step on."""

    before: float
    after: float
    step: int

    def __call__(self, step: int) -> float:
        return self.before if step < self.step else self.after


@dataclass(frozen=True)
class InversePower:
    """start * (1 + gamma * step) ** -power.

    With start 1 it is sigma(step), the probability that a mask is refreshed (Guo et al. 2016); with start 0.01,
    gamma 1e-4, power 0.75 it is the learning rate of the LeNet references.
    """

    start: float
    gamma: float
    power: float

    def __call__(self, step: int) -> float:
        return float(self.start * (1.0 + self.gamma * step) ** -self.power)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from `start` at step 0 to `end` at `steps`, constant afterwards."""

    start: float
    end: float
    steps: int

    def __call__(self, step: int) -> float:
        share = min(1.0, step / self.steps) if self.steps else 1.0
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True)
class DensityRamp:
    """Density from `start` at step 0 to `end` at `steps`, constant afterwards.

    start * (end / start) ** (1 - (1 - step / steps)²).

    Exponential, so that it always removes a share of what is left; quick at first, while nearly everything is
    redundant, and slow towards the end, where each connection counts.
    """

    end: float
    steps: int
    start: float = 1.0

    def __call__(self, step: int) -> float:
        left = max(0.0, 1.0 - step / self.steps) if self.steps else 0.0
        return float(self.start * (self.end / self.start) ** (1.0 - left * left))


@dataclass(frozen=True)
class Restarted:
    """A schedule that begins again at each of `starts`: its value at step - the last start up to step.

    starts: steps, rising; before the first one it runs from step 0. Zhou et al. 2017 let the learning rate
    begin again with each round of retraining (INQ.round_starts).
    """

    repeated: Schedule
    starts: tuple[int, ...]

    def __call__(self, step: int) -> float:
        return self.repeated(step - max((start for start in self.starts if start <= step), default=0))


@dataclass(frozen=True)
class Rounds:
    """1 at each of `starts`, and from there down half a cosine to 0, where the next round begins or `steps` are over.

    starts: rising, 0 first. steps: above the last of them.
    """

    starts: tuple[int, ...]
    steps: int

    def __call__(self, step: int) -> float:
        edges = (*self.starts, self.steps)
        start = max(edge for edge in edges[:-1] if edge <= step)
        end = edges[edges.index(start) + 1]
        return Cosine(1.0, 0.0, end - start)(step - start)


@dataclass(frozen=True)
class Followed:
    """`first` before `step`, and from that step on `then`, which begins there with its step 0."""

    first: Schedule
    then: Schedule
    step: int

    def __call__(self, step: int) -> float:
        return self.first(step) if step < self.step else self.then(step - self.step)


@dataclass(frozen=True)
class Hastened:
    """`schedule`, run through `factor` times as fast: its value at step * factor, rounded down."""

    schedule: Schedule
    factor: float

    def __call__(self, step: int) -> float:
        return self.schedule(int(step * self.factor))


@dataclass(frozen=True)
class Warmed:
    """`schedule`, reached in equal parts over its first `steps` steps: step 0 has 1 / steps of it."""

    schedule: Schedule
    steps: int

    def __call__(self, step: int) -> float:
        return self.schedule(step) * min(1.0, (step + 1) / self.steps)
