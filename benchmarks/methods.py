r"""What each method's network takes on the engine, beside the dense network that it was made from.

    netsurgery reproduce lenet5 --data DIR --reference models/lenet5_reference.safetensors --method inq \
        --out runs/lenet5-inq-5
    python benchmarks/methods.py --runs runs --references models --out benchmarks/results/methods.json

A folder of --runs takes part if benchmarks/results/mnist has a record of its name with the same configuration: then
its first seed's .nsm file is measured, and readme_tables.py joins record and times by that name. The dense network is
the one that the record names, on the engine (packed, dense) and on ONNX Runtime.

First the outputs of each network are compared with those of the reference executor, dense ones with ONNX Runtime's too;
then all networks of a kind take turns on the same input, so that each ratio is of runs beside each other.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from latencies import BATCHES, DENSE, ONNX
from outcomes import NETWORKS, Outcome, outcomes
from runtimes import PACE, Array, Runtime, netsurgery, onnx_runtime, timed_in_turns

import netsurgery as ns
from netsurgery.deployment.comparison import TOLERANCE, agreement
from netsurgery.experiments.catalogue import REPRODUCIBLE
from netsurgery.experiments.network_files import read_network
from netsurgery.graph.capture import capture
from netsurgery.graph.to_onnx import write_onnx
from netsurgery.records.record import Record
from netsurgery.runtime.reference import run_node
from netsurgery.timing.machine import machine, other_processes, versions

THREADS = 1
SEED = 0
SHAPE = (1, 28, 28)


@dataclass(frozen=True)
class Network:
    """The files of one network.

    reference: safetensors file of the dense network. packed: record's name -> .nsm file of what a method made of it.
    """

    name: str
    reference: Path
    packed: dict[str, Path]


def taking_part(runs: Path, references: Path, recorded: list[Outcome]) -> list[Network]:
    """The networks below `runs` that there are records of; what is left out is said."""
    networks = []
    for name in NETWORKS:
        packed, reference = {}, None
        for outcome in recorded:
            folder = runs / outcome.name
            if outcome.network != name or not (folder / "record.json").is_file():
                continue
            configuration = outcome.record.configuration
            if Record.read(folder / "record.json").configuration != configuration:
                raise SystemExit(f"{folder} isn't a run of the experiment that {outcome.name}.json records.")
            if not isinstance(configuration["reference"], str):
                raise SystemExit(f"{outcome.name} trained its dense network itself; take a run of --reference FILE.")
            if reference not in (None, configuration["reference"]):
                raise SystemExit(f"{outcome.name} began with another dense network than those before it.")
            reference = configuration["reference"]
            packed[outcome.name] = folder / f"{name}-seed{SEED}.nsm"
        if packed:
            networks.append(Network(name, references / str(reference), packed))
    names = {outcome.name for outcome in recorded}
    for folder in sorted(runs.iterdir()):
        if folder.is_dir() and folder.name not in names:
            print(f"{folder.name} is left out: there is no record of that name.")
    return networks


def dense_files(network: Network, work: Path) -> tuple[Path, Path]:
    """The dense network as .nsm and as ONNX."""
    model = REPRODUCIBLE[network.name].build().eval()
    model.load_state_dict(read_network(model, network.reference))
    examples = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(SEED))
    packed, onnx = work / f"{network.name}.nsm", work / f"{network.name}.onnx"
    ns.pack(model, packed, example_inputs=examples)
    write_onnx(capture(model, run_node, examples).graph, onnx)
    return packed, onnx


def latency(network: Network, dense: Path, onnx: Path, batch: int, rounds: int) -> dict[str, Any]:
    """One row of the record: all that runs this network at one batch size."""
    x: Array = np.random.default_rng(SEED).random((batch, *SHAPE), np.float32)
    theirs = onnx_runtime(onnx, x, THREADS)
    ours = {name: netsurgery(path, x, THREADS) for name, path in {DENSE: dense, **network.packed}.items()}
    differences = {ONNX: agreement({DENSE: ours[DENSE].outputs(), ONNX: theirs.outputs()})}
    for name, path in {DENSE: dense, **network.packed}.items():
        means = netsurgery(path, x, THREADS, "reference").outputs()
        differences[name] = agreement({f"the reference executor of {path}": means, name: ours[name].outputs()})
    runtimes: dict[str, Runtime] = {ONNX: theirs, **ours}
    times = timed_in_turns(runtimes, rounds)
    return {
        "network": network.name,
        "batch": batch,
        "runtimes": {name: own.figures() for name, own in times.items()},
        "times_faster": {
            name: {
                other: times[name].times_faster_than(times[other]).rounded() for other in (ONNX, DENSE) if other != name
            }
            for name in ours
        },
        "largest_difference": differences,
    }


def measured(network: Network, rounds: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a network is, and its rows, one for each batch size."""
    with tempfile.TemporaryDirectory() as folder:
        dense, onnx = dense_files(network, Path(folder))
        rows = [latency(network, dense, onnx, batch, rounds) for batch in BATCHES]
        return {"reference": network.reference.name, "dense_packed_bytes": dense.stat().st_size}, rows


def shown(row: dict[str, Any]) -> str:
    """A row as lines to read while the rest is measured."""
    lines = [f"{NETWORKS[row['network']]}, batch {row['batch']}"]
    for name, figures in row["runtimes"].items():
        ratio = row["times_faster"].get(name)
        words = f"  {ratio[ONNX]['median']:.2f}x" if ratio else ""
        lines.append(f"  {name:28} {figures['median_us'] / 1000:9.5f} ms{words}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="folders of netsurgery reproduce --out")
    parser.add_argument("--references", type=Path, required=True, metavar="DIR", help="the dense networks")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of each network (default 9)")
    parser.add_argument("--note", metavar="WORDS", help="to be printed with the times")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes; nothing is written without it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts, rows = {}, []
    with other_processes() as others:
        for network in taking_part(options.runs, options.references, outcomes()):
            facts[network.name], found = measured(network, options.rounds)
            rows += found
            print(*(shown(row) for row in found), sep="\n", flush=True)
    print(others.warning or "")
    if not rows:
        raise SystemExit(f"{options.runs} holds no run that there is a record of.")
    record = {
        "machine": machine(THREADS),
        "versions": versions() | {"onnxruntime": version("onnxruntime")},
        "seed": SEED,
        "rounds": options.rounds,
        "turn_s": PACE.turn_s,
        "busy_cores": others.busy_cores,
        "tolerance": TOLERANCE,
        "note": options.note,
        "networks": facts,
        "rows": rows,
    }
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
