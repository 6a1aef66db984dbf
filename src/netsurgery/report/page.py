"""The page of an experiment: one HTML file with tables, curves and masks that needs nothing outside itself.

It is for eyes; programs read the record's JSON. Curves are inline SVG whose ink is `currentColor`, masks are PNG on a
transparent ground, so both stand on a light and on a dark page. The same record and masks give the same bytes with the
same version of matplotlib.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from colorsys import hls_to_rgb
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netsurgery.errors import DataError, MissingExtraError
from netsurgery.files import write_verified
from netsurgery.report.record import Record, Run, TensorCount, Trace, mean_and_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAGE_WIDTH, _PAGE_HEIGHT = 1080, 600  # CSS pixels that the picture of a mask may be scaled up to
_LARGEST_SIDE = 1200  # pixels of a mask's picture; larger ones show blocks
_LARGEST_SCALE = 10  # CSS pixels a connection may take
_FEWEST_INPUT_PIXELS = 64  # below 8x8 a map of the inputs shows nothing

_INK = "#010203"  # stands for currentColor, which matplotlib can't say
_INKED = {"text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"}
_PALETTE = ("#2f7ed8", "#d9480f", "#2b9348", "#b5179e", "#b7791f", "#0e9aa7", "#7b61ff", "#80868c")
"""Middle tones: each has a contrast of 3 or more against both grounds of the page."""
_PRUNED_COLOR, _SPLICED_COLOR, _ERROR_COLOR = _PALETTE[1], _PALETTE[0], _PALETTE[2]

_KEPT_RGB = (217, 72, 15)
_FAINTEST = 90  # opacity, of 255, of a block that keeps a single connection
_SEPARATOR, _DEAD = -1.0, -2.0  # in arrays of shares: a line between tiles; a unit without any connection
_GREY = {_SEPARATOR: (128, 128, 128, 110), _DEAD: (128, 128, 128, 48)}

_STYLE = """
:root{color-scheme:light dark;--ground:#fdfdfc;--ink:#1d2125;--soft:#5d656d;--line:#d8dcdf;--box:#f1f3f4}
@media(prefers-color-scheme:dark){:root{--ground:#14171a;--ink:#e4e7ea;--soft:#9aa3ab;--line:#343a40;--box:#1e2327}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:70rem;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0 1rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{margin:.4rem 0}
.note,figcaption{color:var(--soft);font-size:.875rem}
.claims{display:flex;flex-wrap:wrap;gap:.8rem}
.claims p{flex:1 1 20rem;margin:0;padding:.8rem 1rem;background:var(--box);border-radius:.4rem}
.claims span{display:block;color:var(--soft);font-size:.875rem}
section{min-width:0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;min-width:min(100%,30rem);font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .45rem;text-align:right;vertical-align:top;white-space:pre-line;border-bottom:1px solid var(--line)}
thead th{vertical-align:bottom;font-weight:600}
th:first-child{text-align:left}
tbody th{font-weight:400}
tr.strong>*{font-weight:600;background:var(--box)}
tr.part th{padding-left:1.6rem}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20.5rem),1fr));gap:1.5rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,32rem),1fr));gap:0 2rem}
.pair td{white-space:pre}
.pictures{display:flex;flex-wrap:wrap;gap:0 1rem}
.pictures figure{min-width:min(100%,17rem)}
figure{margin:0 0 1rem}
figcaption{margin-top:.2rem}
figure svg{display:block;width:100%;height:auto}
svg text{font-family:inherit!important}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.2rem 0;padding:0;list-style:none;font-size:.8rem}
.legend i{display:inline-block;width:1.6em;margin-right:.4em;vertical-align:middle;border-top:2px solid}
img{display:block;image-rendering:pixelated;border:1px solid var(--line);box-sizing:content-box}
details{margin:.5rem 0}
summary{cursor:pointer}
pre{margin:.4rem 0;padding:.8rem;background:var(--box);border-radius:.4rem;font-size:.8rem;white-space:pre-wrap}
@media(max-width:40rem){.pair td{white-space:pre-line}table{font-size:.75rem}
th,td{padding:.25rem .2rem}tr.part th{padding-left:.5rem}}
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Makes the browser itself refuse any request."""


def write_page(path: str | Path, record: Record, masks: Mapping[str, NDArray[np.bool_]]) -> None:
    """Write the page of `record` to `path`; nothing is left there half written.

    masks: parameter name -> mask of the first run's final network, of the parameter's shape, True = kept. Tensors
    without a mask are only counted.

    Raises MissingExtraError without matplotlib, and DataError if the record holds no run or a mask is of another
    network than its first run.
    """
    _require_matplotlib()
    _check(record, masks)
    content = _page(record, masks).encode("utf-8")
    write_verified(path, content, lambda written: written.read_bytes() == content)


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The page's pictures need {error.name}, which isn't installed: pip install 'netsurgery[report]'"
        ) from error


def _check(record: Record, masks: Mapping[str, NDArray[np.bool_]]) -> None:
    if not record.runs:
        raise DataError(f"The record {record.title!r} holds no run; a page shows at least one.")
    tensors = {tensor.name: tensor for tensor in record.runs[0].tensors}
    for name, mask in masks.items():
        if name not in tensors:
            raise DataError(
                f"A mask is named {name!r}; the record's first run has {', '.join(tensors) or 'no tensor'}."
            )
        given = mask.shape, int(np.count_nonzero(mask))
        recorded = tensors[name].shape, tensors[name].kept
        if given != recorded:
            raise DataError(
                f"The mask of {name} has shape {given[0]} and keeps {given[1]}; the record's first run says "
                f"{recorded[0]} and {recorded[1]}. Give the masks of that run's final network."
            )


def _page(record: Record, masks: Mapping[str, NDArray[np.bool_]]) -> str:
    title = html.escape(record.title)
    with _drawing():
        body = [
            f"<h1>{title}</h1>",
            _claims(record),
            '<div class="pair">',
            _section("Results", _results(record)),
            _section("Connections by layer", _layers_table(record)),
            "</div>",
            _section("Over time", _curves(record.runs)),
            _section("Final masks", _masks(record, masks)),
            _section("How it was made", _origin(record)),
        ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{heading}</h2>\n{content}</section>"


# What came out


def _claims(record: Record) -> str:
    """The outcome in one sentence, beside the paper's."""
    seeds = len(record.runs)
    kept, _ = mean_and_spread([run.kept for run in record.runs])
    compression, _ = mean_and_spread([run.compression for run in record.runs])
    before, _ = mean_and_spread([run.test_error_before_percent for run in record.runs])
    after, spread = mean_and_spread([run.test_error_percent for run in record.runs])
    source = "one seed" if seeds == 1 else f"mean of {seeds} seeds, ±{spread:.2f}"
    size = record.runs[0].size
    here = f"{_outcome(size, kept, compression, before, after)} ({source})."
    claims = [("Here", here)]
    if paper := record.paper:
        there = _outcome(size, paper.kept, paper.compression, paper.test_error_before_percent, paper.test_error_percent)
        claims.append((paper.source, f"{there}."))
    boxes = (f"<p><span>{html.escape(who)}</span>{html.escape(what)}</p>" for who, what in claims)
    return f'<div class="claims">{"".join(boxes)}</div>'


