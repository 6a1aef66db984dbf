"""What a model holds, parameter by parameter: layers that can be operated on, and what is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from netsurgery.errors import LayerNotFoundError
from netsurgery.layers.adapters import adapter_words
from netsurgery.layers.eligibility import (
    KINDS,
    Kind,
    Reason,
    class_names,
    filter_dim,
    groups_of,
    is_bias,
    is_torchs,
    is_weight,
    kind_of,
)
from netsurgery.layers.recomputation import recomputed, source_of
from netsurgery.layers.wrappers import PlainNames


@dataclass(frozen=True)
class Candidate:
    """A layer that a plan may select: a module's weights and biases, or one parameter that isn't a layer's.

    names: of the module, and of all others that its weights are tied to; of the parameter itself if it stands alone.
    classes: names of the classes of the modules that hold it, own ones first; what `types` patterns match.
    weights, biases: parameter name -> parameter.
    unless_named: why it is left alone unless a plan names it; None for what is operated on by default.
    adapter: the part of its name that says that it is an adapter, or None.
    groups, filter_dims: as a Layer has them.
    aliases: names with the wrappers that `names` leave out; patterns may match them, too.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    weights: Mapping[str, Tensor]
    biases: Mapping[str, Tensor] = field(default_factory=dict)
    unless_named: Reason | None = None
    adapter: str | None = None
    groups: int = 1
    filter_dims: Mapping[str, int] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def _known_as(self) -> tuple[str, ...]:
        return (*self.names, *self.aliases)

    def tensors(self, biases: bool) -> dict[str, Tensor]:
        """The weights, and the biases if the method wants them."""
        return {**self.weights, **(self.biases if biases else {})}

    def matches(self, patterns: tuple[str, ...]) -> bool:
        """True if a pattern matches one of its names."""
        return any(fnmatchcase(name, pattern) for name in self._known_as for pattern in patterns)

    def is_named_by(self, pattern: str) -> bool:
        """True if the pattern matches a name, and its last part says something of that name's last part.

        So "blocks.0.w1", "blocks.*.w?" and "*w1" name "blocks.0.w1"; "*" and "blocks.*" only happen to match it. An
        adapter is named by a pattern that holds the word for it.
        """
        if self.adapter is not None:
            return self.adapter.partition("_")[0].lower() in pattern.lower() and self.matches((pattern,))
        last = pattern.rpartition(".")[2]
        telling = not pattern or bool(last.strip("*?"))
        return telling and any(
            fnmatchcase(name, pattern) and fnmatchcase(name.rpartition(".")[2], last) for name in self._known_as
        )

    def has_type(self, patterns: tuple[str, ...]) -> bool:
        """True if a pattern matches one of its classes."""
        return any(fnmatchcase(name, pattern) for name in self.classes for pattern in patterns)


@dataclass(frozen=True)
class LeftAlone:
    """A parameter that isn't operated on. advice: what to do about it, if that takes more words than the reason has."""

    name: str
    reason: Reason
    advice: str = ""

    @property
    def module_name(self) -> str:
        """Of the layer that it belongs to."""
        owner, parametrized, _ = f".{self.name}".partition(".parametrizations.")
        return (owner if parametrized else owner.rpartition(".")[0]).lstrip(".")

    @property
    def words(self) -> str:
        """The reason and the advice."""
        return f"{self.reason.value}: {self.advice}" if self.advice else self.reason.value


@dataclass(frozen=True)
class Survey:
    """All parameters of a model, each once: in a candidate, or left alone whatever the plan."""

    candidates: list[Candidate]
    left_alone: list[LeftAlone]


