"""Which layers of a model each stage of a plan operates on, and what is left alone."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import torch
from torch import Tensor, nn

from netsurgery.errors import AdapterError, AttachmentError, LayerNotFoundError, PlanError
from netsurgery.layers.candidates import Candidate, LeftAlone, Survey, survey
from netsurgery.layers.eligibility import Reason
from netsurgery.layers.left_alone import LINE_WIDTH, describe, listed, phrases
from netsurgery.layers.parts import is_spread, part, refuse_flattened, refuse_unknown
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.stage import Stage


class Staged(Protocol):
    """What has stages, in the order of their beginning: a Plan."""

    @property
    def stages(self) -> Sequence[Stage]: ...


@dataclass(frozen=True)
class Selection:
    """What a plan makes of a model's parameters.

    stages: the layers of each stage, in the model's order. left_alone: all parameters that no stage operates on.
    """

    stages: list[list[Layer]]
    left_alone: list[LeftAlone]

    def __str__(self) -> str:
        """One line per stage, and one per reason why parameters are left alone."""
        lines = []
        for index, layers in enumerate(self.stages):
            tensors = [tensor for _, tensor in tensors_of(layers)]
            count = sum(tensor.numel() for tensor in tensors)
            names = listed([layer.name or "(the model itself)" for layer in layers])
            parameters = f"{len(tensors)} parameters" if len(tensors) > 1 else "1 parameter"
            head = f"stage {index}: {count:,} connections in {parameters} of {names}"
            lines.append(textwrap.fill(head, LINE_WIDTH, subsequent_indent="  "))
        return "\n".join([*lines, *describe(self.left_alone)])


def select(model: nn.Module, plan: Staged) -> Selection:
    """What each stage operates on, and what is left alone and why; nothing is changed.

    Selected are the weights of linear, convolutional and recurrent layers and of attention's projections, and where
    the method wants biases, the biases of these layers (eligibility.py). Embeddings, and raw parameters of two or more
    dimensions, are selected where a pattern names them: its last part has to say something of theirs, as "*.w1" does
    and "blocks.*" doesn't; an embedding's class in `types` names it too. A weight that an embedding and a linear layer
    share counts as the linear layer's. Left alone are norms, vectors, parameters frozen by the user (requires_grad
    False), and those from which weights are computed anew before each use (weight_norm and the like).

    Raises LayerNotFoundError for a pattern that matches nothing, AdapterError for low-rank adapters that no pattern
    names, PlanError if two stages want the same tensor at the same time, AttachmentError for weights that are stored as
    something else than plain numbers, whole or spread over processes as DTensors, and for FullyShardedDataParallel.
    """
    refuse_flattened(model)
    found = survey(model)
    stages: list[list[Layer]] = []
    owners: dict[int, int] = {}  # tensor -> the latest stage that operates on it
    for index, stage in enumerate(plan.stages):
        _check_patterns(stage, found)
        chosen = [candidate for candidate in found.candidates if _is_selected(candidate, stage)]
        _refuse_adapters(chosen, stage)
        layers = [
            Layer(candidate.name, tensors, candidate.groups, candidate.filter_dims)
            for candidate in chosen
            if (tensors := candidate.tensors(stage.method.biases))  # a tied weight's other layer has biases at most
        ]
        if not layers:
            raise LayerNotFoundError(
                f"Stage {index} selects no layer: layers={stage.layers}, types={stage.types}, skip={stage.skip} "
                f"leave none of {_listing(found)}. Loosen a pattern."
            )
        for layer in layers:
            for name, tensor in layer.tensors.items():
                _refuse_wrapped(name, tensor)
                other = owners.get(id(tensor), index)
                if other != index:
                    _check_sharing(plan, other, index, name)
                free_from = plan.stages[other].start + plan.stages[other].method.active_steps
                if other != index and stage.start < free_from:
                    raise PlanError(
                        f"Stages {other} and {index} both operate on {name}. Make their patterns disjoint, or use "
                        f"skip, or let stage {index} follow: it may start at step {free_from} or later, and has "
                        f"start={stage.start}."
                    )
                owners[id(tensor)] = index
        stages.append(layers)
    return Selection(stages, [*found.left_alone, *_not_selected(found, plan, owners)])


def _is_selected(candidate: Candidate, stage: Stage) -> bool:
    """True for adapters too, which are refused where nothing names them."""
    if candidate.matches(stage.skip) or not (candidate.has_type(stage.types) if stage.types else True):
        return False
    return any(_is_wanted(candidate, pattern, stage) for pattern in stage.layers)


def _is_wanted(candidate: Candidate, pattern: str, stage: Stage) -> bool:
    """True if a pattern of `layers` asks for the candidate: by matching it, or by naming it where that is needed."""
    by_class = candidate.unless_named is Reason.EMBEDDING and any(
        telling.strip("*?") and candidate.has_type((telling,)) for telling in stage.types
    )
    if candidate.unless_named is None or candidate.adapter is not None or by_class:
        return candidate.matches((pattern,))
    return candidate.is_named_by(pattern)


def _refuse_adapters(chosen: Sequence[Candidate], stage: Stage) -> None:
    adapters = [c for c in chosen if c.adapter is not None and not any(map(c.is_named_by, stage.layers))]
    if adapters:
        words = sorted({str(candidate.adapter) for candidate in adapters})
        raise AdapterError(
            f"{listed([candidate.name for candidate in adapters])} look like low-rank adapters, by their names or as a "
            "pair beside a frozen weight. Cutting those makes nothing small, since their product is added to a weight "
            "that stays dense: merge them and operate on the weights (peft: model.merge_and_unload(), then "
            f"requires_grad_(True)), or leave them out with skip={tuple(f'*{word}*' for word in words)}. "
            "If they aren't adapters, name them in layers to operate on them."
        )


def _refuse_wrapped(name: str, tensor: Tensor) -> None:
    """Raise AttachmentError for wrappers that hold codes of weights, and for DTensors that aren't spread in parts."""
    if is_spread(tensor):
        refuse_unknown(name, tensor)
        tensor = part(tensor)
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ or tensor.layout is not torch.strided:
        what = type(tensor).__name__ if tensor.layout is torch.strided else str(tensor.layout)
        raise AttachmentError(
            f"{name} is a {what}: its numbers aren't stored one by one, so they can't be ranked. Operate on the plain "
            "model before it is converted, or leave this layer out with Stage(skip=...)."
        )
    if tensor.is_meta:
        raise AttachmentError(
            f"{name} is on the meta device and has no numbers yet. Materialise the model first (model.to_empty, then "
            "initialise or load its weights), or leave this layer out with Stage(skip=...)."
        )
    if tensor.is_inference():
        raise AttachmentError(
            f"{name} was made under torch.inference_mode, and torch lets nobody change such a tensor or train it. Make "
            "or load the model outside of it, or leave this layer out with Stage(skip=...)."
        )


def _not_selected(found: Survey, plan: Staged, owners: Mapping[int, int]) -> Iterator[LeftAlone]:
    """Parameters that a plan could have selected."""
    for candidate in found.candidates:
        selects = all(id(tensor) in owners for tensor in candidate.weights.values())
        for name, tensor in candidate.tensors(True).items():
            if id(tensor) not in owners:
                unnamed = candidate.unless_named is not None and not any(candidate.matches(s.skip) for s in plan.stages)
                reason = candidate.unless_named if unnamed else None
                biases = name in candidate.biases and selects
                yield LeftAlone(name, Reason.BIAS_UNWANTED if biases else reason or Reason.NOT_SELECTED)


def _check_sharing(plan: Staged, earlier: int, later: int, name: str) -> None:
    """Raise PlanError if one of two stages on a tensor has a method that needs it for itself, or the first fixes it."""
    for index in (earlier, later):
        method = plan.stages[index].method
        if not method.shares_tensors:
            raise PlanError(
                f"Stages {earlier} and {later} both operate on {name}, and {method.name!r} shares its tensors with no "
                "other stage. Make their patterns disjoint, or use skip."
            )
    first = plan.stages[earlier].method
    if not first.leaves_weights_free:
        raise PlanError(
            f"Stage {later} follows stage {earlier} on {name}, and {first.name!r} leaves no weight there that could "
            f"still change. Let {first.name!r} come last, or make their patterns disjoint."
        )


def _check_patterns(stage: Stage, found: Survey) -> None:
    """Every pattern has to match something: one that doesn't is a typing error, not a wish."""
    offered = [candidate for candidate in found.candidates if candidate.unless_named is None]
    names = [name for candidate in offered for name in candidate.names]
    for pattern in stage.layers:
        if not any(_is_wanted(candidate, pattern, stage) for candidate in found.candidates):
            raise LayerNotFoundError(
                f"layers pattern {pattern!r} matches no layer that can be operated on."
                f"{(names and _why_not(pattern, found)) or _closest(pattern, names)} There are: {_listing(found)}."
            )
    classes = {name for candidate in found.candidates for name in candidate.classes}
    for pattern in stage.types:
        if not any(fnmatchcase(name, pattern) for name in classes):
            kinds = sorted({candidate.classes[0] for candidate in offered})
            raise LayerNotFoundError(
                f"types pattern {pattern!r} matches no layer that can be operated on.{_closest(pattern, kinds)} "
                f"There are: {', '.join(kinds) or 'none'}."
            )
    known = [name for candidate in found.candidates for name in (*candidate.names, *candidate.aliases)]
    known += [part for alone in found.left_alone for part in (alone.name, alone.module_name)]
    for pattern in stage.skip:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise LayerNotFoundError(
                f"skip pattern {pattern!r} matches no layer.{_closest(pattern, names)} There are: {_listing(found)}."
            )


def _why_not(pattern: str, found: Survey) -> str:
    """Why the parameters that a pattern matches, or whose module it matches, are left alone; "" if there are none."""
    matched = [
        alone
        for alone in [*_unless_named(found), *found.left_alone]
        if fnmatchcase(alone.name, pattern) or fnmatchcase(alone.module_name, pattern)
    ]
    matched.sort(key=lambda alone: alone.reason is Reason.BIAS_ALONE)  # of its weights the reason says more
    return f" {matched[0].name} is left alone ({matched[0].words})." if matched else ""


def _unless_named(found: Survey) -> list[LeftAlone]:
    """Weights that are left alone unless a plan names them."""
    return [LeftAlone(name, c.unless_named) for c in found.candidates if c.unless_named for name in c.weights]


def _closest(pattern: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(pattern, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _listing(found: Survey) -> str:
    offered = [candidate for candidate in found.candidates if candidate.unless_named is None]
    shown = [f"{name or '(the model itself)'} ({c.classes[0]})" for c in offered[:12] for name in c.names]
    rest = [f"and {len(offered) - 12} more"] if len(offered) > 12 else []
    if shown:
        return ", ".join(shown + rest)
    alone = [*_unless_named(found), *found.left_alone]
    why = f"; left alone are {'; '.join(phrases(alone))}" if alone else ""
    return f"none (no layer of a known kind has trainable floating-point weights{why})"
