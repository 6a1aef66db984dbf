"""What fixed point costs in accuracy: trained networks of powers of two, packed with floats and with fixed activations.

    netsurgery reproduce lenet5 --data DIR/mnist --method surgery+inq --bits 5 --seeds 3 --out runs/lenet5-surgery-inq-5
    python benchmarks/fixed_accuracy.py --data DIR runs/lenet5-surgery-inq-5 runs/resnet20-inq-4

DIR holds mnist and cifar10. Grids are chosen on 512 training images; the engine then runs the whole test set, which is
read once. Each network is packed with both of its ends in fixed point, and as pack decides by itself.

Writes benchmarks/results/fixed_accuracy.json, in the place of its rows of the same runs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netsurgery as ns
from netsurgery.analysis.fixed_point import fixed_layers
from netsurgery.experiments.catalogue import REPRODUCIBLE
from netsurgery.experiments.network_files import read_network
from netsurgery.files import write_verified
from netsurgery.records.record import Record
from netsurgery.runtime.session import Session
from netsurgery.timing.machine import machine, versions
from netsurgery.train.dataset import Dataset
from netsurgery.train.split import Split

RESULTS = Path(__file__).parent / "results" / "fixed_accuracy.json"
CALIBRATION_IMAGES = 512
BATCH = 500
FOLDERS = {"lenet300": "mnist", "lenet5": "mnist", "resnet20": "cifar10", "resnet56": "cifar10"}


def answers(network: Session, test: Split) -> np.ndarray:
    """(n,): the class with the largest output for each image of the test set."""
    parts = [slice(first, first + BATCH) for first in range(0, len(test), BATCH)]
    return np.concatenate([np.asarray(network(test.batch(part).numpy())).argmax(axis=1) for part in parts])


def error_percent(given: np.ndarray, test: Split) -> float:
    return round(100 * float((given != test.labels.numpy()).mean()), 4)


def given_bits(network: Session) -> tuple[int, int]:
    """Fewest and most bits of what layers read, the sign included."""
    bits = {made.output: int(made.attributes["bits"]) for made in network.graph.nodes if made.operator == "Quantize"}
    makers = network.graph.producers()
    found = []
    for made in network.graph.nodes:
        if made.operator in ("Conv", "Linear"):
            value = str(made.inputs[0])
            while value in makers and value not in bits:  # what only moves or pools keeps a grid
                value = str(makers[value].inputs[0])
            found += [bits[value]] if value in bits else []
    return min(found), max(found)


def measured(folder: Path, record: Record, seed: int, data: Dataset, test: Split) -> dict[str, Any]:
    """One trained network: errors on the test set with floats, in fixed point, and as pack decides by itself."""
    name = str(record.configuration["experiment"])
    model = REPRODUCIBLE[name].build()
    model.load_state_dict(read_network(model, folder / f"{name}-seed{seed}.safetensors"))
    calibration = data.train.batch(slice(CALIBRATION_IMAGES))
    row: dict[str, Any] = {"title": record.title, "folder": folder.name, "seed": seed}
    row["steps"] = record.configuration["training"]["steps"]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "network.nsm"
        example = calibration[:16]
        ns.pack(model.eval(), path, example_inputs=example)
        exact = answers(ns.load(path), test)
        row |= {"float_error_percent": error_percent(exact, test), "float_bytes": path.stat().st_size}
        for ends in ("fixed", "auto"):
            report = ns.pack(
                model, path, example_inputs=example, activations="fixed", calibration=[calibration], ends=ends
            )
            network = ns.load(path)
            given, layers = answers(network, test), fixed_layers(network.graph)
            assert layers is not None
            row[ends] = {
                "error_percent": error_percent(given, test),
                "other_answers": int((given != exact).sum()),
                "bytes": report.size_bytes,
                "layers": layers.layers,
                "of": layers.of,
                "given_bits": given_bits(network),
                "multiplications": round(layers.multiplications, 2),
                "additions": round(layers.additions, 2),
                "doublings": round(layers.doublings, 2),
                "remarks": report.remarks,
            }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUN", help="what `netsurgery reproduce` left")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where mnist and cifar10 lie")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE", help="where the record goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    read: dict[str, tuple[Dataset, Split]] = {}
    rows = []
    for folder in options.folders:
        record = Record.read(folder / "record.json")
        experiment = REPRODUCIBLE[str(record.configuration["experiment"])]
        place = FOLDERS[experiment.name]
        if place not in read:
            data = experiment.read_data(options.data / place)
            read[place] = data, data.read_test()
        for run in record.runs:
            rows.append(measured(folder, record, run.seed, *read[place]))
            print(json.dumps(rows[-1]), flush=True)
    before = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.exists() else []
    fresh = {row["folder"] for row in rows}
    kept = [row for row in before if row["folder"] not in fresh]
    found = {"rows": [*kept, *rows], "versions": versions(), "machine": machine(threads=1)}
    content = json.dumps(found, indent=1).encode() + b"\n"
    write_verified(options.out, content, lambda path: path.read_bytes() == content)


if __name__ == "__main__":
    main()
