"""Carries out an experiment: reference -> treatment -> test, once per seed."""

from __future__ import annotations

import dataclasses
import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netsurgery.attachment.operation import Operation
from netsurgery.checks import require
from netsurgery.errors import DataError
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.network_files import read_network, write_network
from netsurgery.experiments.seed_work import DoneSeed, SeedWork
from netsurgery.experiments.settings import Settings, chosen_reference, chosen_treatment
from netsurgery.experiments.settings_record import recipe_table, weight_forms
from netsurgery.experiments.treatments import leaving_out
from netsurgery.layers.selecting import select
from netsurgery.records.record import Record, Run, TensorCount
from netsurgery.records.trace import TraceRecorder
from netsurgery.timing.machine import machine, versions
from netsurgery.train.checkpoint import Checkpoint
from netsurgery.train.dataset import Dataset
from netsurgery.train.device import PRECISIONS, device_name, device_of
from netsurgery.train.loop import Keep, TrainingState, Watch, errors_percent, loss_of, train
from netsurgery.train.pace import Pace
from netsurgery.train.processes import Processes
from netsurgery.train.source import Source, feed
from netsurgery.train.split import Split

_WHOLE = "images of this data set are judged as they are, not by cuts"

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""progress(what, steps) -> a context in which the callable it gives is told how many steps are done."""


class Reproduction:
    """An experiment on some data, as the user has set it; `run_seed` carries out one seed.

    Raises SettingError, LayerNotFoundError or PlanError for settings and plans that don't fit the experiment, and
    DataError for a reference that is no such network.
    """

    def __init__(self, experiment: Experiment, data: Dataset, settings: Settings) -> None:
        self.experiment = experiment
        self.data = data
        self.settings = settings
        treatment = chosen_treatment(experiment, settings, len(data.train))
        self.reference = chosen_reference(experiment, settings, treatment)
        self.processes = Processes.joined()
        self._device = device_of(settings.device)
        require(settings.precision in PRECISIONS, "precision", settings.precision, " or ".join(PRECISIONS))
        self._given = self._read(settings.reference) if settings.reference else None
        model = self._built(self._given)
        names = [name for name, _ in model.named_modules()]
        lacking = [pattern for pattern in experiment.training_only if fnmatch.filter(names, pattern)]
        self.treatment = leaving_out(treatment, lacking)
        plan, recipe = self.treatment.plan, self.treatment.recipe
        select(model, plan)  # a pattern that matches nothing is better found before the training
        self.processes.part(recipe.batch_size)
        require(not settings.ten_crops or not isinstance(data.train, Split), "ten_crops", True, "left out here", _WHOLE)
        require(
            plan.active_steps <= recipe.steps,
            "plan",
            f"active until step {plan.active_steps}",
            f"one that ends by step {recipe.steps}, as long as {settings.method} trains here",
            "give its methods fewer steps, or say the method whose training it shall have",
        )

    def sample_step(self) -> Callable[[], None]:
        """A training step like those of the treatment, on a network of its own that is thrown away."""
        recipe = self.treatment.recipe
        model = self._network(self._given).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        batches = feed(self.data.train.to(self._device), recipe, 0, Processes())

        def step() -> None:
            images, labels = batches.next()
            optimizer.zero_grad()
            loss_of(model, images, labels, recipe, precision=self.settings.precision).backward()
            optimizer.step()

        return step

    @property
    def trains_on_processor(self) -> bool:
        """Whether it is the processor that trains, so that the number of its threads matters."""
        return self._device.type == "cpu" and self.treatment.recipe.steps > 0

    def run_seed(self, work: SeedWork, progress: Progress) -> DoneSeed:
        """Reference, treatment and test for one seed. The test set is read here, after all training.

        What takes longer than a minute leaves a checkpoint, and goes on from what was found in one. A reference that is
        trained here becomes a file.
        """
        seed, checkpoint = work.seed, work.checkpoint
        torch.manual_seed(seed)
        before = work.begun.get("before", self._given)
        model = self._network(before)
        if before is None:
            with progress(f"seed {seed}: reference", self.reference.steps) as advance, self._heeding(checkpoint):
                train(
                    model,
                    self.data.train,
                    self.reference,
                    seed,
                    watch=lambda step, _: advance(step),
                    precision=self.settings.precision,
                    keep=self._first(lambda state: checkpoint.offer(lambda: {"reference": state(), **_threads()})),
                    resume=work.begun.get("reference"),
                )
            self.processes.share_buffers(model)
            before = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
            if self.processes.first:
                write_network(model, work.reference_path)
                checkpoint.offer(lambda: {"before": before, **_threads()})
        return self._treat(seed, model, before, checkpoint, work.begun.get("treatment"), progress)

    def _network(self, weights: Mapping[str, torch.Tensor] | None) -> nn.Module:
        """The experiment's network on the device it trains on, with those weights, or new ones."""
        model = self._built(weights)
        # Twice as fast for small convolutions on a processor.
        return model.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _built(self, weights: Mapping[str, torch.Tensor] | None) -> nn.Module:
        """The network with those weights, or new ones; without what is of use in training alone, if they are."""
        model = self.experiment.build()
        if weights is None:
            return model
        if weights.keys() != model.state_dict().keys():
            model = self.experiment.deployed(model)
        model.load_state_dict(weights)
        return model

    def _read(self, path: Path) -> Mapping[str, torch.Tensor]:
        """The weights in a file of the network, or of what is deployed of it."""
        try:
            return read_network(self.experiment.build(), path)
        except DataError:
            if not self.experiment.training_only:
                raise
            return read_network(self.experiment.deployed(self.experiment.build()), path)

    def _first(self, keep: Keep) -> Keep | None:
        """Of several processes the first one alone writes."""
        return keep if self.processes.first else None

    def _heeding(self, checkpoint: Checkpoint) -> AbstractContextManager[None]:
        """While a training is in it, Ctrl-C ends it behind a step, with a checkpoint.

        Of several processes each would hear it at another step, and wait for those that have ended.
        """
        return checkpoint.until_interrupted() if self.processes.count == 1 else nullcontext()

    def _treat(
        self,
        seed: int,
        model: nn.Module,
        before: Mapping[str, torch.Tensor],
        checkpoint: Checkpoint,
        work: Mapping[str, Any] | None,
        progress: Progress,
    ) -> DoneSeed:
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
        pace = Pace()
        with progress(f"seed {seed}: {self._method}", recipe.steps) as advance, self._heeding(checkpoint):
            train(
                model,
                self.data.train,
                recipe,
                seed,
                plan,
                watch=_both(recorder, advance),
                teacher=self._network(before) if recipe.distilled else None,
                precision=self.settings.precision,
                keep=self._first(keep),
                resume=training,
                pace=pace,
            )
        duration_s = time.perf_counter() - started_s

        model, reference = map(self._to_judge, (model, self._built(before)))
        validation, test = self._errors(self.data.validation, reference, model), self.data.read_test()
        tested = self._errors(test, reference, model)
        further: dict[str, list[float]] = {}
        if not isinstance(test, Split):
            further["test, top-5"] = tested[1]
        if self.settings.ten_crops:
            names = ("test, 10 crops", "test, 10 crops, top-5")
            further |= dict(zip(names, self._errors(test, reference, model, ten_crops=True), strict=True))
        model = model.cpu()
        reads = not isinstance(self.data.train, Split)
        run = Run(
            seed=seed,
            validation_error_before_percent=validation[0][0],
            validation_error_percent=validation[0][1],
            test_error_before_percent=tested[0][0],
            test_error_percent=tested[0][1],
            further_errors_percent=further,
            images_per_s=pace.images_per_s if reads else None,
            waiting_percent=pace.waiting_percent if reads else None,
            tensors=[
                TensorCount(name, tuple(tensor.shape), int(tensor.count_nonzero()), tensor.numel())
                for name, tensor in model.named_parameters()
            ],
            duration_s=round(duration_s, 2),
            trace=recorder.trace,
        )
        return DoneSeed(run, model)

    def _to_judge(self, model: nn.Module) -> nn.Module:
        """What is deployed of it, where it is judged.

        On the processor, where float32 is float32: graphics cards may round products to fewer bits. Pictures are too
        many for that; they stay on the card, which is told not to.
        """
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        device = torch.device("cpu") if isinstance(self.data.train, Split) else self._device
        return self.experiment.deployed(model).to(device)

    def _errors(
        self, source: Source, before: nn.Module, after: nn.Module, *, ten_crops: bool = False
    ) -> tuple[list[float], list[float]]:
        """Top-1 errors of both networks, and top-5 errors of both."""
        found = [errors_percent(model, source, ten_crops=ten_crops) for model in (before, after)]
        return [round(top1, 4) for top1, _ in found], [round(top5, 4) for _, top5 in found]

    def record(self, runs: Sequence[Run]) -> Record:
        """The record of those runs."""
        settings, data, method, recipe = self.settings, self.data, self._method, self.treatment.recipe
        words = [*["shifted images"] * settings.shift, *["taught by the dense network"] * settings.teacher]
        steps_per_epoch = max(1, len(data.train) // recipe.batch_size)
        return Record(
            title=", ".join([self.experiment.title, method, *weight_forms(self.treatment.plan), *words]),
            configuration={
                "experiment": self.experiment.name,
                "method": method,
                "data": {
                    "name": data.name,
                    "train": len(data.train),
                    "validation": len(data.validation),
                    **data.facts,
                },
                "reference": settings.reference.name if settings.reference else recipe_table(self.reference),
                "training": recipe_table(recipe),
                "epochs": round(recipe.steps / steps_per_epoch, 3),
                "precision": settings.precision,
                "plan": self.treatment.plan.to_dict(),
            },
            runs=list(runs),
            paper=self.treatment.paper or (self.experiment.paper if self.treatment.prunes else None),
            versions=versions(),
            machine={**machine(torch.get_num_threads(), device_name(self._device)), **self._many},
        )

    @property
    def _many(self) -> dict[str, str]:
        count = self.processes.count
        return {"processes": str(count)} if count > 1 else {}

    @property
    def _method(self) -> str:
        return self.settings.method if self.settings.plan is None else "own plan"


def _threads() -> dict[str, int]:
    return {"threads": torch.get_num_threads()}


def _both(recorder: TraceRecorder, advance: Callable[[int], None]) -> Watch:
    def watch(step: int, operation: Operation | None) -> None:
        recorder(step, operation)
        advance(step)

    return watch
