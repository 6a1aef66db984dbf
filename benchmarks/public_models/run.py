"""Packs every network of models.toml from the file as shipped, and runs it beside ONNX Runtime.

    cd benchmarks && python -m public_models.run                    # all of them; writes results/public_models.json
    cd benchmarks && python -m public_models.run --only silero      # those whose name holds this, unrecorded

Each file has a process of its own. It is packed with its axes as open as it declares them; where that is refused, once
for each of the sizes tried, with its axes fixed. What is packed runs at three choices of sizes, where there are any to
choose, and its outputs are compared with those of ONNX Runtime as `netsurgery pack` compares them. Then both take turns
on one thread; ONNX Runtime with all its optimisations.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import refusals
from own_process import FailedError, answer_of

import netsurgery as ns
from netsurgery.deployment.comparison import TOLERANCE, largest_difference, run_with_sources
from netsurgery.deployment.dense_runtime import DenseRuntime, asked
from netsurgery.errors import NetsurgeryError, VerificationError
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, other_processes, versions
from netsurgery.timing.turns import Pace, in_turns
from public_models.fetch import fetch
from public_models.models import CACHE, DIFFERS, FAILS, FIXED, PACKS, REFUSED, Array, ModelFile, model_files

RESULTS = Path(__file__).resolve().parents[1] / "results" / "public_models.json"
PACE = Pace(rounds=7, turn_s=0.06, least_calls=2)
TIMEOUT_S = 900


def row(file: ModelFile, cache: Path) -> dict[str, Any]:
    """What became of a file."""
    source = file.local(cache)
    try:
        return _packed_and_run(file, source, fixed=False)
    except NetsurgeryError as error:
        refusal = error
    if file.axes and not isinstance(refusal, VerificationError):
        try:
            return _packed_and_run(file, source, fixed=True) | {"reason": refusals.reason(refusal, source)}
        except NetsurgeryError as error:
            refusal = error
    verdict = DIFFERS if isinstance(refusal, VerificationError) else REFUSED
    return {"verdict": verdict, "missing": refusals.missing(refusal), "reason": refusals.reason(refusal, source)}


def _packed_and_run(file: ModelFile, source: Path, fixed: bool) -> dict[str, Any]:
    """Raises NetsurgeryError if the file can't be packed. fixed: anew for each choice of sizes, with these."""
    kinds = _kinds(source)
    runs, reports = [], []
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "model.nsm"
        for sizes in file.runs:
            examples = file.examples(sizes, kinds)
            if fixed or not reports:
                shapes = {given.name: given.at(sizes) for given in file.inputs} if fixed else None
                reports.append(ns.pack(source, packed, example_inputs=examples, input_shapes=shapes))
            runs.append({"sizes": sizes} | _compared(source, packed, kinds, examples))
    worst = [run["difference"] for run in runs]
    wrong = not all(difference is not None and difference <= TOLERANCE for difference in worst)
    return {
        "verdict": DIFFERS if wrong else FIXED if fixed else PACKS,
        "packed_bytes": reports[0].size_bytes,
        "open_axes": list(reports[0].axes),
        "compared_with": reports[0].compared_with,
        "runs": runs,
    }


def _kinds(source: Path) -> dict[str, np.dtype[Any]]:
    """The types of a model's inputs, in its order; old files list weights among them."""
    graph = onnx.load(str(source), load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    types = {given.name: given.type.tensor_type.elem_type for given in graph.input if given.name not in weights}
    return {name: onnx.helper.tensor_dtype_to_np_dtype(code) for name, code in types.items()}


def _compared(source: Path, packed: Path, kinds: Mapping[str, Any], examples: list[Array]) -> dict[str, Any]:
    """The largest difference of outputs, None where ONNX Runtime has none; microseconds of both."""
    session = ns.load(packed, threads=1)
    answer = asked(source, dict(zip(kinds, examples, strict=True)))
    if answer.outputs is None:
        return {"difference": None, "without_comparison": answer.runtime}
    outputs = session(*examples)
    found = [np.asarray(one, np.float32) for one in (outputs if isinstance(outputs, tuple) else (outputs,))]
    feeds = {given.name: array for given, array in zip(session.graph.inputs, examples, strict=True)}
    difference = largest_difference(found, answer.outputs, run_with_sources(session.graph, feeds)[1])
    theirs = DenseRuntime(source, 1).bound(examples)
    turns = {"netsurgery": partial(timed, lambda: session(*examples)), "onnxruntime": partial(timed, theirs)}
    times = in_turns(turns, PACE)
    return {
        "difference": difference,
        "runtimes": {name: own.figures() for name, own in times.items()},
        "times_faster": times["netsurgery"].times_faster_than(times["onnxruntime"]).rounded(),
    }


def in_a_process_of_its_own(file: ModelFile, cache: Path) -> dict[str, Any]:
    """`row` of a file, or how its process ended."""
    try:
        return answer_of(["-m", "public_models.run", "--row", file.name, "--cache", str(cache)], TIMEOUT_S)
    except FailedError as error:
        return {"verdict": FAILS, "missing": {}, "reason": str(error)}


def shown(name: str, found: Mapping[str, Any]) -> str:
    """A row as a line to read while the rest is measured."""
    parts = [f"{name}: {found['verdict']} {refusals.words(found)}"]
    for run in found.get("runs", ()):
        faster = run.get("times_faster", {}).get("median")
        parts.append(f"{run['sizes']} {run['difference']} {faster}x {run.get('without_comparison', '')}")
    return "; ".join(parts)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"default: {CACHE}")
    parser.add_argument("--only", metavar="PART", help="files whose name holds this; nothing is written without --out")
    parser.add_argument("--row", metavar="NAME", help="one file, in this process; prints its row as JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    files = list(model_files())
    if options.row:
        (file,) = (one for one in files if one.name == options.row)
        print(json.dumps(row(file, options.cache)))
        return 0
    files = [file for file in files if not options.only or options.only in file.name]
    problems = fetch(files, options.cache)
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    rows = []
    for file in files:
        with other_processes() as others:
            found = in_a_process_of_its_own(file, options.cache)
        facts = {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
        rows.append(facts | found | {"busy_cores": others.busy_cores})
        print(shown(file.name, found), flush=True)
    record = {
        "machine": machine(1),
        "versions": versions(("netsurgery", "numpy", "onnx")) | {"onnxruntime": version("onnxruntime")},
        "tolerance": TOLERANCE,
        "rounds": PACE.rounds,
        "turn_s": PACE.turn_s,
        "rows": rows,
    }
    out = options.out or (None if options.only else RESULTS)
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