def _outcome(size: int, kept: float, compression: float, before: float, after: float) -> str:
    connections = f"{size:,} → {kept:,.0f} connections ({_times(compression)})"
    errors = f"test error {_error(before)} % → {_error(after)} %".replace(" %", "\N{NO-BREAK SPACE}%")
    return f"{connections}, {errors}"


def _times(compression: float) -> str:
    return f"{compression:,.1f}×"


def _error(percent: float) -> str:
    return f"{percent:.2f}"


def _density(share: float) -> str:
    """A share as percent, to three digits."""
    return f"{100 * share:.3g}"


# Tables


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


_RESULT_COLUMNS: tuple[tuple[Callable[[Run], float], Callable[[float], str]], ...] = (
    (lambda run: run.kept, lambda kept: f"{kept:,.0f}"),
    (lambda run: run.compression, _times),
    (lambda run: run.validation_error_before_percent, _error),
    (lambda run: run.validation_error_percent, _error),
    (lambda run: run.test_error_before_percent, _error),
    (lambda run: run.test_error_percent, _error),
    (lambda run: run.duration_s, lambda seconds: f"{seconds:,.0f}"),
)
"""The figure of a run, and how it is written."""


def _results(record: Record) -> str:
    """One row per seed, then their mean and the paper's."""
    heads = [
        [("", 1), ("", 1), ("", 1), ("validation error, %", 2), ("test error, %", 2), ("", 1)],
        [(text, 1) for text in ("seed", "kept", "ratio", "before", "after", "before", "after", "time, s")],
    ]
    rows = [_Row([str(run.seed), *(write(read(run)) for read, write in _RESULT_COLUMNS)]) for run in record.runs]
    note = "Kept counts connections, biases among them; ratio is the compression, all / kept."
    if len(record.runs) > 1:
        means = [(mean_and_spread([read(run) for run in record.runs]), write) for read, write in _RESULT_COLUMNS]
        cells = [f"{write(mean)}\n±{write(spread).rstrip('×')}" for (mean, spread), write in means]
        rows.append(_Row(["mean", *cells], "strong"))
        note += " ± is the sample standard deviation over the seeds."
    if paper := record.paper:
        errors = [_error(paper.test_error_before_percent), _error(paper.test_error_percent)]
        rows.append(_Row(["paper", f"{paper.kept:,}", _times(paper.compression), "–", "–", *errors, "–"]))
        note += f" Paper: {paper.source}."
    return _table(heads, rows) + _note(note)


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _layer_of(name: str) -> str:
    return name.rpartition(".")[0]


