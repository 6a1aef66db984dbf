"""Which tensors get which method, and when. Plans are frozen records that read and write TOML."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import tomli_w
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrize import ParametrizationList

from netsurgery.checks import require, require_count
from netsurgery.errors import LayerNotFoundError, NetsurgeryError, PlanError
from netsurgery.files import write_verified
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Layer, Method

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One method on some layers, from some step on.

    method: e.g. Surgery(density=0.01).
    layers: patterns of module names as in `model.named_modules()`, e.g. ("features.*", "fc1"); a layer is selected if
        any matches. `*`, `?` and `[...]` as in file names. The whole model by default.
    types: patterns of class names, e.g. ("Conv*",), or all types if empty; both `layers` and `types` must match.
    skip: patterns of module names that are left out.
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
            raise PlanError(f"The class {plan.__name__} is no plan: write {plan.__name__}(...) with its settings.")
        raise PlanError(
            f"{plan!r} is no plan: give a Plan, a Stage, a method such as Surgery(density=0.01), or a TOML file's path."
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


def select(model: nn.Module, plan: Plan) -> list[list[Layer]]:
    """The layers of each stage, in the model's order.

    Selected are floating-point parameters with at least two dimensions, and where the method wants biases the
    parameters beside them that have "bias" in their name. Left alone are parameters frozen by the user (requires_grad
    False) and parametrized ones (weight_norm and the like: a row of zeros has no norm).

    Raises LayerNotFoundError for a pattern that matches nothing, PlanError if two stages want the same tensor at the
    same time.
    """
    candidates = list(_candidates(model))
    selection: list[list[Layer]] = []
    owners: dict[int, int] = {}  # tensor -> the latest stage that operates on it
    for index, stage in enumerate(plan.stages):
        _check_patterns(stage, candidates)
        layers = [
            Layer(candidate.name, candidate.tensors(stage.method.biases))
            for candidate in candidates
            if candidate.selected_by(stage)
        ]
        if not layers:
            raise LayerNotFoundError(
                f"Stage {index} selects no layer: layers={stage.layers}, types={stage.types}, skip={stage.skip} "
                f"leave none of {_listing(candidates)}. Loosen a pattern."
            )
        for layer in layers:
            for name, tensor in layer.tensors.items():
                other = owners.get(id(tensor), index)
                if other != index:
                    _check_sharing(plan, other, index, name)
                free_from = plan.stages[other].start + plan.stages[other].method.active_steps
                if other != index and stage.start < free_from:
                    raise PlanError(
                        f"Stages {other} and {index} both operate on {name}. Let patterns or skip part them, or let "
                        f"stage {index} follow: it may start at step {free_from} or later, and has start={stage.start}."
                    )
                owners[id(tensor)] = index
        selection.append(layers)
    return selection


def _check_sharing(plan: Plan, earlier: int, later: int, name: str) -> None:
    """Raise PlanError if one of two stages on a tensor has a method that needs it for itself, or the first fixes it."""
    for index in (earlier, later):
        method = plan.stages[index].method
        if not method.shares_tensors:
            raise PlanError(
                f"Stages {earlier} and {later} both operate on {name}, and {method.name!r} shares its tensors with no "
                "other stage. Let patterns or skip part them."
            )
    first = plan.stages[earlier].method
    if not first.leaves_weights_free:
        raise PlanError(
            f"Stage {later} follows stage {earlier} on {name}, and {first.name!r} leaves no weight there that could "
            f"still change. Let {first.name!r} come last, or let patterns or skip part them."
        )


@dataclass(frozen=True)
class _Candidate:
    """A module that has weights which can be operated on."""

    names: tuple[str, ...]  # more than one where the module, or its weight, is tied
    kind: str
    weights: Mapping[str, Tensor]
    bias: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        return self.names[0]

    def tensors(self, biases: bool) -> dict[str, Tensor]:
        return {**self.weights, **(self.bias if biases else {})}

    def selected_by(self, stage: Stage) -> bool:
        if _matches_any(self.names, stage.skip):
            return False
        right_type = not stage.types or _matches_any((self.kind,), stage.types)
        return right_type and _matches_any(self.names, stage.layers)


def _candidates(model: nn.Module) -> Iterator[_Candidate]:
    names_of: dict[int, list[str]] = {}
    for module_name, module in model.named_modules(remove_duplicate=False):
        for parameter in module.parameters(recurse=False):
            names_of.setdefault(id(parameter), []).append(module_name)
    seen: set[int] = set()
    for module_name, module in model.named_modules():
        if isinstance(module, ParametrizationList):
            continue
        weights: dict[str, Tensor] = {}
        bias: dict[str, Tensor] = {}
        tied = False
        for name, parameter in module.named_parameters(prefix=module_name, recurse=False):
            if isinstance(parameter, UninitializedParameter):
                raise LayerNotFoundError(
                    f"{name} has no shape yet (a lazy module). Run one forward pass before attaching."
                )
            if not parameter.requires_grad or not parameter.is_floating_point() or not parameter.numel():
                continue
            if id(parameter) in seen:
                tied = tied or parameter.dim() >= 2
            elif "bias" in name.rpartition(".")[2]:
                if parameter.dim():
                    bias[name] = parameter
            elif parameter.dim() >= 2:
                weights[name] = parameter
        if weights or (tied and bias):
            seen.update(id(tensor) for tensor in (*weights.values(), *bias.values()))
            shared = [name for tensor in weights.values() for name in names_of[id(tensor)]]
            names = dict.fromkeys([module_name, *shared])
            yield _Candidate(tuple(names), type(module).__name__, weights, bias)


def _matches_any(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _check_patterns(stage: Stage, candidates: Sequence[_Candidate]) -> None:
    """Every pattern has to match something: one that doesn't is a typing error, not a wish."""
    names = [name for candidate in candidates for name in candidate.names]
    kinds = sorted({candidate.kind for candidate in candidates})
    for setting, patterns, given in (
        ("layers", stage.layers, names),
        ("skip", stage.skip, names),
        ("types", stage.types, kinds),
    ):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in given):
                close = difflib.get_close_matches(pattern, given, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                allowed = _listing(candidates) if setting != "types" else ", ".join(kinds) or "none"
                raise LayerNotFoundError(
                    f"{setting} pattern {pattern!r} matches no layer with trainable weights.{hint} "
                    f"There are: {allowed}."
                )


def _listing(candidates: Sequence[_Candidate]) -> str:
    shown = [f"{name or '(the model itself)'} ({c.kind})" for c in candidates[:12] for name in c.names]
    rest = [f"and {len(candidates) - 12} more"] if len(candidates) > 12 else []
    return ", ".join(shown + rest) or "none (no trainable floating-point parameter has two dimensions or more)"


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
