"""`netsurgery info model.nsm`: what a packed file holds, and what each tensor costs there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_KEYS = """\
keys of --json:
  size_bytes, float32_bytes   the file; its tensors' entries as float32
  format_version              of the .nsm format
  entries, kept               of all tensors; kept are those other than +0
  bits_per_weight             8 * size_bytes / entries
  bits_per_connection         8 * size_bytes / kept
  structure_bits              what the file spends on operators, shapes, names
  inputs, outputs             list of {name, shape, type}; a text in a shape is
                              an open axis, null a size that follows from them
  axes                        {name of an open axis: its smallest size}
  steps                       {name of an open axis that takes multiples only: of what}
  most                        {name of an open axis that has a largest size: that}
  operators                   {name: how many}
  sketched                    list of {name, planes, positions, fmul_dense, fmul,
                              fadd_dense, fadd_planes, fadd_tree,
                              fadd_stretches}: operations at batch 1 of layers
                              that are binary planes; fadd_tree: null where
                              the layer is too large to tell quickly
  fixed_point                 {layers, of, bits, multiplications, additions,
                              doublings}: layers that add whole numbers, of how
                              many; bits of what they read, fewest and most;
                              operations for an output; null without such layers
  tensors                     list of {name, shape, encoding, entries, kept,
                              distinct, bits, bits_per_weight,
                              bits_per_connection}; distinct: how many values
                              the kept entries have, null if more than 256
A figure for each of no connections is null.
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser(
        "info",
        help="what an .nsm file holds, and what each tensor costs",
        description=__doc__,
        epilog=_KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="an .nsm file")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the summary."""
    import json

    from netsurgery.analysis.summary import summary_of
    from netsurgery.cli.summary_text import network, operations, size, table
    from netsurgery.runtime.session import read_packed

    summary = summary_of(read_packed(options.model))
    if options.json:
        print(json.dumps(summary.to_json(), indent=1))
    else:
        print(options.model, *network(summary), *size(summary), "", *table(summary), *operations(summary), sep="\n")
