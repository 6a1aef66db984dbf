"""Networks of every kind beside ONNX Runtime, each on the same ONNX export: dense, and with most weights zero.

    cd benchmarks && python any_network.py            # all; writes results/any_network.json
    cd benchmarks && python any_network.py --only lstm    # its rows; others of this machine stay
    cd benchmarks && python any_network.py --quick    # a choice, fewer rounds; prints, and writes nothing without --out

Each network has random weights that are spread as trained ones are (networks/random_weights.py), and a process of its
own. torch exports it to ONNX (AlexNet: netsurgery); `ns.pack` reads that file, and ONNX Runtime runs it with all its
optimisations. They take turns, with as many threads each, in one process; netsurgery a second time with AVX2 forced,
which on a processor with AVX-512 is what older ones have, while ONNX Runtime keeps AVX-512. What can't be packed is a
row that says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import refusals
import torch
from kept_rows import kept_rows
from networks.any_networks import ANY_NETWORKS
from own_process import FailedError, answer_of

import netsurgery as ns
from netsurgery import _native
from netsurgery.deployment.comparison import TOLERANCE, largest_difference
from netsurgery.deployment.dense_runtime import DenseRuntime
from netsurgery.errors import NetsurgeryError
from netsurgery.files import replacing
from netsurgery.graph.capture import capture
from netsurgery.graph.to_onnx import write_onnx
from netsurgery.runtime.reference import run_node
from netsurgery.timing.calls import timed
from netsurgery.timing.instruction_sets import instructions
from netsurgery.timing.machine import machine, other_processes, versions
from netsurgery.timing.turns import Pace, in_turns

RESULTS = Path(__file__).parent / "results" / "any_network.json"
OPSET = 17
OURS, AVX2, ONNX = "netsurgery", "netsurgery_avx2", "onnxruntime"
PACE = Pace(rounds=9, turn_s=0.15, least_calls=2)
QUICK = Pace(rounds=5, turn_s=0.05, least_calls=1)
TIMEOUT_S = 1800
PACKED, REFUSED, DIFFERS, FAILS = "packed", "refused", "differs", "fails"


def rows(name: str, threads: Sequence[int], pace: Pace) -> list[dict[str, Any]]:
    """What is measured of a network: a row for each treatment and batch size."""
    network = ANY_NETWORKS[name]
    found = []
    for treatment in network.goals:
        model = network.made(treatment)
        for batch, goal in network.runs(treatment).items():
            facts = {"network": name, "treatment": treatment, "batch": batch, "goal": goal}
            with tempfile.TemporaryDirectory() as folder:
                source, examples = Path(folder) / "model.onnx", network.examples(batch)
                _export(model, examples, source, network.exported_by)
                found.append(facts | _row(source, [example.numpy() for example in examples], threads, pace))
    return found


def _export(model: torch.nn.Module, examples: tuple[torch.Tensor, ...], source: Path, exported_by: str) -> None:
    if exported_by == "netsurgery":
        write_onnx(capture(model, run_node, examples).graph, source)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, examples, str(source), opset_version=OPSET, dynamo=False)


def _row(source: Path, arrays: Sequence[Any], threads: Sequence[int], pace: Pace) -> dict[str, Any]:
    packed = source.with_suffix(".nsm")
    try:
        report = ns.pack(source, packed, example_inputs=list(arrays))
    except NetsurgeryError as error:
        verdict = REFUSED if not isinstance(error, ns.errors.VerificationError) else DIFFERS
        return {"verdict": verdict, "missing": refusals.missing(error), "reason": refusals.reason(error, source)}
    measured, worst = {}, 0.0
    for count in threads:
        difference, figures = _in_turns(source, packed, arrays, count, pace)
        measured[str(count)] = figures
        worst = max(worst, difference)
    return {
        "verdict": PACKED if worst <= TOLERANCE else DIFFERS,
        "packed_bytes": report.size_bytes,
        "dense_bytes": report.dense_bytes,
        "difference": worst,
        "threads": measured,
    }


def _in_turns(
    source: Path, packed: Path, arrays: Sequence[Any], threads: int, pace: Pace
) -> tuple[float, dict[str, Any]]:
    """The largest difference of netsurgery's outputs, and the times of all."""
    theirs = DenseRuntime(source, threads).bound(arrays)
    sessions = {OURS: ns.load(packed, threads=threads)}
    if "avx2" in _native.available_instructions() and _native.instructions() != "avx2":
        with instructions("avx2"):
            sessions[AVX2] = ns.load(packed, threads=threads)
    expected = [np.asarray(one) for one in theirs()]
    worst = 0.0
    for session in sessions.values():
        outputs = session(*arrays)
        worst = max(worst, largest_difference(outputs if isinstance(outputs, tuple) else (outputs,), expected))
    calls = {ONNX: theirs, **{name: partial(session, *arrays) for name, session in sessions.items()}}
    times = in_turns({name: partial(timed, call) for name, call in calls.items()}, pace)
    return worst, {
        "runtimes": {name: own.figures() for name, own in times.items()},
        "times_faster": {name: times[name].times_faster_than(times[ONNX]).rounded() for name in sessions},
    }


