"""Packs every network of models.toml from the file as shipped, and runs it beside ONNX Runtime.

    cd benchmarks && python -m public_models.run                    # all of them; writes results/public_models.json
    cd benchmarks && python -m public_models.run --only silero      # those whose name holds this, unrecorded

Each file has a process of its own. It is packed with its axes as open as it declares them; where that is refused, with
values for inputs that are settings, such as a sample rate; then once for each of the sizes tried, with its axes fixed.
What is packed runs at three choices of sizes, where there are any to choose, and its outputs are compared with those of
ONNX Runtime as `netsurgery pack` compares them. Then both take turns on one thread; ONNX Runtime with all its
optimisations.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import refusals
from own_process import FailedError, answer_of

import netsurgery as ns
from netsurgery.deployment.comparison import TOLERANCE, compared, largest_difference
from netsurgery.deployment.dense_runtime import DenseRuntime, asked
from netsurgery.errors import CaptureError, NetsurgeryError, VerificationError
from netsurgery.graph.capture import Captured, Choices, capture
from netsurgery.runtime.reference import run_node
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
    refusals_so_far: list[NetsurgeryError] = []
    for attempt in _attempts(file):
        try:
            found = _packed_and_run(file, source, attempt)
        except NetsurgeryError as error:
            refusals_so_far.append(error)
            if isinstance(error, VerificationError):
                break
            continue
        if attempt.fixed:  # why not with axes open: what stood in the way at last
            found["reason"] = refusals.reason(refusals_so_far[-1], source)
        return found
    error = refusals_so_far[-1]
    verdict = DIFFERS if isinstance(error, VerificationError) else REFUSED
    return {"verdict": verdict, "missing": refusals.missing(error), "reason": refusals.reason(error, source)}


@dataclass(frozen=True)
class Attempt:
    """A way to pack a file. values: what inputs always are; fixed: anew for each choice of sizes, with these."""

    values: Mapping[str, Any]
    fixed: bool


def _attempts(file: ModelFile) -> list[Attempt]:
    """As it is; with values for inputs that are settings; with sizes in the place of its axes."""
    settings = {given.name: given.setting for given in file.inputs if given.setting is not None}
    attempts = [Attempt({}, False)]
    attempts += [Attempt(settings, False)] if settings else []
    attempts += [Attempt(settings, True)] if file.axes else []
    return attempts


def _packed_and_run(file: ModelFile, source: Path, attempt: Attempt) -> dict[str, Any]:
    """Raises NetsurgeryError if the file can't be packed."""
    kinds = _kinds(source)
    runs, reports, remarks = [], [], set()
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "model.nsm"
        for sizes in file.runs:
            arrays = dict(zip(kinds, file.examples(sizes, kinds), strict=True))
            given = {name: array for name, array in arrays.items() if name not in attempt.values}
            shapes = {name: array.shape for name, array in given.items()} if attempt.fixed else None
            values = dict(attempt.values) or None
            if attempt.fixed or not reports:
                reports.append(
                    ns.pack(
                        source, packed, example_inputs=list(given.values()), input_shapes=shapes, input_values=values
                    )
                )
                if reports[0].fixed and not attempt.fixed:  # the file declares that axis open
                    raise CaptureError(" ".join(reports[0].fixed))
            captured = capture(source, run_node, list(given.values()), Choices(None, shapes, values))
            remarks.update(captured.remarks)
            runs.append({"sizes": sizes} | _compared(source, packed, captured, arrays, given))
    wrong = not all(run["difference"] is not None and run["difference"] <= run["allowed"] for run in runs)
    return {
        "verdict": DIFFERS if wrong else FIXED if attempt.fixed else PACKS,
        "packed_bytes": reports[0].size_bytes,
        "open_axes": list(reports[0].axes),
        "input_values": dict(attempt.values),
        "remarks": sorted(remarks),
        "compared_with": reports[0].compared_with,
        "runs": runs,
    }


def _kinds(source: Path) -> dict[str, np.dtype[Any]]:
    """The types of a model's inputs, in its order; old files list weights among them."""
    graph = onnx.load(str(source), load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    types = {given.name: given.type.tensor_type.elem_type for given in graph.input if given.name not in weights}
    return {name: onnx.helper.tensor_dtype_to_np_dtype(code) for name, code in types.items()}


def _compared(
    source: Path, packed: Path, captured: Captured, arrays: Mapping[str, Array], given: Mapping[str, Array]
) -> dict[str, Any]:
    """The largest difference of outputs, None where ONNX Runtime has none; microseconds of both.

    arrays: for the inputs of the file as shipped; given: for those that the packed network has. Where the graph
    computes otherwise than the file, on purpose, the model that computes what it computes is asked, and the difference
    from the file is noted too.
    """
    session = ns.load(packed, threads=1)
    answer = asked(captured.stand_in or source, given)
    if answer.outputs is None:
        return {"difference": None, "without_comparison": answer.runtime}
    call = partial(session, *given.values())
    outputs = call()
    found = [np.asarray(one) for one in (outputs if isinstance(outputs, tuple) else (outputs,))]
    feeds = {one.name: array for one, array in zip(session.graph.inputs, given.values(), strict=True)}
    measured = compared(found, answer.outputs, session.graph, feeds)
    facts: dict[str, Any] = {"difference": measured.share, "allowed": measured.allowed}
    shipped = asked(source, arrays) if captured.remarks else answer
    if captured.remarks and shipped.outputs is not None:
        facts["difference_as_shipped"] = largest_difference(found, shipped.outputs)
    theirs = DenseRuntime(source, 1).bound(list(arrays.values()))
    times = in_turns({"netsurgery": partial(timed, call), "onnxruntime": partial(timed, theirs)}, PACE)
    return facts | {
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
