"""How far each treatment ends from dense training, a panel for each density: the picture of docs/robustness.md."""

from __future__ import annotations

from pathlib import Path

import charts
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from robustness_table import PRUNED, less_dense, of_treatment
from stress.record import StressRecord
from stress.treatments import DENSITIES, TREATMENTS

COLORS = dict(zip(PRUNED, (charts.OURS, charts.THIRD, charts.THEIRS, charts.GREY), strict=True))
LINEAR_POINTS = 5
"""The vertical axis is linear to here, and logarithmic beyond: most runs lie within a few points, some at chance."""


def described(record: StressRecord) -> str:
    """All points in words; the picture carries them, so that it can be told to be of this record."""
    parts = []
    for density in DENSITIES:
        for name in PRUNED:
            if points := _points(record, name, density):
                listed = " ".join(f"{value:+.1f}" for value in sorted(points))
                parts.append(f"{TREATMENTS[name].title} at {density:g}: {listed}")
    return "; ".join(parts)


def shows(path: Path, record: StressRecord) -> bool:
    """Whether the picture is of this record."""
    return path.is_file() and f">{described(record)}<" in path.read_text(encoding="utf-8")


def draw(path: Path, record: StressRecord) -> None:
    """Write the picture: boxes from quartile to quartile, whiskers to the 5th and 95th percentile, others as dots."""
    with charts.style():
        figure, panels = charts.panels(1, len(DENSITIES), width=2.6, height=3.4)
        for axes, density in zip(panels, DENSITIES, strict=True):
            _panel(axes, record, density)
        panels[0].set_ylabel("accuracy less that of dense training, points")
        handles = [Patch(color=color, alpha=0.7, label=TREATMENTS[name].title) for name, color in COLORS.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
        charts.save(figure, path, described(record))


def _panel(axes: Axes, record: StressRecord, density: float) -> None:
    axes.set_title(f"density {density:g}")
    axes.axhline(0, color=charts.INK, linestyle=":", linewidth=1)
    for place, name in enumerate(PRUNED):
        if points := _points(record, name, density):
            color = COLORS[name]
            axes.boxplot(
                points,
                positions=[place],
                widths=0.6,
                whis=(5, 95),
                patch_artist=True,
                boxprops={"facecolor": color, "edgecolor": color, "alpha": 0.7},
                medianprops={"color": charts.INK},
                whiskerprops={"color": color},
                capprops={"color": color},
                flierprops={"marker": "o", "markersize": 3, "markerfacecolor": color, "markeredgecolor": "none"},
            )
    axes.set_yscale("symlog", linthresh=LINEAR_POINTS, linscale=1.5)
    ticks = (-80, -40, -20, -10, -5, -2, 0, 2, 5)
    axes.set_yticks(ticks, [f"{value:+d}" if value else "0" for value in ticks])
    axes.set_ylim(-110, 10)
    axes.set_xticks([])


def _points(record: StressRecord, treatment: str, density: float) -> list[float]:
    return less_dense(record, of_treatment(record, treatment, density))