def _by_layer(tensors: Sequence[TensorCount]) -> dict[str, list[TensorCount]]:
    """Layer name -> its tensors, in the order of the first of each layer."""
    layers: dict[str, list[TensorCount]] = {}
    for tensor in tensors:
        layers.setdefault(_layer_of(tensor.name), []).append(tensor)
    return layers


def _layer_title(layer: str) -> str:
    return layer or "(the model itself)"


def _mean_kept(runs: Sequence[Run], tensors: Sequence[TensorCount]) -> float:
    """Connections kept in `tensors`, mean over the runs."""
    names = {tensor.name for tensor in tensors}
    return mean_and_spread([sum(row.kept for row in run.tensors if row.name in names) for run in runs])[0]


def _layers_table(record: Record) -> str:
    """A row per layer, to compare with the paper's, and below it one per tensor where there are several."""
    paper = record.paper

    def row(title: str, shape: str, tensors: Sequence[TensorCount], kind: str, percent: float | None) -> _Row:
        kept, size = _mean_kept(record.runs, tensors), sum(tensor.size for tensor in tensors)
        beside = [] if paper is None else ["" if kind == "part" else _paper_cell(percent)]
        return _Row([title, shape, f"{kept:,.0f} of {size:,}", _density(kept / max(size, 1)), *beside], kind)

    rows = []
    paper_percent = {} if paper is None else paper.density_percent
    for layer, tensors in _by_layer(record.runs[0].tensors).items():
        percent = paper_percent.get(layer)
        if len(tensors) == 1:
            rows.append(row(tensors[0].name, _shape(tensors[0].shape), tensors, "", percent))
            continue
        rows.append(row(_layer_title(layer), "", tensors, "strong", percent))
        rows += [row(tensor.name, _shape(tensor.shape), [tensor], "part", None) for tensor in tensors]
    rows.append(row("all", "", record.runs[0].tensors, "strong", None if paper is None else 100 / paper.compression))
    heads = ["", "shape", "kept", "density, %", *([] if paper is None else ["paper, %"])]
    note = "" if len(record.runs) == 1 else f"Means over {len(record.runs)} seeds. "
    note += "Density is kept / all."
    if paper is not None:
        note += " The paper counts weights and biases of a layer together."
    return _table([[(head, 1) for head in heads]], rows) + _note(note)


