"""Which tensors get which method, and when. Plans are frozen records that read and write TOML."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from netsurgery.checks import plain, require, require_count
from netsurgery.errors import NetsurgeryError, PlanError
from netsurgery.files import check_target, write_verified
from netsurgery.layers.selecting import select
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Method
from netsurgery.methods.quantization import INQ
from netsurgery.methods.surgery import Surgery
from netsurgery.schedules import Rounds
from netsurgery.stage import Stage

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

_MOST_SEED = 2**47 - 1
"""Stages draw with seeds that are made from it, and generators take 64 bits."""


@dataclass(frozen=True)
class Plan:
    """Stages in the order of their beginning, and the seed of what they draw.

    Stages may follow each other on a tensor, as Surgery and then INQ: the later one begins at the earlier one's start +
    active_steps or after, when nothing changes in its set any more, and leaves that set as it is. Nothing follows INQ,
    which leaves no weight free. Tied weights count once, under their first name; any of their names selects them.

    >>> surgery = ns.Stage(method=ns.Surgery(density=0.1, steps=500))
    >>> powers = ns.Stage(method=ns.INQ(bits=3, steps=200), start=500)
    >>> plan = ns.Plan((surgery, powers))
    >>> plan.active_steps
    700
    >>> ns.Plan.from_toml(plan.to_toml()) == plan
    True
    """

    stages: tuple[Stage, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        staged = isinstance(self.stages, list | tuple) and all(isinstance(stage, Stage) for stage in self.stages)
        require(staged and len(self.stages) > 0, "stages", self.stages, "a tuple of at least one Stage")
        object.__setattr__(self, "stages", tuple(self.stages))
        require_count("seed", self.seed, minimum=0, maximum=_MOST_SEED)
        object.__setattr__(self, "seed", plain(self.seed))

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

    @classmethod
    def surgery_then_inq(cls, density: float, bits: int = 5, steps: int = 10_000, mantissa_bits: int = 0) -> Plan:
        """Few connections, and then powers of two of what is left: the smallest files. Biases are quantized too.

        density: of all connections, in (0, 1]. bits: 2 .. 8, of each that is left, and mantissa_bits of them between
        powers of two, as `INQ` has it. steps: optimizer steps of the whole training, which surgery and INQ share as 5
        and 4 parts, as the recorded residual networks do. Write the two stages out where they are to have other
        settings. The learning rate begins again with each round of INQ:
        `scheduler` makes one that does, and so does `ns.Restarts` of your own at `round_starts`.

        Raises SettingError for a value outside its range.

        >>> plan = ns.Plan.surgery_then_inq(density=0.05, bits=5, steps=9_000)
        >>> plan.round_starts
        (0, 5000, 6333, 7667)
        >>> scheduler = plan.scheduler(optimizer)  # step it after each optimizer.step()
        >>> [stage.method.name for stage in plan.stages]
        ['surgery', 'inq']
        """
        require_count("steps", steps, minimum=20)
        first = round(steps * 5 / 9)
        surgery = Stage(method=Surgery(density=density, steps=first))
        quantization = INQ(bits, steps - first, biases=True, mantissa_bits=mantissa_bits)
        return cls((surgery, Stage(method=quantization, start=first)))

    @property
    def round_starts(self) -> tuple[int, ...]:
        """Optimizer steps, since attach, at which a learning rate should begin again: 0, stages, and rounds of INQ."""
        starts = {stage.start + start for stage in self.stages for start in stage.method.round_starts}
        return tuple(sorted({0, *starts}))

    def scheduler(self, optimizer: Optimizer, steps: int | None = None) -> LambdaLR:
        """A scheduler of torch, to be stepped after each optimizer step: half a cosine to 0 in each of the rounds.

        It begins each round with the learning rates that the optimizer's groups have now. steps: of the whole
        training, above the last of `round_starts`; by default those that the methods were given.
        Raises SettingError for too few, and for what is no optimizer: each of several gets a scheduler of its own.
        """
        one_each = "each of several gets a scheduler of its own" if isinstance(optimizer, list | tuple) else ""
        known = isinstance(optimizer, Optimizer)
        require(known, "optimizer", type(optimizer).__name__, "a torch.optim.Optimizer", one_each)
        length = max(
            stage.start + max(stage.method.active_steps, getattr(stage.method, "steps", 0)) for stage in self.stages
        )
        starts = self.round_starts
        steps = length if steps is None else steps
        require_count("steps", steps, minimum=starts[-1] + 1)
        return LambdaLR(optimizer, Rounds(starts, steps))

    @property
    def active_steps(self) -> int:
        """Optimizer steps, since attach, after which no mask changes any more."""
        return max(stage.start + stage.method.active_steps for stage in self.stages)

    def describe(self, model: nn.Module) -> str:
        """What the plan would operate on in a model, and what it would leave alone and why; nothing is changed.

        Raises as `attach` does if the plan doesn't fit the model.
        """
        require(isinstance(model, nn.Module), "model", type(model).__name__, "a torch.nn.Module")
        return str(select(model, self))

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings: what the TOML file holds."""
        return {"seed": self.seed, "stage": [_stage_to_dict(stage) for stage in self.stages]}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`. Raises PlanError that names the stage and the key at fault."""
        if not isinstance(table, Mapping):
            raise PlanError(f"The plan is a {type(table).__name__}; it must be a dict as Plan.to_dict() gives it.")
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
        if not isinstance(text, str):
            raise PlanError(f"The plan is a {type(text).__name__}; it must be TOML in a str. Plan.read takes a path.")
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise PlanError(f"The plan is not valid TOML: {error}.") from error

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read a TOML file. Raises PlanError that names the file."""
        require(isinstance(path, str | os.PathLike), "path", path, "a str or a pathlib.Path")
        try:
            return cls.from_toml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"The plan {path} can't be read: {error}.") from error
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error

    def write(self, path: str | Path) -> None:
        """Write a TOML file, under a temporary name first."""
        check_target(path)
        write_verified(path, self.to_toml().encode("utf-8"), lambda written: Plan.read(written) == self)


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
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


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
