"""Weights that a module computes anew before each use: what is in its parameters isn't what it multiplies by.

torch.nn.utils has three ways: parametrizations, hooks that run before the forward pass (weight_norm, spectral_norm),
and the masks of torch.nn.utils.prune, which are such hooks too. All of them leave a plain tensor, or a property, where
the parameter was. A zero written to what they compute from isn't a zero in the network: a row of zeros has no norm.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

_REMEDIES = {
    WeightNorm: "torch.nn.utils.remove_weight_norm",
    SpectralNorm: "torch.nn.utils.remove_spectral_norm",
    BasePruningMethod: "torch.nn.utils.prune.remove",
}


_SOURCES = ("_g", "_v", "_orig", "_raw", "_bar", "_u", "_mask")
"""What the names of parameters end with from which a tensor of the name before that is computed."""


def recomputed(module_name: str, module: nn.Module) -> dict[str, str]:
    """Name of a tensor that the module computes anew -> what makes a parameter of it again, as advice.

    Of a list of parametrizations these are its parameters themselves, from which its module's tensor is computed.
    """
    if isinstance(module, parametrize.ParametrizationList):
        advice = f"torch.nn.utils.parametrize.remove_parametrizations(module, {module_name.rpartition('.')[2]!r})"
        return dict.fromkeys(module._parameters, f"call {advice} first")
    found = {
        name: "store it as an nn.Parameter that the forward pass uses as it is"
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    }
    for hook in module._forward_pre_hooks.values():
        remedy = next((call for kind, call in _REMEDIES.items() if isinstance(hook, kind)), None)
        name = getattr(hook, "_tensor_name", None) or getattr(hook, "name", None)
        if remedy is not None and isinstance(name, str):
            found[name] = f"call {remedy}(module, {name!r}) first"
    return found


def source_of(parameter: str, found: dict[str, str]) -> str | None:
    """The tensor of `found` that is computed from the parameter of that name: weight_g, weight_orig -> weight."""
    return next((name for name in found if parameter == name or parameter in (name + end for end in _SOURCES)), None)
