"""What an operation makes of the steps of its optimizers: when a step of its own is complete, and what happens then."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Sequence

import torch
from torch.optim import Optimizer

from netsurgery.attachment.gradients_seen import GradientsSeen
from netsurgery.attachment.mode_switches import ModeSwitches
from netsurgery.attachment.round import Round
from netsurgery.attachment.running_stages import RunningStages
from netsurgery.attachment.share import Share
from netsurgery.attachment.stale_gradients import StaleGradients
from netsurgery.attachment.step_hooks import StepHooks
from netsurgery.attachment.tell_after import TellAfter
from netsurgery.errors import OptimizerError, StalledWarning, TrainingModeWarning

PATIENCE = 100
"""Steps that one optimizer may take while another takes none, before that is said."""


class Steps:
    """The steps of all optimizers that move something of the stages.

    wrappers: objects whose `step` calls an optimizer's, and may write to the weights after that, as Lookahead does.
    check: called before each step; the optimizers keep it, and whose method it is, alive. An optimizer that moves
    nothing of the stages is none of its business. go_on: called once after each step of the operation that changes
    something, when parameters hold effective weights again.

    Raises OptimizerError for several optimizers over parameters that are spread over processes.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        wrappers: Sequence[object],
        stages: RunningStages,
        check: Callable[[], None],
        go_on: Callable[[], None],
    ) -> None:
        self.taken = 0
        """Steps of the operation: in each of them every optimizer has stepped."""
        self.finished = False
        """True once no set changes any more."""
        self.stale = StaleGradients(stages.tensors)
        self.seen = GradientsSeen(stages.tensors)
        shared = [(optimizer, share) for optimizer in optimizers if (share := Share(stages, optimizer)).tensors]
        _refuse_spread([share for _, share in shared])
        self.round = Round([share for _, share in shared])
        self._stages, self._check, self._go_on = stages, check, go_on
        self._gone_on = 0  # the step after which that was called
        self._hooks: list[StepHooks] = []
        self._switches: list[ModeSwitches] = []
        self._wrappers: list[TellAfter] = []
        self._is_told = False  # that an optimizer lags behind
        try:
            for optimizer, share in shared:
                self._hooks.append(StepHooks(optimizer, share, self))
                self._switches.append(ModeSwitches(optimizer, self.hide_all))
            self._wrappers = [TellAfter(wrapper, ("step",), self._hide_written) for wrapper in wrappers]
        except BaseException:
            self.remove()
            raise

    @property
    def optimizer_names(self) -> str:
        """Of the optimizers, for messages."""
        return " and ".join(hooks.share.optimizer_name for hooks in self._hooks)

    def remove(self) -> None:
        """Leave the optimizers alone from here on."""
        for hooks in self._hooks:
            hooks.remove()
        for switches in self._switches:
            switches.remove()
        for wrapper in self._wrappers:
            wrapper.remove()

    def warn_of_training_mode(self) -> None:
        """Warn (TrainingModeWarning) if the weights aren't those that a schedule-free optimizer is to give."""
        for hooks, switches in zip(self._hooks, self._switches, strict=True):
            if not switches.shows_averages:
                name = hooks.share.optimizer_name
                warnings.warn(
                    f"{name} is in training mode: the model holds the weights that it trains with, not their averages, "
                    "which are to be evaluated and packed. Call optimizer.eval(): before finish(), or now.",
                    TrainingModeWarning,
                    stacklevel=5,
                )

    def calls_begun(self) -> int | None:
        """How many calls of step have begun; None inside one of them."""
        return None if any(hooks.is_stepping() for hooks in self._hooks) else sum(hooks.calls for hooks in self._hooks)

    def leave(self) -> None:
        """After a step that was interrupted between its hooks: hide what was revealed. Inside a step: nothing."""
        for hooks in self._hooks:
            hooks.leave()

    def check_have_stepped(self) -> None:
        """Raise OptimizerError if gradients came, but an optimizer has made none of the steps that methods need."""
        for hooks in self._hooks:
            tensors = hooks.share.tensors.values()
            if hooks.calls or all(map(self.stale.covers, tensors)):
                continue
            others = [other.share.optimizer_name for other in self._hooks if other.calls]
            beside = f", while {' and '.join(others)} did" if others else ""
            raise OptimizerError(
                f"Gradients came, but the {hooks.share.optimizer_name} that is attached never made a step{beside}. "
                "Attach to the optimizer whose step() moves the weights: of a wrapper (SAM, Lookahead) the one inside "
                "it, usually wrapper.base_optimizer or wrapper.optimizer; and attach before training, not after it."
            )

    def before_step(self, hooks: StepHooks) -> None:
        for other in self._hooks:
            if other is not hooks:
                other.leave()
        self._check()

    def reveal(self, share: Share) -> None:
        self.round.reveal(share)

    @torch.no_grad()
    def hide_all(self) -> None:
        self._stages.hide()

    def complete_step(self, hooks: StepHooks, optimizer: Optimizer) -> None:
        # A fused optimizer is told of infinite gradients by GradScaler, and leaves the weights as they are.
        found_inf = getattr(optimizer, "found_inf", None)
        is_taken = found_inf is None or not bool(found_inf)
        with self.stale.hidden() if hooks.calls == 1 else contextlib.nullcontext():
            if is_taken and not self.finished:
                self._take(hooks.share)
            else:
                hooks.share.hide()
                self.taken += is_taken and self.round.add(hooks.share)
            if not self.finished:
                self.seen.look()
        if not self.round.waiting:
            self.round.clear()

    def after_step(self) -> None:
        if not self.finished:
            self._stages.begin(self.taken)
            if self.taken != self._gone_on:
                self._gone_on = self.taken
                self._go_on()

    @torch.no_grad()
    def _hide_written(self) -> None:
        self._stages.hide_written(self.finished)

    def _take(self, share: Share) -> None:
        if self.round.add(share):
            with self.round.all_revealed(share):
                self.taken += 1
                self._stages.advance(self.taken)
        else:
            self.round.keep(share, self.taken + 1)
            share.hide()
            self._warn_if_stalled()

    def _warn_if_stalled(self) -> None:
        if self.round.longest < PATIENCE or self._is_told:
            return
        self._is_told = True
        waiting = "; ".join(f"{share.optimizer_name} of {_listed(share.tensors)}" for share in self.round.waiting)
        warnings.warn(
            f"One of the attached optimizers has taken {PATIENCE} steps while another took none: {waiting}. A step of "
            "the operation is taken when each of its optimizers has stepped, so that nothing goes on until then. Call "
            "its step(), or detach, freeze what isn't trained, and attach to the optimizers that train.",
            StalledWarning,
            stacklevel=6,
        )


def check_disjoint(optimizers: Sequence[Optimizer], names: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Raise OptimizerError if two optimizers move one of the tensors: in which order they do is nobody's to know."""
    owners: dict[int, Optimizer] = {}
    named = {id(tensor): name for name, tensor in names}
    for optimizer in optimizers:
        owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for key in owned & named.keys():
            other = owners.setdefault(key, optimizer)
            if other is not optimizer:
                raise OptimizerError(
                    f"{named[key]} belongs to two of the optimizers, {type(other).__name__} and "
                    f"{type(optimizer).__name__}. Give each weight to one of them."
                )


def _refuse_spread(shares: Sequence[Share]) -> None:
    spread = [name for share in shares if share.is_spread for name in share.tensors]
    if spread and len(shares) > 1:
        names = " and ".join(share.optimizer_name for share in shares)
        raise OptimizerError(
            f"{_listed(spread)} are spread over processes (DTensors), and {names} move weights of one operation. "
            "Over such weights an operation takes one optimizer: attach one to each, each with a plan of its own."
        )


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")
