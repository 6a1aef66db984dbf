"""Copies of a model: their parameters, by the names that they have in the model, and what may be copied with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import FrameType
from typing import Any

from torch import Tensor, nn

from netsurgery.errors import AttachmentError
from netsurgery.layers.wrappers import PlainNames


def parameters_of_copy(copied: nn.Module | Mapping[str, Any], originals: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name of each original -> the copy's parameter. Raises AttachmentError if it has no such, or of another shape.

    copied: a module, or the state_dict of one.
    """
    if isinstance(copied, Mapping):
        found = {name.replace("_orig_mod.", ""): one for name, one in copied.items() if isinstance(one, Tensor)}
    elif isinstance(copied, nn.Module):
        plain = PlainNames(copied)
        found = {plain.of(name): tensor for name, tensor in copied.named_parameters(remove_duplicate=False)}
    else:
        raise AttachmentError(
            f"{type(copied).__name__} is not a torch.nn.Module, nor a state_dict. Give the averaged copy of the model."
        )
    inner = getattr(copied, "module", None)
    if not originals.keys() <= found.keys() and isinstance(inner, nn.Module):
        return parameters_of_copy(inner, originals)
    for name, tensor in originals.items():
        if name not in found or found[name].shape != tensor.shape:
            has = "lacks it" if name not in found else f"has {tuple(found[name].shape)} there"
            raise AttachmentError(
                f"{type(copied).__name__} is no copy of the model: {name} of shape {tuple(tensor.shape)} is operated "
                f"on, and it {has}. Give a copy.deepcopy of the model, or what holds one as .module."
            )
    return {name: found[name] for name in originals}


def is_part_of_a_copied_module(frame: FrameType | None) -> bool:
    """True if a call of copy.deepcopy that this frame will return to copies a module, and something in it."""
    while frame is not None:
        if frame.f_code is copy.deepcopy.__code__ and isinstance(frame.f_locals.get("x"), nn.Module):
            return True
        frame = frame.f_back
    return False
