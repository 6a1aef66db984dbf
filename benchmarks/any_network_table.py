"""What results/any_network.json says, as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cells
import refusals

RECORD = Path(__file__).parent / "results" / "any_network.json"
AVX512_RECORD = RECORD.with_name("any_network-avx512.json")
XEON_RECORD = RECORD.with_name("any_network-xeon.json")
COLUMNS = {"netsurgery": "times faster", "netsurgery_avx2": "with AVX2"}
FORCED = " *with AVX2*: netsurgery with AVX2 forced, beside ONNX Runtime with all that the processor has."


def any_network_table(path: Path = RECORD) -> str:
    """A row for each network, treatment and batch size; cells are of 1 / 2 / ... threads."""
    from networks.any_networks import ANY_NETWORKS

    record = json.loads(path.read_text(encoding="utf-8"))
    forced = record["instructions"] != "avx2"
    columns = {name: title for name, title in COLUMNS.items() if forced or name == "netsurgery"}
    lines = [
        f"| network | weights | batch | ONNX Runtime, ms | {' | '.join(columns.values())} | goal | packed, bytes |",
        "|---|---|---|---|" + "---|" * len(columns) + "---|---|",
    ]
    for row in record["rows"]:
        title = f"{ANY_NETWORKS[row['network']].title} | {row['treatment']} | {row['batch']}"
        goal = f"{row['goal']:g}x"
        if "threads" not in row:
            verdict = f"{row['verdict']}: {refusals.words(row)}"
            lines.append(f"| {title} | | {verdict} |{' |' * (len(columns) - 1)} {goal} | |")
            continue
        latency = " / ".join(
            cells.milliseconds(found["runtimes"]["onnxruntime"]["median_us"]) for found in row["threads"].values()
        )
        faster = [_faster(row, name) for name in columns]
        note = f" ({row['verdict']})" if row["verdict"] != "packed" else ""
        lines.append(f"| {title} | {latency} | {' | '.join(faster)} | {goal} | {row['packed_bytes']:,}{note} |")
    threads = " / ".join(next((list(row["threads"]) for row in record["rows"] if "threads" in row), []))
    lines += [
        "",
        f"{record['machine']['processor']}, {record['instructions']}: medians of calls from Python, {threads} threads, "
        f"{record['rounds']} turns of each runtime, ONNX Runtime {record['versions']['onnxruntime']} on the same ONNX "
        f"file, exported by torch {record['versions']['torch']}.{FORCED if forced else ''} Weights are random, "
        "spread as those of trained networks; the smallest of each convolution (but for depthwise ones), linear and "
        "recurrent layer are zero."
        f"{cells.busy(record['rows'])}",
    ]
    return "\n".join(lines)


def _faster(row: Mapping[str, Any], name: str) -> str:
    ratios = [found["times_faster"].get(name) for found in row["threads"].values()]
    return " / ".join(cells.faster(ratio["median"]) for ratio in ratios if ratio)
