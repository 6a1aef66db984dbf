"""Whether it pays to estimate batch-norm statistics again, and after what: accuracy before and after ns.recalibrate.

    python benchmarks/recalibration.py --out benchmarks/results/recalibration.json

On the networks with batch norm of the stress table, from its dense networks (SGD), on its task. Two minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from outcomes import RESULTS
from stress.digits import digits
from stress.networks import NETWORKS
from stress.runs import DenseNetwork, train_dense
from stress.training import BATCH_SIZE, OPTIMIZERS, SCHEDULES, TrainingSchedule, accuracy_percent, train
from torch import nn

import netsurgery as ns
from netsurgery.files import write_verified
from netsurgery.methods.base import Method
from netsurgery.timing.machine import machine, versions

RECORD = RESULTS / "recalibration.json"
NETWORKS_WITH_BATCH_NORM = ("conv", "residual", "separable")
OPTIMIZER = "sgd"
SEEDS = 3
TRAINED, AT_ONCE = SCHEDULES["long"], TrainingSchedule(0, falls=False)


@dataclass(frozen=True)
class Case:
    """What is done to a network before its statistics are estimated again."""

    method: Callable[[int], Method[Any] | None]
    schedule: TrainingSchedule


CUT = "naive cut to 0.3, untrained"
AFTER_TRAINING = ("INQ, 3 bits", "surgery at 0.1")
CASES = {
    "dense, as it was trained": Case(lambda _: None, AT_ONCE),
    "naive cut to 0.5, untrained": Case(lambda _: ns.NaiveCut(0.5), AT_ONCE),
    CUT: Case(lambda _: ns.NaiveCut(0.3), AT_ONCE),
    "rounded to 5-bit powers of two at once, untrained": Case(lambda _: ns.INQ(5, portions=(1.0,)), AT_ONCE),
    "rounded to 3-bit powers of two at once, untrained": Case(lambda _: ns.INQ(3, portions=(1.0,)), AT_ONCE),
    "naive cut to 0.1, trained": Case(lambda _: ns.NaiveCut(0.1), TRAINED),
    "INQ, 3 bits": Case(lambda steps: ns.INQ(3, steps=steps), TRAINED),
    "surgery at 0.1": Case(lambda steps: ns.Surgery(0.1, steps=steps), TRAINED),
}
"""Title -> case, in the order of the table."""


def accuracies(model: nn.Module, case: Case, rate: float, seed: int) -> tuple[float, float]:
    """(before, after) estimating statistics again on training images, in percent, once the case is carried out."""
    training, test = digits()
    method = case.method(case.schedule.steps)
    train(model, OPTIMIZERS[OPTIMIZER](model.parameters(), rate), case.schedule, training, seed, method)
    before = accuracy_percent(model, test)
    ns.recalibrate(model, training.images.split(BATCH_SIZE), len(training.images) // BATCH_SIZE)
    return before, accuracy_percent(model, test)


def measured(network: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each case, from one dense network."""
    path = folder / f"{network}-{seed}.pt"
    train_dense(DenseNetwork(network, OPTIMIZER, seed), path)
    rows = []
    for title, case in CASES.items():
        model = NETWORKS[network].build()
        model.load_state_dict(torch.load(path, weights_only=True))
        before, after = accuracies(model, case, NETWORKS[network].rates[OPTIMIZER], seed)
        row = {"case": title, "network": network, "seed": seed}
        rows.append(row | {"accuracy_percent": round(before, 1), "recalibrated_accuracy_percent": round(after, 1)})
    return rows


def recalibration_table() -> str:
    """A row for each case: mean accuracy over networks and seeds, before → after."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    networks = sorted({row["network"] for row in record["rows"]}, key=NETWORKS_WITH_BATCH_NORM.index)
    lines = [
        f"| accuracy in percent, before → after | {' | '.join(NETWORKS[name].title for name in networks)} | all |",
        "|---|" + "---|" * (len(networks) + 1),
    ]
    for title in CASES:
        rows = [row for row in record["rows"] if row["case"] == title]
        groups = [[row for row in rows if row["network"] == name] for name in networks]
        lines.append(f"| {title} | {' | '.join(map(_change, [*groups, rows]))} |")
    seeds = len({row["seed"] for row in record["rows"]})
    return "\n".join([*lines, "", f"Means over {seeds} seeds, torch {record['versions']['torch']}."])


def recalibration_answer() -> str:
    """The most that it gained, and what it does after training, in a sentence."""
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"]
    changes = {title: _change([row for row in rows if row["case"] == title]) for title in (CUT, *AFTER_TRAINING)}
    trained = ", ".join(f"{title} {changes[title]} %" for title in AFTER_TRAINING)
    networks = len({row["network"] for row in rows})
    return (
        f"Mean accuracy of {networks} networks on digits: {CUT} {changes[CUT]} %; where training came last, {trained}."
    )


def _change(rows: list[dict[str, Any]]) -> str:
    means = (
        statistics.fmean(row[key] for row in rows) for key in ("accuracy_percent", "recalibrated_accuracy_percent")
    )
    return " → ".join(f"{mean:.1f}" for mean in means)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RECORD, metavar="FILE", help="where the record goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        places = [(network, seed) for network in NETWORKS_WITH_BATCH_NORM for seed in range(SEEDS)]
        rows = [row for place in places for row in measured(*place, Path(folder))]
    record = {"rows": rows, "versions": versions(), "machine": machine(threads=1)}
    content = json.dumps(record, indent=1).encode() + b"\n"
    write_verified(options.out, content, lambda path: path.read_bytes() == content)


if __name__ == "__main__":
    main()
