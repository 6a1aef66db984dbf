"""`netsurgery evaluate resnet18 --data DIR --weights FILE`: how often a network errs on the test of its data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from netsurgery.cli.reproduce import NETWORKS


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options. torch is imported only when the command runs."""
    parser = subparsers.add_parser("evaluate", help="errors of weights or of a packed file", description=__doc__)
    parser.add_argument("network", choices=NETWORKS, metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="as `netsurgery reproduce` takes it")
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE",
        help="weights (.safetensors, .pth) or a packed .nsm",
    )
    parser.add_argument("--preprocessing", choices=("paper", "modern"), help="of pictures; as for `reproduce`")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that read pictures (default: one a core)")
    parser.add_argument("--ten-crops", action="store_true", help="judge pictures by ten cuts of each")
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="of weights; auto: a card if there is one",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print both errors."""
    from netsurgery.checks import require
    from netsurgery.experiments.catalogue import REPRODUCIBLE
    from netsurgery.experiments.data import read_data
    from netsurgery.experiments.evaluation import evaluate
    from netsurgery.experiments.imagenet import PICTURES

    experiment = REPRODUCIBLE[options.network]
    whole = "images of this data set are judged as they are, not by cuts"
    require(not options.ten_crops or bool(experiment.preprocessing), "ten_crops", True, "left out here", whole)
    data = read_data(experiment, options.data, options.preprocessing, options.workers)
    found = evaluate(experiment, data, options.weights, options.device, ten_crops=options.ten_crops)
    cuts = ", ten crops" if options.ten_crops else ""
    where = options.data if data.name == PICTURES else data.name
    print(
        f"{found.network} on {found.images:,} test images of {where}{cuts}: top-1 error "
        f"{found.top1_percent:.2f} %, top-5 error {found.top5_percent:.2f} %"
    )