def survey(model: nn.Module) -> Survey:
    """Look at every parameter of a model; nothing is changed.

    Raises LayerNotFoundError if a module has parameters without a shape.
    """
    for lazy, given in model.named_parameters():
        if isinstance(given, UninitializedParameter):
            raise LayerNotFoundError(f"{lazy} has no shape yet (a lazy module). Run one forward pass first.")
    plain = PlainNames(model)
    holders = _holders(model, plain)
    adapters = {plain.of(name): word for name, word in adapter_words(model).items()}
    found = Survey([], [])
    seen: set[int] = set()
    for path, module in model.named_modules():
        module_name = plain.of(path)
        if isinstance(module, torch.jit.ScriptModule):  # its parameters are new objects each time they are asked for
            names = (
                f"{module_name}.{own}" if module_name else own for own, _ in module.named_parameters(recurse=False)
            )
            found.left_alone.extend(LeftAlone(name, Reason.SCRIPTED) for name in names)
            continue
        computed = recomputed(module_name, module)
        weights: dict[str, Tensor] = {}
        biases: dict[str, Tensor] = {}
        alone: list[tuple[str, Tensor, Reason]] = []
        tied = False
        kind = kind_of(module)
        for name, parameter in module.named_parameters(module_name, recurse=False):
            own_name = name.rpartition(".")[2]
            if id(parameter) in seen:
                tied = tied or is_weight(kind, own_name, parameter)
                continue
            seen.add(id(parameter))
            reason, advice = _never(name, parameter, computed)
            if reason is not None:
                found.left_alone.append(LeftAlone(name, reason, advice))
            elif any(holder.weight_kind(parameter) for holder in holders[id(parameter)]):
                weights[name] = parameter
            elif is_bias(kind, own_name) and parameter.dim() == 1:
                biases[name] = parameter
            elif kind == "normalisation" and (is_torchs(kind, module) or parameter.numel() == max(parameter.shape)):
                found.left_alone.append(LeftAlone(name, Reason.NORM))
            elif parameter.dim() < 2:
                found.left_alone.append(LeftAlone(name, Reason.VECTOR))
            else:
                alone.append((name, parameter, Reason.BIAS_SHAPE if is_bias(kind, own_name) else Reason.RAW))
        if weights or (tied and biases):
            found.candidates.append(_layer(module_name, module, weights, biases, holders, adapters))
        else:
            found.left_alone.extend(LeftAlone(name, Reason.BIAS_ALONE) for name in biases)
        for name, parameter, reason in alone:
            found.candidates.append(_alone(name, parameter, reason, holders[id(parameter)], adapters))
    return found


@dataclass(frozen=True)
class _Holder:
    """One of the places where a model holds a parameter."""

    module_name: str
    own_name: str
    module: nn.Module
    path: str
    """The module's name with all wrappers."""

    @property
    def parameter_name(self) -> str:
        return f"{self.module_name}.{self.own_name}" if self.module_name else self.own_name

    def weight_kind(self, parameter: Tensor) -> Kind | None:
        """What multiplies by the parameter here; None if it isn't a weight here."""
        kind = kind_of(self.module)
        return KINDS[kind] if kind is not None and is_weight(kind, self.own_name, parameter) else None


def _holders(model: nn.Module, plain: PlainNames) -> dict[int, list[_Holder]]:
    """Tensor -> the places that hold it: more than one if it is tied."""
    holders: dict[int, list[_Holder]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for own_name, parameter in module._parameters.items():
            if parameter is not None:
                holders.setdefault(id(parameter), []).append(_Holder(plain.of(path), own_name, module, path))
    return holders


def _layer(
    module_name: str,
    module: nn.Module,
    weights: dict[str, Tensor],
    biases: dict[str, Tensor],
    holders: Mapping[int, list[_Holder]],
    adapters: Mapping[str, str],
) -> Candidate:
    """A module's weights and biases. A weight that is an embedding and a linear layer's counts as the latter's."""
    places = [holder for tensor in weights.values() for holder in holders[id(tensor)]]
    names = dict.fromkeys([module_name, *(holder.module_name for holder in places)])
    classes = dict.fromkeys([*class_names(module), *(c for holder in places for c in class_names(holder.module))])
    kinds = [holder.weight_kind(tensor) for tensor in weights.values() for holder in holders[id(tensor)]]
    embedded = bool(kinds) and all(kind.named_only for kind in kinds if kind is not None)
    words = [adapters[name] for name in (*weights, *biases) if name in adapters]
    return Candidate(
        tuple(names),
        tuple(classes),
        weights,
        biases,
        aliases=tuple(dict.fromkeys(holder.path for holder in places if holder.path not in names)),
        unless_named=Reason.EMBEDDING if embedded else None,
        adapter=words[0] if words else None,
        groups=groups_of(module),
        filter_dims={name: dim for name, tensor in weights.items() if (dim := filter_dim(module, tensor))},
    )


def _alone(
    name: str, parameter: Tensor, reason: Reason, places: list[_Holder], adapters: Mapping[str, str]
) -> Candidate:
    """A parameter that isn't a layer's: a layer by itself."""
    names = dict.fromkeys([name, *(holder.parameter_name for holder in places)])
    classes = dict.fromkeys(cls for holder in places for cls in class_names(holder.module))
    word = next((adapters[other] for other in names if other in adapters), None)
    paths = [f"{holder.path}.{holder.own_name}".lstrip(".") for holder in places]
    aliases = tuple(dict.fromkeys(path for path in paths if path not in names))
    return Candidate(
        tuple(names), tuple(classes), {name: parameter}, unless_named=reason, adapter=word, aliases=aliases
    )


def _never(name: str, parameter: Tensor, computed: dict[str, str]) -> tuple[Reason | None, str]:
    """Why a parameter is left alone whatever a plan says, and what can be done; (None, "") if it may be selected."""
    source = source_of(name.rpartition(".")[2], computed)
    if source is not None:
        return Reason.RECOMPUTED, computed[source]
    if not parameter.is_floating_point() or not parameter.numel():
        return Reason.NOT_FLOATING, ""
    return (None, "") if parameter.requires_grad else (Reason.FROZEN, "")
