"""The table of docs/machines.md: what processes exchange in a step."""

from __future__ import annotations

import json
from typing import Any

from outcomes import RESULTS


def exchanged_table() -> str:
    """A row per method under fully_shard, then what needs none of it."""
    record = json.loads((RESULTS / "exchanged.json").read_text(encoding="utf-8"))
    lines = [
        "| method | an ordinary step | the dearest step | mean | of the trainer's own |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(row) for row in record["rows"] if row["spread"]]
    replicated = [row for row in record["rows"] if not row["spread"]]
    trainer = record["rows"][0]["trainer_bytes"]
    lines += [
        "",
        f"Bytes and calls of collectives beyond the trainer's own {trainer / 1e6:.2f} MB a step: {record['processes']} "
        f"processes, gloo, fully_shard, {record['weights']:,} weights in six tensors, steps 2 to {record['steps']}, "
        f"torch {record['torch']}. Surgery's schedule is that of 10,000 steps; steps that decide nothing are ordinary. "
        f"Under DistributedDataParallel {replicated[0]['method']} exchanges "
        f"{sum(row['dearest']['size_bytes'] for row in replicated)} bytes.",
    ]
    return "\n".join(lines)


def _row(row: dict[str, Any]) -> str:
    share = row["mean_bytes"] / row["trainer_bytes"]
    return (
        f"| {row['method']} | {_exchange(row['ordinary'])} | {_exchange(row['dearest'])} | {row['mean_bytes']:,.0f} B "
        f"| {share:.3%} |"
    )


def _exchange(one: dict[str, int]) -> str:
    """Nothing to say of calls where there are none."""
    return f"{one['size_bytes']:,} B in {one['calls']}" if one["calls"] else "0"
