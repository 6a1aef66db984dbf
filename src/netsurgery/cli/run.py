"""`netsurgery run model.nsm --input x.npy --output y.npy`: run a packed network on arrays from files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser("run", help="run an .nsm file on .npy files", description=__doc__)
    parser.add_argument("model", type=Path, metavar="FILE", help="an .nsm file")
    parser.add_argument(
        "--input", type=Path, action="append", required=True, metavar="X.npy", help="once for each input, in order"
    )
    parser.add_argument(
        "--output", type=Path, action="append", required=True, metavar="Y.npy", help="once for each output, in order"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of the engine (default: one for each usable core)")
    parser.add_argument(
        "--engine",
        default="native",
        choices=("native", "reference"),
        help="reference: NumPy, slow, to compare with (default native)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read the inputs, run the network, write the outputs."""
    from netsurgery.checks import require
    from netsurgery.cli.arrays import read_array, write_array
    from netsurgery.files import check_keeps, check_target
    from netsurgery.runtime.session import load

    session = load(options.model, options.threads, engine=options.engine)
    names = session.output_names
    require(
        len(options.output) == len(names),
        "--output",
        [str(path) for path in options.output],
        f"given once for each output of the network, {len(names)} times: {', '.join(names)}",
    )
    for path in options.output:
        check_target(path)
        check_keeps("--output", path, [options.model, *options.input])
    different = len({path.resolve() for path in options.output}) == len(names)
    require(different, "--output", [str(path) for path in options.output], "a file of its own for each output")
    arrays = [read_array(path) for path in options.input]
    result = session(*arrays)
    for path, array, taken in zip(options.input, arrays, session.inputs, strict=True):
        if array.dtype.kind != taken.type.dtype.kind:
            print(f"note: {path} holds {array.dtype}; input {taken.name!r} takes {taken.type}.", file=sys.stderr)
    outputs = result if isinstance(result, tuple) else (result,)
    for path, name, array in zip(options.output, names, outputs, strict=True):
        write_array(path, array)
        print(f"wrote {path}: {name} {array.shape}")
