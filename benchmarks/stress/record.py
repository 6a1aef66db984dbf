"""The record of the stress table: one run a line, so that differences between two records can be read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import netsurgery
from netsurgery.errors import DataError
from netsurgery.files import write_verified
from netsurgery.timing.machine import machine, versions
from stress.digits import TEST_IMAGES, TRAINING_IMAGES
from stress.networks import NETWORKS
from stress.runs import Configuration, Outcome, sizes
from stress.training import BATCH_SIZE, SCHEDULES
from stress.treatments import DENSE

_LIBRARY = (
    "methods/*.py",
    "attachment/operation.py",
    "stage.py",
    "plan.py",
    "layers/eligibility.py",
    "layers/selecting.py",
    "schedules.py",
    "train/restarts.py",
)
_BENCHMARK = ("digits.py", "networks.py", "gradual.py", "treatments.py", "training.py", "runs.py")
_DIGITS_OF_TIME = 2


@dataclass(frozen=True)
class StressRecord:
    """All outcomes so far, and what they were made with. sources: the digest that `digest` gave then."""

    outcomes: tuple[Outcome, ...]
    facts: dict[str, Any]
    sources: str

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> StressRecord:
        """A record of outcomes of the sources as they are, on this machine, in the order of their configurations."""
        facts = {
            "task": f"8x8 digits of scikit-learn, {TRAINING_IMAGES:,} training and {TEST_IMAGES} test images",
            "batch_size": BATCH_SIZE,
            "schedules": {name: dataclasses.asdict(schedule) for name, schedule in SCHEDULES.items()},
            "networks": {
                name: {
                    "title": network.title,
                    "learning_rates": network.rates,
                    "dense_steps": network.dense_steps,
                    "parameters": sizes(name),
                }
                for name, network in NETWORKS.items()
            },
            "versions": versions(),
            "machine": machine(threads=1),
        }
        return cls(tuple(sorted(outcomes, key=lambda outcome: outcome.configuration.name)), facts, digest())

    @cached_property
    def by_configuration(self) -> dict[Configuration, Outcome]:
        return {outcome.configuration: outcome for outcome in self.outcomes}

    def dense(self, outcome: Outcome) -> Outcome | None:
        """The dense network trained for as many steps on the same batches; None where that run is missing."""
        same = dataclasses.replace(outcome.configuration, treatment=DENSE, setting=1)
        return self.by_configuration.get(same)

    def other(self, outcome: Outcome, treatment: str) -> Outcome | None:
        """The run that differs by its treatment alone; None where it is missing."""
        return self.by_configuration.get(dataclasses.replace(outcome.configuration, treatment=treatment))

    def to_json(self) -> str:
        """Facts to be read, then a run a line."""
        head = json.dumps({**self.facts, "sources": self.sources}, indent=1, ensure_ascii=False).removesuffix("\n}")
        runs = ",\n".join("  " + json.dumps(self._row(outcome), allow_nan=False) for outcome in self.outcomes)
        return f'{head},\n "runs": [\n{runs}\n ]\n}}\n'

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        """Accuracies, as of the dense runs beside it, in one row; a row without failure or warnings doesn't say so."""
        row = dataclasses.asdict(outcome.configuration)
        dense = self.dense(outcome)
        row |= {
            "accuracy_percent": round(outcome.accuracy_percent, 1),
            "start_accuracy_percent": round(outcome.start_accuracy_percent, 1),
            "dense_accuracy_percent": None if dense is None else round(dense.accuracy_percent, 1),
            "kept": outcome.kept,
            "spliced": outcome.spliced,
            "duration_s": round(outcome.duration_s, _DIGITS_OF_TIME),
        }
        return row | {key: value for key in ("warnings", "failure") if (value := getattr(outcome, key))}

    def write(self, path: Path) -> None:
        """Write the record, under a temporary name first."""
        content = self.to_json().encode("utf-8")
        write_verified(path, content, lambda written: written.read_bytes() == content)

    @classmethod
    def read(cls, path: Path) -> StressRecord:
        """The inverse of `write`. Raises DataError if the file is no such record."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            outcomes = tuple(_outcome(row) for row in table.pop("runs"))
            return cls(outcomes, table, table.pop("sources"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a record of the stress table: {error!r}.") from error


def digest() -> str:
    """A digest of the sources that an outcome may depend on: outcomes of different sources don't mix."""
    library, benchmark = Path(netsurgery.__file__).parent, Path(__file__).parent
    folders = {library: _LIBRARY, benchmark: _BENCHMARK}
    found = [path for folder, patterns in folders.items() for pattern in patterns for path in folder.glob(pattern)]
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]


def _outcome(row: dict[str, Any]) -> Outcome:
    fields = {name: row.pop(name) for name in [field.name for field in dataclasses.fields(Configuration)]}
    row.pop("dense_accuracy_percent")
    listed = {"kept": tuple(row.pop("kept")), "warnings": tuple(row.pop("warnings", ()))}
    return Outcome(Configuration(**fields), **listed, failure=row.pop("failure", ""), **row)
