"""The tables of the page: results by seed, connections by layer, and how the experiment was made."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netsurgery.records.record import Record, Run, TensorCount, mean_and_spread
from netsurgery.report.wording import error, kept_share, layer_title, note, operated_layers, shape, times

_Column = tuple[Callable[[Run], float], Callable[[float], str]]
_RESULT_COLUMNS: tuple[_Column, ...] = (
    (lambda run: run.kept, lambda kept: f"{kept:,.0f}"),
    (lambda run: run.compression, times),
    (lambda run: run.validation_error_before_percent, error),
    (lambda run: run.validation_error_percent, error),
    (lambda run: run.test_error_before_percent, error),
    (lambda run: run.test_error_percent, error),
    (lambda run: run.duration_s, lambda seconds: f"{seconds:,.0f}"),
)
"""The figure of a run, and how it is written."""
_FILE_COLUMN: _Column = (lambda run: run.packed_bytes or 0, lambda size: f"{size / 1000:,.1f}")
"""The same for networks that were packed."""


def results_table(record: Record) -> str:
    """One row per seed, then their mean and what was published."""
    packed = bool(record.packed_bytes)
    columns = (*_RESULT_COLUMNS, _FILE_COLUMN) if packed else _RESULT_COLUMNS
    beside = ("time, s", "file, kB") if packed else ("time, s",)
    heads = [
        [("", 1), ("", 1), ("", 1), ("validation error, %", 2), ("test error, %", 2), *(("", 1) for _ in beside)],
        [(text, 1) for text in ("seed", "kept", "ratio", "before", "after", "before", "after", *beside)],
    ]
    rows = [_Row([str(run.seed), *(write(read(run)) for read, write in columns)]) for run in record.runs]
    counted = ", biases among them" if not operated_layers(record.runs[0])[1] else " and all other parameters"
    explanation = f"Kept counts connections{counted}; ratio is the compression, all / kept."
    if packed:
        before = f"{4 * record.runs[0].size / 1000:,.1f}"
        explanation += f" File is the packed network, every weight exact; as float32 it takes {before} kB."
    if len(record.runs) > 1:
        means = [(mean_and_spread([read(run) for run in record.runs]), write) for read, write in columns]
        cells = [f"{write(mean)}\n±{write(spread).rstrip('×')}" for (mean, spread), write in means]
        rows.append(_Row(["mean", *cells], "strong"))
        explanation += " ± is the sample standard deviation over the seeds."
    if paper := record.paper:
        errors = [error(paper.test_error_before_percent), error(paper.test_error_percent)]
        kept = "–" if paper.kept is None else f"{paper.kept:,}"
        ratio = "–" if paper.compression is None else times(paper.compression)
        rows.append(_Row(["published", kept, ratio, "–", "–", *errors, *("–" for _ in beside)]))
        explanation += f" Published: {paper.source}."
    explanation += "".join(f" {sentence}" for sentence in _further_errors(record))
    return _table(heads, rows) + note(explanation)


def _further_errors(record: Record) -> list[str]:
    """A sentence for each other way in which the runs were measured."""
    published = record.paper.further_errors_percent if record.paper else {}
    sentences = []
    for name in record.runs[0].further_errors_percent:
        means = [
            mean_and_spread([run.further_errors_percent[name][place] for run in record.runs])[0] for place in (0, 1)
        ]
        beside = f", published {_change(published[name])}" if name in published else ""
        sentences.append(f"{name} error: {_change(means)} %{beside}.")
    return sentences


def _change(errors: Sequence[float]) -> str:
    return " → ".join(map(error, errors))


def layers_table(record: Record) -> str:
    """A row per layer that was operated on, to compare with the paper's, and below it one per tensor of several."""
    paper = record.paper if record.paper is not None and record.paper.density_percent else None

    def row(title: str, extents: str, tensors: Sequence[TensorCount], kind: str, percent: float | None) -> _Row:
        kept, size = _mean_kept(record.runs, tensors), sum(tensor.size for tensor in tensors)
        beside = [] if paper is None else ["" if kind == "part" else _paper_cell(percent)]
        return _Row([title, extents, f"{kept:,.0f} of {size:,}", kept_share(kept, size), *beside], kind)

    rows = []
    paper_percent = {} if paper is None else paper.density_percent
    layers, untouched = operated_layers(record.runs[0])
    for layer, tensors in layers.items():
        percent = paper_percent.get(layer)
        if len(tensors) == 1:
            rows.append(row(tensors[0].name, shape(tensors[0].shape), tensors, "", percent))
            continue
        rows.append(row(layer_title(layer), "", tensors, "strong", percent))
        rows += [row(tensor.name, shape(tensor.shape), [tensor], "part", None) for tensor in tensors]
    if untouched:
        rows.append(row(f"not operated on: {len(untouched)} tensors", "", untouched, "", None))
    all_percent = None if paper is None or paper.compression is None else 100 / paper.compression
    rows.append(row("all", "", record.runs[0].tensors, "strong", all_percent))
    heads = ["", "shape", "kept", "density, %", *([] if paper is None else ["paper, %"])]
    explanation = "" if len(record.runs) == 1 else f"Means over {len(record.runs)} seeds. "
    explanation += "Density is kept / all."
    if paper is not None:
        explanation += " The paper counts weights and biases of a layer together."
    return _table([[(head, 1) for head in heads]], rows) + note(explanation)


def origin_table(record: Record) -> str:
    """Machine and versions, below the configuration as it was set."""
    settings = json.dumps(record.configuration, indent=2, ensure_ascii=False)
    environment = {**record.machine, **record.versions}
    rows = [_Row([name, value]) for name, value in environment.items()]
    return (
        f"<details><summary>Configuration</summary><pre>{html.escape(settings)}</pre></details>\n"
        f'<div class="scroll"><table><tbody>{_table_body(rows)}</tbody></table></div>'
    )


@dataclass(frozen=True)
class _Row:
    """Plain texts, the first of which heads the row. A line break in a text is one on the page."""

    cells: Sequence[str]
    kind: str = ""
    """CSS class: "strong", "part" or none."""


def _table(heads: Sequence[Sequence[tuple[str, int]]], rows: Sequence[_Row]) -> str:
    """heads: lines of (text, columns it spans)."""
    lines = [
        "<tr>" + "".join(f'<th colspan="{span}">{html.escape(text)}</th>' for text, span in head) + "</tr>"
        for head in heads
    ]
    head, body = "".join(lines), _table_body(rows)
    return f'<div class="scroll"><table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody></table></div>'


def _table_body(rows: Sequence[_Row]) -> str:
    lines = []
    for row in rows:
        first, *others = (html.escape(cell) for cell in row.cells)
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        lines.append(f'<tr class="{row.kind}"><th scope="row">{first}</th>{cells}</tr>\n')
    return "".join(lines)


def _mean_kept(runs: Sequence[Run], tensors: Sequence[TensorCount]) -> float:
    """Connections kept in `tensors`, mean over the runs."""
    names = {tensor.name for tensor in tensors}
    return mean_and_spread([sum(row.kept for row in run.tensors if row.name in names) for run in runs])[0]


def _paper_cell(percent: float | None) -> str:
    return "–" if percent is None else f"{percent:.3g}"
