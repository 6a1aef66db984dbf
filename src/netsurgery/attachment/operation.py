"""Attach a plan to a model and its optimizer: the training loop stays as it is.

    effective weights --reveal--> latent weights --optimizer.step()--> latent weights --update, project--> effective

Hooks of torch.optim run `reveal` just before and `update`, `project` just after each step, so that user code (forward,
evaluation, state_dict, checkpoint, averaging, export) only ever meets effective weights in a plain module.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsurgery.attachment.binding import Binding
from netsurgery.attachment.gradients_seen import GradientsSeen
from netsurgery.attachment.operation_report import followed_by, starved_lines, table, warn_revived, warn_unreached
from netsurgery.attachment.optimizer_hooks import (
    caller,
    check_latent_weights,
    check_owned,
    hook,
    is_within,
    searches_lines,
)
from netsurgery.attachment.other_optimizers import OtherOptimizers, uncompiled
from netsurgery.attachment.ranks import warn_if_ranks_differ
from netsurgery.attachment.stale_gradients import StaleGradients
from netsurgery.attachment.succession import Claim, Held, check_follows, together, warn_released
from netsurgery.errors import (
    AttachmentError,
    OptimizerError,
    StarvedLayerWarning,
    StateError,
    UnfinishedWarning,
)
from netsurgery.layers.selecting import select
from netsurgery.methods import exchange
from netsurgery.methods.base import Layer, Method, TensorReport, tensors_of
from netsurgery.methods.encoded import Encoded, says
from netsurgery.methods.saved_state import check_keys
from netsurgery.methods.soundness import check_finite
from netsurgery.methods.state import report
from netsurgery.plan import Plan
from netsurgery.stage import Stage

_STATE_VERSION = 1
_STAGE_SEEDS = 65_537  # so that stages of neighbouring seeds draw differently
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


@dataclass(eq=False)
class _RunningStage:
    """A stage with the layers it selected and, once it has begun, its state."""

    stage: Stage
    seed: int
    layers: list[Layer]
    followers: list[_RunningStage]
    """Later stages that share a tensor with this one."""
    state: Any = None

    @property
    def method(self) -> Method[Any]:
        return self.stage.method

    def felt(self, name: str, tensor: Tensor, gradient: Tensor) -> Tensor | None:
        """The gradient as the method wants it; None: as it is."""
        return None if self.state is None else self.method.felt(self.state, name, tensor, gradient)

    @property
    def is_followed(self) -> bool:
        """True once a follower has begun: this stage's declared set is final then."""
        return any(follower.state is not None for follower in self.followers)


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

    def __init__(self, model: nn.Module, optimizer: Optimizer, plan: Plan) -> None:
        if not isinstance(model, nn.Module):
            raise AttachmentError(
                f"{type(model).__name__} is not a torch.nn.Module. attach takes (model, optimizer, plan)."
            )
        found = select(model, plan)
        selection = found.stages
        check_owned(optimizer, selection)
        self._clears_gradients = searches_lines(optimizer)
        if self._clears_gradients:
            check_latent_weights(optimizer, plan)
        self.plan = plan
        self.step = 0
        """Optimizer steps taken since `attach`."""
        self.finished = False
        self._earlier = [o for o in _attached if check_follows(selection, plan, o._claims(), o.finished)]
        """Finished operations that hold some of the same tensors: what they have pruned stays pruned."""
        self.left_alone = found.left_alone
        """The parameters that no stage operates on, and why."""
        self._calls = 0  # of optimizer.step since `attach`, those that failed or were skipped counted
        self._call: FrameType | None = None  # the call of optimizer.step that is under way
        self._thread = 0  # in which that call was made
        self._stages: list[_RunningStage] = []
        for index in reversed(range(len(selection))):  # the last stage first: it has no followers
            layers = selection[index]
            held = {id(tensor) for _, tensor in tensors_of(layers)}
            followers = [r for r in self._stages if any(id(tensor) in held for _, tensor in tensors_of(r.layers))]
            seed = plan.seed * _STAGE_SEEDS + index
            self._stages.insert(0, _RunningStage(plan.stages[index], seed, layers, followers))
        self._tensors = list({id(t): t for layers in selection for _, t in tensors_of(layers)}.values())
        self._binding = Binding(model, selection)
        self._stale = StaleGradients(self._tensors)
        self._seen = GradientsSeen(self._tensors)
        self._optimizer_name = type(optimizer).__name__
        self._handles = hook(optimizer, uncompiled(self._before_step), uncompiled(self._after_step))
        for running in self._stages:
            if type(running.method).felt is Method.felt:
                continue  # leaves gradients alone: no call for each tensor in each backward pass
            self._handles += [
                tensor.register_hook(partial(running.felt, name, tensor)) for name, tensor in tensors_of(running.layers)
            ]
        try:
            with self._stale.hidden():
                self._begin_stages()
        except BaseException:
            self._unhook()
            raise
        self._others = OtherOptimizers(optimizer, self._tensors, self._calls_begun, self._on_other_step)
        _attached.add(self)
        parameters = {id(parameter) for parameter in model.parameters()}
        for other in list(_released):
            pruned = [one for one in other._held() if id(one.tensor) in parameters]
            if pruned:
                warn_released(pruned, self._tensors)
                _released.discard(other)
        self._compare_ranks("attach")

    @property
    def density(self) -> float:
        """Kept / all over every tensor of the plan; stages that haven't begun count as full."""
        rows = self.report()
        return sum(row.kept for row in rows) / sum(row.size for row in rows)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name -> bool tensor, True = kept; copies, which the operation doesn't read."""
        self._leave_step()
        return {name: mask.clone() for name, mask in self._masks().items()}

    @torch.no_grad()
    def report(self) -> list[TensorReport]:
        """One row per tensor of the plan: connections kept and quantized, and how often one was pruned and spliced.

        Where stages follow each other on a tensor, its row is the latest one's, with the prunes and splices of all, and
        kept is what all of them keep. After `finish`, kept counts what is there: should something have written to
        pruned connections, they are counted, and a RevivedWarning says so.
        """
        self._leave_step()
        if self._handles:
            self._binding.check()
        rows = self._rows()
        revived = self._revived()
        if revived:
            warn_revived(revived)
            rows = [dataclasses.replace(row, kept=row.kept + revived.get(row.name, 0)) for row in rows]
        return rows

    def _rows(self) -> list[TensorReport]:
        before = self._kept_before()
        masks = self._masks() if before or any(running.is_followed for running in self._stages) else {}
        rows: dict[str, TensorReport] = {}
        for running in self._stages:
            if running.state is not None:
                for row in report(running.state, running.layers):
                    rows[row.name] = row if row.name not in rows else followed_by(rows[row.name], row, masks[row.name])
            else:
                for layer in running.layers:
                    for name, tensor in layer.tensors.items():
                        rows.setdefault(name, TensorReport(layer.name, name, tuple(tensor.shape), tensor.numel(), 0, 0))
        for name in before:
            rows[name] = dataclasses.replace(rows[name], kept=int(masks[name].count_nonzero()))
        return list(rows.values())

    @torch.no_grad()
    def encoded(self) -> dict[str, Encoded | None]:
        """Parameter name -> its exact form, as far as the latest method that operates on it knows more than its values.

        Each is a record of methods/encoded.py, copied from the operation, and `decoded()` gives the parameter's values
        bit for bit: those kept (surgery), signs and exponents (INQ, once all are quantized), scales and codes of planes
        (sketching). None where a stage hasn't begun, or where something else has written to the parameter since the
        last step, so that it isn't what its method says.

            operation.encoded()["head.weight"].exponents
        """
        if self._handles:
            self._binding.check()
        names = (name for running in self._stages for name, _ in tensors_of(running.layers))
        return {**dict.fromkeys(names), **{name: form for name, _, form in self._forms()}}

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
        if not self._handles:
            raise AttachmentError("This operation was detached. Call finish() before detach(), or attach a new one.")
        self._leave_step()
        self._binding.check()
        for running in self._begun():
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
        for running in self._begun():
            exchange.settle(running.method, running.state, running.layers)
        if not self.finished:
            rows = self._rows()
            starved = starved_lines(rows)
            for line in starved:
                warnings.warn(
                    f"{line} Ask for more density, or leave the layer out with Stage(skip=...).",
                    StarvedLayerWarning,
                    stacklevel=3,
                )
            if not starved:  # behind a layer that passes nothing on no gradient comes
                weights = {one.name: one.tensor for one in self._held() if one.tensor.dim() > 1}
                names = {name for name, tensor in weights.items() if self._seen.unreached(tensor)}
                warn_unreached([row for row in rows if row.name in names])
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
        self._leave_step()
        revived = self._revived() if self._handles else {}
        if self.finished and self._handles:
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
        self._leave_step()
        if self._handles:
            self._binding.check()
        return {
            "version": _STATE_VERSION,
            "plan": self.plan.to_dict(),
            "step": self.step,
            "finished": self.finished,
            "stages": [
                None if running.state is None else exchange.save(running.state, running.layers)
                for running in self._stages
            ],
        }

    @torch.no_grad()
    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume: attach the same plan to the same model, then load. The run goes on as if it had never stopped.

        Also writes the effective weights of the tensors it operates on into the model. Load the model's own state
        too: stages that had not begun when the state was saved have no weights in it.
        Raises StateError if the state belongs to another plan or model, or is damaged; nothing is changed then.
        """
        if not self._handles:
            raise AttachmentError("This operation was detached. Attach a new one, then load the state into it.")
        self._leave_step()
        self._binding.check()
        check_keys(saved, {"version", "plan", "step", "finished", "stages"}, "The saved state")
        if saved["version"] != _STATE_VERSION:
            raise StateError(f"The saved state has version {saved['version']!r}; this library reads {_STATE_VERSION}.")
        if saved["plan"] != self.plan.to_dict():
            raise StateError(
                f"The saved state belongs to the plan {saved['plan']}, but {self.plan.to_dict()} is attached. "
                "Attach the plan that the state was saved with: Plan.from_dict(saved['plan'])."
            )
        counts = isinstance(saved["step"], int) and isinstance(saved["finished"], bool)
        if not counts or not isinstance(saved["stages"], list) or len(saved["stages"]) != len(self._stages):
            raise StateError(
                f"The saved state is damaged: step={saved['step']!r}, finished={saved['finished']!r}, and stages that "
                f"are not a list of {len(self._stages)}. Load what Operation.state_dict() returned."
            )
        pairs = list(zip(self._stages, saved["stages"], strict=True))
        for running, state in pairs:
            if state is not None:
                exchange.check(running.method, running.layers, state)
        for running, state in pairs:
            running.state = None if state is None else exchange.load(running.method, running.layers, state)
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

    def _begun(self) -> list[_RunningStage]:
        return [running for running in self._stages if running.state is not None]

    def _masks(self) -> dict[str, Tensor]:
        return together([*((one.name, one.kept) for one in self._held()), *self._kept_before().items()])

    def _claims(self) -> list[Claim]:
        """Each tensor that a stage operates on, or will."""
        running = self._begun() if self.finished else self._stages
        return [Claim(name, tensor, one.method) for one in running for name, tensor in tensors_of(one.layers)]

    def _held(self) -> list[Held]:
        """What each stage that has begun keeps of each of its tensors."""
        return [
            Held(name, tensor, running.state.kept(name))
            for running in self._begun()
            for name, tensor in tensors_of(running.layers)
        ]

    def _forms(self) -> Iterator[tuple[str, Tensor, Encoded]]:
        """(name, parameter, exact form) where a stage knows one; of several that know one the latest comes last.

        Also where a parameter has been moved to another device since, or to another shape, of which nothing is known.
        """
        self._leave_step()
        for running in self._begun():
            for name, tensor in tensors_of(running.layers):
                kept = running.state.kept(name)
                if kept.shape == tensor.shape:
                    shown = tensor.detach().to(kept.device)
                    form = running.method.encode(running.state, name, shown)
                    if form is not None and says(form, shown):
                        yield name, tensor, form

    def _kept_before(self) -> dict[str, Tensor]:
        """Parameter name -> what finished operations keep of it, for those of which they hold some."""
        names = {id(tensor): name for running in self._stages for name, tensor in tensors_of(running.layers)}
        held = [one for other in self._earlier if other._handles for one in other._held() if id(one.tensor) in names]
        return together((names[id(one.tensor)], one.kept) for one in held)

    def _compare_ranks(self, moment: str) -> None:
        """Warn if another process that trains the same model has declared something else."""

        def declared() -> Iterator[tuple[str, Tensor]]:
            for running in self._begun():
                for name, tensor in tensors_of(running.layers):
                    own = running.state.own(name)
                    yield f"{name}: homes", torch.zeros_like(tensor, dtype=torch.bool) if own is None else own
                    yield f"{name}: shown", tensor if own is None else tensor.masked_fill(own, 0)

        warn_if_ranks_differ(moment, repr(self.plan.to_dict()), self.step, declared())

    def _revived(self) -> dict[str, int]:
        """Parameter name -> pruned connections that hold values, if the operation is finished."""
        if not (self.finished and self._handles):
            return {}
        tensors = {name: tensor for running in self._stages for name, tensor in tensors_of(running.layers)}
        counts = {
            name: int(tensors[name].detach()[~mask.to(tensors[name].device)].count_nonzero())
            for name, mask in self._masks().items()
            if mask.shape == tensors[name].shape  # the model may have been changed, or moved, since
        }
        return {name: count for name, count in counts.items() if count}

    def _hide(self) -> None:
        """Latent -> effective, in every stage."""
        for running in self._begun():
            exchange.hide(running.method, running.state, running.layers)

    @torch.no_grad()
    def _begin_stages(self) -> None:
        """Begin every stage whose step has come, all or none; the weights are as before if one can't begin."""
        new = [running for running in self._stages if running.state is None and running.stage.start <= self.step]
        when = "while training" if self.step else "before training"
        for running in new:
            check_finite(running.layers, when)
        # A stage reads what the one before it has left, so they can't all be prepared before the first is applied.
        first = [tensor for running in new[:-1] for _, tensor in tensors_of(running.layers)]
        before = [(tensor, tensor.detach().clone()) for tensor in first]
        states = []
        try:
            for running in new:
                state = running.method.init(running.layers, running.seed)
                running.method.update(state, running.layers, 0)
                exchange.hide(running.method, state, running.layers)
                states.append(state)
        except BaseException:
            for tensor, values in reversed(before):
                tensor.copy_(values)
            raise
        for running, state in zip(new, states, strict=True):
            for earlier in self._begun():
                if running in earlier.followers:
                    exchange.settle(earlier.method, earlier.state, earlier.layers)
            running.state = state
            advice = running.method.advice(running.layers)
            if advice is not None:
                warnings.warn(advice, stacklevel=5)

    def _is_stepping(self) -> bool:
        """True while a call of optimizer.step is under way, in whatever thread; False after one was interrupted."""
        return self._call is not None and is_within(sys._current_frames().get(self._thread), self._call)

    def _calls_begun(self) -> int | None:
        return None if self._is_stepping() else self._calls

    def _on_other_step(self, optimizer: Optimizer, wraps: bool) -> None:
        """Hide again what a wrapper has written after the attached optimizer's step, and any optimizer after `finish`.

        Raises OptimizerError if another optimizer moves the weights in the attached one's place.
        """
        self._leave_step()
        with torch.no_grad():
            for running in self._begun():
                # Where every weight belongs to the declared set, as in a sketch, a write is what trains on.
                if self.finished or running.method.shares_tensors:
                    exchange.hide(running.method, running.state, running.layers)
        if not (wraps or self.finished):
            raise OptimizerError(
                f"{type(optimizer).__name__} moves weights that are attached to another optimizer, a "
                f"{self._optimizer_name}, whose step() wasn't called: the operation sees none of it. Attach to the "
                "optimizer whose step() moves the weights: of a wrapper (SAM, Lookahead) the one inside it, usually "
                "wrapper.base_optimizer or wrapper.optimizer. After replacing an optimizer call detach(), attach to "
                "the new one, and load_state_dict the state of the old operation."
            )

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        call = caller(sys._getframe(1))
        if self._call is not None:
            if is_within(call, self._call):
                return None  # a subclass calls its parent's step inside its own: torch runs the hooks of both
            self._leave_step()  # the last step ended by an exception
        self._calls += 1
        with torch.no_grad():
            self._binding.check()
            self._call, self._thread = call, threading.get_ident()
            self._reveal()
        # step(closure) evaluates the model while its parameters hold latent weights: show it effective ones.
        # Optimizer hooks see `optimizer` itself as the first positional argument.
        if kwargs.get("closure") is not None:
            return args, {**kwargs, "closure": self._on_effective_weights(kwargs["closure"])}
        if len(args) > 1 and args[1] is not None:
            return (args[0], self._on_effective_weights(args[1]), *args[2:]), kwargs
        return None

    def _after_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if caller(sys._getframe(1)) is self._call:
            with torch.no_grad():
                self._complete_step(optimizer)

    def _complete_step(self, optimizer: Optimizer) -> None:
        # A fused optimizer is told of infinite gradients by GradScaler, and leaves the weights as they are.
        found_inf = getattr(optimizer, "found_inf", None)
        taken = found_inf is None or not bool(found_inf)
        self.step += taken
        with self._stale.hidden() if self._calls == 1 else contextlib.nullcontext():
            for running in self._begun():
                if taken and not self.finished and not running.is_followed:
                    running.method.update(running.state, running.layers, self.step - running.stage.start)
                exchange.hide(running.method, running.state, running.layers)
            if not self.finished:
                self._seen.look()
        self._call = None  # last: after an exception above, _leave_step still hides what is revealed
        if taken and not self.finished:
            self._begin_stages()

    @torch.no_grad()
    def _leave_step(self) -> None:
        """After a step that was interrupted between its hooks: hide what was revealed. Inside a step: nothing."""
        if self._call is not None and not self._is_stepping():
            self._call = None
            self._hide()

    def _reveal(self) -> None:
        """Effective -> latent, in every stage."""
        for running in self._begun():
            exchange.reveal(running.state, running.layers)

    def _check_has_stepped(self) -> None:
        """Raise OptimizerError if a backward pass was seen, but none of the steps that the methods need."""
        if self._calls or self.step or not self.plan.active_steps or all(map(self._stale.covers, self._tensors)):
            return
        raise OptimizerError(
            f"Gradients came, but the {self._optimizer_name} that is attached never made a step. Attach to the "
            "optimizer whose step() moves the weights: of a wrapper (SAM, Lookahead) the one inside it, usually "
            "wrapper.base_optimizer or wrapper.optimizer; and attach before training, not after it."
        )

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _on_effective_weights(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        revealed = exchange.marks(self._tensors)

        def evaluate() -> Any:
            with torch.no_grad():
                # What has moved since it was revealed is known to the optimizer alone, and has to be put back as it is.
                moved = exchange.marks(self._tensors) != revealed
                latent = [tensor.detach().clone() for tensor in self._tensors] if moved else []
                self._hide()
            loss = closure()  # if it raises, the step is over, and effective weights are what has to remain
            with torch.no_grad():
                if self._clears_gradients:
                    self._clear_gradients()
                if moved:
                    for tensor, value in zip(self._tensors, latent, strict=True):
                        tensor.copy_(value)
                else:
                    self._reveal()
                    revealed[:] = exchange.marks(self._tensors)
            return loss

        return evaluate

    def _clear_gradients(self) -> None:
        """Of connections that can't move: to a line search their gradient is a slope that the loss doesn't have."""
        for running in self._begun():
            for name, tensor in tensors_of(running.layers):
                own = running.state.own(name)
                if tensor.grad is not None and own is not None:
                    tensor.grad.mul_(own)


def settle(model: object) -> None:
    """Put effective weights back into a model if a step was interrupted; warn if pruned connections hold values.

    For what reads a model's weights without knowing of operations. Anything else than a torch module is passed over.
    """
    if isinstance(model, nn.Module):
        held = {id(parameter) for parameter in model.parameters()}
        for operation in list(_attached):
            if any(id(tensor) in held for tensor in operation._tensors):
                operation._leave_step()
                revived = operation._revived()
                if revived:
                    warn_revived(revived)


@torch.no_grad()
def known_forms(model: nn.Module) -> dict[str, Encoded]:
    """Parameter name in the model -> its exact form, as far as operations that are attached know one.

    For what stores a model's weights without knowing of operations: what isn't here has to be told from its values.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    operations = sorted(_attached, key=lambda operation: len(operation._earlier))  # later ones know more
    forms = (pair for operation in operations for pair in operation._forms())
    return {names[id(tensor)]: form for _, tensor, form in forms if id(tensor) in names}
