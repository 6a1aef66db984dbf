"""The parameters of a copy of a model, whatever stands around it, by the names that they have in the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from netsurgery.errors import AttachmentError
from netsurgery.layers.wrappers import PlainNames


def parameters_of_copy(copy: nn.Module | Mapping[str, Any], originals: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name of each original -> the copy's parameter. Raises AttachmentError if it has no such, or of another shape.

    copy: a module, or the state_dict of one.
    """
    if isinstance(copy, Mapping):
        found = {name.replace("_orig_mod.", ""): one for name, one in copy.items() if isinstance(one, Tensor)}
    elif isinstance(copy, nn.Module):
        plain = PlainNames(copy)
        found = {plain.of(name): tensor for name, tensor in copy.named_parameters(remove_duplicate=False)}
    else:
        raise AttachmentError(
            f"{type(copy).__name__} is not a torch.nn.Module, nor a state_dict. Give the averaged copy of the model."
        )
    inner = getattr(copy, "module", None)
    if not originals.keys() <= found.keys() and isinstance(inner, nn.Module):
        return parameters_of_copy(inner, originals)
    for name, tensor in originals.items():
        if name not in found or found[name].shape != tensor.shape:
            has = "lacks it" if name not in found else f"has {tuple(found[name].shape)} there"
            raise AttachmentError(
                f"{type(copy).__name__} is no copy of the model: {name} of shape {tuple(tensor.shape)} is operated on, "
                f"and it {has}. Give a copy.deepcopy of the model, or what holds one as .module."
            )
    return {name: found[name] for name in originals}
