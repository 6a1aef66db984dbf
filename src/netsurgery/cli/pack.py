"""`netsurgery pack model.onnx`: write a network as an .nsm file, verified against the model it was made from."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser("pack", help="an .onnx or .pt2 file as an .nsm file", description=__doc__)
    parser.add_argument("model", type=Path, metavar="FILE", help="an .onnx or .pt2 file")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.nsm", help="default: the model's name with .nsm, in this directory"
    )
    parser.add_argument(
        "--weights",
        default="exact",
        choices=("exact", "float16", "bfloat16"),
        help="float16 and bfloat16 round every weight first, which is lossy (default exact)",
    )
    parser.add_argument(
        "--activations",
        default="float",
        choices=("float", "fixed"),
        help="fixed rounds activations to fixed point where weights are powers of two or binary planes, which is lossy "
        "(default float)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        action="append",
        metavar="X.npy",
        help="a batch of real inputs that scales are chosen on, once for each input; needed for --activations fixed",
    )
    parser.add_argument(
        "--ends",
        default="auto",
        choices=("auto", "fixed", "float"),
        help="of --activations fixed: whether the first and the last layers are in fixed point; auto leaves one in "
        "float32 where that takes half of the error away (default auto)",
    )
    parser.add_argument("--names", action="store_true", help="keep the names of inputs, layers and weights")
    parser.add_argument(
        "--input",
        type=Path,
        action="append",
        metavar="X.npy",
        help="what to compare model and file on, once for each input (default: random numbers)",
    )
    parser.add_argument(
        "--input-shape",
        type=_shape,
        action="append",
        default=[],
        metavar="NAME=1,3,H,W",
        help="another shape for an input, once for each: numbers fix open sizes, names leave them open",
    )
    parser.add_argument(
        "--input-value",
        type=_value,
        action="append",
        default=[],
        metavar="NAME=16000",
        help="a number that an input of an .onnx file always is, once for each; it is no input any more",
    )
    parser.add_argument(
        "--outputs",
        type=_names,
        metavar="NAME,NAME",
        help="values of an .onnx file to give in the place of its outputs; what only leads to others is left out",
    )
    parser.add_argument(
        "--explain", action="store_true", help="of a model that can't be read, name each node that is in the way"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Pack the model and print what it took before and takes now."""
    from netsurgery.analysis.summary import summary_of
    from netsurgery.checks import require
    from netsurgery.cli.arrays import read_array
    from netsurgery.cli.summary_text import fact, network
    from netsurgery.deployment.packing import pack
    from netsurgery.errors import UnsupportedOperatorError
    from netsurgery.files import check_keeps
    from netsurgery.graph.capture import check_model_file
    from netsurgery.runtime.session import read_packed

    check_model_file(options.model)
    path = options.output or Path(options.model.with_suffix(".nsm").name)
    require(path.suffix == ".nsm", "--output", str(path), "the name of an .nsm file")
    check_keeps("--output", path, [options.model, *(options.input or ()), *(options.calibration or ())])
    require(
        (options.activations == "fixed") == bool(options.calibration),
        "--calibration",
        "given" if options.calibration else "nothing",
        "given with --activations fixed, and only then",
    )
    require(
        options.ends == "auto" or options.activations == "fixed",
        "--ends",
        options.ends,
        "left out without --activations fixed",
    )
    calibration = [[read_array(given) for given in options.calibration]] if options.calibration else None
    examples = [read_array(given) for given in options.input] if options.input else None
    try:
        report = pack(
            options.model,
            path,
            example_inputs=examples,
            input_shapes=dict(options.input_shape) or None,
            input_values=dict(options.input_value) or None,
            outputs=options.outputs,
            weights=options.weights,
            names=options.names,
            activations=options.activations,
            ends=options.ends,
            calibration=calibration,
        )
    except UnsupportedOperatorError as error:
        if options.explain:
            error.args = (error.explanation,)
        raise
    lines = [str(report).splitlines()[0], *network(summary_of(read_packed(path)))]
    for sentence in report.fixed:
        lines += fact("fixed", sentence)
    if report.batch is not None and not report.fixed:
        lines += fact("batch", f"fixed at {report.batch}; for others, export the model with an open first axis")
    whose = f"those of {report.compared_with}"
    if report.rounding_difference is not None:
        rounded = [] if options.weights == "exact" else [f"weights to {options.weights}"]
        rounded += ["activations to fixed point"] if options.activations == "fixed" else []
        moved = f"{' and '.join(rounded)} moved outputs by {report.rounding_difference:.1e} of the largest"
        lines += fact("rounding", ". ".join([moved, *report.fixed_point]).removesuffix("."))
        whose += ", rounded so"
    verified = f"outputs are {whose}, to {report.difference:.1e} of the largest (allowed: {report.tolerance:.0e})"
    lines += fact("verified", verified)
    for remark in report.remarks:
        lines += fact("remark", remark)
    print(*lines, sep="\n")


def _names(text: str) -> list[str]:
    return text.split(",")


def _shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    name, _, sizes = text.rpartition("=")
    parts = sizes.split(",")
    if not name or not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no name and shape, such as image=1,3,224,224")
    return name, tuple(int(part) if part.lstrip("-").isdecimal() else part for part in parts)


def _value(text: str) -> tuple[str, int | float | bool]:
    name, _, value = text.rpartition("=")
    words: dict[str, bool] = {"true": True, "false": False}
    try:
        number: int | float | bool = words[value.lower()] if value.lower() in words else float(value)
    except ValueError:
        number = math.nan
    if not name or math.isnan(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no name and number, such as sample_rate=16000")
    return name, int(number) if value.lstrip("+-").isdecimal() else number
