"""Numbers that a model decides by and that are known: torch.export takes those of small buffers for unknown.

`if self.initted:`, `range(int(self.steps))` and checks of a codebook's state are of this kind, and so are sizes that
are put into a tensor and taken out again.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor

_LIMIT = "CONSTANT_NUMEL_LIMIT"
_MOST = 1024
"""Entries of a buffer that is looked into, and of what is computed from such ones."""


@contextmanager
def buffers_known(model: nn.Module) -> Iterator[None]:
    """While a model is exported its forward may read the entries of small buffers, which are those that it has now."""
    known = {name: buffer.detach().clone() for name, buffer in model.named_buffers() if _is_small(buffer)}
    limit = getattr(fake_tensor, _LIMIT, None)  # private names, which another torch may not have
    if limit is None:
        yield
        return

    def tell(module: nn.Module, _: Any) -> None:
        for name, buffer in module.named_buffers():
            if isinstance(buffer, fake_tensor.FakeTensor) and name in known and hasattr(buffer, "constant"):
                buffer.constant = known[name]

    hook = model.register_forward_pre_hook(tell)
    setattr(fake_tensor, _LIMIT, _MOST)
    try:
        yield
    finally:
        setattr(fake_tensor, _LIMIT, limit)
        hook.remove()


def _is_small(buffer: torch.Tensor) -> bool:
    return buffer.numel() <= _MOST and buffer.layout is torch.strided and not buffer.is_meta


@contextmanager
def lengths_open() -> Iterator[None]:
    """While a model is exported, `len(x)` of a tensor is its first size, open if that is, where Python makes a number.

    What else asks for a length while this lasts gets the same as ever.
    """
    own = builtins.len

    def length(given: Any) -> Any:
        if isinstance(given, torch.Tensor) and given.ndim and isinstance(given.shape[0], torch.SymInt):
            return given.shape[0]
        return own(given)

    builtins.len = length
    try:
        yield
    finally:
        builtins.len = own
