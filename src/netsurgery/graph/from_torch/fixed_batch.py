"""Finds the module that fixes a model's batch: torch says that it is fixed, not where."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import nn


def fixing_module(model: nn.Module, examples: tuple[torch.Tensor, ...]) -> str:
    """The innermost module behind which the batch isn't open any more, as "encoder.head (Head)"; "" if none is seen.

    examples: tensors whose first sizes are the batch, larger than one.
    """
    batch: list[Any] = []
    found: list[str] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        if not batch and args and isinstance(args[0], torch.Tensor) and isinstance(args[0].shape[0], torch.SymInt):
            batch.append(args[0].shape[0])

    def behind(name: str) -> Any:
        def look(module: nn.Module, _: Any, __: Any) -> None:
            if batch and not found and batch[0].node.maybe_as_int() is not None:
                kind = type(module).__name__
                found.append(f"{name} ({kind})" if name else kind)

        return look

    hooks = [model.register_forward_pre_hook(before)]
    hooks += [module.register_forward_hook(behind(name)) for name, module in model.named_modules()]
    try:
        shapes = tuple({0: torch.export.Dim.AUTO} for _ in examples)
        with suppress(Exception):  # why the model can't be written down is said elsewhere
            torch.export.export(model, tuple(one.detach() for one in examples), dynamic_shapes=shapes)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
