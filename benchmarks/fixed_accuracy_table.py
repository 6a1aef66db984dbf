"""What results/fixed_accuracy.json says, as a table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "results" / "fixed_accuracy.json"
_WORDS = {"surgery+inq": "surgery, then powers of two", "inq": "powers of two"}


def fixed_accuracy_table(path: Path = RECORD) -> str:
    """A row for each experiment, means over its seeds; test errors with floats and with all layers in fixed point."""
    record = json.loads(path.read_text(encoding="utf-8"))
    by_run: dict[str, list[dict[str, Any]]] = {}
    for row in record["rows"]:
        by_run.setdefault(row["folder"], []).append(row)
    lines = [
        "| network | steps | seeds | test error %, floats → fixed point | other answers, of 10,000 | bits "
        "| for an output: multiplications, and as many additions → additions, doublings |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(by_run[name]) for name in sorted(by_run, key=lambda name: by_run[name][0]["title"])]
    apart = sum(row["auto"]["layers"] < row["fixed"]["layers"] for row in record["rows"])
    lines += [
        "",
        'All layers in fixed point (`ends="fixed"`), grids by calibration on 512 training images, nothing trained '
        f'for it; `ends="auto"` leaves a layer in float32 in {apart} of {len(record["rows"])} networks. The whole '
        "test set, run by the engine; the worst seed's other answers. Bits of what layers read, the sign included. "
        f"{record['machine']['processor']}, torch {record['versions']['torch']}.",
    ]
    return "\n".join(lines)


def _row(rows: Sequence[dict[str, Any]]) -> str:
    def mean(of: Callable[[dict[str, Any]], float]) -> float:
        return statistics.fmean(map(of, rows))

    network, method, *numbers = rows[0]["title"].split(", ")
    before, after = mean(lambda row: row["float_error_percent"]), mean(lambda row: row["fixed"]["error_percent"])
    others = max(row["fixed"]["other_answers"] for row in rows)
    fewest = min(row["fixed"]["given_bits"][0] for row in rows)
    most = max(row["fixed"]["given_bits"][1] for row in rows)
    times, adds, doublings = (
        mean(lambda row, name=name: row["fixed"][name])  # type: ignore[misc]
        for name in ("multiplications", "additions", "doublings")
    )
    return (
        f"| {', '.join([network, _WORDS.get(method, method), *numbers])} | {rows[0]['steps']:,} | {len(rows)} "
        f"| {before:.2f} → **{after:.2f}** | {others} | {fewest if fewest == most else f'{fewest} to {most}'} "
        f"| {times:.1f} → {adds:.1f}, {doublings:.1f} |"
    )
