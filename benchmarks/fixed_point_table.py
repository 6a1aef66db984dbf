"""What results/fixed_point.json says, as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cells

RECORD = Path(__file__).parent / "results" / "fixed_point.json"
AVX512_RECORD = RECORD.with_name("fixed_point-avx512.json")
OTHERS = {
    "float": "our floats",
    "onnxruntime": "ONNX Runtime float32",
    "onnxruntime_int8": "ONNX Runtime int8",
}


def fixed_point_table(path: Path = RECORD) -> str:
    """A row for each network, batch size and number of threads: how many times faster fixed point is."""
    from fixed_point import CASES

    record = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| network | kept, bits | batch | threads | fixed point, ms "
        f"| {' | '.join(f'beside {title}' for title in OTHERS.values())} "
        "| memory beside our floats | file, bytes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(record["rows"], key=lambda row: list(CASES).index(row["network"])):  # some were measured anew
        ratios = " | ".join(cells.faster(row["times_faster_than"][name]["median"]) for name in OTHERS)
        lines.append(
            f"| {CASES[row['network']].title} | {_kept(row)} | {row['batch']} | {row['threads']} "
            f"| {cells.milliseconds(row['runtimes']['fixed']['median_us'])} | {ratios} "
            f"| {_memory(row)} | {row['packed_bytes']:,} |"
        )
    lines += [
        "",
        f"{record['machine']['processor']}, {record['instructions']}: times faster than each, medians of calls from "
        f"Python, {record['rounds']} turns of each. Random weights, spread as those of trained networks: the largest "
        "of each convolution and linear layer are kept (of depthwise ones all), as powers of two, or all of them as "
        "sums of two binary planes; "
        f"activations of 8 bits and more. ONNX Runtime {record['versions']['onnxruntime']} computes the same weights "
        "densely; int8 is its own static quantisation, by channel. Memory: the most that is taken "
        f"{record['memory']}, above the library's own."
        f"{cells.busy(record['rows'])}",
    ]
    return "\n".join(lines)


def _kept(row: dict[str, Any]) -> str:
    """Which weights are left, and the bits of powers of two."""
    return str(row["kept"]) + (f", {row['bits']}" if row["bits"] is not None else "")


def _memory(row: dict[str, Any]) -> str:
    """The share that fixed point takes of what floats take, where that was measured."""
    found = row.get("running_bytes")
    return f"{found['fixed'] / found['float']:.2f}x, {found['fixed'] / 1e6:.0f} MB" if found else ""
