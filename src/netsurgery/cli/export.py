"""`netsurgery export model.nsm --to onnx -o model.onnx`: a packed network as an ONNX file, for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser(
        "export", aliases=["unpack"], help="an .nsm file as an .onnx file", description=__doc__
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="an .nsm file")
    parser.add_argument("--to", required=True, choices=("onnx",), help="the format to write")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument(
        "--sparse", action="store_true", help="write sparse tensors as such: a smaller file, not every runtime reads it"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the ONNX file, verified."""
    from netsurgery.checks import require
    from netsurgery.deployment.exporting import export_onnx
    from netsurgery.files import check_keeps
    from netsurgery.runtime.session import read_packed

    require(options.output.suffix == ".onnx", "--output", str(options.output), "the name of an .onnx file")
    packed = read_packed(options.model)
    check_keeps("--output", options.output, [options.model])
    report = export_onnx(packed.graph, options.output, sparse=options.sparse)
    print(f"wrote {report.path}: {report.size_bytes:,} bytes, {packed.size_bytes:,} as .nsm")
    print(f"verified: run by {report.computed_by}, outputs differ by {report.difference:.1e} of the largest")
