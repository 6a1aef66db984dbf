"""What results/fastfood.json says, beside the paper's table."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

RECORD = Path(__file__).parent / "results" / "fastfood.json"
REPORTED_PERCENT = 0.73
"""Test error of LeNet with 1024 adaptive Fastfood features: Yang et al. 2015."""


def fastfood_table(path: Path = RECORD) -> str:
    """LeNet-5 with Fastfood: errors, parameters and bytes."""
    record = json.loads(path.read_text(encoding="utf-8")).get("lenet5")
    if record is None:
        return "There is no record of a training yet: `benchmarks/fastfood.py --data DIR` makes one."
    runs = record["runs"]
    errors = [run["test_error_percent"] for run in runs]
    packed = [run["packed_test_error_percent"] for run in runs]
    sizes = statistics.mean(run["packed_bytes"] for run in runs)
    lines = [
        "| network | parameters | test error, % | of the packed network, % | reported, % | file, bytes |",
        "|---|---|---|---|---|---|",
        f"| LeNet-5, Fastfood-{record['features']} | {runs[0]['parameters']:,} | {_spread(errors)} | {_spread(packed)} "
        f"| {REPORTED_PERCENT} | {sizes:,.0f} |",
        "",
        f"{record['steps']:,} steps of the LeNet references' recipe, "
        f"{'one seed' if len(runs) == 1 else f'{len(runs)} seeds, mean ± spread'}; weights of 32 bits.",
    ]
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean
