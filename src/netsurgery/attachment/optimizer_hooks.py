"""Hooks around an optimizer's step, and what an optimizer has to be so that an operation can be attached to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from netsurgery.errors import OptimizerError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.plan import Plan

_HOOKS = "_optimizer_step_pre_hooks"  # where torch keeps what `register_step_pre_hook` was given


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


def optimizers_of(given: object) -> list[Optimizer]:
    """The optimizers that take the steps, out of what may only pass calls on to them.

    given: one, or several in a list or tuple. Raises OptimizerError for anything else.
    """
    listed = list(given) if isinstance(given, list | tuple) else [given]
    found: dict[int, Optimizer] = {}
    for each in map(_inside, listed):
        if not isinstance(each, Optimizer):
            raise OptimizerError(f"{type(each).__name__} is not a torch.optim.Optimizer. {_advice(each)}")
        found[id(each)] = each
    if not found:
        raise OptimizerError("The list of optimizers is empty. Give the optimizer that trains, or all that do.")
    return list(found.values())


def _advice(given: object) -> str:
    if isinstance(getattr(given, "base", None), Optimizer) and switches_modes(given):
        return (
            "Its step() trains with other weights than those that the optimizer inside it moves. Use a schedule-free "
            "optimizer that is one of torch, such as schedulefree's SGDScheduleFree, AdamWScheduleFree or "
            "RAdamScheduleFree."
        )
    return "Give the optimizer that trains, or a list of those that do."


def switches_modes(optimizer: object) -> bool:
    """True for schedule-free optimizers: `eval` shows averages of the weights, `train` those that are trained with."""
    return callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))


def wrappers_in(given: object) -> list[Any]:
    """What was given that isn't an optimizer with hooks itself, but passes calls on to one."""
    return [each for each in (given if isinstance(given, list | tuple) else [given]) if _inside(each) is not each]


def _inside(optimizer: object) -> object:
    """The optimizer that another one stands for without hooks of its own, as those of Accelerate and Lightning do."""
    inner = getattr(optimizer, "optimizer", None)
    hooks = getattr(optimizer, _HOOKS, None)
    if isinstance(inner, Optimizer) and (hooks is None or hooks is getattr(inner, _HOOKS, None)):
        return _inside(inner)
    return optimizer


def check_owned(optimizers: Sequence[Optimizer], selection: list[list[Layer]]) -> None:
    """Raise OptimizerError unless these optimizers move all of the selected weights."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    owned = {id(parameter) for group in groups for parameter in group["params"]}
    names = {id(tensor): name for layers in selection for name, tensor in tensors_of(layers)}
    missing = [name for key, name in names.items() if key not in owned]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        vectors = all(tensor.dim() == 1 for ls in selection for _, tensor in tensors_of(ls) if id(tensor) not in owned)
        biases = ", leave biases alone with biases=False in the method (Muon takes matrices only)" if vectors else ""
        what = "The optimizer doesn't" if len(optimizers) == 1 else f"None of the {len(optimizers)} optimizers"
        own, it = ("own", "it") if len(optimizers) == 1 else ("owns", "one of them")
        also = "; where several optimizers train, give all of them: [first, second]" if len(optimizers) == 1 else ""
        raise OptimizerError(
            f"{what} {own} {shown}. Give {it} those parameters, freeze them with requires_grad_(False)"
            f"{biases}, or leave their layers out with Stage(skip=...){also}."
        )


def check_takes_gradients(optimizers: Sequence[Optimizer], selection: list[list[Layer]], model: nn.Module) -> None:
    """Raise OptimizerError if SparseAdam owns a selected weight of dense gradients: its first step would fail."""
    sparse = {id(module.weight) for module in model.modules() if getattr(module, "sparse", False) is True}
    selected = {id(tensor): name for layers in selection for name, tensor in tensors_of(layers)}
    for optimizer in optimizers:
        owned = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
        dense = [selected[one] for one in owned if one in selected and one not in sparse]
        if dense and any(cls.__name__ == "SparseAdam" for cls in type(optimizer).__mro__):
            raise OptimizerError(
                f"{type(optimizer).__name__} takes sparse gradients alone, those of Embedding(sparse=True), and "
                f"{dense[0]} gets dense ones. Use Adam for that: where both train, give both, [sparse_adam, adam]."
            )


def searches_lines(optimizer: Optimizer) -> bool:
    """True for L-BFGS, torch's or another: within one step it compares gradients at many weights."""
    return any("LBFGS" in cls.__name__ for cls in type(optimizer).__mro__)


def check_latent_weights(optimizers: Sequence[Optimizer], plan: Plan) -> None:
    """Raise OptimizerError if L-BFGS meets latent weights: gradients are taken at others than those that move."""
    latent = [stage.method.name for stage in plan.stages if stage.method.latent_speed is not None]
    searching = [optimizer for optimizer in optimizers if searches_lines(optimizer)]
    if latent and searching:
        raise OptimizerError(
            f"{type(searching[0]).__name__} compares gradients at many weights within one step, and {latent[0]!r} "
            "takes them at other weights than those that move: the estimate of the curvature breaks down. Use an "
            "optimizer with one gradient a step (SGD, Adam), or a method without latent weights (naive-cut, "
            "han-pruning, keep-zeros, inq)."
        )
