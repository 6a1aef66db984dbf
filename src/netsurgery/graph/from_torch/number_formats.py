"""Modules in other floats than float32, as modules in float32."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch
from torch import nn

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
