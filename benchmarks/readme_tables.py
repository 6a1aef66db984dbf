"""Writes the README's tables from the recorded runs in benchmarks/results.

python benchmarks/readme_tables.py           # rewrite the README
python benchmarks/readme_tables.py --check   # exit 1 if the README differs from the records
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netsurgery.report.record import Record, mean_and_spread

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NETWORKS = {"lenet300": "LeNet-300-100", "lenet5": "LeNet-5"}
POWERS = "5-bit powers of two"
METHODS = {
    "surgery": "surgery, one density",
    "threshold-surgery": "the paper's rule, `c_rate` by hand",
    "han-pruning": "Han et al. 2015, no splicing",
    "naive-cut": "naive cut, no retraining",
    "inq": "powers of two",
    "sketching": "two binary planes",
    "surgery+inq": "surgery, one density, then powers of two",
}


def experiments_table() -> str:
    """A row per recorded experiment: networks in the paper's order, methods in METHODS' order, mildest first."""
    records = [Record.read(path) for path in sorted((RESULTS / "mnist").glob("*.json"))]
    order = {name: index for index, name in enumerate(METHODS)}
    networks = {"lenet300": 0, "lenet5": 1}
    records.sort(
        key=lambda record: (
            networks[record.configuration["experiment"]],
            order[record.configuration["method"]],
            record.configuration["surgery"]["shifted"],
            -_bits(record),
            record.runs[0].compression,
        )
    )
    lines = [
        "| network | method | compression | connections | test error %, before → after | seconds a seed |",
        "|---|---|---|---|---|---|",
    ]
    last = None
    for record in records:
        paper, runs = record.paper, record.runs
        network = record.title.partition(",")[0]
        if paper and network != last:
            errors = f"{paper.test_error_before_percent:.2f} → {paper.test_error_percent:.2f}"
            lines.append(
                f"| {network} | *{paper.source}, as printed* | {paper.compression:g}x | {paper.kept:,} | {errors} | |"
            )
        last = network
        mean, spread = mean_and_spread([run.test_error_percent for run in runs])
        before = mean_and_spread([run.test_error_before_percent for run in runs])[0]
        compression = mean_and_spread([run.compression for run in runs])[0]
        kept = mean_and_spread([run.kept for run in runs])[0]
        seconds = mean_and_spread([run.duration_s for run in runs])[0]
        shifted = ", images shifted by up to a pixel" if record.configuration["surgery"]["shifted"] else ""
        bits = f", {_bits(record)} bits" if _bits(record) else ""
        after = f"**{mean:.2f}** ± {spread:.2f}" if len(runs) > 1 else f"**{mean:.2f}**"
        lines.append(
            f"| {network} | {METHODS[record.configuration['method']]}{bits}{shifted} "
            f"| {compression:.1f}x | {kept:,.0f} | {before:.2f} → {after} | {seconds:.0f} |"
        )
    seeds = sorted({len(record.runs) for record in records})
    machines = sorted(
        {f"{r.machine['processor']}, {r.machine['threads']} thread(s), torch {r.versions['torch']}" for r in records}
    )
    lines += ["", f"Mean ± standard deviation over {' or '.join(map(str, seeds))} seeds. {'; '.join(machines)}."]
    return "\n".join(lines)


def _bits(record: Record) -> int:
    """Bits of quantized weights, 0 where they are float32."""
    return max(stage.get("bits", 0) for stage in record.configuration["plan"]["stage"])


def step_table() -> str:
    """What methods add to a training step."""
    results = json.loads((RESULTS / "step_time.json").read_text(encoding="utf-8"))
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
    threads = results["machine"]["threads"]
    lines += [
        "",
        f"{results['machine']['processor']}, {threads} threads. *hooks*: what of the step is ours, measured within it; "
        "steps differ by more than that, hence ratios below 1 (quartiles are in the record). "
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
    for (network, weights), rows in sorted(groups.items(), key=lambda item: (item[0][1] != POWERS, item[0][0])):
        sizes = [[row["size_bytes"].get(name) for row in rows] for name in compared]
        cells = [f"{sum(size) / len(size):,.0f}" if None not in size else "" for size in sizes]
        cells[-1] = f"**{cells[-1]}**"
        connections = sum(row["connections"] for row in rows) / len(rows)
        lines.append(f"| {_title(network)} | {weights} | {connections:,.0f} | {' | '.join(cells)} |")
    seeds = sorted({len(rows) for rows in groups.values()})
    codecs = ", ".join(f"{name} {version}" for name, version in results["codecs"].items())
    lines += ["", f"Bytes, mean over {' or '.join(map(str, seeds))} seeds. Networks as in the results below; {codecs}."]
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
        words += f" {titles}: measured again by themselves, another program had disturbed them."
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
    """Milliseconds to three figures; nothing where the runtime took no part."""
    medians = [row["runtimes"][runtime]["median_us"] / 1000 for row in rows if runtime in row["runtimes"]]
    return " / ".join(f"{median:.0f}" if median >= 100 else f"{median:#.3g}" for median in medians)


def _faster(rows: list[dict[str, Any]], runtime: str) -> str:
    ratios = [row["times_faster"][runtime]["median"] for row in rows if runtime in row["times_faster"]]
    return " / ".join(f"**{ratio:.1f}x**" if ratio >= 1 else f"{ratio:.2f}x" for ratio in ratios)


TABLES: dict[str, Callable[[], str]] = {
    "experiments": experiments_table,
    "step-time": step_table,
    "file-size": file_size_table,
    "packing": packing_table,
    "engine": engine_tables,
}


def rewritten(readme: str) -> str:
    """The README with every table between its markers made anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        head, found, rest = readme.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"README.md lacks the markers {begin} and {end}.")
        readme = f"{head}{begin}\n{table()}\n{end}{tail}"
    return readme


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the README is out of date")
    options = parser.parse_args()
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    fresh = rewritten(readme)
    if options.check:
        if fresh != readme:
            print("README.md differs from the records: run python benchmarks/readme_tables.py", file=sys.stderr)
        return int(fresh != readme)
    path.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