def _paper_cell(percent: float | None) -> str:
    return "–" if percent is None else f"{percent:.3g}"


def _shape(shape: Sequence[int]) -> str:
    return "×".join(str(extent) for extent in shape) or "scalar"


# Curves


@contextmanager
def _drawing() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the user has set, and nothing random in the SVG; undone at the end."""
    import matplotlib as mpl
    import matplotlib.style

    with matplotlib.style.context("default"), mpl.rc_context():
        mpl.rcParams.update({name: _INK for name in mpl.rcParams if name in _INKED})
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "page"})
        yield


def _curves(runs: Sequence[Run]) -> str:
    pictures = [picture for draw in (_density_curves, _flip_curves, _error_curve) if (picture := draw(runs))]
    if not pictures:
        return _note("The first run left no trace.")
    note = "" if len(runs) == 1 else _note(f"Thick: seed {runs[0].seed}; thin: the other seeds.")
    return f'{note}<div class="curves">{"".join(pictures)}</div>'


def _density_curves(runs: Sequence[Run]) -> str:
    trace = runs[0].trace
    names = [name for name in trace.density if trace.density[name]]
    if not names:
        return ""
    figure, axes = _axes(trace, "kept, %")
    legend = []
    for name, color, dashed in _tensor_lines(names):
        _draw(axes, runs, _density_percent(name), color, dashed)
        legend.append((name, color, dashed))
    _log_scale(axes, [100 * share for run in runs for shares in run.trace.density.values() for share in shares])
    ends = {name: trace.density[name][-1] for name in names}
    least, most = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    caption = (
        f"Connections kept in each tensor: at step {trace.steps[-1]:,} between {_density(ends[least])} % in {least} "
        f"and {_density(ends[most])} % in {most}."
    )
    return _curve_figure(figure, "density", caption, legend)


def _density_percent(name: str) -> Callable[[Trace], Sequence[float]]:
    return lambda trace: [100 * share for share in trace.density.get(name, [])]


def _tensor_lines(names: Sequence[str]) -> list[tuple[str, str, bool]]:
    """(name, color, dashed): a color for each layer, dashes for all but its first tensor."""
    layers = list(dict.fromkeys(map(_layer_of, names)))
    colors = dict(zip(layers, _layer_colors(len(layers)), strict=True))
    firsts = {layer: next(name for name in names if _layer_of(name) == layer) for layer in layers}
    return [(name, colors[_layer_of(name)], name != firsts[_layer_of(name)]) for name in names]


def _layer_colors(count: int) -> Sequence[str]:
    """`count` colors; where the palette is too short, hues from teal over blue and red to orange, first to last."""
    if count <= len(_PALETTE):
        return _PALETTE[:count]
    hues = (0.48 + 0.6 * index / (count - 1) for index in range(count))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(hue % 1, 0.48, 0.65)) for hue in hues]


def _flip_curves(runs: Sequence[Run]) -> str:
    trace = runs[0].trace
    if not trace.pruned_per_step or not trace.spliced_per_step:
        return ""
    figure, axes = _axes(trace, "connections per step")
    _draw(axes, runs, lambda trace: trace.pruned_per_step, _PRUNED_COLOR)
    _draw(axes, runs, lambda trace: trace.spliced_per_step, _SPLICED_COLOR)
    _symmetric_log_scale(axes, [n for run in runs for n in (*run.trace.pruned_per_step, *run.trace.spliced_per_step)])
    peak = max(trace.pruned_per_step)
    caption = (
        f"Connections pruned and spliced back, all tensors together: pruning peaks at {_rate(peak)} a step "
        f"near step {trace.steps[trace.pruned_per_step.index(peak)]:,}, {_last_flip(trace)}."
    )
    legend = [("pruned", _PRUNED_COLOR, False), ("spliced", _SPLICED_COLOR, False)]
    return _curve_figure(figure, "flips", caption, legend)


def _rate(count: float) -> str:
    return f"{count:,.0f}" if count >= 100 else f"{count:.3g}"


def _last_flip(trace: Trace) -> str:
    flips = [pruned + spliced for pruned, spliced in zip(trace.pruned_per_step, trace.spliced_per_step, strict=True)]
    moving = [step for step, count in zip(trace.steps, flips, strict=True) if count]
    if not moving:
        return "so that the masks never change"
    if moving[-1] == trace.steps[-1]:
        return "and the masks change until the end"
    return f"and no mask changes after step {moving[-1]:,}"


def _error_curve(runs: Sequence[Run]) -> str:
    trace, before = runs[0].trace, runs[0].validation_error_before_percent
    errors = trace.validation_error_percent
    if not errors:
        return ""
    figure, axes = _axes(trace, "validation error, %")
    _draw(axes, runs, lambda trace: trace.validation_error_percent, _ERROR_COLOR)
    axes.axhline(before, color=_INK, linestyle=":", linewidth=1.2)
    _error_scale(axes, [before, *(error for run in runs for error in run.trace.validation_error_percent)])
    worst = max(errors)
    caption = (
        f"Error on the validation images against the level before (dotted, {_error(before)} %): at most "
        f"{_error(worst)} % at step {trace.steps[errors.index(worst)]:,}, {_error(errors[-1])} % at the last sample."
    )
    return _curve_figure(figure, "error", caption, [])


def _axes(trace: Trace, label: str) -> tuple[Figure, Axes]:
    """Axes over the steps of `trace`, small enough that their text is readable on a phone."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure = Figure(figsize=(4.3, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.set_xlim(trace.steps[0], max(trace.steps[-1], trace.steps[0] + 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(visible=True, alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw(
    axes: Axes, runs: Sequence[Run], read: Callable[[Trace], Sequence[float]], color: str, dashed: bool = False
) -> None:
    """A thick line for the first run over thin ones for the others; a single sample is a dot."""
    for index, run in reversed(list(enumerate(runs))):
        values = read(run.trace)
        axes.plot(
            run.trace.steps[: len(values)],
            values,
            color=color,
            linestyle="--" if dashed else "-",
            linewidth=0.6 if index else 1.7,
            alpha=0.6 if index else 1.0,
            marker="o" if len(values) == 1 else "",
            clip_on=len(values) > 1,
        )