def shown(row: dict[str, Any]) -> str:
    """A row as a line to read while the rest is measured."""
    title = f"{ANY_NETWORKS[row['network']].title}, {row['treatment']}, batch {row['batch']}"
    parts = [f"{title}: {row['verdict']} {refusals.words(row)}"]
    for count, found in row.get("threads", {}).items():
        ratios = ", ".join(f"{name} {ratio['median']:.2f}x" for name, ratio in found["times_faster"].items())
        parts.append(f"{count} threads: {found['runtimes'][ONNX]['median_us'] / 1000:.4g} ms, {ratios}")
    return "; ".join(parts) + f" (goal {row['goal']:g}x)"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(ANY_NETWORKS), action="append", help="one network; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a choice of networks, and fewer rounds")
    parser.add_argument("--threads", type=int, action="append", metavar="N", help="may be repeated (default 1 and 2)")
    parser.add_argument("--rows", choices=tuple(ANY_NETWORKS), help="one network, in this process; prints JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    torch.set_num_threads(1)
    pace = QUICK if options.quick else PACE
    threads = options.threads or [1, 2]
    if options.rows:
        print(json.dumps(rows(options.rows, threads, pace)))
        return 0
    names = options.only or [name for name, network in ANY_NETWORKS.items() if network.quick or not options.quick]
    out = options.out or (None if options.quick else RESULTS)
    found = kept_rows(out, names) if options.only else []
    for name in names:
        command = [__file__, "--rows", name, *[f"--threads={count}" for count in threads]]
        with other_processes() as others:
            try:
                made = answer_of([*command, *(["--quick"] if options.quick else [])], TIMEOUT_S)
            except FailedError as error:
                network = ANY_NETWORKS[name]
                failed = {"network": name, "batch": 1, "verdict": FAILS, "missing": {}, "reason": str(error)}
                made = [failed | {"treatment": one, "goal": goal} for one, goal in network.goals.items()]
        found += [row | {"busy_cores": others.busy_cores} for row in made]
        found.sort(key=lambda row: list(ANY_NETWORKS).index(row["network"]))
        print(*map(shown, made), others.warning or "", sep="\n", flush=True)
        written(out, threads, pace, found)
    return 0


def written(out: Path | None, threads: Sequence[int], pace: Pace, found: Sequence[dict[str, Any]]) -> None:
    """After each network, so that a run that is stopped leaves what it has measured."""
    if out is None:
        return
    record = {
        "machine": machine(max(threads)),
        "versions": versions(("netsurgery", "torch", "numpy", "onnx")) | {"onnxruntime": version("onnxruntime")},
        "instructions": _native.instructions(),
        "opset": OPSET,
        "seed": 0,
        "rounds": pace.rounds,
        "turn_s": pace.turn_s,
        "rows": found,
    }
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
