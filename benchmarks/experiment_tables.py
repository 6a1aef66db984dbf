"""The README's tables of recorded experiments: networks with few connections, and with few bits a weight."""

from __future__ import annotations

import cells
from outcomes import NETWORKS, Outcome

from netsurgery.records.record import PaperRow


def pruned_table(outcomes: list[Outcome]) -> str:
    """A row for each experiment whose weights stay floats; the paper's before the first of a network."""
    shown = [outcome for outcome in outcomes if outcome.weight_bits == 32]
    lines = [
        "| network | method | compression | connections | test error %, before → after | file, bytes "
        "| seconds, quickest seed |",
        "|---|---|---|---|---|---|---|",
    ]
    last = None
    for outcome in shown:
        network, paper = NETWORKS[outcome.network], outcome.record.paper
        if paper and network != last:
            lines.append(_printed(network, paper))
        last = network
        lines.append(
            f"| {network} | {outcome.words} | {outcome.compression:.1f}x | {outcome.connections:,.0f} "
            f"| {cells.errors(outcome)} | {cells.size(outcome)} | {outcome.seconds:.0f} |"
        )
    return "\n".join([*lines, "", _origins(shown)])


def _printed(network: str, paper: PaperRow) -> str:
    errors = f"{paper.test_error_before_percent:.2f} → {paper.test_error_percent:.2f}"
    return f"| {network} | *{paper.source}, as printed* | {paper.compression:g}x | {paper.kept:,} | {errors} | | |"


def quantized_table(outcomes: list[Outcome]) -> str:
    """A row for each experiment with powers of two or binary planes."""
    shown = [outcome for outcome in outcomes if outcome.weight_bits < 32]
    lines = [
        "| network | method | bits a weight | connections | test error %, before → after | file, bytes | smaller "
        "| seconds, quickest seed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {NETWORKS[outcome.network]} | {outcome.words} | {outcome.weight_bits} | {outcome.connections:,.0f} "
        f"| {cells.errors(outcome)} | {cells.size(outcome)} "
        f"| {cells.smaller(outcome.times_smaller) if outcome.file_bytes else ''} | {outcome.seconds:.0f} |"
        for outcome in shown
    ]
    return "\n".join([*lines, "", _origins(shown)])


def _origins(outcomes: list[Outcome]) -> str:
    """What the rows are of."""
    if not outcomes:
        return "No run is recorded."
    seeds = sorted({len(outcome.record.runs) for outcome in outcomes})
    records = [outcome.record for outcome in outcomes]
    machines = sorted(
        {f"{r.machine['processor']}, {r.machine['threads']} thread(s), torch {r.versions['torch']}" for r in records}
    )
    return f"Mean ± standard deviation over {' or '.join(map(str, seeds))} seeds. {'; '.join(machines)}."
