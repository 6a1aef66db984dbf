"""A measured network as plain text that fits 80 columns, and what follows from it in words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from netsurgery.analysis.fixed_point import FixedLayers
from netsurgery.cli.summary_text import WIDTH, fact, fixed_point

_HEADS = ("batch", "threads", "runtime", "median us", "p10 us", "p90 us", "inputs/s", "faster")


def lines(record: Mapping[str, Any], found: FixedLayers | None = None) -> list[str]:
    """The table, then a sentence for every row in which netsurgery is not the faster one, and one on a busy machine.

    found: the layers of the file that are in fixed point, None if there are none.
    """
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return [
        record["model"],
        *fact("size", f"{record['size_bytes']:,} bytes"),
        *fact("processor", record["machine"]["processor"]),
        *fact("measured", f"with {record['instructions']}; {versions}; calls from Python"),
        *fixed_point(found),
        *(_on_whole_numbers(record["rows"], found) if found is not None else []),
        "",
        *_table(record["rows"]),
        *(sentence for row in record["rows"] for sentence in _verdict(row)),
        *(["", *textwrap.wrap(record["warning"], WIDTH)] if record["warning"] else []),
    ]


def _on_whole_numbers(rows: list[Mapping[str, Any]], found: FixedLayers) -> list[str]:
    """At which batch sizes how many of the layers that could ran on whole numbers."""
    counts = {row["batch"]: row["layers_on_whole_numbers"] for row in rows}
    at = [f"{count} at {'its fixed batch' if batch is None else f'batch {batch}'}" for batch, count in counts.items()]
    return fact("ran so", f"{', '.join(at)}, of {found.layers}; the others on floats, which give the same bits")


def _table(rows: list[Mapping[str, Any]]) -> list[str]:
    cells = [_HEADS]
    for row in rows:
        for place, (name, figures) in enumerate(row["runtimes"].items()):
            faster = row["times_faster"]
            cells.append(
                (
                    "" if place else str(row["batch"] or "fixed"),
                    "" if place else str(row["threads"]),
                    name,
                    *(_figure(figures[key]) for key in ("median_us", "p10_us", "p90_us", "inputs_per_second")),
                    f"{faster['median']:.2f}x" if faster and place == 0 else "",
                )
            )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = [_line(row, widths) for row in cells]
    return [table[0], "-" * max(map(len, table)), *table[1:]]


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    sides = [str.rjust, str.rjust, str.ljust, *[str.rjust] * (len(cells) - 3)]
    return "  ".join(side(cell, width) for side, cell, width in zip(sides, cells, widths, strict=True)).rstrip()


def _figure(value: float) -> str:
    """Three or four digits are all that a measurement is good for."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def _verdict(row: Mapping[str, Any]) -> list[str]:
    """Reports when the engine is slower."""
    faster = row["times_faster"]
    if faster is None or faster["p10"] > 1:
        return []
    other = next(name for name in row["runtimes"] if name != "netsurgery")
    batch = "fixed batch" if row["batch"] is None else f"batch {row['batch']}"
    where = f"{batch}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    if faster["p90"] < 1:
        sentence = f"{where}: {other} is {1 / faster['median']:.2f}x faster; this network gains no speed here."
    else:
        sentence = f"{where}: no clear difference; {faster['p10']:.2f}x to {faster['p90']:.2f}x over the rounds."
    return ["", *textwrap.wrap(sentence, WIDTH)]
