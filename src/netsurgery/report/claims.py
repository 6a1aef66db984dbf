"""The outcome of an experiment in one sentence, beside the paper's."""

from __future__ import annotations

import html

from netsurgery.records.record import PaperRow, Record, mean_and_spread
from netsurgery.report.wording import density, error, times

_PERCENT = "\N{NO-BREAK SPACE}%"


def claims(record: Record) -> str:
    """As HTML: means over the seeds, and the paper's row if there is one."""
    seeds = len(record.runs)
    kept, _ = mean_and_spread([run.kept for run in record.runs])
    compression, _ = mean_and_spread([run.compression for run in record.runs])
    before, _ = mean_and_spread([run.test_error_before_percent for run in record.runs])
    after, spread = mean_and_spread([run.test_error_percent for run in record.runs])
    source = "one seed" if seeds == 1 else f"mean of {seeds} seeds, ±{spread:.2f}"
    size = record.runs[0].size
    here = [_connections(size, kept, compression)] if kept < size else []
    if record.packed_bytes:
        here.append(_file(size, mean_and_spread(record.packed_bytes)[0]))
    sentences = [("Here", f"{', '.join([*here, _errors(before, after)])} ({source}).")]
    if paper := record.paper:
        errors = _errors(paper.test_error_before_percent, paper.test_error_percent)
        sentences.append((paper.source, f"{', '.join([*_published(size, paper), errors])}."))
    boxes = (f"<p><span>{html.escape(who)}</span>{html.escape(what)}</p>" for who, what in sentences)
    return f'<div class="claims">{"".join(boxes)}</div>'


def _connections(size: int, kept: float, compression: float) -> str:
    return f"{size:,} → {kept:,.0f} connections ({times(compression)})"


def _published(size: int, paper: PaperRow) -> list[str]:
    """What was published of connections and bytes."""
    found = [f"file {times(paper.file_ratio)} smaller"] if paper.file_ratio else []
    if paper.compression is None:
        return found
    if paper.kept is not None:
        return [_connections(size, paper.kept, paper.compression), *found]
    share = f"{density(1 / paper.compression)} % of the connections ({times(paper.compression)})"
    return [share.replace(" %", _PERCENT), *found]


def _file(size: int, packed_bytes: float) -> str:
    return f"{4 * size:,} → {packed_bytes:,.0f} bytes ({times(4 * size / packed_bytes)})"


def _errors(before: float, after: float) -> str:
    return f"test error {error(before)} % → {error(after)} %".replace(" %", _PERCENT)
