"""What results/papers_networks.json says beside the papers' tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "papers_networks.json"
AIMS = {
    ("alexnet", "surgery and INQ, 5 bits"): "1/60",
    ("alexnet", "surgery and INQ, 4 bits"): "1/80",
    ("alexnet", "surgery and INQ, 3 bits"): "1/100",
    ("resnet50", "90 % zero and 4 bits"): "3.0 MB",
}
"""What was aimed at for weights with scales."""


def papers_networks_table(path: Path = RECORD) -> str:
    """A row for each of the papers' rows: parameters, operations and bytes."""
    from netsurgery.planning.counts import counts_of
    from netsurgery.planning.published import ROWS
    from netsurgery.zoo.table import ZOO

    record = json.loads(path.read_text(encoding="utf-8"))
    files = {(row["network"], row["title"]): row["files"] for row in record["rows"]}
    lines = [
        "| network | what is done | parameters kept | multiplications, million | additions, million | reported | file, "
        "independent weights | file, weights with scales | aim |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        counts, made = counts_of(row), files.get((row.network, row.title), {})
        reported = f"1/{row.compression:g}" if row.compression else ""
        aim = AIMS.get((row.network, row.title), "")
        lines.append(
            f"| {ZOO[row.network].title} | {row.title} | {counts.kept:,} | {counts.multiplications / 1e6:,.0f} "
            f"| {counts.additions / 1e6:,.0f} | {reported} | {_file(made, 'independent')} | {_file(made, 'scaled')} "
            f"| {aim} |"
        )
    return "\n".join([*lines, "", _words(record)])


def _file(made: dict[str, Any], spread: str) -> str:
    if spread not in made:
        return ""
    size, dense = made[spread]["size_bytes"], made[spread]["dense_bytes"]
    return f"{size:,} bytes, 1/{dense / size:.1f}"


def _words(record: dict[str, Any]) -> str:
    return (
        "Whole files, graph included, beside all parameters as float32; operations are those of one image, of dense "
        "layers as many multiplications as additions; powers of two are shifted. The weights are random, seed "
        f"{record['seed']}: independent ones of Laplace's distribution, in whose positions no coder finds a pattern, "
        "and Gauss' with a scale for each row and column, of standard deviation "
        f"{record['scale_spread']:g} in the logarithm. In each layer the largest are kept, and become the powers of "
        "two that INQ fits to them. Rows without a file have not been packed on record."
    )


def zoo_table() -> str:
    """A row for each network of the zoo."""
    from netsurgery.zoo.table import ZOO

    lines = ["| name | network | images | parameters | published by |", "|---|---|---|---|---|"]
    lines += [
        f"| `{name}` | {network.title} | {network.size} x {network.size} | {network.parameters:,} | {network.source} |"
        for name, network in ZOO.items()
    ]
    return "\n".join(lines)
