"""Which tensors get which method, and when. Plans are frozen records that read and write TOML."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn

from netsurgery.candidates import Candidate, LeftAlone, Survey, survey
from netsurgery.checks import require, require_count
from netsurgery.eligibility import Reason
from netsurgery.errors import AdapterError, AttachmentError, LayerNotFoundError, NetsurgeryError, PlanError
from netsurgery.files import write_verified
from netsurgery.left_alone import LINE_WIDTH, describe, listed, phrases
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Layer, Method, tensors_of

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One method on some layers, from some step on.

    method: e.g. Surgery(density=0.01).
    layers: patterns of module names as in `model.named_modules()`, e.g. ("features.*", "fc1"); a layer is selected if
        any matches. `*`, `?` and `[...]` as in file names. The whole model by default. An embedding, and a parameter
        that isn't a layer's weight, is selected only where a pattern names it: ("blocks.*.w1",) for the latter.
    types: patterns of class names, e.g. ("Conv*",), or all types if empty; both `layers` and `types` must match. A
        layer has the types of all classes that its own is derived from: ("Linear",) takes attention's projections too.
    skip: patterns of names that are left out.
    start: optimizer step, counted since `attach`, at which the stage begins, >= 0. Its layers train on as usual
        before, and what is taken "once at step 0" is taken then.
    """

    method: Method[Any]
    layers: tuple[str, ...] = ("*",)
    types: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    start: int = 0

    def __post_init__(self) -> None:
        require(
            isinstance(self.method, Method),
            "method",
            self.method,
            f"one of {', '.join(cls.__name__ for cls in ALL_METHODS.values())}",
            "for example Stage(method=Surgery(density=0.01))",
        )
        for setting in ("layers", "types", "skip"):
            given = getattr(self, setting)
            listed = isinstance(given, list | tuple) and all(isinstance(pattern, str) for pattern in given)
            require(listed, setting, given, "a tuple of patterns", 'for one pattern write ("conv*",)')
            object.__setattr__(self, setting, tuple(given))
        require(len(self.layers) > 0, "layers", self.layers, "at least one pattern", 'for all layers write ("*",)')
        require_count("start", self.start, minimum=0)


@dataclass(frozen=True)
class Plan:
    """Stages in the order of their beginning, and the seed of what they draw.

    Stages may follow each other on a tensor, as Surgery and then INQ: the later one begins at the earlier one's start +
    active_steps or after, when nothing changes in its set any more, and leaves that set as it is. Nothing follows INQ,
    which leaves no weight free. Tied weights count once, under their first name; any of their names selects them.
    """

    stages: tuple[Stage, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        staged = isinstance(self.stages, list | tuple) and all(isinstance(stage, Stage) for stage in self.stages)
        require(staged and len(self.stages) > 0, "stages", self.stages, "a tuple of at least one Stage")
        object.__setattr__(self, "stages", tuple(self.stages))
        require_count("seed", self.seed, minimum=0)

    @classmethod
    def of(cls, plan: Plan | Stage | Method[Any] | str | Path) -> Plan:
        """A plan from what the user gave: a plan, a stage, a method for the whole model, or a TOML file's path."""
        if isinstance(plan, Plan):
            return plan
        if isinstance(plan, Stage):
            return cls((plan,))
        if isinstance(plan, Method):
            return cls((Stage(method=plan),))
        if isinstance(plan, str | Path):
            return cls.read(plan)
        if isinstance(plan, type) and issubclass(plan, Method):
            raise PlanError(f"The class {plan.__name__} is not a plan: write {plan.__name__}(...) with its settings.")
        raise PlanError(
            f"{plan!r} is not a plan: give a Plan, a Stage, a method such as Surgery(density=0.01), or the path of a "
            "TOML file."
        )

    @classmethod
    def convolutions_first(cls, convolutional: Method[Any], fully_connected: Method[Any], switch: int) -> Plan:
        """The paper's order: convolutions from step 0, fully connected layers from step `switch` on."""
        return cls(
            (
                Stage(method=convolutional, types=("Conv*",)),
                Stage(method=fully_connected, types=("Linear",), start=switch),
            )
        )

    @property
    def active_steps(self) -> int:
        """Optimizer steps, since attach, after which no mask changes any more."""
        return max(stage.start + stage.method.active_steps for stage in self.stages)

    def describe(self, model: nn.Module) -> str:
        """What the plan would operate on in a model, and what it would leave alone and why; nothing is changed.

        Raises as `attach` does if the plan doesn't fit the model.
        """
        return str(select(model, self))

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings: what the TOML file holds."""
        return {"seed": self.seed, "stage": [_stage_to_dict(stage) for stage in self.stages]}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`. Raises PlanError that names the stage and the key at fault."""
        _refuse_unknown(table, {"seed", "stage"}, "The plan")
        stages = table.get("stage")
        if not isinstance(stages, list) or not stages:
            raise PlanError('The plan has no stage. Write at least [[stage]] with method = "surgery" and a density.')
        try:
            return cls(
                tuple(_stage_from_dict(index, stage) for index, stage in enumerate(stages)), table.get("seed", 0)
            )
        except PlanError:
            raise
        except NetsurgeryError as error:
            raise PlanError(str(error)) from error

    def to_toml(self) -> str:
        """The plan as TOML."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, text: str) -> Plan:
        """The inverse of `to_toml`. Raises PlanError that says what is wrong, and where."""
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise PlanError(f"The plan is not valid TOML: {error}.") from error

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read a TOML file. Raises PlanError that names the file."""
        try:
            return cls.from_toml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"The plan {path} can't be read: {error}.") from error
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error

    def write(self, path: str | Path) -> None:
        """Write a TOML file, under a temporary name first."""
        write_verified(path, self.to_toml().encode("utf-8"), lambda written: Plan.read(written) == self)


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
            head = f"stage {index}: {count:,} connections in {len(tensors)} parameters of {names}"
            lines.append(textwrap.fill(head, LINE_WIDTH, subsequent_indent="  "))
        return "\n".join([*lines, *describe(self.left_alone)])


