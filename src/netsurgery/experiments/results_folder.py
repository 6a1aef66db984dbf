"""What an experiment leaves in a folder: each seed's network, also packed, and one record, plan and page of all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from netsurgery.deployment.packing import pack
from netsurgery.errors import DataError
from netsurgery.experiments.network_files import read_network, write_network
from netsurgery.experiments.reproduction import Reproduction
from netsurgery.experiments.seed_work import DoneSeed, SeedWork
from netsurgery.files import check_keeps
from netsurgery.records.record import Record, Run
from netsurgery.report.page import write_page
from netsurgery.train.checkpoint import Checkpoint, differences, summed_up

COMPARED_IMAGES = 64
"""Validation images on which a packed network is compared with the trained one."""


class ResultsFolder:
    """The seeds of a reproduction that are done, and their files. `resume` or `forget`, then `add` and `save` by turns.

    reproduction: whose seeds they are. path: of the folder, which exists.
    """

    def __init__(self, reproduction: Reproduction, path: Path) -> None:
        self.path = path
        self._reproduction = reproduction
        self._done: list[DoneSeed] = []
        self._packed: set[Path] = set()

    @property
    def seeds(self) -> list[int]:
        """Those that are done."""
        return [done.run.seed for done in self._done]

    def check_keeps(self, plan: Path | None, reference: Path | None) -> None:
        """Raise SettingError if a file that the experiment was given would be overwritten by what it writes here."""
        networks = [self._network_path(seed, ".safetensors") for seed in range(self._reproduction.settings.seeds)]
        for path in networks:
            check_keeps("--out", path, [] if reference is None else [reference])
        own = self._reproduction.treatment.plan.to_toml().encode("utf-8")
        if plan is not None and plan.read_bytes() != own:  # one that an earlier run wrote here loses nothing
            check_keeps("--out", self._plan_path, [plan])

    def resume(self) -> None:
        """Take over the seeds that an earlier run of the same experiment left here.

        Raises DataError if what is there is of another experiment or of other versions, as it would be overwritten,
        and if it can't be read.
        """
        path = self.path / "record.json"
        if not path.exists():
            return
        found, own = Record.read(path), self.record()
        configuration = json.loads(json.dumps(own.configuration))
        if (found.configuration, found.versions) != (configuration, own.versions):
            there = {"configuration": found.configuration, "versions": found.versions}
            here = {"configuration": configuration, "versions": own.versions}
            raise DataError(
                f"{self.path} holds another experiment, {found.title!r}, or one made with other versions or settings"
                f"{summed_up(differences(there, here))}. Give another folder with --out, or delete this one."
            )
        for run in found.runs:
            experiment = self._reproduction.experiment
            model = experiment.deployed(experiment.build())
            model.load_state_dict(read_network(model, self._network_path(run.seed, ".safetensors")))
            self.add(DoneSeed(run, model))
            packed = self._network_path(run.seed, ".nsm")
            if run.packed_bytes is not None and packed.exists():
                self._packed.add(packed)

    def forget(self) -> None:
        """Delete the checkpoints, so that every seed begins from the start."""
        for seed in range(self._reproduction.settings.seeds):
            self._checkpoint(seed).remove()

    def missing(self) -> list[SeedWork]:
        """The seeds that are still to be done, each as far as it has come.

        Raises DataError if a checkpoint is of another experiment, or can't be read.
        """
        seeds = [seed for seed in range(self._reproduction.settings.seeds) if seed not in self.seeds]
        checkpoints = {seed: self._checkpoint(seed) for seed in seeds}
        return [
            SeedWork(seed, checkpoint, checkpoint.read(), self._network_path(seed, "-reference.safetensors"))
            for seed, checkpoint in checkpoints.items()
        ]

    def add(self, done: DoneSeed) -> None:
        """Another seed that is done; `save` writes it."""
        self._done.append(done)

    def record(self) -> Record:
        """The record of the seeds that are done."""
        return self._reproduction.record([done.run for done in self._done])

    def save(self) -> list[Path]:
        """Write record.json, report.html, plan.toml and each seed's network, also packed; returns the paths.

        At least one seed is done. Checkpoints are removed once their seeds' networks are written. Packing comes after
        what training gave is safe: an error in it leaves everything but the packed file.
        """
        networks = [self._network_path(seed, ".safetensors") for seed in self.seeds]
        for done, path in zip(self._done, networks, strict=True):
            write_network(done.network, path)
        record, plan, page = self.path / "record.json", self._plan_path, self.path / "report.html"
        self.record().write(record)
        self._reproduction.treatment.plan.write(plan)
        for seed in self.seeds:
            self._checkpoint(seed).remove()
        try:
            packed = self._pack()
        finally:
            self.record().write(record)
            first = self._done[0].network
            write_page(page, self.record(), {name: t.detach().numpy() for name, t in first.named_parameters()})
        return [*networks, *packed, record, plan, page]

    def _pack(self) -> Sequence[Path]:
        """Write each seed's network as an .nsm file, once; its size goes into the record."""
        examples = self._reproduction.data.validation.batch(slice(COMPARED_IMAGES))
        paths = [self._network_path(seed, ".nsm") for seed in self.seeds]
        for index, (done, path) in enumerate(zip(self._done, paths, strict=True)):
            if path not in self._packed:
                size_bytes = pack(done.network, path, example_inputs=examples).size_bytes
                run: Run = dataclasses.replace(done.run, packed_bytes=size_bytes)
                self._done[index] = DoneSeed(run, done.network)
                self._packed.add(path)
        return paths

    @property
    def _plan_path(self) -> Path:
        return self.path / "plan.toml"

    def _network_path(self, seed: int, end: str) -> Path:
        return self.path / f"{self._reproduction.experiment.name}-seed{seed}{end}"

    def _checkpoint(self, seed: int) -> Checkpoint:
        record = self.record()
        identity = json.dumps({"seed": seed, "configuration": record.configuration, "versions": record.versions})
        return Checkpoint(self._network_path(seed, ".checkpoint"), identity)
