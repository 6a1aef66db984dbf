"""Parameters that torch spreads over processes as DTensors: by fully_shard (FSDP2) and by tensor parallel plans.

Methods work on the part that is here, whose memory is the parameter's own, and know nothing of DTensors (shards.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from netsurgery.errors import AttachmentError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.methods.shards import Group, Shard


def is_spread(tensor: Tensor) -> bool:
    """True for a DTensor."""
    return hasattr(tensor, "to_local") and hasattr(tensor, "placements") and hasattr(tensor, "device_mesh")


def part(tensor: Tensor) -> Tensor:
    """What this process holds of a parameter: itself, or the plain tensor within a DTensor."""
    if not is_spread(tensor):
        return tensor
    with torch.no_grad():
        return tensor.to_local().detach()  # type: ignore[attr-defined,no-any-return]


def gradient_part(parameter: Tensor) -> Tensor | None:
    """What this process holds of a parameter's gradient, which is spread as the parameter is from then on."""
    gradient = parameter.grad
    if gradient is None or not is_spread(gradient):
        return gradient
    if gradient.placements != parameter.placements:  # type: ignore[attr-defined]
        # A sum that was still to be made, as of a norm's weight where a tensor parallel plan spreads sequences.
        gradient = parameter.grad = gradient.redistribute(placements=parameter.placements)  # type: ignore[attr-defined]
    return part(gradient)


class Parts:
    """Layers as methods see them: with the parts of parameters that are here. Those that aren't spread are the same."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self._layers = list(layers)
        self._shards = {name: _shard(tensor) for name, tensor in tensors_of(self._layers) if is_spread(tensor)}

    @property
    def are_spread(self) -> bool:
        """True if a parameter is a DTensor."""
        return bool(self._shards)

    def layers(self) -> list[Layer]:
        """All of them, as they are now: fully_shard may move parts in memory."""
        return [self.of(layer) for layer in self._layers] if self._shards else self._layers

    def of(self, layer: Layer) -> Layer:
        """One of them."""
        spread = {name: tensor for name, tensor in layer.tensors.items() if name in self._shards}
        if not spread:
            return layer
        return Layer(
            layer.name,
            {name: part(tensor) for name, tensor in layer.tensors.items()},
            layer.groups,
            layer.filter_dims,
            {name: self._shards[name] for name in spread if self._shards[name].cuts},
            {name: partial(gradient_part, tensor) for name, tensor in spread.items()},
        )


def full(tensor: Tensor) -> Tensor:
    """The whole parameter, on every process that holds a part of it; all of them have to ask."""
    return tensor.detach().full_tensor() if is_spread(tensor) else tensor.detach()  # type: ignore[attr-defined]


def refuse_unknown(name: str, tensor: Tensor) -> None:
    """Raise AttachmentError for a DTensor that isn't spread in boxes of plain numbers."""
    kinds = [type(placement).__name__ for placement in tensor.placements]  # type: ignore[attr-defined]
    if any(kind.lstrip("_") not in ("Shard", "Replicate", "StridedShard") for kind in kinds):
        raise AttachmentError(
            f"{name} is a DTensor with the placements {', '.join(kinds)}: processes hold terms of its numbers. Spread "
            "it by Shard or Replicate, or leave this layer out with Stage(skip=...)."
        )


def refuse_flattened(model: nn.Module) -> None:
    """Raise AttachmentError for FullyShardedDataParallel, which hides weights in flat parameters of its own."""
    wrapped = [name for name, module in model.named_modules() if type(module).__name__ == "FullyShardedDataParallel"]
    if wrapped:
        raise AttachmentError(
            f"{wrapped[0] or 'The model'} is wrapped in FullyShardedDataParallel, which joins weights into flat "
            "parameters, so that no layer can be found. Use torch.distributed.fsdp.fully_shard (FSDP2) on the model "
            "instead, make the optimizer after it, and attach then."
        )


def reshard(model: nn.Module) -> None:
    """Put the parts back into a model of which fully_shard has put whole weights together for a forward pass."""
    for module in model.modules():
        if any(cls.__name__ == "FSDPModule" for cls in type(module).__mro__):
            module.reshard()  # type: ignore[operator]


def _shard(tensor: Any) -> Shard:
    _, offset = _offsets()(tensor.shape, tensor.device_mesh, tensor.placements)
    mesh, placements = tensor.device_mesh, tensor.placements
    place = mesh.get_coordinate()
    cuts = tuple(
        (placement.dim, Group(mesh.get_group(which), mesh.size(which), place[which], mesh.device_type))
        for which, placement in enumerate(placements)
        if hasattr(placement, "dim") and mesh.size(which) > 1
    )
    return Shard(tuple(tensor.shape), tuple(offset), cuts)


@cache
def _offsets() -> Any:
    """What says which part is where; torch before 2.5 has it elsewhere."""
    places = ("torch.distributed.tensor._utils", "torch.distributed._tensor._utils")
    module = import_module(next(place for place in places if find_spec(place.rpartition(".")[0]) is not None))
    return module.compute_local_shape_and_global_offset