def _log_scale(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at powers of ten, and at 2 and 5 between them where they are few. Zeros fall below the picture."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = [value for value in values if value > 0]
    if not positive:
        return
    low, high = min(positive), max(positive)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.25, high * 1.25)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _symmetric_log_scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic down to the smallest positive value, four decades at most, and linear from there to 0."""
    from matplotlib.ticker import FuncFormatter

    positive = [value for value in values if value > 0]
    if positive:
        smallest = max(min(positive), max(positive) * 1e-4)
        axes.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(smallest)), linscale=0.5)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_ylim(bottom=0, top=1.5 * max(positive, default=1.0))


def _error_scale(axes: Axes, errors: Sequence[float]) -> None:
    """Logarithmic where the course would hide the end."""
    if min(errors) > 0 and max(errors) > 5 * min(errors):
        _log_scale(axes, errors)
    else:
        axes.set_ylim(bottom=0, top=1.15 * max(errors) or 1.0)


def _curve_figure(figure: Figure, name: str, caption: str, legend: Sequence[tuple[str, str, bool]]) -> str:
    """legend: (text, color, dashed) of each line; it is a list of the page, which wraps as the screen needs."""
    lines = "".join(
        f'<li><i style="border-top-color:{color};border-top-style:{"dashed" if dashed else "solid"}"></i>'
        f"{html.escape(text)}</li>"
        for text, color, dashed in legend
    )
    listed = f'<ul class="legend">{lines}</ul>' if legend else ""
    return f"<figure>{_svg(figure, name, caption)}{listed}<figcaption>{html.escape(caption)}</figcaption></figure>\n"


def _svg(figure: Figure, name: str, caption: str) -> str:
    """`figure` as an element of an HTML page: no prologue, no date, ids that begin with `name`."""
    buffer = io.StringIO()
    unsaid: dict[str, None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=unsaid)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href").replace(_INK, "currentColor")
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(caption)}"', 1)


# Masks


def _masks(record: Record, masks: Mapping[str, NDArray[np.bool_]]) -> str:
    """Layer by layer the pictures of its tensors."""
    first = record.runs[0].tensors[0].name if record.runs[0].tensors else ""
    parts = [
        _note(
            f"Of seed {record.runs[0].seed}. Orange: kept; grey: rows and columns of a unit that keeps no connection "
            "in this tensor."
        )
    ]
    for layer, tensors in _by_layer(record.runs[0].tensors).items():
        parts.append(f"<h3>{html.escape(_layer_title(layer))}</h3>")
        figures = (_tensor_figures(tensor, masks.get(tensor.name), tensor.name == first) for tensor in tensors)
        parts.append(f'<div class="pictures">{"".join(figures)}</div>')
    return "\n".join(parts)


def _tensor_figures(tensor: TensorCount, mask: NDArray[np.bool_] | None, reads_input: bool) -> str:
    if mask is None:
        return _note(f"{tensor.name}: {_kept_of(tensor.kept, tensor.size)}; no mask was given.")
    return _mask_figure(tensor.name, mask) + (_input_figure(tensor.name, mask) if reads_input else "")


def _kept_of(kept: int, size: int) -> str:
    return f"{kept:,} of {size:,} kept ({_density(kept / max(size, 1))} %)"


def _mask_figure(name: str, mask: NDArray[np.bool_]) -> str:
    caption = f"{name}, {_shape(mask.shape)}: {_kept_of(int(mask.sum()), mask.size)}"
    if mask.size == 0:
        return _note(f"{caption}.")
    if mask.ndim < 2:
        shares, reading = _vector_picture(mask)
        return _image_figure(shares, f"{caption}{reading}.", height=14)
    live_outputs, live_inputs = _live_units(mask)
    caption += (
        f"; {live_outputs:,} of {mask.shape[0]:,} outputs and {live_inputs:,} of {mask.shape[1]:,} inputs "
        "keep a connection"
    )
    shares, reading = _matrix_picture(mask) if mask.ndim == 2 else _kernels_picture(mask)
    return _image_figure(shares, f"{caption}. {reading}.")


def _live_units(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(out, in, ...) -> outputs and inputs with at least one connection."""
    pairs = np.any(mask.reshape(*mask.shape[:2], -1), axis=2)
    return int(np.any(pairs, axis=1).sum()), int(np.any(pairs, axis=0).sum())


