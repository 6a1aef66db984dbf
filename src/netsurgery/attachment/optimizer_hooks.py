"""Hooks around an optimizer's step, and what an optimizer has to be so that an operation can be attached to it."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from netsurgery.errors import OptimizerError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.plan import Plan


def caller(frame: FrameType | None) -> FrameType | None:
    """The frame of the optimizer's step that a hook was called from, past those that keep the compiler out."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith("torch._dynamo"):
        frame = frame.f_back
    return frame


def is_within(frame: FrameType | None, outer: FrameType) -> bool:
    """True if the call `outer` is one that `frame` will return to."""
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def hook(optimizer: Optimizer, before: Callable[..., Any], after: Callable[..., Any]) -> list[RemovableHandle]:
    """Have both called around each step. Raises OptimizerError for what isn't an optimizer of torch inside."""
    try:
        return [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    except AttributeError as error:
        raise OptimizerError(
            f"{type(optimizer).__name__} wraps an optimizer without being one: it has no hooks of its own. "
            "Attach to the optimizer inside it, usually wrapper.optimizer."
        ) from error


def check_owned(optimizer: Optimizer, selection: list[list[Layer]]) -> None:
    """Raise OptimizerError unless it is an optimizer that moves all of the selected weights."""
    if not isinstance(optimizer, Optimizer):
        raise OptimizerError(
            f"{type(optimizer).__name__} is not a torch.optim.Optimizer. Give the optimizer that trains."
        )
    owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    names = {id(tensor): name for layers in selection for name, tensor in tensors_of(layers)}
    missing = [name for key, name in names.items() if key not in owned]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        vectors = all(tensor.dim() == 1 for ls in selection for _, tensor in tensors_of(ls) if id(tensor) not in owned)
        biases = ", leave biases alone with biases=False in the method (Muon takes matrices only)" if vectors else ""
        raise OptimizerError(
            f"The optimizer doesn't own {shown}. Give it those parameters, freeze them with requires_grad_(False)"
            f"{biases}, or leave their layers out with Stage(skip=...)."
        )


def searches_lines(optimizer: Optimizer) -> bool:
    """True for L-BFGS, torch's or another: within one step it compares gradients at many weights."""
    return any("LBFGS" in cls.__name__ for cls in type(optimizer).__mro__)


def check_latent_weights(optimizer: Optimizer, plan: Plan) -> None:
    """Raise OptimizerError if L-BFGS meets latent weights: gradients are taken at others than those that move."""
    latent = [stage.method.name for stage in plan.stages if stage.method.latent_speed is not None]
    if latent and searches_lines(optimizer):
        raise OptimizerError(
            f"{type(optimizer).__name__} compares gradients at many weights within one step, and {latent[0]!r} takes "
            "them at other weights than those that move: the estimate of the curvature breaks down. Use an optimizer "
            "with one gradient a step (SGD, Adam), or a method without latent weights (naive-cut, han-pruning, inq)."
        )
