"""Modules that hold, or compute in, other floats than float32, as modules in float32."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from netsurgery.errors import CaptureError
from netsurgery.graph.from_torch.inputs import FLOAT_ADVICE

_EXACT = (torch.float16, torch.bfloat16)  # all of whose numbers are numbers of float32


def in_float32(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The module itself where all it holds is float32, else a copy that is; and remarks on what that changes.

    Raises CaptureError for a module that can't be copied.
    """
    kinds = {one.dtype for one in chain(model.parameters(), model.buffers()) if one.is_floating_point()}
    others = sorted(str(kind).removeprefix("torch.") for kind in kinds - {torch.float32})
    if not others:
        return model, ()
    try:
        copy = deepcopy(model).float()
    except Exception as error:  # whatever a module of another's making raises
        said = f"the model is in {', '.join(others)} and can't be copied ({error})"
        raise CaptureError(f"{said}; {FLOAT_ADVICE}.") from error
    source = "the same" if kinds <= {torch.float32, *_EXACT} else "rounded"
    return copy, (f"It computes in {', '.join(others)}; netsurgery computes in float32, from {source} weights.",)


class HalvesInFloat32(TorchDispatchMode):
    """While it is entered, torch computes in float32 where a module, or autocast, asks for float16 or bfloat16.

    An autocast around it is left out; autocast's store of weights that it has cast is emptied before and behind.
    seen: the names of those types that were asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self._around = ExitStack()

    def __enter__(self) -> HalvesInFloat32:
        torch.clear_autocast_cache()
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                self._around.enter_context(torch.autocast(kind, enabled=False))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._around.close()
        torch.clear_autocast_cache()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(self._wide, (args, kwargs or {}))
        return func(*args, **kwargs)

    def remarks(self) -> tuple[str, ...]:
        """What that changes, in a sentence, if anything."""
        if not self.seen:
            return ()
        return (f"It computes in {', '.join(sorted(self.seen))} in part; netsurgery computes in float32.",)

    def _wide(self, given: Any) -> Any:
        kind = given.dtype if isinstance(given, torch.Tensor) else given
        if not isinstance(kind, torch.dtype) or kind not in _EXACT:
            return given
        self.seen.add(str(kind).removeprefix("torch."))
        return given.float() if isinstance(given, torch.Tensor) else torch.float32