def _vector_picture(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], str]:
    """(n,) -> shares (1, n or fewer), and how to read them."""
    shares, block = _in_blocks(mask.reshape(1, -1).astype(np.float64))
    return shares, f"; a pixel is a block of {block}" if block > 1 else ""


def _matrix_picture(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], str]:
    """(out, in) -> shares, outputs top to bottom, and how to read them."""
    shares, block = _in_blocks(mask.astype(np.float64))
    return _mark_dead(shares), f"Outputs top to bottom, inputs left to right{_block_text(block)}"


def _kernels_picture(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], str]:
    """(out, in, ..., w) -> shares, one tile per kernel or, where they are too many, one pixel; and how to read them."""
    kernels = mask.reshape(*mask.shape[:2], -1, mask.shape[-1])
    reading = "Outputs left to right, inputs top to bottom"
    shares = _tiles(kernels)
    if max(shares.shape) <= _LARGEST_SIDE:
        return shares, f"{reading}; a tile is a kernel"
    shares, block = _in_blocks(np.asarray(kernels.mean(axis=(2, 3))).T)
    return _mark_dead(shares), f"{reading}; a pixel is a kernel, the fuller the more it keeps{_block_text(block)}"


def _block_text(block: int) -> str:
    return f"; a pixel is a block of {block}×{block}, drawn if any of it is kept" if block > 1 else ""