def select(model: nn.Module, plan: Plan) -> Selection:
    """What each stage operates on, and what is left alone and why; nothing is changed.

    Selected are the weights of linear, convolutional and recurrent layers and of attention's projections, and where
    the method wants biases, the biases of these layers (eligibility.py). Embeddings, and raw parameters of two or more
    dimensions, are selected where a pattern names them: its last part has to say something of theirs, as "*.w1" does
    and "blocks.*" doesn't; an embedding's class in `types` names it too. A weight that an embedding and a linear layer
    share counts as the linear layer's. Left alone are norms, vectors, parameters frozen by the user (requires_grad
    False), and those from which weights are computed anew before each use (weight_norm and the like).

    Raises LayerNotFoundError for a pattern that matches nothing, AdapterError for low-rank adapters that no pattern
    names, PlanError if two stages want the same tensor at the same time, AttachmentError for weights that are spread
    over processes or stored as something else than plain numbers.
    """
    found = survey(model)
    stages: list[list[Layer]] = []
    owners: dict[int, int] = {}  # tensor -> the latest stage that operates on it
    for index, stage in enumerate(plan.stages):
        _check_patterns(stage, found)
        chosen = [candidate for candidate in found.candidates if _is_selected(candidate, stage)]
        _refuse_adapters(chosen, stage)
        layers = [
            Layer(candidate.name, tensors)
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
    if candidate.unless_named is None or candidate.adapter is not None:
        return candidate.matches(stage.layers)
    by_class = candidate.unless_named is Reason.EMBEDDING and any(pattern.strip("*?") for pattern in stage.types)
    return (by_class and candidate.matches(stage.layers)) or any(map(candidate.is_named_by, stage.layers))


def _refuse_adapters(chosen: Sequence[Candidate], stage: Stage) -> None:
    adapters = [c for c in chosen if c.adapter is not None and not any(map(c.is_named_by, stage.layers))]
    if adapters:
        words = sorted({str(candidate.adapter) for candidate in adapters})
        raise AdapterError(
            f"{listed([candidate.name for candidate in adapters])} belong to low-rank adapters: cutting them makes "
            "nothing small, since their product is added to a weight that stays dense. Merge the adapters and operate "
            "on the weights (peft: model.merge_and_unload(), then requires_grad_(True)), leave them out with "
            f"skip={tuple(f'*{word}*' for word in words)}, or name them in layers to operate on them all the same."
        )


def _refuse_wrapped(name: str, tensor: Tensor) -> None:
    """Raise AttachmentError for a DTensor and other wrappers, which hold a part of the weights, or codes of them."""
    if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ or tensor.layout is not torch.strided:
        what = type(tensor).__name__ if tensor.layout is torch.strided else str(tensor.layout)
        raise AttachmentError(
            f"{name} is a {what}: its numbers are spread over processes, or aren't stored one by one, so they can't "
            "be ranked together. Operate on the plain model before it is sharded or converted, or leave this layer "
            "out with Stage(skip=...). DistributedDataParallel keeps plain weights and works."
        )


def _not_selected(found: Survey, plan: Plan, owners: Mapping[int, int]) -> Iterator[LeftAlone]:
    """Parameters that a plan could have selected."""
    for candidate in found.candidates:
        selects = any(id(tensor) in owners for tensor in candidate.tensors(True).values())
        for name, tensor in candidate.tensors(True).items():
            if id(tensor) not in owners:
                unnamed = candidate.unless_named is not None and not any(candidate.matches(s.skip) for s in plan.stages)
                reason = candidate.unless_named if unnamed else None
                biases = name in candidate.biases and selects
                yield LeftAlone(name, Reason.BIAS_UNWANTED if biases else reason or Reason.NOT_SELECTED)


def _check_sharing(plan: Plan, earlier: int, later: int, name: str) -> None:
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
        if not any(c.is_named_by(pattern) for c in found.candidates) and not any(
            fnmatchcase(n, pattern) for n in names
        ):
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
    known = [name for candidate in found.candidates for name in candidate.names]
    known += [part for alone in found.left_alone for part in (alone.name, alone.name.rpartition(".")[0])]
    for pattern in stage.skip:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise LayerNotFoundError(
                f"skip pattern {pattern!r} matches no layer.{_closest(pattern, names)} There are: {_listing(found)}."
            )


def _why_not(pattern: str, found: Survey) -> str:
    """Why the parameters that a pattern matches, or whose module it matches, are left alone; "" if there are none."""
    matched = [a for a in found.left_alone if any(fnmatchcase(n, pattern) for n in (a.name, a.name.rpartition(".")[0]))]
    if matched:
        return f" {matched[0].name} is left alone: {matched[0].words}."
    unnamed = [candidate for candidate in found.candidates if candidate.matches((pattern,))]
    return f" {unnamed[0].name} has to be named: {unnamed[0].unless_named.value}." if unnamed else ""  # type: ignore[union-attr]


def _closest(pattern: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(pattern, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _listing(found: Survey) -> str:
    offered = [candidate for candidate in found.candidates if candidate.unless_named is None]
    shown = [f"{name or '(the model itself)'} ({c.classes[0]})" for c in offered[:12] for name in c.names]
    rest = [f"and {len(offered) - 12} more"] if len(offered) > 12 else []
    if shown:
        return ", ".join(shown + rest)
    alone = [*found.left_alone, *(LeftAlone(c.name, c.unless_named or Reason.RAW) for c in found.candidates)]
    why = f"; left alone are {'; '.join(phrases(alone))}" if alone else ""
    return f"none (no layer of a known kind has trainable floating-point weights{why})"


def _stage_to_dict(stage: Stage) -> dict[str, Any]:
    return {
        "method": stage.method.name,
        **{setting: _plain(value) for setting, value in dataclasses.asdict(stage.method).items()},  # type: ignore[call-overload]
        "layers": list(stage.layers),
        "types": list(stage.types),
        "skip": list(stage.skip),
        "start": stage.start,
    }


def _plain(value: Any) -> Any:
    """As TOML gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _stage_from_dict(index: int, table: Any) -> Stage:
    where = f"Stage {index} of the plan"
    if not isinstance(table, Mapping):
        raise PlanError(f"{where} is {table!r}, not a table. Write it as [[stage]].")
    method_name = table.get("method")
    if not isinstance(method_name, str) or method_name not in ALL_METHODS:
        raise PlanError(f"{where} has method={method_name!r}; there are {', '.join(map(repr, ALL_METHODS))}.")
    method = ALL_METHODS[method_name]
    settings = {field.name for field in dataclasses.fields(method)}  # type: ignore[arg-type]
    selection = {key: table[key] for key in ("layers", "types", "skip", "start") if key in table}
    _refuse_unknown(table, {"method", "layers", "types", "skip", "start"} | settings, where)
    try:
        return Stage(method=method(**{key: table[key] for key in settings if key in table}), **selection)
    except TypeError as error:
        lacking = ", ".join(repr(setting) for setting in sorted(_required(method) - set(table)))
        raise PlanError(f"{where} lacks {lacking}, which {method_name!r} needs.") from error
    except NetsurgeryError as error:
        raise PlanError(f"{where}: {error}") from error


def _required(method: type[Method[Any]]) -> set[str]:
    """The settings of a method that have no default."""
    fields = dataclasses.fields(method)  # type: ignore[arg-type]
    return {field.name for field in fields if field.default is dataclasses.MISSING}


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise PlanError(f"{where} has unknown keys {unknown}; known are {sorted(known)}.")
