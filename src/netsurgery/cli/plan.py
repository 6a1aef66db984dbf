"""`netsurgery plan alexnet`: what the papers' densities and bits give, before anything is trained."""

from __future__ import annotations

import argparse
from typing import Any

_ADVICE = "No data is needed. --pack draws random weights as trained ones are spread, and packs them."


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser(
        "plan",
        help="what the papers' densities and bits give: parameters, operations, bytes",
        description=__doc__,
        epilog=_ADVICE,
    )
    parser.add_argument("network", metavar="NETWORK", help="alexnet, vgg16, googlenet, resnet18 or resnet50")
    parser.add_argument("--layers", action="store_true", help="each layer too")
    parser.add_argument("--pack", action="store_true", help="the bytes of the file too; takes minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print a block for each row of the papers' tables."""
    from netsurgery.checks import require, require_count
    from netsurgery.planning.counts import counts_of
    from netsurgery.planning.published import ROWS, rows_of

    names = ", ".join(dict.fromkeys(row.network for row in ROWS))
    require(bool(rows_of(options.network)), "NETWORK", options.network, f"one of {names}")
    require_count("--seed", options.seed, minimum=0, maximum=2**63 - 1)
    for place, row in enumerate(rows_of(options.network)):
        print(*([""] if place else []), _heading(row), *_lines(counts_of(row), options.layers), sep="\n")
        if options.pack:
            print(*_packed(row, options.seed), sep="\n", flush=True)


def _heading(row: Any) -> str:
    reported = f": {row.compression:g}x reported" if row.compression else ""
    error = f"; top-1 error {row.errors_percent[0]:g} %" if row.errors_percent else ""
    before = f", {row.before_percent[0]:g} % before" if row.before_percent else ""
    return f"{row.network}, {row.title} ({row.source or 'of no paper'}){reported}{error}{before}"


def _lines(counts: Any, layers: bool) -> list[str]:
    alone = sum(layer.weights for layer in counts.layers) / sum(layer.kept for layer in counts.layers)
    lines = [
        f"  {counts.kept:,} of {counts.parameters:,} parameters kept, {counts.parameters / counts.kept:.1f}x fewer; "
        f"of weights alone, as biases all stay, {alone:.1f}x",
        f"  {counts.multiplications:,} multiplications and {counts.additions:,} additions for an image, "
        f"in the place of {counts.dense_operations:,} of each",
    ]
    if layers:
        width = max(len(layer.name) for layer in counts.layers)
        lines += [
            f"    {layer.name:{width}} {layer.kept:>11,} of {layer.weights:>11,} weights, {layer.additions:,} additions"
            for layer in counts.layers
        ]
    return lines


def _packed(row: Any, seed: int) -> list[str]:
    from netsurgery.planning.drawn_weights import Spread
    from netsurgery.planning.measured_file import measured_file

    files = {spread: measured_file(row, spread, seed) for spread in Spread}
    return [
        f"  {file.size_bytes:,} bytes, 1/{file.compression:.1f} of float32, of {spread.value} random weights"
        for spread, file in files.items()
    ]
