"""Weights that a module computes anew before each use: what is in its parameters isn't what it multiplies by.

torch.nn.utils has three ways: parametrizations, hooks that run before the forward pass (weight_norm, spectral_norm),
and the masks of torch.nn.utils.prune, which are such hooks too. All of them leave a plain tensor, or a property, where
the parameter was. A zero written to what they compute from is no zero in the network: a row of zeros has no norm.
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


def recomputed(module: nn.Module) -> dict[str, str]:
    """Name of a tensor that the module computes anew -> what makes a parameter of it again, as advice."""
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
    if parametrize.is_parametrized(module):
        advice = "call torch.nn.utils.parametrize.remove_parametrizations(module, {!r}) first"
        found |= {name: advice.format(name) for name in module.parametrizations}  # type: ignore[union-attr]
    return found


def source_of(parameter: str, found: dict[str, str]) -> str | None:
    """The tensor of `found` that is computed from the parameter of that name: weight_g, weight_orig -> weight."""
    return next((name for name in found if parameter.startswith(f"{name}_")), None)
