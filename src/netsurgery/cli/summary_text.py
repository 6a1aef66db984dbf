"""A packed file's summary as plain text that fits 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import accumulate, pairwise

from netsurgery.analysis.fixed_point import FixedLayers
from netsurgery.analysis.operation_counts import STRETCH
from netsurgery.analysis.summary import Summary, TensorSummary, ValueSummary, per
from netsurgery.graph.ir import named_axes

WIDTH = 80
_LEFT = 3  # columns of words; the others are numbers
_SHORTEST_NAME = 12

_HEADS = (
    ("", "", "", "", "kept", "bits/", "bits/", ""),
    ("tensor", "shape", "encoding", "values", "%", "weight", "kept", "bytes"),
)


def network(summary: Summary) -> list[str]:
    """What the network takes, gives and is made of."""
    operators = ", ".join(f"{count} {name}" for name, count in summary.operators.items())
    return [
        *fact("inputs", _values(summary.inputs)),
        *fact("outputs", _values(summary.outputs)),
        *_open_axes(summary),
        *fixed_point(summary.fixed_point),
        *fact("operators", f"{sum(summary.operators.values())}: {operators}" if operators else "none"),
    ]


def _open_axes(summary: Summary) -> list[str]:
    """Nothing is said of a batch that may be anything."""
    if set(summary.axes) <= {"batch"} and not summary.most:
        return []
    return fact("open axes", named_axes(summary.axes, summary.steps, summary.most))


def fixed_point(found: FixedLayers | None) -> list[str]:
    """What layers add, where in float32 they would multiply; nothing if none adds."""
    if found is None:
        return []
    fewest, most = found.bits
    bits = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return fact(
        "fixed point",
        f"{found.layers} of {found.of} layers add whole numbers of {bits} bits: for an output {found.additions:,.1f} "
        f"additions and {found.doublings:,.1f} doublings where float32 takes {found.multiplications:,.1f} "
        "multiplications and as many additions",
    )


def size(summary: Summary) -> list[str]:
    """What the file holds and takes. It knows nothing of units that were left out when it was written."""
    ratio = summary.float32_bytes / summary.size_bytes
    smaller = f"{ratio:,.1f}x smaller than its {summary.entries:,} entries as float32 ({summary.float32_bytes:,} bytes)"
    return [
        *fact("connections", f"{summary.kept:,} of {summary.entries:,}"),
        *fact("size", f"{summary.size_bytes:,} bytes, {smaller}"),
    ]


def fact(name: str, text: str) -> list[str]:
    """One thing that is said of a file, on as many lines as it takes."""
    return textwrap.wrap(
        f"{name:12}{text}", WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False, break_long_words=False
    )


def table(summary: Summary) -> list[str]:
    """A line for each tensor and what it costs, then the rest of the file and all of it; bytes add up."""
    tensor_bits = [tensor.bits for tensor in summary.tensors]
    ends = accumulate([0.0, *tensor_bits, summary.structure_bits])
    sizes = [round(end / 8) - round(begin / 8) for begin, end in pairwise(ends)]
    rows = [_cells(tensor, size) for tensor, size in zip(summary.tensors, sizes, strict=False)]
    rest = [
        ("structure", "", "", "", "", "", "", f"{sizes[-1]:,}"),
        ("header, end", "", "", "", "", "", "", f"{summary.size_bytes - sum(sizes):,}"),
        ("total", "", "", "", *_shares(summary.kept, summary.entries, 8 * summary.size_bytes, summary.size_bytes)),
    ]
    lines = _aligned([*_HEADS, *rows, *rest])
    rule = "-" * max(map(len, lines))
    return [*lines[:2], rule, *lines[2 : -len(rest)], rule, *lines[-len(rest) :]]


_OPERATION_HEADS = (
    ("binary", "", "FMUL,", "FMUL,", "FADD,", "FADD,", "FADD,", "FADD,"),
    ("planes of", "", "dense", "planes", "dense", "planes", "tree", f"by {STRETCH}"),
)


def operations(summary: Summary) -> list[str]:
    """What layers of binary planes take at batch 1, before and after; nothing where there are none."""
    if not summary.sketched:
        return []
    rows = [
        (
            layer.name,
            str(layer.counts.planes),
            *map(
                _short,
                (
                    layer.counts.dense_multiplications,
                    layer.counts.multiplications,
                    layer.counts.dense_additions,
                    layer.counts.plain_additions,
                    layer.counts.tree_additions,
                    layer.counts.stretch_additions,
                ),
            ),
        )
        for layer in summary.sketched
    ]
    lines = _aligned([*_OPERATION_HEADS, *rows], left=1)
    rule = "-" * max(map(len, lines))
    meaning = (
        "Operations at batch 1. Planes are summed one by one, or along the tree of network sketching's associative "
        f"convolution, or along such a tree for each {STRETCH} inputs."
    )
    return ["", *lines[:2], rule, *lines[2:], "", *textwrap.wrap(meaning, WIDTH)]


def _short(count: int | None) -> str:
    """Four digits and a unit. None: it would take long to tell."""
    if count is None:
        return "too large"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 10 * size:
            return f"{count / size:,.4g} {unit}"
    return f"{count:,}"


def _cells(tensor: TensorSummary, size_bytes: int) -> tuple[str, ...]:
    return (
        tensor.name,
        "x".join(map(str, tensor.shape)) or "scalar",
        tensor.encoding,
        ">256" if tensor.distinct is None else str(tensor.distinct),
        *_shares(tensor.kept, tensor.entries, tensor.bits, size_bytes),
    )


def _shares(kept: int, entries: int, bits: float, size_bytes: int) -> tuple[str, ...]:
    """Density, bits for each entry and for each that is kept, bytes."""
    each = [f"{per(bits, count) or 0:.2f}" if count else "-" for count in (entries, kept)]
    return (f"{100 * kept / entries:.3g}" if entries else "-", *each, f"{size_bytes:,}")


def _aligned(rows: Sequence[tuple[str, ...]], left: int = _LEFT) -> list[str]:
    """Columns as wide as they need to be, `left` of words and then numbers.

    Words give way, the beginning of a long one is left out.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gaps = 2 * (left - 1) + len(widths) - left
    for column, shortest in ((0, _SHORTEST_NAME), (2, 0))[: max(1, left - 1)]:
        widths[column] = max(min(widths[column], shortest), widths[column] - max(0, sum(widths) + gaps - WIDTH))
    lines = []
    for row in rows:
        words = "  ".join(_cut(cell, width).ljust(width) for cell, width in zip(row[:left], widths, strict=False))
        numbers = " ".join(cell.rjust(width) for cell, width in zip(row[left:], widths[left:], strict=True))
        lines.append(f"{words} {numbers}".rstrip())
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else ".." + text[len(text) - width + 2 :]


def _values(values: Sequence[ValueSummary]) -> str:
    return ", ".join(map(_value, values))


def _value(value: ValueSummary) -> str:
    shape = ", ".join("?" if size is None else str(size) for size in value.shape)
    return f"{value.name} ({shape})" + (f" {value.type}" if value.type.whole else "")
