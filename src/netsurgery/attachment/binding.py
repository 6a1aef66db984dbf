"""Whether a model still holds the parameters that an operation was attached to.

A module or parameter that is put in another's place (`model.head = nn.Linear(...)`, `load_state_dict(assign=True)`) is
one that no operation knows of: the optimizer goes on moving the old one, and what is counted isn't what the model uses.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from netsurgery.errors import AttachmentError
from netsurgery.layers.parts import is_spread, reshard
from netsurgery.layers.wrappers import PlainNames
from netsurgery.methods.base import Layer, tensors_of


class _Link(NamedTuple):
    """One entry of a module's table of submodules or of parameters. name: the whole path, for messages."""

    table: dict[str, Any]
    key: str
    held: object
    name: str


class _Parameter(NamedTuple):
    """What a parameter was like when attached."""

    name: str
    tensor: Tensor
    dtype: torch.dtype
    device: torch.device
    shape: torch.Size


class Binding:
    """The way from a model to each tensor that is operated on; all of them where it is tied."""

    def __init__(self, model: nn.Module, stages: Sequence[Sequence[Layer]]) -> None:
        held = {id(tensor): (name, tensor) for layers in stages for name, tensor in tensors_of(layers)}
        self._parameters = [_Parameter(n, t, t.dtype, t.device, t.shape) for n, t in held.values()]
        links: dict[tuple[int, str], _Link] = {}
        plain = PlainNames(model)
        for path, module in model.named_modules(remove_duplicate=False):
            own = {key: value for key, value in module._parameters.items() if id(value) in held}
            if own:
                for link in _path_links(model, path, plain):
                    links.setdefault((id(link.table), link.key), link)
            for key, value in own.items():
                name = plain.of(f"{path}.{key}" if path else key)
                links[id(module._parameters), key] = _Link(module._parameters, key, value, name)
        self._links = list(links.values())
        self._gathers = weakref.ref(model) if any(is_spread(tensor) for _, tensor in held.values()) else None

    def check(self) -> None:
        """Raise AttachmentError if something was replaced, or has another type, device or shape since attach."""
        self.check_links()
        self.check_types()

    def check_links(self) -> None:
        """Raise AttachmentError if a module or parameter was replaced. Dictionary look-ups: quick."""
        model = self._gathers() if self._gathers is not None else None
        if model is not None and any(table.get(key) is not held for table, key, held, _ in self._links):
            reshard(model)  # after a forward pass without a backward one fully_shard leaves whole weights in it
        for table, key, held, name in self._links:
            if table.get(key) is not held:
                raise AttachmentError(
                    f"{name} was replaced since attach: the model has another there, which isn't operated on. Call "
                    "detach(), give the optimizer the new parameters, and attach again; to load a checkpoint, use "
                    "load_state_dict without assign=True."
                )

    def check_types(self) -> None:
        """Raise AttachmentError if a parameter has another type, device or shape."""
        for name, tensor, dtype, device, shape in self._parameters:
            if tensor.dtype is not dtype or tensor.device != device or tensor.shape != shape:
                raise AttachmentError(
                    f"{name} has become {tensor.dtype} on {tensor.device} since attach, with shape "
                    f"{tuple(tensor.shape)}. Move or convert the model first, then attach: detach() this operation, "
                    "and begin anew with an optimizer of the parameters as they are."
                )


def _path_links(model: nn.Module, path: str, plain: PlainNames) -> list[_Link]:
    """The steps from the model to the module at `path`."""
    links, module, parts = [], model, path.split(".") if path else []
    for index, key in enumerate(parts):
        child = module._modules[key]
        links.append(_Link(module._modules, key, child, plain.of(".".join(parts[: index + 1]))))
        module = child  # type: ignore[assignment]  # named_modules went this way, so it is there
    return links
