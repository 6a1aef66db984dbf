"""Small buffers that a model decides by: torch.export takes their numbers for unknown, though a network has them.

`if self.initted:`, `range(int(self.steps))` and checks of a codebook's state are of this kind.
"""

from __future__ import annotations

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
    if not known or limit is None:
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
