"""Carries out an experiment: reference -> treatment -> test, once per seed, and keeps network, record and page."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netsurgery.attachment.operation import Operation
from netsurgery.checks import require
from netsurgery.deployment.packing import pack
from netsurgery.errors import DataError
from netsurgery.experiments.catalogue import Experiment
from netsurgery.experiments.network_files import read_network, write_network
from netsurgery.experiments.settings import Settings, chosen_treatment
from netsurgery.experiments.settings_record import recipe_table, weight_forms
from netsurgery.layers.selecting import select
from netsurgery.records.record import Record, Run, TensorCount
from netsurgery.records.trace import TraceRecorder
from netsurgery.report.page import write_page
from netsurgery.timing.machine import machine, versions
from netsurgery.train.batches import Batches
from netsurgery.train.checkpoint import Checkpoint
from netsurgery.train.dataset import Dataset
from netsurgery.train.device import PRECISIONS, device_name, device_of
from netsurgery.train.loop import Keep, TrainingState, Watch, error_percent, loss_of, train

COMPARED_IMAGES = 64
"""Validation images on which a packed network is compared with the trained one."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""progress(what, steps) -> a context in which the callable it gives is told how many steps are done."""


class Reproduction:
    """An experiment on some data. `run_seed` for each seed, then `record`; `save` at any time after the first.

    `resume`, before the first seed, takes over those that are done already.
    """

    def __init__(self, experiment: Experiment, data: Dataset, settings: Settings) -> None:
        self.experiment = experiment
        self.data = data
        self.settings = settings
        self.treatment = chosen_treatment(experiment, settings, len(data.train))
        self._device = device_of(settings.device)
        require(settings.precision in PRECISIONS, "precision", settings.precision, " or ".join(PRECISIONS))
        plan, recipe = self.treatment.plan, self.treatment.recipe
        select(experiment.build(), plan)  # a pattern that matches nothing is better found before the training
        require(
            plan.active_steps <= recipe.steps,
            "plan",
            f"active until step {plan.active_steps}",
            f"one that ends by step {recipe.steps}, as long as {settings.method} trains here",
            "give its methods fewer steps, or say the method whose training it shall have",
        )
        self._given = read_network(experiment.build(), settings.reference) if settings.reference else None
        self._runs: list[Run] = []
        self._networks: list[nn.Module] = []
        self._packed: set[Path] = set()

    def sample_step(self) -> Callable[[], None]:
        """A training step like those of the treatment, on a network of its own that is thrown away."""
        recipe = self.treatment.recipe
        model = self._network(self._given).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        batches = Batches(self.data.train.to(self._device), recipe, seed=0)

        def step() -> None:
            images, labels = batches.next()
            optimizer.zero_grad()
            loss_of(model, images, labels, recipe, bfloat16=self._bfloat16).backward()
            optimizer.step()

        return step

    @property
    def trains_on_processor(self) -> bool:
        """Whether it is the processor that trains, so that the number of its threads matters."""
        return self._device.type == "cpu" and self.treatment.recipe.steps > 0

    def interrupted_threads(self, folder: Path) -> int | None:
        """With how many threads a seed trained that was interrupted; None if none was.

        It gives the same bits with as many again. Raises DataError if the checkpoint is of another experiment.
        """
        found = (self._checkpoint(folder, seed).read().get("threads") for seed in range(self.settings.seeds))
        return next((int(count) for count in found if count is not None), None)

    def run_seed(self, seed: int, folder: Path, progress: Progress) -> Run:
        """Reference, treatment and test for one seed. The test set is read here, after all training.

        What takes longer than a minute leaves a checkpoint in `folder`, and goes on from one that lies there. It is
        removed by `save`. A reference that is trained here becomes a file there as well.
        Raises DataError if the checkpoint is of another experiment.
        """
        checkpoint = self._checkpoint(folder, seed)
        work = checkpoint.read()
        torch.manual_seed(seed)
        before = work.get("before", self._given)
        model = self._network(before)
        if before is None:
            with progress(f"seed {seed}: reference", self.experiment.reference.steps) as advance:
                train(
                    model,
                    self.data.train,
                    self.experiment.reference,
                    seed,
                    watch=lambda step, _: advance(step),
                    bfloat16=self._bfloat16,
                    keep=lambda state: checkpoint.offer(lambda: {"reference": state(), **_threads()}),
                    resume=work.get("reference"),
                )
            write_network(model, self._reference_path(folder, seed))
            before = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
            checkpoint.offer(lambda: {"before": before, **_threads()})
        return self._treat(seed, model, before, checkpoint, work.get("treatment"), progress)

    def _network(self, weights: Mapping[str, torch.Tensor] | None) -> nn.Module:
        """The experiment's network on the device it trains on, with those weights, or new ones."""
        model = self.experiment.build()
        if weights is not None:
            model.load_state_dict(weights)
        # Twice as fast for small convolutions on a processor.
        return model.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _treat(
        self,
        seed: int,
        model: nn.Module,
        before: Mapping[str, torch.Tensor],
        checkpoint: Checkpoint,
        work: Mapping[str, Any] | None,
        progress: Progress,
    ) -> Run:
        """The treatment and the test. work: how far the treatment was when it was interrupted."""
        plan, recipe = dataclasses.replace(self.treatment.plan, seed=seed), self.treatment.recipe
        recorder = TraceRecorder(model, self.data.validation.to(self._device), recipe.steps)
        spent_s, training = 0.0, None
        if work is not None:
            recorder.load_state_dict(work["trace"])
            spent_s, training = work["duration_s"], work["training"]
        started_s = time.perf_counter() - spent_s

        def state(training: Callable[[], TrainingState]) -> dict[str, Any]:
            duration_s = time.perf_counter() - started_s
            done = {"training": training(), "trace": recorder.state_dict(), "duration_s": duration_s}
            return {"before": dict(before), "treatment": done, **_threads()}

        keep: Keep = lambda training: checkpoint.offer(lambda: state(training))  # noqa: E731
        with progress(f"seed {seed}: {self._method}", recipe.steps) as advance:
            train(
                model,
                self.data.train,
                recipe,
                seed,
                plan,
                watch=_both(recorder, advance),
                teacher=self._network(before) if recipe.distilled else None,
                bfloat16=self._bfloat16,
                keep=keep,
                resume=training,
            )
        duration_s = time.perf_counter() - started_s

        # On the processor, where float32 is float32: graphics cards may round products to fewer bits.
        model = model.cpu()
        test, reference = self.data.read_test(), self.experiment.build()
        reference.load_state_dict(before)
        run = Run(
            seed=seed,
            validation_error_before_percent=round(error_percent(reference, self.data.validation), 4),
            validation_error_percent=round(error_percent(model, self.data.validation), 4),
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

    def forget(self, folder: Path) -> None:
        """Delete the checkpoints in `folder`, so that every seed begins from the start."""
        for seed in range(self.settings.seeds):
            self._checkpoint(folder, seed).remove()

    def record(self) -> Record:
        """The record of the seeds that are done."""
        settings, data, method, recipe = self.settings, self.data, self._method, self.treatment.recipe
        words = [*["shifted images"] * settings.shift, *["taught by the dense network"] * settings.teacher]
        steps_per_epoch = max(1, len(data.train) // recipe.batch_size)
        return Record(
            title=", ".join([self.experiment.title, method, *weight_forms(self.treatment.plan), *words]),
            configuration={
                "experiment": self.experiment.name,
                "method": method,
                "data": {"name": data.name, "train": len(data.train), "validation": len(data.validation)},
                "reference": settings.reference.name if settings.reference else recipe_table(self.experiment.reference),
                "training": recipe_table(recipe),
                "epochs": round(recipe.steps / steps_per_epoch, 3),
                "precision": settings.precision,
                "plan": self.treatment.plan.to_dict(),
            },
            runs=list(self._runs),
            paper=self.experiment.paper if self.treatment.prunes else None,
            versions=versions(),
            machine=machine(torch.get_num_threads(), device_name(self._device)),
        )

    @property
    def _method(self) -> str:
        return self.settings.method if self.settings.plan is None else "own plan"

    @property
    def _bfloat16(self) -> bool:
        return self.settings.precision == "bfloat16"

    def save(self, folder: Path) -> list[Path]:
        """Write record.json, report.html, plan.toml and each seed's network, also packed; returns the paths.

        The seeds' checkpoints are removed once their networks are written.

        Packing comes after what training gave is safe: an error in it leaves everything but the packed file.
        """
        networks = [self._network_path(folder, run, ".safetensors") for run in self._runs]
        for network, path in zip(self._networks, networks, strict=True):
            write_network(network, path)
        record, plan, page = folder / "record.json", folder / "plan.toml", folder / "report.html"
        self.record().write(record)
        self.treatment.plan.write(plan)
        for run in self._runs:
            self._checkpoint(folder, run.seed).remove()
        try:
            packed = self._pack(folder)
        finally:
            self.record().write(record)
            weights = {name: tensor.detach().numpy() for name, tensor in self._networks[0].named_parameters()}
            write_page(page, self.record(), weights)
        return [*networks, *packed, record, plan, page]

    def _pack(self, folder: Path) -> list[Path]:
        """Write each seed's network as an .nsm file, once; its size goes into the record."""
        examples = self.data.validation.batch(slice(COMPARED_IMAGES))
        paths = [self._network_path(folder, run, ".nsm") for run in self._runs]
        for index, (network, path) in enumerate(zip(self._networks, paths, strict=True)):
            if path not in self._packed:
                report = pack(network, path, example_inputs=examples)
                self._runs[index] = dataclasses.replace(self._runs[index], packed_bytes=report.size_bytes)
                self._packed.add(path)
        return paths

    def _network_path(self, folder: Path, run: Run, suffix: str) -> Path:
        return folder / f"{self.experiment.name}-seed{run.seed}{suffix}"

    def _reference_path(self, folder: Path, seed: int) -> Path:
        return folder / f"{self.experiment.name}-seed{seed}-reference.safetensors"

    def _checkpoint(self, folder: Path, seed: int) -> Checkpoint:
        record = self.record()
        identity = json.dumps({"seed": seed, "configuration": record.configuration, "versions": record.versions})
        return Checkpoint(folder / f"{self.experiment.name}-seed{seed}.checkpoint", identity)


def _threads() -> dict[str, int]:
    return {"threads": torch.get_num_threads()}


def _both(recorder: TraceRecorder, advance: Callable[[int], None]) -> Watch:
    def watch(step: int, operation: Operation | None) -> None:
        recorder(step, operation)
        advance(step)

    return watch
