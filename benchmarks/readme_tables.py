"""Writes the tables of the README and of pages in docs, and the pictures that are made from the same records.

All of them say what the records in benchmarks/results say.

python benchmarks/readme_tables.py           # rewrite them
python benchmarks/readme_tables.py --check   # exit 1 if they differ from the records

A table stands between the lines <!-- table: NAME --> and <!-- end: NAME -->.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cells
import headline
import methods_chart
import recalibration
import robustness_chart
import robustness_table
from answers import DENSE, PLANES, POWERS, QUICKEST, SMALLEST, answer, fastest_answer
from any_network_table import AVX512_RECORD, XEON_RECORD, any_network_table
from cifar_table import cifar_table
from compress_table import compress_table
from exchanged_table import exchanged_table
from experiment_tables import pruned_table, quantized_table
from fastfood_table import fastfood_table
from fixed_accuracy_table import fixed_accuracy_table
from fixed_point_table import AVX512_RECORD as FIXED_POINT_AVX512_RECORD
from fixed_point_table import fixed_point_table
from latencies import Latencies
from methods_table import methods_table
from outcomes import NETWORKS, RESULTS, outcomes
from papers_networks_table import papers_networks_table, zoo_table
from public_models.table import public_models_tables
from training_step_table import training_step_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in (
            "choosing-a-method.md",
            "compress.md",
            "engine.md",
            "machines.md",
            "methods/fastfood.md",
            "papers-networks.md",
            "public-models.md",
            "results.md",
            "robustness.md",
            "training.md",
        )
    ),
)
FIVE_BITS = "5-bit powers of two"


def step_tables() -> str:
    """What methods add to a training step, on each processor that there is a record of: step_time*.json."""
    return "\n\n".join(_step_table(path) for path in sorted(RESULTS.glob("step_time*.json")))


def _step_table(path: Path) -> str:
    results = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| network | batch | method | step, ms | with it, ms | ratio of medians | ratio of means | hooks, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["step"]:
        plain, operated, hooks = (row[f"median_{part}_us"] / 1000 for part in ("plain", "operated", "hooks"))
        lines.append(
            f"| {row['network']} | {row['batch_size']} | {row['method']} | {plain:.2f} | {operated:.2f} "
            f"| {row['ratio_of_medians']:.3f} | {row['ratio_of_means']:.3f} | {hooks:.2f} |"
        )
    added = results["memory"]["added_bytes_per_weight"]
    where = f"{results['machine']['processor']}, {results['machine']['threads']} thread(s)"
    lines += [
        "",
        f"{where}. *hooks*: what of the step is ours, measured within it, "
        "gradient hooks left out; steps differ by more than that, hence ratios below 1 (spreads are in the record). "
        f"Surgery's peak memory grows by {added:.2f} bytes per weight.",
    ]
    return "\n".join(lines)


def file_size_table() -> str:
    """Bytes of whole files, one row for each network and form of its weights; mean over seeds."""
    results = json.loads((RESULTS / "file_size.json").read_text(encoding="utf-8"))
    compared = max((list(row["size_bytes"]) for row in results["rows"]), key=len)
    lines = [
        f"| network | weights | connections | {' | '.join(compared)} |",
        "|---|---|---|" + "---|" * len(compared),
    ]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in results["rows"]:
        groups.setdefault((row["network"], row["weights"]), []).append(row)
    for (network, weights), rows in sorted(groups.items(), key=lambda item: (item[0][1] != FIVE_BITS, item[0][0])):
        sizes = [[row["size_bytes"].get(name) for row in rows] for name in compared]
        cells = [f"{sum(size) / len(size):,.0f}" if None not in size else "" for size in sizes]
        cells[-1] = f"**{cells[-1]}**"
        connections = sum(row["connections"] for row in rows) / len(rows)
        lines.append(f"| {_title(network)} | {weights} | {connections:,.0f} | {' | '.join(cells)} |")
    seeds = sorted({len(rows) for rows in groups.values()})
    codecs = ", ".join(f"{name} {version}" for name, version in results["codecs"].items())
    lines += [
        "",
        f"Bytes, mean over {' or '.join(map(str, seeds))} seeds. Networks as in the results below, whose errors are "
        "those of exact weights; powers of two are only rounded to, not trained, which is enough to compare coders. "
        f"Networks that were trained with them are in the results too; {codecs}.",
    ]
    return "\n".join(lines)


def _title(run: str) -> str:
    """A recorded run's name in words: lenet5-surgery-310x-shift is LeNet-5, surgery 310x, shifted."""
    network, _, rest = run.partition("-")
    words = {"threshold-surgery": "the paper's rule"}.get(rest, rest.replace("-shift", ", shifted").replace("-", " "))
    return f"{NETWORKS[network]}, {words}"


def packing_table() -> str:
    """Seconds, bytes and memory for a large network."""
    results = json.loads((RESULTS / "packing.json").read_text(encoding="utf-8"))
    lines = [
        "| network | density | file, of the weights | pack, s | load, s | peak packing | peak loading |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['network']}, float32 | {100 * row['density']:g} % | {row['size_of_weights']:.3f}x "
        f"| {row['pack_s']:.1f} | {row['load_s']:.2f} | {row['pack_peak_of_weights']:.2f}x "
        f"| {row['load_peak_of_weights']:.2f}x |"
        for row in results["rows"]
    ]
    machine = results["machine"]
    lines += [
        "",
        "Peaks are multiples of the weights as float32, the source model included. "
        f"{machine['processor']}, {machine['threads']} thread(s), median of {results['loads']} loads.",
    ]
    return "\n".join(lines)


def engine_tables() -> str:
    """Latency beside other runtimes on each processor that there is a record of: engine.json, engine-*.json."""
    paths = [RESULTS / "engine.json", *sorted(RESULTS.glob("engine-*.json"))]
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    parts = [part for record in records for part in (_engine_table(record), "")]
    versions = sorted({record["versions"]["onnxruntime"] for record in records})
    origins = sorted(
        {f"{network['title']}: {network['origin']}" for record in records for network in record["networks"].values()}
    )
    parts.append(
        f"ONNX Runtime {', '.join(versions)} runs the network as it was; where packing removed units without effect, "
        "the next column compares with ONNX Runtime on the smaller network. A processor that multiplies twice as fast "
        "does more for dense layers than for sparse ones, which wait for their operands. "
        f"Weights: {'; '.join(origins)}."
    )
    return "\n".join(parts)


