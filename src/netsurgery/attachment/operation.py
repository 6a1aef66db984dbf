"""Attach a plan to a model and its optimizer: the training loop stays as it is.

    effective weights --reveal--> latent weights --optimizer.step()--> latent weights --update, project--> effective

Hooks of torch.optim run `reveal` just before and `update`, `project` just after each step, so that user code (forward,
evaluation, state_dict, checkpoint, averaging, export) only ever meets effective weights in a plain module.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsurgery.attachment.binding import Binding
from netsurgery.attachment.copies import is_part_of_a_copied_module, parameters_of_copy
from netsurgery.attachment.operation_report import table, warn_revived, warn_starved, warn_unreached
from netsurgery.attachment.optimizer_hooks import (
    check_latent_weights,
    check_owned,
    check_takes_gradients,
    optimizers_of,
    wrappers_in,
)
from netsurgery.attachment.other_optimizers import OtherOptimizers
from netsurgery.attachment.ranks import Ranks
from netsurgery.attachment.running_stages import RunningStages
from netsurgery.attachment.steps import Steps, check_disjoint
from netsurgery.attachment.succession import check_follows, warn_released
from netsurgery.checks import require
from netsurgery.errors import (
    AttachmentError,
    OptimizerError,
    PlanError,
    SettingError,
    StateError,
    UnfinishedWarning,
)
from netsurgery.layers.parts import reshard
from netsurgery.layers.selecting import select
from netsurgery.methods.base import Method, TensorReport, tensors_of
from netsurgery.methods.encoded import Encoded
from netsurgery.methods.saved_state import check_keys
from netsurgery.methods.soundness import check_finite
from netsurgery.plan import Plan
from netsurgery.stage import Stage

_STATE_VERSION = 2
_READ_VERSIONS = (1, _STATE_VERSION)  # the first one had no rounds
_attached: weakref.WeakSet[Operation] = weakref.WeakSet()
_released: weakref.WeakSet[Operation] = weakref.WeakSet()  # those that were finished, and detached after that


def attach(
    model: nn.Module, optimizer: Optimizer | Sequence[Optimizer], plan: Plan | Stage | Method[Any] | str | Path
) -> Operation:
    """Begin to operate on a model while it trains; returns the operation.

    model: any module with weights; it stays a plain module with its own keys. Move it to its device first.
    optimizer: any torch.optim.Optimizer that owns the selected weights, in any parameter groups; or a list of several
        that own them together, as [muon, adamw]. A step of the operation is then taken when each has stepped.
    plan: a method for the whole model such as Surgery(density=0.01), a Stage, a Plan, or the path of a TOML plan.

    What is operated on by default are the weights and biases of linear, convolutional, recurrent and attention layers
    (selecting.select); `print(operation)` and `Plan.describe(model)` say what is left alone, and why.

    A method that cuts at step 0 (NaiveCut, ThresholdSurgery) changes the weights at once. If anything is wrong, an
    error is raised and neither model nor optimizer is touched.

    A finished operation that is still attached goes on holding what it has pruned: the next one may follow it.

    Raises LayerNotFoundError (a pattern matches nothing), AdapterError (LoRA), OptimizerError (nobody owns a selected
    weight, two optimizers do, one is LBFGS and the method has latent weights, or one is SparseAdam and gradients are
    dense), NonFiniteWeightsError, PlanError,
    AttachmentError (another operation holds one of the weights and hasn't finished, or they are spread over processes).
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

    _stages: RunningStages
    _earlier: list[Operation]

    def __init__(self, model: nn.Module, optimizer: Optimizer | Sequence[Optimizer], plan: Plan) -> None:
        if not isinstance(model, nn.Module):
            raise AttachmentError(
                f"{type(model).__name__} is not a torch.nn.Module. attach takes (model, optimizer, plan)."
            )
        found = select(model, plan)
        optimizers = optimizers_of(optimizer)
        check_owned(optimizers, found.stages)
        check_takes_gradients(optimizers, found.stages, model)
        check_disjoint(optimizers, (pair for layers in found.stages for pair in tensors_of(layers)))
        check_latent_weights(optimizers, plan)
        self._earlier = [
            o for o in _attached if check_follows(found.stages, plan, o._stages.claims(o.finished), o.finished)
        ]
        """Finished ones that hold some of the same tensors: what they have pruned stays pruned, so they live on."""
        self.plan = plan
        self.left_alone = found.left_alone
        """The parameters that no stage operates on, and why."""
        self._stages = RunningStages(plan, found.stages, [operation._stages for operation in self._earlier])
        self._binding = Binding(model, found.stages)
        self._ranks = Ranks(repr(self.plan.to_dict()))
        self._steps = Steps(optimizers, wrappers_in(optimizer), self._stages, self._check_binding, self._go_on)
        self._gradient_hooks = [handle for running in self._stages for handle in running.hook_gradients()]
        try:
            with self._steps.stale.hidden():
                self._stages.begin(self.step)
        except BaseException:
            self._unhook()
            raise
        self._others = OtherOptimizers(optimizers, self._stages.tensors, self._steps.calls_begun, self._on_other_step)
        _attached.add(self)
        parameters = {id(parameter) for parameter in model.parameters()}
        for other in list(_released):
            pruned = [one for one in other._stages.held() if id(one.tensor) in parameters]
            if pruned:
                warn_released(pruned, self._stages.tensors)
                _released.discard(other)
        self._compare_ranks("attach", stacklevel=5)

    @property
    def step(self) -> int:
        """Optimizer steps taken since `attach`; of several optimizers those that each of them has taken."""
        return self._steps.taken

    @property
    def finished(self) -> bool:
        """True after `finish`: what is pruned stays pruned."""
        return self._steps.finished

    def is_on(self, model: nn.Module) -> bool:
        """True while it is attached and all that it operates on are parameters of this model."""
        require(isinstance(model, nn.Module), "model", type(model).__name__, "a torch.nn.Module")
        held = {id(parameter) for parameter in model.parameters()}
        return self._is_attached and all(id(tensor) in held for tensor in self._stages.tensors)

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
        kept is what all of them keep. What is there counts: should something have written to pruned connections, such
        as a checkpoint of before they were pruned, they are counted, and a RevivedWarning says so.
        """
        self._steps.leave()
        if self._is_attached:
            self._binding.check()
        rows = self._stages.rows()
        revived = self._revived()
        if revived:
            warn_revived(revived, self.finished)
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
    def apply(self, averaged_model: nn.Module | Mapping[str, Any]) -> None:
        """Make a copy of the model effective, such as a moving average (EMA) or stochastic weight average of it.

        averaged_model: a copy.deepcopy of the model, whatever has been averaged into it since, or what wraps one:
            torch.optim.swa_utils.AveragedModel, or an EMA class that has it as `.module`; or a state_dict by the
            model's own names. It may be on another device.

        An average also holds what was pruned or quantized meanwhile. Afterwards each kept connection has its average,
        pruned ones are +0, those that INQ has fixed have their powers of two, and sketched tensors are the present
        sketch, of which there is no average. Call it before the copy is evaluated, saved or packed; batch norms of an
        average want their statistics anew (`ns.recalibrate`). The model itself and this operation stay as they are.

        Raises AttachmentError if it lacks one of the parameters that are operated on, or has it in another shape; and
        where weights are spread over processes.

        >>> averaged = torch.optim.swa_utils.AveragedModel(model)
        >>> operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5))
        >>> operation.apply(averaged)
        >>> bool((averaged.module.head.weight != 0).eq(operation.masks["head.weight"]).all())
        True
        >>> operation.detach()
        """
        self._steps.leave()
        if any(running.is_spread for running in self._stages):
            raise AttachmentError(
                "The model's weights are spread over processes (DTensors), and so is a copy of it. Average whole "
                "weights, such as those of checkpoints, and apply an operation that is attached to a whole model."
            )
        copies = parameters_of_copy(averaged_model, dict(self._stages.named()))
        for running in self._stages.begun:
            for name, tensor in tensors_of(running.layers):
                shown = copies[name].detach().to(tensor.device, tensor.dtype, copy=True)
                running.method.project(running.state, name, shown)
                copies[name].copy_(shown)

    @torch.no_grad()
    def finish(self) -> None:
        """End the operation: the set of kept and of quantized connections is final, and latent weights are freed.

        Until `detach`, no pruned weight comes back and no quantized one moves even when training goes on, whatever
        momentum and weight decay do, and whichever optimizer of torch it goes on with. What was written to pruned
        connections meanwhile, as by loading a checkpoint of an early, denser epoch, is set to 0 here.

        Warns (RevivedWarning) if there was something to set to 0; (TrainingModeWarning) if a schedule-free optimizer is
        not in its eval mode; (UnfinishedWarning) if the schedule hadn't ended: the density, and what is quantized, is
        then as reached so far; (StarvedLayerWarning) of every layer that keeps next to nothing; (UnreachedLayerWarning)
        of layers that keep connections which the loss has never felt; and (RanksDifferWarning) if this process and
        another that trains the same model have come to different connections. Raises NonFiniteWeightsError if
        training has diverged, AttachmentError if the model has got other parameters, OptimizerError if gradients came
        but the optimizer never made a step; nothing is changed then.
        """
        if not self._is_attached:
            raise AttachmentError("This operation was detached. Call finish() before detach(), or attach a new one.")
        self._steps.leave()
        self._binding.check()
        for running in self._stages.begun:
            check_finite(running.layers, "after training")
        if not self.step and self.plan.active_steps:
            self._steps.check_have_stepped()
        if self.step < self.plan.active_steps and not self.finished:
            density = self.density
            warnings.warn(
                f"Finished at step {self.step} of {self.plan.active_steps}: methods hadn't ended. The density is "
                f"{density:.4g} and may not be the one asked for, some weights may not be quantized yet, and "
                "sketches have had less training. Train on, or give the methods fewer steps.",
                UnfinishedWarning,
                stacklevel=3,
            )
        revived = self._revived()
        if revived and not self.finished:
            warn_revived(revived, False)
        self._stages.settle()
        self._steps.warn_of_training_mode()
        if not self.finished:
            rows = self._stages.rows()
            unreached = self._stages.unreached(self._steps.seen.seen())
            starved = warn_starved(rows, unreached)
            if not starved:  # behind a layer that passes nothing on no gradient comes
                warn_unreached([row for row in rows if row.name in unreached and len(row.shape) > 1])
            self._compare_ranks("finish")
        self._steps.round.clear()
        self._steps.finished = True

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
            warn_revived(revived, self.finished)

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
            "round": self._steps.round.save(),
            "stages": self._stages.save(),
        }

    def _is_of_plan(self, saved: Any) -> bool:
        """Whether a saved plan is this one; settings that there weren't when it was saved have their defaults."""
        try:
            return _equal(Plan.from_dict(saved).to_dict(), self.plan.to_dict())
        except (PlanError, SettingError, TypeError):
            return False

    @torch.no_grad()
    def load_state_dict(self, saved: Mapping[str, Any], *, weights: bool = True) -> None:
        """Resume: attach the same plan to the same model, then load. The run goes on as if it had never stopped.

        weights: also write the effective weights of the tensors it operates on into the model. Load the model's own
            state too: stages that had not begun when the state was saved have no weights in it. False: connections
            whose weight is the model's own keep what they hold, to go on with other weights than those that were saved.

        Raises StateError if the state belongs to another plan or model, or is damaged; nothing is changed then.
        """
        if not self._is_attached:
            raise AttachmentError("This operation was detached. Attach a new one, then load the state into it.")
        self._steps.leave()
        self._binding.check()
        has_rounds = not (isinstance(saved, Mapping) and _equal(saved.get("version"), _READ_VERSIONS[0]))
        known = {"version", "plan", "step", "finished", "stages", *["round"] * has_rounds}
        check_keys(saved, known, "The saved state")
        if type(saved["version"]) is not int or saved["version"] not in _READ_VERSIONS:
            raise StateError(
                f"The saved state has version {saved['version']!r}; this library reads {_READ_VERSIONS[0]} to "
                f"{_STATE_VERSION}."
            )
        if not self._is_of_plan(saved["plan"]):
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
        if has_rounds:
            self._steps.round.check(saved["round"])
        held = [] if weights else [(tensor, tensor.detach().clone()) for tensor in self._stages.tensors]
        self._stages.load(saved["stages"], saved["step"])
        for tensor, values in held:
            tensor.copy_(values)
        if held:
            self._stages.hide()
        self._steps.round.clear()
        if has_rounds:
            self._steps.round.load(saved["round"])
        self._steps.taken = saved["step"]
        self._steps.finished = saved["finished"]

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        """Itself inside of a model that is copied: the copy has no operation of its own. Else raises AttachmentError.

        A copy beside those of model and optimizer would say what the originals are, and do nothing to the copies.
        """
        if is_part_of_a_copied_module(inspect.currentframe()):
            return self
        return self.__reduce__()  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        """Raises AttachmentError: hooks, and what they are on, are of this process."""
        raise AttachmentError(
            "An operation can't be copied or pickled: it is attached to one model and one optimizer, of this process. "
            "Save its state_dict(), attach the same plan where it is needed, as to copies of both, and load the state "
            "there; a model that holds its operation is saved by its own state_dict()."
        )

    def __str__(self) -> str:
        """A table: one line per tensor, and the total; then starved layers, and what is left alone and why."""
        return table(self.report(), self.left_alone)

    @property
    def _is_attached(self) -> bool:
        return self._stages.is_attached

    def _check_binding(self) -> None:
        """Before each step. What optimizers hold by it, and live as long as, is the operation."""
        self._binding.check()

    def _revived(self) -> dict[str, int]:
        """Parameter name -> pruned connections that hold values, as long as the operation is to hold them at 0."""
        return self._stages.revived() if self._is_attached and self._steps.calls_begun() is not None else {}

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
                f"{self._steps.optimizer_names}, whose step() wasn't called: the operation sees none of it. Attach to "
                "the optimizer whose step() moves the weights: of a wrapper (SAM, Lookahead) the one inside it, mostly "
                "wrapper.base_optimizer or wrapper.optimizer. After replacing an optimizer call detach(), attach to "
                "the new one, and load_state_dict the state of the old operation."
            )

    def _go_on(self) -> None:
        """After a step, when the parameters hold effective weights again."""
        if self._ranks.is_due(self.step):
            self._compare_ranks("step", stacklevel=8)

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
                warn_revived(revived, operation.finished)


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
