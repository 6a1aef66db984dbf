"""What a saved state has to hold before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from netsurgery.errors import StateError
from netsurgery.methods.base import Layer, tensors_of


def check_keys(saved: object, expected: set[str], what: str) -> None:
    """Raise StateError unless `saved` is a mapping with exactly the expected keys."""
    if not isinstance(saved, Mapping):
        raise StateError(f"{what} is a {type(saved).__name__}. Load what Operation.state_dict() returned.")
    missing, foreign = sorted(expected - set(saved)), sorted(map(str, set(saved) - expected))
    if missing or foreign:
        parts = [f"lacks {missing[:4]}"] * bool(missing) + [f"holds {foreign[:4]} that don't belong"] * bool(foreign)
        raise StateError(
            f"{what} {' and '.join(parts)}. Load the state of an operation on the same model with the same plan."
        )


def check_tensors(saved: Mapping[str, object], layers: Sequence[Layer], part: str, dtype: torch.dtype | None) -> None:
    """Raise StateError unless saved[part] holds a tensor of each parameter's shape; dtype None: of its type too."""
    names = {name for name, _ in tensors_of(layers)}
    tensors = saved[part]
    check_keys(tensors, names, f"{part!r} of the saved state")
    for name, tensor in tensors_of(layers):
        found, kind = tensors[name], dtype or tensor.dtype  # type: ignore[index]  # check_keys found a mapping
        if not isinstance(found, Tensor) or found.shape != tensor.shape or found.dtype != kind:
            what = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
            raise StateError(
                f"The saved state holds {what} in {part!r} for {name}, expected {kind} {tuple(tensor.shape)}. "
                "Load the state of an operation on the same model with the same plan."
            )
