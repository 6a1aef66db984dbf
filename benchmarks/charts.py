"""Pictures of benchmark results: SVG on its own white ground, readable on any page; same data, same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, THEIRS, THIRD, FOURTH, GREY = "#2f7ed8", "#d9480f", "#2b9348", "#b5179e", "#80868c"
"""As on the report's page."""
INK = "#24292f"
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults in the report's manner, whatever the user has set; undone at the end."""
    with mpl.style.context("default"), mpl.rc_context():
        mpl.rcParams.update(dict.fromkeys(_INKED, INK))
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9})
        mpl.rcParams.update({"axes.titlesize": 9, "axes.titleweight": "bold", "axes.titlelocation": "left"})
        yield


def panels(rows: int, columns: int, width: float = 3.2, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A figure of rows x columns axes with a pale grid, each so many inches wide and high."""
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    found = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in found:
        axes.grid(visible=True, alpha=0.15)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, found


def save(figure: Figure, path: Path, description: str | None = None) -> None:
    """Write `figure` as SVG (or PNG, by its name) without a date; an SVG carries its description in words."""
    nameless = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    metadata = nameless | {"Description": description} if path.suffix == ".svg" else None
    figure.savefig(path, facecolor="white", metadata=metadata, dpi=150)
