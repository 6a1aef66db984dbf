"""An operation in the hands of a trainer: attached when training begins, resumed, and finished when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from netsurgery.attachment.operation import Operation, attach
from netsurgery.errors import PlanError
from netsurgery.methods.base import Method
from netsurgery.plan import Plan
from netsurgery.stage import Stage

PlanLike = Plan | Stage | Method[Any] | str | Path
GivenPlan = PlanLike | Callable[[int], PlanLike]
"""What `attach` takes, or a function that makes it of the number of optimizer steps that the trainer has planned."""


class TrainerOperation:
    """The operation of one trainer, over all its trainings of a model.

    A second training of the same model goes on where the first one ended, with the weights that the model has then: the
    schedule is run to its end, and after that what is pruned stays pruned. Another model begins anew.
    """

    def __init__(self, plan: GivenPlan) -> None:
        if not callable(plan):
            plan = Plan.of(plan)  # errors come where the plan is written, not when training begins
        elif isinstance(plan, type):
            raise PlanError(f"The class {plan.__name__} is not a plan: write {plan.__name__}(...) with its settings.")
        self._given = plan
        self._unfinished: dict[str, Any] | None = None
        self.operation: Operation | None = None

    def begin(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        steps: float,
        saved: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Attach. steps: of the optimizer, as the trainer plans. saved: the state that this training resumes from."""
        weights = saved is not None
        if self.operation is not None:
            if saved is None and self.operation.is_on(model):
                saved = self.state()
            self.give_up()
        operation = self.operation = attach(model, list(optimizers), self._plan(steps, saved))
        try:
            if saved is not None:
                operation.load_state_dict(saved, weights=weights)
        except BaseException:
            self.give_up()
            raise
        self._unfinished = None
        return operation

    def give_up(self) -> None:
        """Detach from a model that isn't what a state is of."""
        if self.operation is not None:
            self.operation.detach()
        self.operation = None

    def state(self) -> dict[str, Any] | None:
        """What a checkpoint holds of it; None before it is attached."""
        if self._unfinished is not None or self.operation is None:
            return self._unfinished
        return self.operation.state_dict()

    def end(self, optimizers: Sequence[Any]) -> None:
        """Finish, on the averages of optimizers that have such. What hadn't ended can be gone on with all the same."""
        if self.operation is None:
            return
        for optimizer in optimizers:
            if callable(getattr(optimizer, "eval", None)):
                optimizer.eval()
        is_early = not self.operation.finished and self.operation.step < self.operation.plan.active_steps
        self._unfinished = self.operation.state_dict() if is_early else None
        self.operation.finish()

    def _plan(self, steps: float, saved: Mapping[str, Any] | None) -> Plan:
        if isinstance(self._given, Plan):
            return self._given
        if saved is not None:  # made for as many steps as were planned then
            return Plan.from_dict(saved["plan"])
        if not 0 < steps < float("inf"):
            raise PlanError(
                f"The trainer plans {steps} optimizer steps, and the plan is a function of their number. Give the "
                "trainer a number of epochs or steps, or give a plan with steps of its own."
            )
        return Plan.of(self._given(int(steps)))
