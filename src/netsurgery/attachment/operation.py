"""Attach a plan to a model and its optimizer: the training loop stays as it is.

    effective weights --reveal--> latent weights --optimizer.step()--> latent weights --update, project--> effective

Hooks of torch.optim run `reveal` just before and `update`, `project` just after each step, so that user code (forward,
evaluation, state_dict, checkpoint, averaging, export) only ever meets effective weights in a plain module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsurgery.attachment.binding import Binding
from netsurgery.attachment.gradients_seen import GradientsSeen
from netsurgery.attachment.operation_report import starved_lines, table, warn_revived, warn_unreached
from netsurgery.attachment.optimizer_hooks import check_latent_weights, check_owned
from netsurgery.attachment.other_optimizers import OtherOptimizers
from netsurgery.attachment.ranks import Ranks
from netsurgery.attachment.running_stages import RunningStages
from netsurgery.attachment.stale_gradients import StaleGradients
from netsurgery.attachment.step_hooks import StepHooks
from netsurgery.attachment.succession import check_follows, warn_released
from netsurgery.errors import (
    AttachmentError,
    OptimizerError,
    StarvedLayerWarning,
    StateError,
    UnfinishedWarning,
)
from netsurgery.layers.parts import reshard
from netsurgery.layers.selecting import select
from netsurgery.methods.base import Method, TensorReport
from netsurgery.methods.encoded import Encoded
from netsurgery.methods.saved_state import check_keys
from netsurgery.methods.soundness import check_finite
from netsurgery.plan import Plan
from netsurgery.stage import Stage

_STATE_VERSION = 1
_attached: weakref.WeakSet[Operation] = weakref.WeakSet()
_released: weakref.WeakSet[Operation] = weakref.WeakSet()  # those that were finished, and detached after that


def attach(model: nn.Module, optimizer: Optimizer, plan: Plan | Stage | Method[Any] | str | Path) -> Operation:
    """Begin to operate on a model while it trains; returns the operation.

    model: any module with weights; it stays a plain module with its own keys. Move it to its device first.
    optimizer: any torch.optim.Optimizer that owns the selected weights, in any parameter groups.
    plan: a method for the whole model such as Surgery(density=0.01), a Stage, a Plan, or the path of a TOML plan.

    What is operated on by default are the weights and biases of linear, convolutional, recurrent and attention layers
    (selecting.select); `print(operation)` and `Plan.describe(model)` say what is left alone, and why.

    A method that cuts at step 0 (NaiveCut, ThresholdSurgery) changes the weights at once. If anything is wrong, an
    error is raised and neither model nor optimizer is touched.

    A finished operation that is still attached goes on holding what it has pruned: the next one may follow it.

    Raises LayerNotFoundError (a pattern matches nothing), AdapterError (LoRA), OptimizerError (it doesn't own a
    selected weight, or is LBFGS and the method has latent weights), NonFiniteWeightsError, PlanError, AttachmentError
    (another operation holds one of the weights and hasn't finished, or they are spread over processes).
    Warns (RevivedWarning) if what a detached operation had pruned may come back where this one doesn't operate, and
    (RanksDifferWarning) if another process has begun with other weights.

    >>> operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=100))
    >>> for inputs, labels in loader:  # your loop, unchanged
    ...     optimizer.zero_grad()
    ...     loss_of(model(inputs), labels).backward()
    ...     optimizer.step()
    >>> operation.finish()
    >>> print(operation)
    tensor                 kept           of   density
    hidden.weight ...
    left alone: norm.weight, norm.bias (normalisation)
    """
    return Operation(model, optimizer, Plan.of(plan))


class Operation:
    """A plan at work. Made by `attach`; lives until `detach`.

    If optimizer.step() itself is interrupted by an exception, the model may be left with latent weights: the next
    step, `ns.pack`, and whatever is asked of the operation put that right.

    The next step, `finish`, `state_dict` and `report` raise AttachmentError if the model has got other parameters than
    those that were attached, or of another type. Another optimizer that moves the weights gets an OptimizerError.

    >>> operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5))
    >>> [row.name for row in operation.report()]
    ['hidden.weight', 'hidden.bias', 'head.weight', 'head.bias']
    >>> operation.masks["head.weight"].shape
    torch.Size([3, 10])
    >>> saved = operation.state_dict()  # beside those of model and optimizer
    >>> operation.detach()
    """

    finished: bool
    _stages: RunningStages
    _earlier: list[Operation]

    def __init__(self, model: nn.Module, optimizer: Optimizer, plan: Plan) -> None:
        if not isinstance(model, nn.Module):
            raise AttachmentError(
                f"{type(model).__name__} is not a torch.nn.Module. attach takes (model, optimizer, plan)."
            )
        found = select(model, plan)
        check_owned(optimizer, found.stages)
        check_latent_weights(optimizer, plan)
        self._earlier = [
            o for o in _attached if check_follows(found.stages, plan, o._stages.claims(o.finished), o.finished)
        ]
        """Finished ones that hold some of the same tensors: what they have pruned stays pruned, so they live on."""
        self.plan = plan
        self.step = 0
        """Optimizer steps taken since `attach`."""
        self.finished = False
        self.left_alone = found.left_alone
        """The parameters that no stage operates on, and why."""
        self._stages = RunningStages(plan, found.stages, [operation._stages for operation in self._earlier])
        self._binding = Binding(model, found.stages)
        self._stale = StaleGradients(self._stages.tensors)
        self._seen = GradientsSeen(self._stages.tensors)
        self._ranks = Ranks(repr(self.plan.to_dict()))
        self._optimizer_name = type(optimizer).__name__
        self._steps = StepHooks(optimizer, self._stages, self._binding.check, self._complete_step, self._go_on)
        self._gradient_hooks = [handle for running in self._stages for handle in running.hook_gradients()]
        try:
            with self._stale.hidden():
                self._stages.begin(self.step)
        except BaseException:
            self._unhook()
            raise
        self._others = OtherOptimizers(optimizer, self._stages.tensors, self._steps.calls_begun, self._on_other_step)
        _attached.add(self)
        parameters = {id(parameter) for parameter in model.parameters()}
        for other in list(_released):
            pruned = [one for one in other._stages.held() if id(one.tensor) in parameters]
            if pruned:
                warn_released(pruned, self._stages.tensors)
                _released.discard(other)
        self._compare_ranks("attach", stacklevel=5)

    @property
    def density(self) -> float:
        """Kept / all over every tensor of the plan; stages that haven't begun count as full."""
        rows = self.report()
        return sum(row.kept for row in rows) / sum(row.size for row in rows)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name -> bool tensor, True = kept; copies, which the operation doesn't read."""
        self._steps.leave()
        return self._stages.masks()

    @torch.no_grad()
    def report(self) -> list[TensorReport]:
        """One row per tensor of the plan: connections kept and quantized, and how often one was pruned and spliced.

        Where stages follow each other on a tensor, its row is the latest one's, with the prunes and splices of all, and
        kept is what all of them keep. After `finish`, kept counts what is there: should something have written to
        pruned connections, they are counted, and a RevivedWarning says so.
        """
        self._steps.leave()
        if self._is_attached:
            self._binding.check()
        rows = self._stages.rows()
        revived = self._revived()
        if revived:
            warn_revived(revived)
            rows = [dataclasses.replace(row, kept=row.kept + revived.get(row.name, 0)) for row in rows]
        return rows

    @torch.no_grad()
    def encoded(self) -> dict[str, Encoded | None]:
        """Parameter name -> its exact form, as far as the latest method that operates on it knows more than its values.

        Each is a record of methods/encoded.py, copied from the operation, and `decoded()` gives the parameter's values
        bit for bit: those kept (surgery), signs and exponents (INQ, once all are quantized), scales and codes of planes
        (sketching). None where a stage hasn't begun, or where something else has written to the parameter since the
        last step, so that it isn't what its method says.

            operation.encoded()["head.weight"].exponents
        """
        if self._is_attached:
            self._binding.check()
        self._steps.leave()
        return {**self._stages.names(), **{name: form for name, _, form in self._stages.forms()}}

    @torch.no_grad()
    def finish(self) -> None:
        """End the operation: the set of kept and of quantized connections is final, and latent weights are freed.

        Until `detach`, no pruned weight comes back and no quantized one moves even when training goes on, whatever
        momentum and weight decay do, and whichever optimizer of torch it goes on with. What was written to pruned
        connections meanwhile, as by loading a checkpoint of an early, denser epoch, is set to 0 here.

        Warns (UnfinishedWarning) if the schedule hadn't ended: the density, and what is quantized, is then as reached
        so far; (StarvedLayerWarning) of every layer that keeps next to nothing; (UnreachedLayerWarning) of layers that
        keep connections which the loss has never felt; and (RanksDifferWarning) if this process and another that trains
        the same model have come to different connections. Raises NonFiniteWeightsError if
        training has diverged, AttachmentError if the model has got other parameters, OptimizerError if gradients came
        but the optimizer never made a step; nothing is changed then.
        """
        if not self._is_attached:
            raise AttachmentError("This operation was detached. Call finish() before detach(), or attach a new one.")
        self._steps.leave()
        self._binding.check()
        for running in self._stages.begun:
            check_finite(running.layers, "after training")
        self._check_has_stepped()
        if self.step < self.plan.active_steps and not self.finished:
            density = self.density
            warnings.warn(
                f"Finished at step {self.step} of {self.plan.active_steps}: methods hadn't ended. The density is "
                f"{density:.4g} and may not be the one asked for, some weights may not be quantized yet, and "
                "sketches have had less training. Train on, or give the methods fewer steps.",
                UnfinishedWarning,
                stacklevel=3,
            )
        self._stages.settle()
        if not self.finished:
            rows = self._stages.rows()
            starved = starved_lines(rows)
            for line in starved:
                warnings.warn(
                    f"{line} Ask for more density, or leave the layer out with Stage(skip=...).",
                    StarvedLayerWarning,
                    stacklevel=3,
                )
            if not starved:  # behind a layer that passes nothing on no gradient comes
                unreached = self._stages.unreached(self._seen.seen())
                warn_unreached([row for row in rows if row.name in unreached and len(row.shape) > 1])
            self._compare_ranks("finish")
        self.finished = True

    def detach(self) -> None:
        """Remove the hooks. Weights stay as they are; what the optimizer does to them afterwards is its own affair.

        An operation that is attached after it knows nothing of what this one pruned, and warns (RevivedWarning) of
        tensors that it doesn't operate on, where that may come back. Put methods that follow each other into one Plan;
        or, where the next one is decided afterwards, `finish` this one and attach the next beside it, without detaching
        this one.

        Warns (RevivedWarning) if pruned connections hold values again that `finish` had set to 0.
        """
        self._steps.leave()
        revived = self._revived()
        if self.finished and self._is_attached:
            _released.add(self)
        self._unhook()
        self._others.stop()
        _attached.discard(self)
        if revived:
            warn_revived(revived)

    @torch.no_grad()
    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs beside the model's and the optimizer's own state_dict.

        Tensors, numbers, strings and dicts only: torch.save it, torch.load it with weights_only=True.
        Raises AttachmentError if the model has got other parameters since `attach`.
        """
        self._steps.leave()
        if self._is_attached:
            self._binding.check()
        return {
            "version": _STATE_VERSION,
            "plan": self.plan.to_dict(),
            "step": self.step,
            "finished": self.finished,
            "stages": self._stages.save(),
        }

    @torch.no_grad()
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume: attach the same plan to the same model, then load. The run goes on as if it had never stopped.

        Also writes the effective weights of the tensors it operates on into the model. Load the model's own state
        too: stages that had not begun when the state was saved have no weights in it.
        Raises StateError if the state belongs to another plan or model, or is damaged; nothing is changed then.
        """
        if not self._is_attached:
            raise AttachmentError("This operation was detached. Attach a new one, then load the state into it.")
        self._steps.leave()
        self._binding.check()
        check_keys(saved, {"version", "plan", "step", "finished", "stages"}, "The saved state")
        if type(saved["version"]) is not int or saved["version"] != _STATE_VERSION:
            raise StateError(f"The saved state has version {saved['version']!r}; this library reads {_STATE_VERSION}.")
        if not _equal(saved["plan"], self.plan.to_dict()):
            raise StateError(
                f"The saved state belongs to the plan {saved['plan']}, but {self.plan.to_dict()} is attached. "
                "Attach the plan that the state was saved with: Plan.from_dict(saved['plan'])."
            )
        counts = type(saved["step"]) is int and saved["step"] >= 0 and isinstance(saved["finished"], bool)
        if not counts or not isinstance(saved["stages"], list) or len(saved["stages"]) != len(self._stages):
            raise StateError(
                f"The saved state is damaged: step={saved['step']!r}, finished={saved['finished']!r}, and stages that "
                f"are not a list of {len(self._stages)}. Load what Operation.state_dict() returned."
            )
        self._stages.load(saved["stages"], saved["step"])
        self.step = saved["step"]
        self.finished = saved["finished"]

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        """Itself: it belongs to one model and optimizer. A copied model that holds it has no operation of its own."""
        return self

    def __reduce__(self) -> Any:
        """Raises AttachmentError: hooks, and what they are on, are of this process."""
        raise AttachmentError(
            "An operation can't be pickled: it is attached to a model and an optimizer of this process. Save its "
            "state_dict(), attach the same plan where it is needed, and load the state there; a model that holds its "
            "operation is saved by its own state_dict()."
        )

    def __str__(self) -> str:
        """A table: one line per tensor, and the total; then starved layers, and what is left alone and why."""
        return table(self.report(), self.left_alone)

    @property
    def _is_attached(self) -> bool:
        return self._stages.is_attached

    def _revived(self) -> dict[str, int]:
        """Parameter name -> pruned connections that hold values, if the operation is finished and still holds them."""
        return self._stages.revived() if self.finished and self._is_attached else {}

    def _compare_ranks(self, moment: str, stacklevel: int = 4) -> None:
        """Warn if another process that trains the same model has declared something else."""
        self._ranks.compare(moment, self.step, self._stages.declared(), stacklevel + 1)

    def _on_other_step(self, optimizer: Optimizer, wraps: bool) -> None:
        """Hide again what a wrapper has written after the attached optimizer's step, and any optimizer after `finish`.

        Raises OptimizerError if another optimizer moves the weights in the attached one's place.
        """
        self._steps.leave()
        with torch.no_grad():
            self._stages.hide_written(self.finished)
        if not (wraps or self.finished):
            raise OptimizerError(
                f"{type(optimizer).__name__} moves weights that are attached to another optimizer, a "
                f"{self._optimizer_name}, whose step() wasn't called: the operation sees none of it. Attach to the "
                "optimizer whose step() moves the weights: of a wrapper (SAM, Lookahead) the one inside it, usually "
                "wrapper.base_optimizer or wrapper.optimizer. After replacing an optimizer call detach(), attach to "
                "the new one, and load_state_dict the state of the old operation."
            )

    def _complete_step(self, optimizer: Optimizer) -> None:
        # A fused optimizer is told of infinite gradients by GradScaler, and leaves the weights as they are.
        found_inf = getattr(optimizer, "found_inf", None)
        taken = found_inf is None or not bool(found_inf)
        self.step += taken
        with self._stale.hidden() if self._steps.calls == 1 else contextlib.nullcontext():
            self._stages.advance(self.step if taken and not self.finished else None)
            if not self.finished:
                self._seen.look()

    def _go_on(self) -> None:
        """After a step, when the parameters hold effective weights again."""
        if not self.finished:
            self._stages.begin(self.step)
            if self._ranks.is_due(self.step):
                self._compare_ranks("step", stacklevel=7)

    def _check_has_stepped(self) -> None:
        """Raise OptimizerError if a backward pass was seen, but none of the steps that the methods need."""
        tensors = self._stages.tensors
        if self._steps.calls or self.step or not self.plan.active_steps or all(map(self._stale.covers, tensors)):
            return
        raise OptimizerError(
            f"Gradients came, but the {self._optimizer_name} that is attached never made a step. Attach to the "
            "optimizer whose step() moves the weights: of a wrapper (SAM, Lookahead) the one inside it, usually "
            "wrapper.base_optimizer or wrapper.optimizer; and attach before training, not after it."
        )

    def _unhook(self) -> None:
        self._stages.is_attached = False
        self._steps.remove()
        for handle in self._gradient_hooks:
            handle.remove()


