"""Attach a plan to a model and its optimizer: the training loop stays as it is.

    effective weights --reveal--> latent weights --optimizer.step()--> latent weights --update, project--> effective

Hooks of torch.optim run `reveal` just before and `update`, `project` just after each step, so that user code (forward,
evaluation, state_dict, checkpoint, averaging, export) only ever meets effective weights in a plain module.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from netsurgery.errors import AttachmentError, OptimizerError, StateError, UnfinishedWarning
from netsurgery.methods.base import Layer, Method, TensorReport, tensors_of
from netsurgery.methods.saved_state import check_keys
from netsurgery.methods.soundness import check_finite
from netsurgery.plan import Plan, Stage, select

_STATE_VERSION = 1
_STAGE_SEEDS = 65_537  # so that stages of neighbouring seeds draw differently
_attached: weakref.WeakSet[Operation] = weakref.WeakSet()


def attach(model: nn.Module, optimizer: Optimizer, plan: Plan | Stage | Method[Any] | str | Path) -> Operation:
    """Begin to operate on a model while it trains; returns the operation.

    model: any module with weights; it stays a plain module with its own keys. Move it to its device first.
    optimizer: any torch.optim.Optimizer that owns the selected weights, in any parameter groups.
    plan: a method for the whole model such as Surgery(density=0.01), a Stage, a Plan, or the path of a TOML plan.

    A method that cuts at step 0 (NaiveCut, ThresholdSurgery) changes the weights at once. If anything is wrong, an
    error is raised and neither model nor optimizer is touched.

    Raises LayerNotFoundError (a pattern matches nothing), OptimizerError (it doesn't own a selected weight),
    NonFiniteWeightsError, PlanError, AttachmentError (another operation holds one of the weights).
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

    @torch.no_grad()
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
    step, `state_dict`, `finish` and `detach` put that right.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, plan: Plan) -> None:
        if not isinstance(model, nn.Module):
            raise AttachmentError(
                f"{type(model).__name__} is no torch.nn.Module. attach takes (model, optimizer, plan)."
            )
        selection = select(model, plan)
        _check_ownership(optimizer, selection)
        self.plan = plan
        self.step = 0
        """Optimizer steps taken since `attach`."""
        self.finished = False
        self._call: FrameType | None = None  # the call of optimizer.step that is under way
        self._stages: list[_RunningStage] = []
        for index in reversed(range(len(selection))):  # the last stage first: it has no followers
            layers = selection[index]
            held = {id(tensor) for _, tensor in tensors_of(layers)}
            followers = [r for r in self._stages if any(id(tensor) in held for _, tensor in tensors_of(r.layers))]
            seed = plan.seed * _STAGE_SEEDS + index
            self._stages.insert(0, _RunningStage(plan.stages[index], seed, layers, followers))
        self._handles = _hook(optimizer, self._before_step, self._after_step)
        for running in self._stages:
            self._handles += [
                tensor.register_hook(partial(running.felt, name, tensor)) for name, tensor in tensors_of(running.layers)
            ]
        try:
            self._begin_stages()
        except BaseException:
            self._unhook()
            raise
        _attached.add(self)

    @property
    def density(self) -> float:
        """Kept / all over every tensor of the plan; stages that haven't begun count as full."""
        rows = self.report()
        return sum(row.kept for row in rows) / sum(row.size for row in rows)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name -> bool tensor, True = kept; to be read only."""
        masks: dict[str, Tensor] = {}
        for running in self._begun():
            for name, mask in running.method.masks(running.state).items():
                masks[name] = masks[name] & mask if name in masks else mask
        return masks

    @torch.no_grad()
    def report(self) -> list[TensorReport]:
        """One row per tensor of the plan: connections kept and quantized, and how often one was pruned and spliced.

        Where stages follow each other on a tensor, its row is the latest one's, with the prunes and splices of all, and
        kept is what all of them keep.
        """
        masks = self.masks if any(running.is_followed for running in self._stages) else {}
        rows: dict[str, TensorReport] = {}
        for running in self._stages:
            if running.state is not None:
                for row in running.method.report(running.state, running.layers):
                    rows[row.name] = row if row.name not in rows else _followed_by(rows[row.name], row, masks[row.name])
            else:
                for layer in running.layers:
                    for name, tensor in layer.tensors.items():
                        rows.setdefault(name, TensorReport(layer.name, name, tuple(tensor.shape), tensor.numel(), 0, 0))
        return list(rows.values())

    @torch.no_grad()
    def finish(self) -> None:
        """End the operation: the set of kept and of quantized connections is final, and latent weights are freed.

        Until `detach`, no pruned weight comes back and no quantized one moves even when training goes on, whatever
        momentum and weight decay do. Warns (UnfinishedWarning) if the schedule hadn't ended: the density, and what is
        quantized, is then as reached so far.
        """
        if not self._handles:
            raise AttachmentError("This operation was detached. Call finish() before detach(), or attach a new one.")
        self._leave_step()
        if self.step < self.plan.active_steps and not self.finished:
            warnings.warn(
                f"Finished at step {self.step} of {self.plan.active_steps}: methods hadn't ended. The density is "
                f"{self.density:.4g} and may not be the one asked for, some weights may not be quantized yet, and "
                "sketches have had less training. Train on, or give the methods fewer steps.",
                UnfinishedWarning,
                stacklevel=3,
            )
        for running in self._begun():
            running.method.finish(running.state, running.layers)
        self.finished = True

    def detach(self) -> None:
        """Remove the hooks. Weights stay as they are; what the optimizer does to them afterwards is its own affair."""
        self._leave_step()
        self._unhook()
        _attached.discard(self)

    @torch.no_grad()
    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs beside the model's and the optimizer's own state_dict.

        Tensors, numbers, strings and dicts only: torch.save it, torch.load it with weights_only=True.
        """
        self._leave_step()
        return {
            "version": _STATE_VERSION,
            "plan": self.plan.to_dict(),
            "step": self.step,
            "finished": self.finished,
            "stages": [
                None if running.state is None else running.method.state_dict(running.state, running.layers)
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
                f"are no list of {len(self._stages)}. Load what Operation.state_dict() returned."
            )
        pairs = list(zip(self._stages, saved["stages"], strict=True))
        for running, state in pairs:
            if state is not None:
                running.method.check_state(running.layers, state)
        for running, state in pairs:
            running.state = None if state is None else running.method.load_state(running.layers, state)
        self.step = saved["step"]
        self.finished = saved["finished"]
        self._call = None

    def __str__(self) -> str:
        """A table: one line per tensor, and the total."""
        rows = self.report()
        width = max(len("total"), *(len(row.name) for row in rows))
        quantizes = any(row.quantized for row in rows)

        def line(name: str, kept: int, size: int, quantized: int) -> str:
            end = f"  {quantized:>12,}" if quantizes else ""
            return f"{name:<{width}}  {kept:>12,} {size:>12,}  {kept / size:>8.2%}{end}"

        head = f"{'tensor':<{width}}  {'kept':>12} {'of':>12}  {'density':>8}" + f"  {'quantized':>12}" * quantizes
        lines = [line(row.name, row.kept, row.size, row.quantized) for row in rows]
        counts = (sum(getattr(row, count) for row in rows) for count in ("kept", "size", "quantized"))
        return "\n".join([head, *lines, line("total", *counts)])

    def _begun(self) -> list[_RunningStage]:
        return [running for running in self._stages if running.state is not None]

    @torch.no_grad()
    def _begin_stages(self) -> None:
        """Begin every stage whose step has come; all weights that they touch are looked at before any changes."""
        new = [running for running in self._stages if running.state is None and running.stage.start <= self.step]
        when = "while training" if self.step else "before training"
        for running in new:
            check_finite(running.layers, when)
        for running in new:
            for earlier in self._begun():
                if running in earlier.followers:
                    earlier.method.finish(earlier.state, earlier.layers)
            state = running.method.init(running.layers, running.seed)
            running.method.update(state, running.layers, 0)
            running.method.project(state, running.layers)
            running.state = state

    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        call = sys._getframe(1)
        if self._call is not None:
            if _is_within(call, self._call):
                return None  # a subclass calls its parent's step inside its own: torch runs the hooks of both
            self._leave_step()  # the last step ended by an exception
        with torch.no_grad():
            for running in self._begun():
                running.method.check_placement(running.state, running.layers)
            self._call = call
            for running in self._begun():
                running.method.reveal(running.state, running.layers)
        # step(closure) evaluates the model while its parameters hold latent weights: show it effective ones.
        # Optimizer hooks see `optimizer` itself as the first positional argument.
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            return None
        rest = {key: value for key, value in kwargs.items() if key != "closure"}
        return (args[0], self._on_effective_weights(closure), *args[2:]), rest

    def _after_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if sys._getframe(1) is self._call:
            with torch.no_grad():
                self._complete_step(optimizer)

    def _complete_step(self, optimizer: Optimizer) -> None:
        # A fused optimizer is told of infinite gradients by GradScaler, and leaves the weights as they are.
        found_inf = getattr(optimizer, "found_inf", None)
        taken = found_inf is None or not bool(found_inf)
        self.step += taken
        for running in self._begun():
            if taken and not self.finished and not running.is_followed:
                running.method.update(running.state, running.layers, self.step - running.stage.start)
            running.method.project(running.state, running.layers)
        self._call = None  # last: after an exception above, _leave_step still hides what is revealed
        if taken and not self.finished:
            self._begin_stages()

    @torch.no_grad()
    def _leave_step(self) -> None:
        """After a step that was interrupted between its hooks: hide what was revealed."""
        if self._call is not None:
            self._call = None
            for running in self._begun():
                running.method.project(running.state, running.layers)

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _on_effective_weights(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        def evaluate() -> Any:
            with torch.no_grad():
                held = {id(tensor): tensor for running in self._begun() for _, tensor in tensors_of(running.layers)}
                tensors = list(held.values())
                latent = [tensor.detach().clone() for tensor in tensors]
                for running in self._begun():
                    running.method.project(running.state, running.layers)
            loss = closure()  # if it raises, the step is over, and effective weights are what has to remain
            with torch.no_grad():
                for tensor, value in zip(tensors, latent, strict=True):
                    tensor.copy_(value)
            return loss

        return evaluate


def _followed_by(earlier: TensorReport, later: TensorReport, mask: Tensor) -> TensorReport:
    """The report of a tensor's later stage, with what happened in the earlier one. mask: what both keep."""
    return dataclasses.replace(
        later,
        kept=int(mask.sum()),
        pruned_total=earlier.pruned_total + later.pruned_total,
        spliced_total=earlier.spliced_total + later.spliced_total,
    )


def _is_within(frame: FrameType | None, outer: FrameType) -> bool:
    """True if the call `outer` is one that `frame` will return to."""
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def _hook(optimizer: Optimizer, before: Callable[..., Any], after: Callable[..., Any]) -> list[RemovableHandle]:
    try:
        return [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    except AttributeError as error:
        raise OptimizerError(
            f"{type(optimizer).__name__} wraps an optimizer without being one: it has no hooks of its own. "
            "Attach to the optimizer inside it, usually wrapper.optimizer."
        ) from error


def _check_ownership(optimizer: Optimizer, selection: list[list[Layer]]) -> None:
    if not isinstance(optimizer, Optimizer):
        raise OptimizerError(f"{type(optimizer).__name__} is no torch.optim.Optimizer. Give the optimizer that trains.")
    owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    names = {id(tensor): name for layers in selection for name, tensor in tensors_of(layers)}
    missing = [name for key, name in names.items() if key not in owned]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise OptimizerError(
            f"The optimizer doesn't own {shown}. Give it those parameters, freeze them with requires_grad_(False), "
            "or leave their layers out with Stage(skip=...)."
        )
    for other in _attached:
        shared = [names[id(t)] for r in other._stages for _, t in tensors_of(r.layers) if id(t) in names]
        if shared:
            raise AttachmentError(
                f"Another operation already holds {shared[0]}. Call its detach() first, or put both into one Plan."
            )
