"""`netsurgery bench model.nsm --against onnxruntime`: how fast a packed network runs here, beside a dense runtime.

Runtimes take turns in one process, with the same random input and as many threads each, called from Python with NumPy
arrays; their outputs are compared first. ONNX Runtime gets the network that the file holds, its zeros in place; units
without effect, which packing removed, are missing there too, so that it is faster than with the model as it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_KEYS = """\
keys of --json:
  model, size_bytes           the file
  instructions                that the engine uses
  machine                     {processor, system, threads, device}; threads:
                              the most of any row
  versions                    {python, netsurgery, numpy, onnxruntime}
  seed                        of the random input
  busy_cores                  that other processes took meanwhile; null where
                              the system doesn't say
  warning                     a sentence if that was much, or null
  fixed_point                 what layers of the file add, as info --json has
                              it; null where none adds
  rows                        list of {batch, threads, runtimes, times_faster,
                              largest_difference, layers_on_whole_numbers};
                              batch: of the first open axis, null if all sizes
                              are fixed
  runtimes                    {name: {median_us, p10_us, p90_us, calls,
                              runs_per_second, inputs_per_second}};
                              p10, p90: a tenth of the calls is faster, slower;
                              calls: those that were timed, at most 8,192 of a
                              round, evenly spread over all that were made
  times_faster                {median, p10, p90}: time of the other runtime
                              divided by netsurgery's, over rounds of turns
  largest_difference          between outputs, as a share of the largest one
  layers_on_whole_numbers     how many ran so at this size: of those that could,
                              the engine takes the ones that are quicker so
times_faster and largest_difference are null without --against.
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser(
        "bench",
        help="how fast an .nsm file runs, beside a dense runtime",
        description=__doc__,
        epilog=_KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="an .nsm file")
    parser.add_argument("--against", choices=("onnxruntime",), help="the dense runtime to compare with")
    parser.add_argument("--batch", type=_counts, metavar="N,N", help="sizes of the first open axis (default 1,16)")
    parser.add_argument(
        "--size", type=_size, action="append", default=[], metavar="AXIS=N", help="of another open axis, once for each"
    )
    parser.add_argument("--threads", type=_counts, metavar="N,N", help="threads (default: 1, and all usable cores)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, metavar="S", help="of each runtime in each row (default 1)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    import json
    from dataclasses import asdict

    from netsurgery.analysis.fixed_point import fixed_layers
    from netsurgery.checks import require_range
    from netsurgery.cli.bench_text import lines
    from netsurgery.deployment.measuring import measured
    from netsurgery.runtime.session import read_packed

    require_range("--seconds", options.seconds, 0.001, 3600)
    record = measured(
        options.model, options.against, options.batch, options.threads, options.seconds, dict(options.size)
    )
    found = fixed_layers(read_packed(options.model).graph)
    if options.json:
        print(json.dumps({**record, "fixed_point": None if found is None else asdict(found)}, indent=1))
    else:
        print(*lines(record, found), sep="\n")


def _size(text: str) -> tuple[str, int]:
    name, _, size = text.rpartition("=")
    if not name or not size.isdecimal() or int(size) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no axis and size >= 1, such as time=128")
    return name, int(size)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers >= 1, such as 1,16")
    return list(dict.fromkeys(counts))
