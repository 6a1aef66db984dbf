"""Numbers that a model decides by and that are known: torch.export takes those of tensors for unknown.

`if self.initted:`, `range(int(self.steps))` and checks of a codebook's state look into buffers; others look into what
`torch.ones` or `torch.linspace` made, or take sizes that are fixed out of a tensor that they were put into.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _python_dispatch
from torch.utils._pytree import tree_leaves

_LIMIT, _WITHOUT_MODES = "CONSTANT_NUMEL_LIMIT", "_disable_current_modes"
_MOST = 1024
"""Entries of a tensor that is looked into, and of what is computed from such ones."""

_FACTORIES = (torch.arange, torch.eye, torch.full, torch.linspace, torch.ones, torch.zeros)


@contextmanager
def numbers_known(model: nn.Module) -> Iterator[None]:
    """While a model is exported its forward may look into small tensors that are the same whatever its inputs are.

    Buffers have the entries that they have now.
    """
    limit = getattr(fake_tensor, _LIMIT, None)  # private names, which another torch may not have
    without_modes = getattr(_python_dispatch, _WITHOUT_MODES, None)
    if limit is None or without_modes is None:
        yield
        return
    known = {name: buffer.detach().clone() for name, buffer in model.named_buffers() if _is_small(buffer)}

    def tell(module: nn.Module, _: Any) -> None:
        for name, buffer in module.named_buffers():
            if isinstance(buffer, fake_tensor.FakeTensor) and name in known:
                _tell(buffer, known[name])

    hook = model.register_forward_pre_hook(tell)
    setattr(fake_tensor, _LIMIT, _MOST)
    try:
        with _Made(without_modes):
            yield
    finally:
        setattr(fake_tensor, _LIMIT, limit)
        hook.remove()


class _Made(TorchFunctionMode):
    """Small tensors that are made of numbers alone are known."""

    def __init__(self, without_modes: Callable[[], Any]) -> None:
        super().__init__()
        self._without_modes = without_modes

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if _writes_unseen(func):
            for one in tree_leaves((args, kwargs)):
                if isinstance(one, fake_tensor.FakeTensor):
                    _forget(one)
        made = func(*args, **(kwargs or {}))
        if func in _FACTORIES and isinstance(made, fake_tensor.FakeTensor) and _is_small(made):
            given = tree_leaves((args, kwargs))
            if not any(isinstance(one, torch.SymInt | torch.SymFloat | torch.Tensor) for one in given):
                with self._without_modes():
                    _tell(made, func(*args, **(kwargs or {})))
        return made


def _tell(fake: fake_tensor.FakeTensor, entries: torch.Tensor) -> None:
    """What is in a tensor, until it is written to, or what shares its memory."""
    fake.constant = entries
    try:
        fake.fake_mode.fake_tensor_converter.add_constant_storage_mapping(fake)
    except BaseException:
        fake.constant = None  # whose writes go unnoticed
        raise


def _forget(fake: fake_tensor.FakeTensor) -> None:
    """What was in a tensor, and in all that shares its memory."""
    if fake.constant is not None:
        fake.fake_mode.fake_tensor_converter.invalidate_constant_aliases(fake.constant)
        fake.constant = None


def _writes_unseen(func: Any) -> bool:
    """Whether a function may write to tensors in ways that torch's fake ones don't notice: in lists, or by `.data`."""
    name = getattr(func, "__name__", "")
    return name == "__set__" or name.startswith(("_foreach", "_fused", "_amp"))


def _is_small(tensor: torch.Tensor) -> bool:
    if tensor.layout is not torch.strided or not all(isinstance(size, int) for size in tensor.shape):
        return False
    return tensor.numel() <= _MOST and tensor.device.type != "meta"


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
