"""A model whose weights are spread over processes as DTensors, as the plain module that it was before.

fully_shard changes the classes of modules and hooks onto them; tensor parallel plans hook onto them. The copy has none
of that, and whole weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_spread(model: nn.Module) -> bool:
    """True if a parameter is a DTensor."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def is_first(model: nn.Module) -> bool:
    """True in one of the processes that hold parts of a model: the one that writes files."""
    meshes = [p.device_mesh for p in model.parameters() if hasattr(p, "device_mesh")]
    return not any(any(mesh.get_coordinate()) for mesh in meshes)


@torch.no_grad()
def whole(model: nn.Module) -> nn.Module:
    """A copy of a model that is spread, in evaluation or training mode as that; all processes have to ask for it."""
    return _copied(model, {})


def _copied(module: nn.Module, copies: dict[int, Any]) -> nn.Module:
    if id(module) in copies:
        return copies[id(module)]  # type: ignore[no-any-return]
    kind = _original(type(module))
    copy: nn.Module = kind.__new__(kind)
    copies[id(module)] = copy
    copy.__dict__.update(module.__dict__)
    copy._parameters = {name: _whole(given, copies) for name, given in module._parameters.items()}
    copy._buffers = {name: _whole(given, copies) for name, given in module._buffers.items()}
    for name in _HOOKS:
        hooks = getattr(module, name)
        kept = type(hooks)((key, hook) for key, hook in hooks.items() if not _is_of_torch_distributed(hook))
        copy.__dict__[name] = kept
    copy._modules = {name: given and _copied(given, copies) for name, given in module._modules.items()}
    if isinstance(copy, nn.RNNBase):
        copy._init_flat_weights()  # it keeps its weights in a list beside
    return copy


def _original(kind: type[nn.Module]) -> type[nn.Module]:
    """The class that fully_shard has derived its own from: FSDPLinear(FSDPModule, Linear) -> Linear."""
    return kind.__bases__[-1] if kind.__bases__[0].__name__ == "FSDPModule" else kind


def _whole(given: Any, copies: dict[int, Any]) -> Any:
    """Tied ones stay one."""
    if given is None or not hasattr(given, "full_tensor"):
        return given
    if id(given) not in copies:
        full = given.detach().full_tensor()
        copies[id(given)] = nn.Parameter(full, given.requires_grad) if isinstance(given, nn.Parameter) else full
    return copies[id(given)]


def _is_of_torch_distributed(hook: Any) -> bool:
    function = getattr(hook, "func", hook)
    return str(getattr(function, "__module__", "")).startswith("torch.distributed")
