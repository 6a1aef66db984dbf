"""Whether tensors are the same as elsewhere, or as they were before, where these can't be looked at any more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from netsurgery.layers.parts import part


def digest(named: Iterable[tuple[str, Any]], *, zeros_have_signs: bool = True) -> str:
    """Of tensors with their names, types and sizes, in this order: equal where all these are, bit for bit.

    named: of what is no tensor, as a state_dict may hold it, the name alone counts. zeros_have_signs: False for zeros
    of both signs to be one value, as for what is multiplied by a mask. Of what is spread over processes it is the part
    that is here.

    The folders of searches hold what this gives.
    """
    total = hashlib.sha256()
    for name, value in named:
        total.update(name.encode())
        if isinstance(value, Tensor):
            plain = _strided(value)
            plain = plain if zeros_have_signs else plain + 0
            total.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            total.update(plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b"")
    return total.hexdigest()


def _strided(value: Tensor) -> Tensor:
    """A tensor's numbers one after another, on the processor, whatever its layout."""
    plain = part(value).detach().cpu()
    plain = plain if plain.layout is torch.strided else plain.to_dense()
    plain = plain.int_repr() if plain.is_quantized else plain
    return plain.resolve_conj().resolve_neg().contiguous()
