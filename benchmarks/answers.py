"""Which recorded experiment answers a question of docs/choosing-a-method.md best, for each network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cells
from latencies import BATCHES, Latencies
from outcomes import NETWORKS, Outcome


@dataclass(frozen=True)
class Question:
    """among: outcomes that it is about; cost: the least is the best; figures: what is said of the best, in words."""

    among: Callable[[Outcome], bool]
    cost: Callable[[Outcome], float | tuple[float, ...]]
    figures: Callable[[Outcome], str]

    def best(self, outcomes: list[Outcome]) -> Outcome | None:
        """The best of those that lose nothing; where all lose something, the one that loses least."""
        candidates = [outcome for outcome in outcomes if self.among(outcome)]
        lossless = [outcome for outcome in candidates if outcome.lossless]
        if lossless:
            return min(lossless, key=self.cost)
        return min(candidates, key=lambda outcome: outcome.error_percent[0], default=None)


def _kept(outcome: Outcome) -> bool:
    return bool(outcome.file_bytes)


def _size(outcome: Outcome) -> str:
    return f"{cells.size(outcome)} bytes, {cells.smaller(outcome.times_smaller)} smaller"


def _bits_and_size(outcome: Outcome) -> str:
    return f"{outcome.weight_bits} bit{'s' * (outcome.weight_bits > 1)} a weight, {_size(outcome)}"


SMALLEST = Question(_kept, lambda outcome: outcome.mean_bytes, _size)
DENSE = Question(
    lambda outcome: _kept(outcome) and not outcome.prunes, lambda outcome: outcome.mean_bytes, _bits_and_size
)
POWERS = Question(
    lambda outcome: _kept(outcome) and outcome.bits > 0,
    lambda outcome: (outcome.bits, outcome.mean_bytes),
    _bits_and_size,
)
PLANES = Question(lambda outcome: _kept(outcome) and outcome.planes > 0, lambda outcome: outcome.planes, _bits_and_size)
QUICKEST = Question(
    lambda _: True,
    lambda outcome: (outcome.steps, outcome.error_percent[0]),  # seconds are of different processors
    lambda outcome: f"{outcome.steps:,} steps, {outcome.seconds:.0f} s on {outcome.processor}",
)


def fastest(latencies: Latencies, batch: int) -> Question:
    """At this batch size."""

    def time_us(outcome: Outcome) -> float:
        return latencies.median_us(outcome.network, outcome.name, batch)

    def figures(outcome: Outcome) -> str:
        ratio = latencies.times_faster(outcome.network, outcome.name, batch)
        return f"{cells.milliseconds(time_us(outcome))} ms at batch {batch}, {ratio:.1f} times ONNX Runtime's speed"

    return Question(lambda outcome: latencies.has(outcome.network, outcome.name), time_us, figures)


def answer(outcomes: list[Outcome], *questions: Question) -> str:
    """A line for each network and question that there is an experiment for."""
    lines = []
    for network, title in NETWORKS.items():
        for question in questions:
            best = question.best([outcome for outcome in outcomes if outcome.network == network])
            if best is None:
                continue
            loss = "" if best.lossless else " (nothing recorded loses nothing; this loses least)"
            lines.append(
                f"- {title}: **{best.words_with_numbers}**: {question.figures(best)}; "
                f"test error {cells.errors(best).replace('**', '')} %{loss}."
            )
    return "\n".join(lines or ["No experiment is recorded."])


def fastest_answer(outcomes: list[Outcome], latencies: Latencies) -> str:
    """For each batch size that was measured."""
    return answer(outcomes, *(fastest(latencies, batch) for batch in BATCHES))
