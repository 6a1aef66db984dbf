"""A run: which network, how it is trained, what is done to it; and carrying it out."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from netsurgery.attachment.operation import Operation
from netsurgery.errors import NetsurgeryError
from stress.digits import digits
from stress.networks import NETWORKS
from stress.training import OPTIMIZERS, SCHEDULES, TrainingSchedule, accuracy_percent, train
from stress.treatments import TREATMENTS

_DENSE_BATCHES, _BATCHES = 100, 7  # added to the seed: a method sees other batches than its dense network saw


@dataclass(frozen=True, order=True)
class DenseNetwork:
    """What a trained dense network depends on; all runs with the same one begin with it."""

    network: str
    optimizer: str
    seed: int


@dataclass(frozen=True)
class Configuration:
    """What a run depends on. setting: a density, bits or planes, as the treatment takes it."""

    network: str
    optimizer: str
    schedule: str
    treatment: str
    setting: float
    seed: int

    @property
    def name(self) -> str:
        """For patterns: network/optimizer/schedule/treatment-setting/seed."""
        return f"{self.network}/{self.optimizer}/{self.schedule}/{self.treatment}-{self.setting:g}/{self.seed}"

    @property
    def dense(self) -> DenseNetwork:
        return DenseNetwork(self.network, self.optimizer, self.seed)


@dataclass(frozen=True)
class Outcome:
    """What a run gave. Accuracies are top-1 on the test images, in percent.

    start_accuracy_percent: of the dense network that it began with. kept: connections of each parameter of the network,
    in its order; None where it isn't operated on. warnings: names of this library's, each once. failure: the error that
    ended the run, "" for none; its accuracy is 0 then. duration_s: the training, in one thread.
    """

    configuration: Configuration
    accuracy_percent: float
    start_accuracy_percent: float
    kept: tuple[int | None, ...]
    spliced: int
    warnings: tuple[str, ...]
    failure: str
    duration_s: float


def configurations(seeds: Iterable[int]) -> Iterator[Configuration]:
    """All of the table, a seed at a time, so that what is interrupted has whole seeds."""
    settings = [(name, setting) for name, treatment in TREATMENTS.items() for setting in treatment.settings]
    for seed, network, optimizer, schedule, treated in itertools.product(
        seeds, NETWORKS, OPTIMIZERS, SCHEDULES, settings
    ):
        yield Configuration(network, optimizer, schedule, *treated, seed)


def train_dense(dense: DenseNetwork, path: Path) -> None:
    """Train a dense network and write its state_dict."""
    network = NETWORKS[dense.network]
    torch.manual_seed(dense.seed)
    model = network.build()
    optimizer = OPTIMIZERS[dense.optimizer](model.parameters(), network.rates[dense.optimizer])
    train(model, optimizer, TrainingSchedule(network.dense_steps, falls=True), digits()[0], dense.seed + _DENSE_BATCHES)
    torch.save(model.state_dict(), path)


def carry_out(configuration: Configuration, dense: Path) -> Outcome:
    """One run from the dense network that lies at `dense`; the same outcome, but for its time, each time."""
    network, schedule = NETWORKS[configuration.network], SCHEDULES[configuration.schedule]
    training, test = digits()
    torch.manual_seed(configuration.seed)
    model = network.build()
    model.load_state_dict(torch.load(dense, weights_only=True))
    start = accuracy_percent(model, test)
    optimizer = OPTIMIZERS[configuration.optimizer](model.parameters(), network.rates[configuration.optimizer])
    method = TREATMENTS[configuration.treatment].method(configuration.setting, schedule.steps)
    operation, failure, begun_s = None, "", time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            operation = train(model, optimizer, schedule, training, configuration.seed + _BATCHES, method)
        except NetsurgeryError as error:  # an outcome like another; any other exception is a fault of this program
            failure = f"{type(error).__name__}: {error}"
    duration_s = time.perf_counter() - begun_s
    said = {warning.category for warning in caught if warning.category.__module__ == NetsurgeryError.__module__}
    rows = [] if operation is None else operation.report()
    return Outcome(
        configuration,
        accuracy_percent=0.0 if failure else accuracy_percent(model, test),
        start_accuracy_percent=start,
        kept=_kept(model, operation),
        spliced=sum(row.spliced_total for row in rows),
        warnings=tuple(sorted(category.__name__ for category in said)),
        failure=failure,
        duration_s=duration_s,
    )


def sizes(network: str) -> dict[str, int]:
    """Parameter name -> connections, in the order of Outcome.kept."""
    return {name: parameter.numel() for name, parameter in NETWORKS[network].build().named_parameters()}


def _kept(model: nn.Module, operation: Operation | None) -> tuple[int | None, ...]:
    rows = {} if operation is None else {row.name: row.kept for row in operation.report()}
    return tuple(rows.get(name) for name, _ in model.named_parameters())
