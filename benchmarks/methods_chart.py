"""File size against test error, one point for each recorded experiment: the picture of docs/choosing-a-method.md."""

from __future__ import annotations

from pathlib import Path

import charts
from cells import errors, size
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from outcomes import NETWORKS, RESULTS, Outcome

PATH = RESULTS / "methods.svg"
COLORS = {
    "surgery": charts.OURS,
    "threshold-surgery": charts.GREY,
    "surgery+inq": charts.FOURTH,
    "inq": charts.THEIRS,
    "sketching": charts.THIRD,
}
LABELS = {
    "surgery": "surgery",
    "threshold-surgery": "the paper's rule",
    "surgery+inq": "surgery, then powers of two",
    "inq": "powers of two",
    "sketching": "binary planes",
}


def described(outcomes: list[Outcome]) -> str:
    """All points in words; the picture carries them, so that it can be told to be of these records."""
    points = (
        f"{outcome.name}: {size(outcome)} bytes, {errors(outcome).replace('**', '')} %" for outcome in _points(outcomes)
    )
    return "; ".join(points)


def shows(path: Path, outcomes: list[Outcome]) -> bool:
    """Whether the picture is of these records."""
    return path.is_file() and f">{described(outcomes)}<" in path.read_text(encoding="utf-8")


def draw(path: Path, outcomes: list[Outcome]) -> None:
    """Write the picture: one network, one panel."""
    points = _points(outcomes)
    with charts.style():
        figure, panels = charts.panels(1, len(NETWORKS), width=4.2, height=4.4)
        for axes, (network, title) in zip(panels, NETWORKS.items(), strict=True):
            axes.set_title(title)
            _panel(axes, [outcome for outcome in points if outcome.network == network])
        handles = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
        charts.save(figure, path, described(outcomes))


def _points(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.file_bytes and outcome.method in COLORS]


def _panel(axes: Axes, outcomes: list[Outcome]) -> None:
    for index, outcome in enumerate(outcomes):
        mean, spread = outcome.error_percent
        axes.errorbar(
            outcome.mean_bytes,
            mean,
            yerr=spread or None,
            color=COLORS[outcome.method],
            marker="o",
            markersize=5,
            markerfacecolor="white" if outcome.shifted else None,
            linestyle="none",
            elinewidth=1,
            capsize=2,
            label=LABELS[outcome.method] + (", shifted images" if outcome.shifted else ""),
        )
        side = -1 if outcome.planes else 1  # sketches and powers of two have files of like sizes
        up = -9 if index % 2 else 4  # neighbours in the order of methods are neighbours in the picture
        place = {"textcoords": "offset points", "xytext": (6 * side, up), "ha": "right" if side < 0 else "left"}
        axes.annotate(outcome.short, (outcome.mean_bytes, mean), fontsize=7, **place)
    if outcomes:
        axes.axhline(outcomes[0].error_before_percent, color=charts.INK, linestyle=":", linewidth=1, label="dense")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    axes.set_xlabel("whole file, kB")
    axes.set_ylabel("test error, %")
