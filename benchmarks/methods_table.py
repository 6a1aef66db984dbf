"""The table of docs/choosing-a-method.md: recorded experiments with the times of their networks."""

from __future__ import annotations

import cells
from latencies import BATCHES, DENSE, ONNX, Latencies
from outcomes import FLOAT_BYTES, NETWORKS, Outcome


def methods_table(outcomes: list[Outcome], latencies: Latencies) -> str:
    """A row for each experiment whose network was measured, behind those of its dense network."""
    lines = [
        "| network | method | bits a weight | test error %, before → after | file, bytes (times smaller) "
        "| batch 1, ms (times faster) | batch 64, ms (times faster) | training steps | seconds, quickest seed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    shown = [outcome for outcome in outcomes if outcome.file_bytes and latencies.has(outcome.network, outcome.name)]
    for network in NETWORKS:
        rows = [outcome for outcome in shown if outcome.network == network]
        if rows:
            lines += _dense(rows[0], latencies)
            lines += [_row(outcome, latencies) for outcome in rows]
    return "\n".join([*lines, "", _origins(shown, latencies)])


def _dense(first: Outcome, latencies: Latencies) -> list[str]:
    """The dense network in both runtimes; `first` is any outcome that began with it."""
    network, error = first.network, f"{first.error_before_percent:.2f}"
    weights, packed = (
        FLOAT_BYTES * first.record.runs[0].size,
        latencies.record["networks"][network]["dense_packed_bytes"],
    )
    theirs = " | ".join(cells.milliseconds(latencies.median_us(network, ONNX, batch)) for batch in BATCHES)
    head = f"| {NETWORKS[network]} |"
    return [
        f"{head} *dense, ONNX Runtime* | 32 | {error} | {weights:,} | {theirs} | | |",
        f"{head} *dense* | 32 | {error} | {packed:,} ({cells.smaller(weights / packed)}) "
        f"| {_times(network, DENSE, latencies)} | | |",
    ]


def _row(outcome: Outcome, latencies: Latencies) -> str:
    return (
        f"| {NETWORKS[outcome.network]} | {outcome.words_with_numbers} | {outcome.weight_bits} "
        f"| {cells.errors(outcome)} | {cells.size(outcome)} ({cells.smaller(outcome.times_smaller)}) "
        f"| {_times(outcome.network, outcome.name, latencies)} | {outcome.steps:,} | {outcome.seconds:.0f} |"
    )


def _times(network: str, runtime: str, latencies: Latencies) -> str:
    """Cells of each batch size."""
    return " | ".join(
        f"{cells.milliseconds(latencies.median_us(network, runtime, batch))} "
        f"({cells.faster(latencies.times_faster(network, runtime, batch))})"
        for batch in BATCHES
    )


def _origins(outcomes: list[Outcome], latencies: Latencies) -> str:
    """What the rows are of, and on which processors."""
    if not outcomes:
        return "No run is recorded."
    record = latencies.record
    note = f" {record['note']}" if record["note"] else ""
    return (
        "Test error: mean ± standard deviation over seeds. File: the whole of it, mean over seeds, beside the weights "
        "as float32. Times: medians of calls from Python with the whole batch, "
        f"{record['machine']['processor']}, {record['machine']['threads']} thread(s), {record['rounds']} turns of each "
        f"network, seed {record['seed']}; how many times faster than the dense network on ONNX Runtime "
        f"{record['versions']['onnxruntime']}.{note} Trained on {_processors(outcomes)}."
    )


def _processors(outcomes: list[Outcome]) -> str:
    """On which processors they were trained; for the one of most of them, those that it isn't said of."""
    trained: dict[str, list[str]] = {}
    for outcome in outcomes:
        trained.setdefault(outcome.processor, []).append(f"{NETWORKS[outcome.network]} {outcome.words_with_numbers}")
    first, *others = sorted(trained.items(), key=lambda item: -len(item[1]))
    return "; ".join([first[0], *(f"on {processor}: {', '.join(names)}" for processor, names in others)])
