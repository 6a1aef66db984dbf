"""What an operation says of itself: its table, layers that hardly pass anything on, connections that came back."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Collection, Mapping, Sequence

from netsurgery.errors import RevivedWarning, StarvedLayerWarning, UnreachedLayerWarning
from netsurgery.layers.candidates import LeftAlone
from netsurgery.layers.left_alone import describe
from netsurgery.methods.base import TensorReport
from netsurgery.methods.floors import starved


def table(rows: Sequence[TensorReport], left_alone: Sequence[LeftAlone]) -> str:
    """One line per tensor, and the total; then starved layers, and what is left alone and why."""
    width = max(len("total"), *(len(row.name) for row in rows))
    quantizes = any(row.quantized for row in rows)

    def line(name: str, kept: int, size: int, quantized: int) -> str:
        end = f"  {quantized:>12,}" if quantizes else ""
        return f"{name:<{width}}  {kept:>12,} {size:>12,}  {kept / size:>8.2%}{end}"

    head = f"{'tensor':<{width}}  {'kept':>12} {'of':>12}  {'density':>8}" + f"  {'quantized':>12}" * quantizes
    lines = [line(row.name, row.kept, row.size, row.quantized) for row in rows]
    counts = (sum(getattr(row, count) for row in rows) for count in ("kept", "size", "quantized"))
    return "\n".join([head, *lines, line("total", *counts), *starved_lines(rows), *describe(left_alone)])


def followed_by(earlier: TensorReport, later: TensorReport, kept: int) -> TensorReport:
    """The report of a tensor's later stage, with what happened in the earlier one. kept: how many both keep."""
    return dataclasses.replace(
        later,
        kept=kept,
        pruned_total=earlier.pruned_total + later.pruned_total,
        spliced_total=earlier.spliced_total + later.spliced_total,
    )


def starved_lines(rows: Sequence[TensorReport]) -> list[str]:
    """One sentence for each weight that keeps no connection, or too few to pass anything on."""
    return [_starved_line(row) for row in starved(rows)]


def _starved_line(row: TensorReport) -> str:
    return (
        f"{row.name} keeps {row.kept:,} of {row.size:,} connections: what comes behind it sees hardly anything of what "
        "lies before it."
    )


def warn_starved(rows: Sequence[TensorReport], unreached: Collection[str]) -> bool:
    """Whether there are weights that keep next to nothing. unreached: names of those that never had a gradient."""
    found = starved(rows)
    for row in found:
        advice = "Ask for more density, or leave the layer out with Stage(skip=...)."
        if row.name in unreached:
            advice = (
                "The loss has reached nothing of it since attach: let the loss depend on it, or leave the layer out "
                "with Stage(skip=...)."
            )
        warnings.warn(f"{_starved_line(row)} {advice}", StarvedLayerWarning, stacklevel=4)
    return bool(found)


def warn_unreached(rows: Sequence[TensorReport]) -> None:
    """Rows of weights that the loss has never reached, and that keep connections; says nothing if there are none."""
    if rows:
        names = ", ".join(row.name for row in rows[:3]) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
        warnings.warn(
            f"The loss has reached nothing of {names} since attach: every gradient was 0 or missing. "
            f"{sum(row.kept for row in rows):,} connections are kept there, and count for the density as trained ones "
            "do. Leave those layers out with Stage(skip=...), or let the loss depend on them.",
            UnreachedLayerWarning,
            stacklevel=4,
        )


def warn_revived(revived: Mapping[str, int], finished: bool) -> None:
    """Parameter name -> pruned connections that hold values. finished: of an operation that has ended."""
    names = ", ".join(list(revived)[:3]) + (f" and {len(revived) - 3} more" if len(revived) > 3 else "")
    what = f"{sum(revived.values()):,} connections of {names} were pruned and hold values again: something else than"
    if finished:
        advice = "an optimizer of torch wrote to them after finish(). Call finish() again to set them to 0."
    else:
        advice = (
            "an attached optimizer wrote to them, as a checkpoint of before they were pruned does. The next step and "
            "finish() set them to 0, and what was measured with them isn't true of that network. To go on from such "
            "a checkpoint, load_state_dict the operation's state that was saved with it."
        )
    warnings.warn(f"{what} {advice}", RevivedWarning, stacklevel=4)