def _tiles(kernels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(out, in, h, w) -> (in (h+1) + 1, out (w+1) + 1): kernels side by side, with lines between them."""
    outputs, inputs, height, width = kernels.shape
    pairs = _mark_dead(np.any(kernels, axis=(2, 3)).astype(np.float64))
    shares = np.where((pairs == _DEAD)[:, :, None, None], _DEAD, kernels.astype(np.float64))
    framed = np.full((outputs, inputs, height + 1, width + 1), _SEPARATOR)
    framed[:, :, 1:, 1:] = shares
    grid = framed.transpose(1, 2, 0, 3).reshape(inputs * (height + 1), outputs * (width + 1))
    return np.pad(grid, ((0, 1), (0, 1)), constant_values=_SEPARATOR)


def _in_blocks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Means over the smallest square blocks that make both sides fit, and the side of a block."""
    block = math.ceil(max(values.shape) / _LARGEST_SIDE)
    rows, columns = (np.arange(0, extent, block) for extent in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, extent)) for starts, extent in zip((rows, columns), values.shape, strict=True)
    )
    return sums / np.outer(heights, widths), block


def _mark_dead(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """`shares` with _DEAD in rows and columns that keep nothing."""
    kept = shares > 0
    live = np.outer(kept.any(axis=1), kept.any(axis=0))
    return np.where(live, shares, _DEAD)


def _input_figure(name: str, mask: NDArray[np.bool_]) -> str:
    """(out, in) -> the inputs as the square image that they probably are, or nothing."""
    side = math.isqrt(mask.shape[-1]) if mask.ndim == 2 else 0
    if side * side < _FEWEST_INPUT_PIXELS or side * side != mask.shape[-1]:
        return ""
    counts = mask.sum(axis=0).reshape(side, side)
    most = int(counts.max())
    caption = (
        f"Connections that each of the {side}×{side} inputs of {name} keeps: "
        f"from none (empty) to {most:,} (full colour), {int((counts == 0).sum()):,} inputs keep none."
    )
    return _image_figure(counts / max(most, 1), caption)


def _image_figure(shares: NDArray[np.float64], caption: str, height: int | None = None) -> str:
    """height: CSS pixels, where the picture is a strip."""
    pixels_high, pixels_wide = shares.shape
    scale = max(1, min(_LARGEST_SCALE, _PAGE_WIDTH // pixels_wide, _PAGE_HEIGHT // pixels_high))
    # Shrunk below its own pixels a picture would lose single connections: it is scrolled instead.
    style = f"width:{pixels_wide * scale}px;max-width:max(calc(100% - 2px),{pixels_wide}px);"
    style += f"height:{height}px" if height else "height:auto"
    text = html.escape(caption)
    image = (
        f'<img alt="{text}" width="{pixels_wide}" height="{pixels_high}" style="{style}" '
        f'src="data:image/png;base64,{_png(shares)}">'
    )
    return (
        f'<figure style="flex:0 1 {pixels_wide * scale + 2}px"><div class="scroll">{image}</div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _png(shares: NDArray[np.float64]) -> str:
    """Base64 of a PNG: the fuller the more is kept, but a single connection is always seen."""
    from matplotlib.image import imsave

    pixels = np.zeros((*shares.shape, 4), dtype=np.uint8)
    kept = shares > 0
    pixels[kept, :3] = _KEPT_RGB
    pixels[kept, 3] = _FAINTEST + (255 - _FAINTEST) * shares[kept]
    for value, grey in _GREY.items():
        pixels[shares == value] = grey
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", origin="upper", metadata={"Software": "netsurgery"})
    return base64.b64encode(buffer.getvalue()).decode("ascii")


# Origin


def _origin(record: Record) -> str:
    settings = json.dumps(record.configuration, indent=2, ensure_ascii=False, default=str)
    environment = {**record.machine, **record.versions}
    rows = [_Row([name, value]) for name, value in environment.items()]
    return (
        f"<details><summary>Configuration</summary><pre>{html.escape(settings)}</pre></details>\n"
        f'<div class="scroll"><table><tbody>{_table_body(rows)}</tbody></table></div>'
    )
