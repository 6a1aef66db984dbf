"""What results/compress.json says, as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "compress.json"
_WORDS = {
    "digits_cnn": "CNN, batch norm, residual",
    "regression_mlp": "regression MLP",
    "text_transformer": "text transformer",
    "sequence_gru": "GRU",
    "lenet300": "LeNet-300-100",
    "lenet5": "LeNet-5",
    "resnet20": "ResNet-20",
}


def compress_table(path: Path = RECORD) -> str:
    """A row for each search: what its best network has, by the rule and on test data."""
    record = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        "| network | data | budget | for | fewer connections | bits | file, bytes | dense ONNX Runtime → packed, µs "
        "| test metric, before → after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(row) for row in sorted(record["rows"], key=lambda row: (row["task"], row["objective"], row["seed"]))]
    processors = ", ".join(sorted({row["machine"] for row in record["rows"]}))
    lines += [
        "",
        "Defaults, nothing lost and seed 0 where nothing else is named. Metrics: more is better; % of right answers, "
        "minus the squared error, or the mean logarithm of a character's probability in bits; ± is the standard error "
        f"of the difference, paired by example. Latency of one example, one thread, in turns. {processors}, "
        f"torch {record['versions']['torch']}.",
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    best, first = row["best"], row["reference"]
    words = _WORDS.get(row["task"], row["task"]) + (f", seed {row['seed']}" if row["seed"] else "")
    words += f", at most {row['max_loss']:g} lost" if row["max_loss"] else ""
    words += f", certainty {row['certainty']:g}" if "certainty" in row else ""
    precision = row.get("precision", "float32")
    words += f", trained in {precision}" if precision != "float32" else ""
    faster = row["dense_latency_us"] / row["latency_us"]
    return (
        f"| {words} | {row['data']} | {_budget(row['budget'])} | {row['objective']} | **{best['compression']:.1f}x** "
        f"| {best['bits']} | {first['size_bytes']:,} → **{best['size_bytes']:,}** "
        f"| {row['dense_latency_us']:,.1f} → {row['latency_us']:,.1f}, **{faster:.1f}x** | {_test(row)} |"
    )


def _test(row: dict[str, Any]) -> str:
    if "test" in row:
        test = row["test"]
        return f"{test['before']:.4g} → **{test['after']:.4g}** (lost {test['drop']:+.2g} ± {test['error']:.2g})"
    return "; ".join(row["report"])


def _budget(given: str) -> str:
    """Steps are given as a number alone."""
    return f"{int(given):,} steps" if given.isdigit() else given
