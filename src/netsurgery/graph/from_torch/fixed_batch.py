"""Finds the module, and the line, that fix a size of a model's inputs: torch says that it is fixed, not where."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn


def fixing_module(model: nn.Module, examples: tuple[torch.Tensor, ...]) -> str:
    """The innermost module behind which the batch isn't open any more, as "encoder.head (Head)"; "" if none is seen.

    With the line of code that wanted a number, where torch notes it: "encoder (Encoder), at model.py:31".

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
        line = fixing_line(model, examples, tuple({0: torch.export.Dim.AUTO} for _ in examples))
    finally:
        for hook in hooks:
            hook.remove()
    return ", at ".join([*found[:1], *([line] if line else [])])


def fixing_line(model: nn.Module, examples: tuple[torch.Tensor, ...], shapes: Any) -> str:
    """Where an open size was first made a number, as "model.py:31"; "" if torch doesn't note it, or it was in torch."""
    with _noted() as messages, suppress(Exception):  # why the model can't be written down is said elsewhere
        torch.export.export(model, tuple(one.detach() for one in examples), dynamic_shapes=shapes)
    places = [found for message in messages if (found := _GUARD.match(message))]
    if not places or (Path(torch.__file__).parent / places[0][1].removeprefix("torch/")).exists():
        return ""
    return f"{Path(places[0][1]).name}:{places[0][2]}"


_GUARD = re.compile(r"eval Eq\(\w+, \d+\) \[guard added\] \((.+?):(\d+) in ")


@contextmanager
def _noted() -> Iterator[list[str]]:
    """What torch notes of sizes as it writes a model down, and nobody else is told."""
    messages: list[str] = []
    noting = logging.Handler()
    noting.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    before, disabled = (logger.level, logger.propagate, list(logger.handlers)), logging.root.manager.disable
    logger.setLevel(logging.INFO)
    logger.propagate, logger.handlers = False, [noting]
    logging.disable(logging.NOTSET)
    try:
        yield messages
    finally:
        logging.disable(disabled)
        logger.setLevel(before[0])
        logger.propagate, logger.handlers = before[1:]
