"""Carries out an experiment: reference -> treatment -> test, once per seed, and keeps network, record and page."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from netsurgery.checks import require
from netsurgery.errors import DataError
from netsurgery.files import write_verified
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.operation import Operation
from netsurgery.packing import pack
from netsurgery.plan import Plan, select
from netsurgery.report.page import write_page
from netsurgery.report.record import Record, Run, TensorCount, machine, versions
from netsurgery.report.trace import TraceRecorder
from netsurgery.train.data import Digits
from netsurgery.train.loop import Recipe, Watch, error_percent, train
from netsurgery.zoo.experiments import Experiment, Numbers

SHIFTED = 0.6
COMPARED_IMAGES = 64
"""Validation images on which a packed network is compared with the trained one."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""progress(what, steps) -> a context in which the callable it gives is told how many steps are done."""


@dataclass(frozen=True)
class Settings:
    """What the user chose for an experiment. None: as the experiment has it.

    method: a key of the experiment's treatments: plan and recipe. plan: in place of the treatment's.
    density, bits, planes: for methods that take them.
    reference: safetensors file of the dense network, which is trained where it is None.
    shift: train on batches that are moved by up to one pixel (SHIFTED of them), in place of dropping out pixels.
    """

    method: str
    density: float | None = None
    bits: int | None = None
    planes: int | None = None
    reference: Path | None = None
    seeds: int = 1
    plan: Plan | None = None
    shift: bool = False


class Reproduction:
    """An experiment on some data. `run_seed` for each seed, then `record`; `save` at any time after the first.

    `resume`, before the first seed, takes over those that are done already.
    """

    def __init__(self, experiment: Experiment, digits: Digits, settings: Settings) -> None:
        self.experiment = experiment
        self.digits = digits
        self.settings = settings
        given = {name: number for name in ("bits", "planes") if (number := getattr(settings, name)) is not None}
        numbers = Numbers(settings.density or experiment.density, **given)
        treatment = experiment.treatments[settings.method](numbers)
        if settings.plan is not None:
            treatment = dataclasses.replace(treatment, plan=settings.plan)
        if settings.shift:
            require(treatment.recipe.steps > 0, "shift", True, "left out here", f"{settings.method} trains nothing")
            shifted = dataclasses.replace(treatment.recipe, shifted=SHIFTED, input_dropout=0.0)
            treatment = dataclasses.replace(treatment, recipe=shifted)
        self.treatment = treatment
        select(experiment.build(), treatment.plan)  # a pattern that matches nothing is better found before the training
        require(
            treatment.plan.active_steps <= treatment.recipe.steps,
            "plan",
            f"active until step {treatment.plan.active_steps}",
            f"one that ends by step {treatment.recipe.steps}, as long as {settings.method} trains here",
            "give its methods fewer steps, or say the method whose training it shall have",
        )
        self._given = read_network(experiment.build(), settings.reference) if settings.reference else None
        self._runs: list[Run] = []
        self._networks: list[nn.Module] = []
        self._packed: set[Path] = set()

    def run_seed(self, seed: int, progress: Progress) -> Run:
        """Reference, treatment and test for one seed. The test set is read here, after all training."""
        torch.manual_seed(seed)
        model = self.experiment.build()
        if self._given is not None:
            model.load_state_dict(self._given)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast for small convolutions
        if self._given is None:
            with progress(f"seed {seed}: reference", self.experiment.reference.steps) as advance:
                train(model, self.digits.train, self.experiment.reference, seed, watch=lambda step, _: advance(step))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        validation_before = error_percent(model, self.digits.validation)

        plan, recipe = dataclasses.replace(self.treatment.plan, seed=seed), self.treatment.recipe
        recorder = TraceRecorder(model, self.digits.validation, recipe.steps)
        started = time.perf_counter()
        with progress(f"seed {seed}: {self._method}", recipe.steps) as advance:
            train(model, self.digits.train, recipe, seed, plan, watch=_both(recorder, advance))
        duration_s = time.perf_counter() - started

        test = self.digits.read_test()
        reference = self.experiment.build()
        reference.load_state_dict(before)
        run = Run(
            seed=seed,
            validation_error_before_percent=round(validation_before, 4),
            validation_error_percent=round(error_percent(model, self.digits.validation), 4),
            test_error_before_percent=round(error_percent(reference, test), 4),
            test_error_percent=round(error_percent(model, test), 4),
            tensors=[
                TensorCount(name, tuple(tensor.shape), int(tensor.count_nonzero()), tensor.numel())
                for name, tensor in model.named_parameters()
            ],
            duration_s=round(duration_s, 2),
            trace=recorder.trace,
        )
        self._runs.append(run)
        self._networks.append(model)
        return run

    def resume(self, folder: Path) -> list[int]:
        """Take over the seeds that an earlier run of the same experiment left in `folder`, and return them.

        Raises DataError if what is there is of another experiment or of other versions, as it would be overwritten,
        and if it can't be read.
        """
        path = folder / "record.json"
        if not path.exists():
            return []
        found, own = Record.read(path), self.record()
        configuration = json.loads(json.dumps(own.configuration))
        if (found.configuration, found.versions) != (configuration, own.versions):
            raise DataError(
                f"{folder} holds another experiment, {found.title!r}, or one made with other versions or settings. "
                "Give another folder with --out, or delete this one."
            )
        for run in found.runs:
            model = self.experiment.build()
            model.load_state_dict(read_network(model, self._network_path(folder, run, ".safetensors")))
            self._runs.append(run)
            self._networks.append(model)
            packed = self._network_path(folder, run, ".nsm")
            if run.packed_bytes is not None and packed.exists():
                self._packed.add(packed)
        return [run.seed for run in found.runs]

    def record(self) -> Record:
        """The record of the seeds that are done."""
        settings, digits, method = self.settings, self.digits, self._method
        shifted = ["shifted images"] if settings.shift else []
        return Record(
            title=", ".join([self.experiment.title, method, *_sizes(self.treatment.plan), *shifted]),
            configuration={
                "experiment": self.experiment.name,
                "method": method,
                "data": {"name": digits.name, "train": len(digits.train), "validation": len(digits.validation)},
                "reference": settings.reference.name if settings.reference else _recipe(self.experiment.reference),
                "training": _recipe(self.treatment.recipe),
                "plan": self.treatment.plan.to_dict(),
            },
            runs=list(self._runs),
            paper=self.experiment.paper if self.treatment.prunes else None,
            versions=versions(),
            machine=machine(torch.get_num_threads()),
        )

    @property
    def _method(self) -> str:
        return self.settings.method if self.settings.plan is None else "own plan"

    def save(self, folder: Path) -> list[Path]:
        """Write record.json, report.html, plan.toml and each seed's network, also packed; returns the paths.

        Packing comes after what training gave is safe: an error in it leaves everything but the packed file.
        """
        networks = [self._network_path(folder, run, ".safetensors") for run in self._runs]
        for network, path in zip(self._networks, networks, strict=True):
            write_network(network, path)
        record, plan, page = folder / "record.json", folder / "plan.toml", folder / "report.html"
        self.record().write(record)
        self.treatment.plan.write(plan)
        try:
            packed = self._pack(folder)
        finally:
            self.record().write(record)
            weights = {name: tensor.detach().numpy() for name, tensor in self._networks[0].named_parameters()}
            write_page(page, self.record(), weights)
        return [*networks, *packed, record, plan, page]

    def _pack(self, folder: Path) -> list[Path]:
        """Write each seed's network as an .nsm file, once; its size goes into the record."""
        examples = self.digits.validation.images[:COMPARED_IMAGES]
        paths = [self._network_path(folder, run, ".nsm") for run in self._runs]
        for index, (network, path) in enumerate(zip(self._networks, paths, strict=True)):
            if path not in self._packed:
                report = pack(network, path, example_inputs=examples)
                self._runs[index] = dataclasses.replace(self._runs[index], packed_bytes=report.size_bytes)
                self._packed.add(path)
        return paths

    def _network_path(self, folder: Path, run: Run, suffix: str) -> Path:
        return folder / f"{self.experiment.name}-seed{run.seed}{suffix}"