def _equal(one: object, other: object) -> bool:
    """False also for what can't be compared, such as tensors of several numbers."""
    try:
        return bool(one == other)
    except (RuntimeError, TypeError, ValueError):
        return False


def settle(model: object) -> None:
    """Put effective weights back into a model if a step was interrupted; warn if pruned connections hold values.

    For what reads a model's weights without knowing of operations. Anything else than a torch module is passed over.
    """
    if isinstance(model, nn.Module):
        reshard(model)  # parameters are found by what they are between two steps
        for operation in _operations_on(model):
            operation._steps.leave()
            revived = operation._revived()
            if revived:
                warn_revived(revived)


@torch.no_grad()
def known_forms(model: nn.Module) -> dict[str, Encoded]:
    """Parameter name in the model -> its exact form, as far as operations that are attached know one.

    For what stores a model's weights without knowing of operations: what isn't here has to be told from its values.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    forms: dict[str, Encoded] = {}
    for operation in sorted(_operations_on(model), key=lambda one: len(one._earlier)):  # later ones know more
        operation._steps.leave()
        forms.update({names[id(tensor)]: form for _, tensor, form in operation._stages.forms() if id(tensor) in names})
    return forms


def _operations_on(model: nn.Module) -> list[Operation]:
    held = {id(parameter) for parameter in model.parameters()}
    return [one for one in _attached if any(id(tensor) in held for tensor in one._stages.tensors)]
