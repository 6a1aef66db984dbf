"""Linear layers of a model, replaced by Fastfood."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from netsurgery.checks import require
from netsurgery.errors import LayerNotFoundError, SettingError
from netsurgery.transforms.fastfood import Fastfood

_HOOKS = (
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
    *("_backward_hooks", "_backward_pre_hooks", "_is_full_backward_hook"),
)
"""Where a module of torch keeps what users have registered on its calls; what concerns its state_dict is its own."""


def with_fastfood(model: nn.Module, layers: Sequence[str] = ("*",)) -> nn.Module:
    """Replaces linear layers of a model by `Fastfood` of the same shape, drawn at random: train it then.

    model: changed in place, and given back. layers: names, or patterns of names such as "classifier.*". Under "*"
    alone, layers that Fastfood would make larger are left as they are, and so are those whose weight is recomputed;
    subclasses of torch.nn.Linear always are, as the output projection of torch.nn.MultiheadAttention. Types, devices,
    biases (whether there is one), hooks and `requires_grad` of weight and bias stay. A module that is used in two
    places is replaced in both. torch.nn.TransformerEncoderLayer reads the weights of its linear layers itself in
    evaluation mode, on a fast path: with one of them replaced it takes the other path. Leave layers out that any other
    module reads the weight of: `Fastfood` has none.
    Raises LayerNotFoundError for a pattern that no linear layer has, and SettingError for a layer that would be larger,
    or whose weight is recomputed or shared with another module.

    >>> network = ns.with_fastfood(ns.zoo.LeNet300(), ["fc1", "fc2"])
    >>> network.fc1
    Fastfood(784, 300, bias=True)
    """
    require(isinstance(model, nn.Module), "model", type(model).__name__, "a torch.nn.Module")
    named = isinstance(layers, str) or (
        isinstance(layers, list | tuple | set | frozenset) and all(isinstance(one, str) for one in layers)
    )
    require(named, "layers", layers, "a list of names of layers, or of patterns of them")
    linear = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if type(module) is nn.Linear and name
    }
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    chosen: dict[str, nn.Linear] = {}
    for pattern in patterns:
        found = {name: layer for name, layer in linear.items() if fnmatchcase(name, pattern)}
        if not found:
            known = ", ".join(linear) or "none"
            raise LayerNotFoundError(f"{pattern!r} is the name of no linear layer; the model's are: {known}.")
        chosen |= found
    if patterns == ("*",):
        chosen = {name: layer for name, layer in chosen.items() if _saved(layer) > 0 and not _recomputed(layer)}
    _check(model, chosen)
    made: dict[nn.Linear, Fastfood] = {}
    for name, layer in chosen.items():
        if layer not in made:
            made[layer] = _like(layer)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made[layer])
    _leave_fast_paths(model)
    return model


def _saved(layer: nn.Linear) -> int:
    """Weights that Fastfood has less."""
    size = 1 << (layer.in_features - 1).bit_length()
    blocks = -(-layer.out_features // size)
    return layer.weight.numel() - 2 * blocks * size - layer.out_features


def _recomputed(layer: nn.Linear) -> bool:
    """Whether a hook makes the weight before each use, as weight_norm and torch.nn.utils.prune do."""
    return "weight" not in dict(layer.named_parameters(recurse=False))


def _check(model: nn.Module, chosen: dict[str, nn.Linear]) -> None:
    owners: dict[int, set[int]] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(id(module))
    for name, layer in chosen.items():
        if _saved(layer) <= 0:
            raise SettingError(
                f"{name} of {layer.in_features} x {layer.out_features} is not allowed: Fastfood would hold "
                f"{-_saved(layer):,} weights more than its {layer.weight.numel():,}; leave it out of layers."
            )
        if _recomputed(layer):
            raise SettingError(
                f"{name} is not allowed: its weight is recomputed before each use (weight_norm, spectral_norm, "
                "torch.nn.utils.prune); remove that first, or leave it out of layers."
            )
        if len(owners[id(layer.weight)]) > 1:
            raise SettingError(
                f"{name} is not allowed: it shares its weight with another module; leave it out of layers."
            )


def _like(layer: nn.Linear) -> Fastfood:
    fast = Fastfood(layer.in_features, layer.out_features, layer.bias is not None)
    fast.to(device=layer.weight.device, dtype=layer.weight.dtype).train(layer.training)
    for name, parameter in fast.named_parameters():
        own = layer.bias if name == "bias" else layer.weight
        parameter.requires_grad_(own.requires_grad)
    for hooks in _HOOKS:  # the same dicts, so that handles still remove what they added
        setattr(fast, hooks, getattr(layer, hooks))
    return fast


def _leave_fast_paths(model: nn.Module) -> None:
    """Have torch's encoders compute by calling their layers.

    Their fast path hands the weights of linear1 and linear2 to a kernel, and nested tensors from layer to layer, where
    the conditions for it hold; these are the two that say nothing of what is computed.
    """
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer) and _has_fastfood(module):
            module.activation_relu_or_gelu = 0
        if isinstance(module, nn.TransformerEncoder) and any(map(_has_fastfood, module.layers)):
            module.use_nested_tensor = False


def _has_fastfood(module: nn.Module) -> bool:
    return any(isinstance(child, Fastfood) for child in module.children())
