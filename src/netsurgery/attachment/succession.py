"""Operations one after another on the same tensors: the next one is decided when the one before it has finished.

A finished operation that stays attached holds what it has declared, whatever the next one does to the rest, as a stage
of one plan would. One that was detached holds nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from netsurgery.errors import AttachmentError, RevivedWarning
from netsurgery.methods.base import Layer, Method, tensors_of
from netsurgery.plan import Plan


class Claim(NamedTuple):
    """A parameter that a stage operates on, or will."""

    name: str
    tensor: Tensor
    method: Method[Any]


class Held(NamedTuple):
    """A parameter that a stage operates on.

    part: what is here of it. kept: bool of that shape, True where this stage hasn't pruned.
    """

    name: str
    tensor: Tensor
    part: Tensor
    kept: Tensor


def together(kept: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Parameter name -> what all that name it keep of it."""
    masks: dict[str, Tensor] = {}
    for name, mask in kept:
        masks[name] = masks[name] & mask if name in masks else mask
    return masks


def check_follows(selection: Sequence[Sequence[Layer]], plan: Plan, claims: Sequence[Claim], finished: bool) -> bool:
    """True if an operation would follow another one, which claims some of its tensors and has finished.

    Raises AttachmentError if it hasn't, or if one of the methods bears no other on its tensors.
    """
    wanted = {
        id(tensor): stage.method
        for layers, stage in zip(selection, plan.stages, strict=True)
        for _, tensor in tensors_of(layers)
    }
    shared = [claim for claim in claims if id(claim.tensor) in wanted]
    for name, tensor, method in shared:
        if not finished:
            raise AttachmentError(
                f"Another operation already holds {name}. Call its finish() first, so that this one follows it, or its "
                "detach(), or put both into one Plan."
            )
        alone = [each.name for each in (method, wanted[id(tensor)]) if not each.shares_tensors]
        if alone or not method.leaves_weights_free:
            reason = f"{alone[0]!r} shares its tensors with no other" if alone else f"{method.name!r} leaves none free"
            raise AttachmentError(
                f"Another operation already holds {name}, and {reason}. Call its detach() first, or leave the layer "
                "out with Stage(skip=...)."
            )
    return bool(shared)


def warn_released(held: Sequence[Held], operated: Sequence[Tensor]) -> None:
    """Warn (RevivedWarning) of pruned connections that a detached operation held at 0, and that may come back.

    held: what it had, of parameters of the same model. operated: what the next operation is about; it decides there.
    """
    by_name, known = {one.name: one for one in held}, {id(tensor) for tensor in operated}
    counts = {
        name: int((~kept & (by_name[name].part.detach() == 0)).count_nonzero())
        for name, kept in together((one.name, one.kept) for one in held).items()
        if id(by_name[name].tensor) not in known
    }
    names = [name for name, count in counts.items() if count]
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        warnings.warn(
            f"{sum(counts.values()):,} connections of {', '.join(names[:3])}{more} were pruned by an operation that "
            "was detached, and may come back now: nothing holds them at 0 any more. Leave a finished operation "
            "attached and attach the next one beside it, or put both into one Plan.",
            RevivedWarning,
            stacklevel=5,
        )
