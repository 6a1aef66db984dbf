"""One small plot over the steps of a run, as inline SVG that stands on a light and on a dark page."""

from __future__ import annotations

import html
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from colorsys import hls_to_rgb
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from netsurgery.records.record import Run, Trace
from netsurgery.report.wording import layer_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#2f7ed8", "#d9480f", "#2b9348", "#b5179e", "#b7791f", "#0e9aa7", "#7b61ff", "#80868c")
"""Middle tones: each has a contrast of 3 or more against both grounds of the page."""
_INK = "#010203"  # stands for currentColor, which matplotlib can't say
_INKED = {"text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"}


@dataclass(frozen=True)
class Line:
    """A line of a plot: what it is called, and how it looks."""

    name: str
    color: str
    dashed: bool = False


@contextmanager
def default_style() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the user has set, and nothing random in the SVG; undone at the end."""
    import matplotlib as mpl
    import matplotlib.style

    with matplotlib.style.context("default"), mpl.rc_context():
        mpl.rcParams.update({name: _INK for name in mpl.rcParams if name in _INKED})
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "page"})
        yield


def layer_colors(count: int) -> Sequence[str]:
    """`count` colors; where the palette is too short, hues from teal over blue and red to orange, first to last."""
    if count <= len(PALETTE):
        return PALETTE[:count]
    hues = (0.48 + 0.6 * index / (count - 1) for index in range(count))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(hue % 1, 0.48, 0.65)) for hue in hues]


def short_names(lines: Sequence[Line]) -> list[Line]:
    """Lines of tensors, called by their layer where no other tensor of it has a line: long legends stay readable."""
    lines_of = Counter(layer_of(line.name) for line in lines)
    many = len(lines) > len(PALETTE)
    return [
        replace(line, name=layer_of(line.name)) if many and lines_of[layer_of(line.name)] == 1 else line
        for line in lines
    ]


def new_axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Axes small enough that their text is readable on a phone."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(4.3, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.grid(visible=True, alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def new_plot(trace: Trace, label: str) -> tuple[Figure, Axes]:
    """Axes over the steps of `trace`."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    figure, axes = new_axes("step", label)
    axes.set_xlim(trace.steps[0], max(trace.steps[-1], trace.steps[0] + 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    return figure, axes


def draw(axes: Axes, runs: Sequence[Run], read: Callable[[Trace], Sequence[float]], line: Line) -> None:
    """A thick line for the first run over thin ones for the others; a single sample is a dot."""
    for index, run in reversed(list(enumerate(runs))):
        single = len(run.trace.steps) == 1
        axes.plot(
            run.trace.steps,
            read(run.trace),
            color=line.color,
            linestyle="--" if line.dashed else "-",
            linewidth=0.6 if index else 1.7,
            alpha=0.6 if index else 1.0,
            marker="o" if single else "",
            clip_on=not single,
        )


def draw_level(axes: Axes, level: float) -> None:
    """A dotted line across."""
    axes.axhline(level, color=_INK, linestyle=":", linewidth=1.2)


def log_scale(axes: Axes, values: Sequence[float], of: Literal["x", "y"] = "y") -> None:
    """Ticks at powers of ten, and at 2 and 5 between them where they are few. Zeros fall out of the picture."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = [value for value in values if value > 0]
    if not positive:
        return
    low, high = min(positive), max(positive)
    axis, set_scale, set_limits = (
        (axes.xaxis, axes.set_xscale, axes.set_xlim) if of == "x" else (axes.yaxis, axes.set_yscale, axes.set_ylim)
    )
    set_scale("log")
    set_limits(low / 1.25, high * 1.25)
    few = high <= (30 if of == "x" else 300) * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def symmetric_log_scale(axes: Axes, values: Sequence[float]) -> None:
    """Logarithmic down to the smallest positive value, four decades at most, and linear from there to 0."""
    from matplotlib.ticker import FuncFormatter

    positive = [value for value in values if value > 0]
    if positive:
        smallest = max(min(positive), max(positive) * 1e-4)
        axes.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(smallest)), linscale=0.5)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_ylim(bottom=0, top=1.5 * max(positive, default=1.0))


def figure_element(figure: Figure, name: str, caption: str, legend: Sequence[Line]) -> str:
    """`figure` with its caption as HTML; its ids begin with `name`. The legend wraps as the screen needs."""
    lines = "".join(
        f'<li><i style="border-top-color:{line.color};border-top-style:{"dashed" if line.dashed else "solid"}"></i>'
        f"{html.escape(line.name)}</li>"
        for line in legend
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
