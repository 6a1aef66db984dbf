"""A record as tables that fit a terminal of 80 columns."""

from __future__ import annotations

from rich.table import Table

from netsurgery.records.record import Record, mean_and_spread
from netsurgery.report.wording import operated_layers


def layer_table(record: Record) -> Table:
    """Kept and all connections of each layer (mean over seeds), beside the paper's density."""
    paper = record.paper
    table = Table(title=record.title)
    table.add_column("layer")
    published = paper is not None and bool(paper.density_percent)
    for heading in ("kept", "of", "density %", *(["paper %"] if published else [])):
        table.add_column(heading, justify="right")
    layers, untouched = operated_layers(record.runs[0])
    groups = {layer: {tensor.name for tensor in tensors} for layer, tensors in layers.items()}
    if untouched:
        groups["not operated on"] = {tensor.name for tensor in untouched}
    for layer, names in groups.items():
        tensors = [tensor for run in record.runs for tensor in run.tensors if tensor.name in names]
        kept, size = sum(tensor.kept for tensor in tensors), sum(tensor.size for tensor in tensors)
        percent = paper.density_percent.get(layer) if paper else None
        beside = ["" if percent is None else f"{percent:.1f}"] if published else []
        table.add_row(layer, *_counts(kept, size, len(record.runs)), *beside)
    table.add_section()
    kept, size = sum(run.kept for run in record.runs), sum(run.size for run in record.runs)
    beside = [f"{100 / paper.compression:.1f}" if paper.compression else ""] if paper and published else []
    table.add_row("total", *_counts(kept, size, len(record.runs)), *beside)
    return table


def comparison_table(record: Record) -> Table:
    """Before and after, mean ± standard deviation over seeds, beside the paper's row."""
    runs, paper = record.runs, record.paper
    seeds = f"{len(runs)} seed" + ("s" if len(runs) > 1 else "")
    table = Table(
        title=f"Before and after ({seeds}; mean ± standard deviation)" if len(runs) > 1 else "Before and after"
    )
    table.add_column("")
    table.add_column("before", justify="right")
    table.add_column("after", justify="right")
    if paper:
        table.add_column(paper.source, justify="right")
    size = runs[0].size
    rows = [
        (
            "connections",
            f"{size:,}",
            f"{mean_and_spread([run.kept for run in runs])[0]:,.0f}",
            f"{paper.kept:,}" if paper and paper.kept is not None else "",
        ),
        (
            "compression",
            "1x",
            f"{mean_and_spread([run.compression for run in runs])[0]:.1f}x",
            f"{paper.compression:.4g}x" if paper and paper.compression else "",
        ),
        (
            "validation error %",
            _mean([run.validation_error_before_percent for run in runs]),
            _mean([run.validation_error_percent for run in runs]),
            "",
        ),
        (
            "test error %",
            _mean([run.test_error_before_percent for run in runs]),
            _mean([run.test_error_percent for run in runs]),
            f"{paper.test_error_before_percent:.2f} -> {paper.test_error_percent:.2f}" if paper else "",
        ),
        *_further_errors(record),
        *_file_size(record),
        ("seconds of training", "", _mean([run.duration_s for run in runs], digits=1), ""),
        *_pace(record),
    ]
    for row in rows:
        table.add_row(*(row if paper else row[:3]))
    return table


def _file_size(record: Record) -> list[tuple[str, str, str, str]]:
    """The row of file sizes, float32 before and packed after; no row if a network wasn't packed."""
    packed = [run.packed_bytes for run in record.runs if run.packed_bytes is not None]
    if len(packed) < len(record.runs):
        return []
    ratio = record.paper.file_ratio if record.paper else None
    beside = "" if ratio is None else f"{ratio:g}x smaller"
    return [("file, bytes", f"{4 * record.runs[0].size:,}", f"{mean_and_spread(packed)[0]:,.0f}", beside)]


def _further_errors(record: Record) -> list[tuple[str, str, str, str]]:
    """A row for each other way in which all runs were measured."""
    runs, published = record.runs, record.paper.further_errors_percent if record.paper else {}
    rows = []
    for name in runs[0].further_errors_percent:
        before, after = ([run.further_errors_percent[name][place] for run in runs] for place in (0, 1))
        beside = " -> ".join(f"{percent:.2f}" for percent in published.get(name, []))
        rows.append((f"{name} error %", _mean(before), _mean(after), beside))
    return rows


def _pace(record: Record) -> list[tuple[str, str, str, str]]:
    """How fast images were shown, where they weren't in memory."""
    speeds = [run.images_per_s for run in record.runs if run.images_per_s is not None]
    waits = [run.waiting_percent for run in record.runs if run.waiting_percent is not None]
    if not speeds:
        return []
    return [
        ("images a second", "", _mean(speeds, digits=0), ""),
        ("waiting for images, %", "", _mean(waits, digits=1), ""),
    ]


def _counts(kept: int, size: int, seeds: int) -> tuple[str, str, str]:
    return f"{kept / seeds:,.0f}", f"{size // seeds:,}", f"{100 * kept / size:.2f}"


def _mean(values: list[float], digits: int = 2) -> str:
    mean, spread = mean_and_spread(values)
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if len(values) > 1 else "")