def _engine_table(results: dict[str, Any]) -> str:
    """A row for each network and batch size; cells are of 1 / 2 / ... threads."""
    lines = [
        "| network | batch | netsurgery, ms | ONNX Runtime, ms | times faster | on the smaller network "
        "| DeepSparse, ms | times faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in results["rows"]:
        groups.setdefault((row["network"], row["batch"]), []).append(row)
    for (network, batch), rows in groups.items():
        rows.sort(key=lambda row: row["threads"])
        lines.append(
            f"| {results['networks'][network]['title']} | {batch} | {_latency(rows, 'netsurgery')} "
            f"| {_latency(rows, 'onnxruntime')} | {_faster(rows, 'onnxruntime')} "
            f"| {_faster(rows, 'onnxruntime_living')} | {_latency(rows, 'deepsparse')} "
            f"| {_faster(rows, 'deepsparse')} |"
        )
    threads = " / ".join(str(count) for count in sorted({row["threads"] for row in results["rows"]}))
    words = (
        f"{results['machine']['processor']}: medians of calls from Python, {threads} threads, "
        f"{results['rounds']} turns of each runtime, DeepSparse {results['deepsparse']}."
    )
    if again := results.get("measured_again"):
        titles = " and ".join(results["networks"][name]["title"] for name in again)
        words += f" {titles}: measured in a run of their own."
    if memory := results["memory"]:
        ours, theirs = (memory["runtimes"][name]["peak_running_bytes"] / 1e6 for name in ("netsurgery", "onnxruntime"))
        words += (
            f" Peak memory while ResNet-50 runs, above a bare interpreter: {ours:.0f} MB, ONNX Runtime {theirs:.0f} MB "
            f"({memory['ratio']['peak_running_bytes']:.2f}x)."
        )
    if note := results.get("note"):
        words += f" {note}"
    return "\n".join([words, "", *lines])


def _latency(rows: list[dict[str, Any]], runtime: str) -> str:
    """Nothing where the runtime took no part."""
    medians = [row["runtimes"][runtime]["median_us"] for row in rows if runtime in row["runtimes"]]
    return " / ".join(map(cells.milliseconds, medians))


def _faster(rows: list[dict[str, Any]], runtime: str) -> str:
    ratios = [row["times_faster"][runtime]["median"] for row in rows if runtime in row["times_faster"]]
    return " / ".join(map(cells.faster, ratios))


TABLES: dict[str, Callable[[], str]] = {
    "headline": headline.chart,
    "proofs": headline.proofs,
    "pruned": lambda: pruned_table(outcomes()),
    "quantized": lambda: quantized_table(outcomes()),
    "step-time": step_tables,
    "cifar": cifar_table,
    "exchanged": exchanged_table,
    "training-step": training_step_table,
    "file-size": file_size_table,
    "packing": packing_table,
    "engine": engine_tables,
    "methods": lambda: methods_table(outcomes(), Latencies.read()),
    "smallest": lambda: answer(outcomes(), SMALLEST),
    "fastest": lambda: fastest_answer(outcomes(), Latencies.read()),
    "dense": lambda: answer(outcomes(), DENSE),
    "multiplierless": lambda: answer(outcomes(), POWERS, PLANES),
    "quickest": lambda: answer(outcomes(), QUICKEST),
    "recalibration": recalibration.recalibration_table,
    "recalibration-answer": recalibration.recalibration_answer,
    "robustness": lambda: robustness_table.summary_table(robustness_table.recorded()),
    "robustness-picture": lambda: robustness_table.picture(robustness_table.recorded()),
    "robustness-densities": lambda: robustness_table.density_tables(robustness_table.recorded()),
    "any-network": any_network_table,
    "any-network avx512": partial(any_network_table, AVX512_RECORD),
    "any-network xeon": partial(any_network_table, XEON_RECORD),
    "fixed point": fixed_point_table,
    "fixed point avx512": partial(fixed_point_table, FIXED_POINT_AVX512_RECORD),
    "compress": compress_table,
    "fixed accuracy": fixed_accuracy_table,
    "public-models": public_models_tables,
    "papers-networks": papers_networks_table,
    "zoo": zoo_table,
    "fastfood": fastfood_table,
    "robustness-few-bits": lambda: robustness_table.few_bits_table(robustness_table.recorded()),
}


def rewritten(text: str) -> str:
    """A document with every table between its markers made anew."""
    begun = re.findall(r"<!-- table: (.*?) -->", text)
    for name in begun:
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        head, _, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if name not in TABLES or not closed:
            raise SystemExit(f"{begin} needs {end} behind it, and has to be one of {', '.join(TABLES)}.")
        text = f"{head}{begin}\n{TABLES[name]()}\n{end}{tail}"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something is out of date")
    options = parser.parse_args()
    texts = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
    fresh = {path: rewritten(text) for path, text in texts.items()}
    stale = [path for path, text in texts.items() if fresh[path] != text]
    if not methods_chart.shows(methods_chart.PATH, outcomes()):
        stale.append(methods_chart.PATH)
    stress = robustness_table.recorded()
    if stress is not None and not robustness_chart.shows(robustness_table.PICTURE, stress):
        stale.append(robustness_table.PICTURE)
    if options.check:
        for path in stale:
            print(
                f"{path.relative_to(ROOT)} differs from the records: run python benchmarks/readme_tables.py",
                file=sys.stderr,
            )
        return int(bool(stale))
    for path, text in fresh.items():
        path.write_text(text, encoding="utf-8")
    methods_chart.draw(methods_chart.PATH, outcomes())
    if stress is not None:
        robustness_chart.draw(robustness_table.PICTURE, stress)
    return 0


if __name__ == "__main__":
    sys.exit(main())