def read_network(model: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """The state_dict in a safetensors file, checked against `model`. Raises DataError that names what differs."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} can't be read as safetensors: {error}.") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        raise DataError(
            f"{path} holds {found}, but {type(model).__name__} has {expected}. Give a file of that network."
        )
    return tensors


def write_network(model: nn.Module, path: Path) -> None:
    """The model's own keys and tensors as safetensors, under a temporary name first."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}

    def same(written: Path) -> bool:
        found = load_file(written)
        return found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)

    write_verified(path, save(tensors), same)


def _sizes(plan: Plan) -> list[str]:
    """What the plan's methods make of a weight, in words, each once."""
    methods = [stage.method for stage in plan.stages]
    bits = [f"{method.bits} bits" for method in methods if isinstance(method, INQ)]
    planes = [
        f"{method.planes} plane" + "s" * (method.planes > 1) for method in methods if isinstance(method, Sketching)
    ]
    return list(dict.fromkeys(bits + planes))


def _both(recorder: TraceRecorder, advance: Callable[[int], None]) -> Watch:
    def watch(step: int, operation: Operation | None) -> None:
        recorder(step, operation)
        advance(step)

    return watch


def _recipe(recipe: Recipe) -> dict[str, Any]:
    schedules = {name: _schedule(getattr(recipe, name)) for name in ("learning_rate", "weight_decay")}
    return {**dataclasses.asdict(recipe), **schedules}


def _schedule(schedule: Any) -> dict[str, Any]:
    """A schedule with its kind, and those that it is made of likewise."""
    parts = {field.name: getattr(schedule, field.name) for field in dataclasses.fields(schedule)}
    for name, part in parts.items():
        if dataclasses.is_dataclass(part):
            parts[name] = _schedule(part)
        elif isinstance(part, tuple):
            parts[name] = list(part)  # as JSON gives it back
    return {"schedule": type(schedule).__name__, **parts}
