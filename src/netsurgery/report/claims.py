"""The outcome of an experiment in one sentence, beside the paper's."""

from __future__ import annotations

import html

from netsurgery.report.record import Record, mean_and_spread
from netsurgery.report.wording import error, times


def claims(record: Record) -> str:
    """As HTML: means over the seeds, and the paper's row if there is one."""
    seeds = len(record.runs)
    kept, _ = mean_and_spread([run.kept for run in record.runs])
    compression, _ = mean_and_spread([run.compression for run in record.runs])
    before, _ = mean_and_spread([run.test_error_before_percent for run in record.runs])
    after, spread = mean_and_spread([run.test_error_percent for run in record.runs])
    source = "one seed" if seeds == 1 else f"mean of {seeds} seeds, ±{spread:.2f}"
    size = record.runs[0].size
    sentences = [("Here", f"{_outcome(size, kept, compression, before, after)} ({source}).")]
    if paper := record.paper:
        there = _outcome(size, paper.kept, paper.compression, paper.test_error_before_percent, paper.test_error_percent)
        sentences.append((paper.source, f"{there}."))
    boxes = (f"<p><span>{html.escape(who)}</span>{html.escape(what)}</p>" for who, what in sentences)
    return f'<div class="claims">{"".join(boxes)}</div>'


def _outcome(size: int, kept: float, compression: float, before: float, after: float) -> str:
    connections = f"{size:,} → {kept:,.0f} connections ({times(compression)})"
    errors = f"test error {error(before)} % → {error(after)} %".replace(" %", "\N{NO-BREAK SPACE}%")
    return f"{connections}, {errors}"
