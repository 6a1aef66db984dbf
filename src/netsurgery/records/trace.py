"""Watches a training run for its record: density, prunes and splices, accuracy, at a few dozen moments."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from torch import nn

from netsurgery.attachment.operation import Operation
from netsurgery.records.record import Trace
from netsurgery.train.loop import error_percent
from netsurgery.train.source import Source


class TraceRecorder:
    """Call it after each step (it is a `train.loop.Watch`); `trace` then holds about `samples` moments of the run."""

    def __init__(self, model: nn.Module, validation: Source, steps: int, samples: int = 40) -> None:
        self.trace = Trace()
        self._model = model
        self._validation = validation
        self._steps = steps
        self._interval = max(1, math.ceil(steps / samples))
        self._last = (0, 0, 0)  # step, prunes and splices up to it

    def __call__(self, step: int, operation: Operation | None) -> None:
        """Sample if it is time."""
        if operation is None or (step % self._interval and step != self._steps):
            return
        rows = operation.report()
        pruned, spliced = sum(row.pruned_total for row in rows), sum(row.spliced_total for row in rows)
        last_step, last_pruned, last_spliced = self._last
        span = max(1, step - last_step)
        self.trace.steps.append(step)
        for row in rows:
            self.trace.density.setdefault(row.name, []).append(round(row.density, 6))
        self.trace.pruned_per_step.append(round((pruned - last_pruned) / span, 3))
        self.trace.spliced_per_step.append(round((spliced - last_spliced) / span, 3))
        self.trace.validation_error_percent.append(round(error_percent(self._model, self._validation), 3))
        self._last = (step, pruned, spliced)

    def state_dict(self) -> dict[str, Any]:
        """What was recorded so far, in lists and numbers, for a checkpoint."""
        return {"trace": dataclasses.asdict(self.trace), "last": list(self._last)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.trace = Trace(**saved["trace"])
        step, pruned, spliced = saved["last"]
        self._last = (step, pruned, spliced)
