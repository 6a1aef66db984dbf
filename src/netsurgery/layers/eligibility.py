"""Which parameters are operated on, by what their module is; and why all others are left alone.

Cutting pays where a parameter is a matrix that many inputs are multiplied by: linear, convolutional and recurrent
layers, and the projections of attention. What scales, shifts, normalises or stands for a place has few numbers, and
each of them matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


@dataclass(frozen=True)
class Kind:
    """What a class of modules holds.

    classes: the modules, with everything derived from them. weights, biases: patterns of their parameters' names.
    named_only: True if they are operated on only where a plan names them.
    """

    classes: tuple[type[nn.Module], ...]
    weights: tuple[str, ...] = ("weight",)
    biases: tuple[str, ...] = ("bias",)
    named_only: bool = False


KINDS: dict[str, Kind] = {
    "convolution": Kind((nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)),
    "linear": Kind((nn.Linear, nn.Bilinear)),
    "recurrent": Kind(
        (nn.RNNBase, nn.RNNCellBase), ("weight_ih*", "weight_hh*", "weight_hr*"), ("bias_ih*", "bias_hh*")
    ),
    "attention": Kind(  # its output projection is a linear layer of its own; bias_k and bias_v are tokens
        (nn.MultiheadAttention,), ("in_proj_weight", "[qkv]_proj_weight"), ("in_proj_bias",)
    ),
    "embedding": Kind((nn.Embedding, nn.EmbeddingBag), biases=(), named_only=True),
    "normalisation": Kind(
        (_NormBase, nn.LayerNorm, nn.GroupNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else [])), (), ()
    ),
}
"""The modules of torch. What is none of them is known by its name and its parameters, or left alone."""

_PROJECTIONS = ("Conv1D", "*Linear")
"""Names of classes of other libraries that are linear layers if they hold a matrix and at most one bias: Conv1D is what
GPT-2's layers are called."""
_NORMS = "*Norm*"
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class Reason(Enum):
    """Why a parameter is left alone, as it is said to the user."""

    NORM = "normalisation"
    EMBEDDING = "embedding: operated on if `layers` or `types` names it"
    RAW = "not the weight of a known layer: operated on if `layers` names it"
    VECTOR = "not the weight of a known layer, and no matrix"
    BIAS_SHAPE = "bias of more than one dimension: operated on if `layers` names it"
    BIAS_ALONE = "bias of a layer whose weights are left alone"
    BIAS_UNWANTED = "bias, and the method leaves biases alone"
    FROZEN = "frozen: requires_grad is False"
    NOT_FLOATING = "not floating-point, or empty"
    SCRIPTED = "in a TorchScript module: attach to the Python module that it was made from"
    NOT_SELECTED = "not selected by layers, types and skip"
    RECOMPUTED = "recomputed before each use"


def kind_of(module: nn.Module) -> str | None:
    """The key of KINDS, or None for a module that isn't known."""
    for name, kind in KINDS.items():
        if isinstance(module, kind.classes):
            return name
    classes = class_names(module)
    if any(fnmatchcase(name, pattern) for name in classes for pattern in _PROJECTIONS) and _is_projection(module):
        return "linear"
    return "normalisation" if any(fnmatchcase(name, _NORMS) for name in classes) else None


def is_torchs(kind: str, module: nn.Module) -> bool:
    """True if the module is one of torch's classes of that kind, not one that is known by its name."""
    return isinstance(module, KINDS[kind].classes)


def groups_of(module: nn.Module) -> int:
    """Into how many groups a module takes its channels apart: those of a convolution, 1 for all others."""
    return int(getattr(module, "groups", 1)) if isinstance(module, KINDS["convolution"].classes) else 1


def filter_dim(module: nn.Module, weight: Tensor) -> int:
    """The dimension of a weight along which its outputs lie.

    The second one for transposed convolutions, (in, out, ...), and for matrices that GPT-2's Conv1D and its like hold
    as (in, out). Of a transposed convolution in groups it is not a dimension alone; the first one stands for it.
    """
    if isinstance(module, _TRANSPOSED):
        return 1 if module.groups == 1 else 0
    if isinstance(module, KINDS["linear"].classes) or weight.dim() != 2 or kind_of(module) != "linear":
        return 0
    outputs = getattr(module, "bias", None)
    if outputs is not None and weight.shape[0] != weight.shape[1]:
        return 0 if len(outputs) == weight.shape[0] else 1
    return 1 if "Conv1D" in class_names(module) else 0


def class_names(module: nn.Module) -> tuple[str, ...]:
    """Its class and those that it is derived from, up to nn.Module, which is left out."""
    derived = [cls for cls in type(module).__mro__ if issubclass(cls, nn.Module) and cls is not nn.Module]
    return tuple(cls.__name__ for cls in derived) or (type(module).__name__,)


def is_weight(kind: str | None, name: str, parameter: Tensor) -> bool:
    """True if a module of that kind multiplies by the parameter called `name`."""
    return kind is not None and parameter.dim() >= 2 and _matches(name, KINDS[kind].weights)


def is_bias(kind: str | None, name: str) -> bool:
    """True if `name` is a bias of a module of that kind, whatever its shape."""
    return kind is not None and _matches(name, KINDS[kind].biases)


def _is_projection(module: nn.Module) -> bool:
    """A matrix called weight and nothing else but one bias, of the length of one of its sides."""
    own = dict(module.named_parameters(recurse=False))
    weight, bias = own.pop("weight", None), own.pop("bias", None)
    fits = bias is None or (weight is not None and bias.dim() == 1 and len(bias) in weight.shape)
    return weight is not None and weight.dim() == 2 and fits and not own


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
