"""`netsurgery reproduce lenet5 --data DIR`: a paper's row, beside the paper's number."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

NETWORKS = (
    *("lenet300", "lenet5", "resnet20", "resnet56"),
    *("alexnet", "alexnet-bn", "vgg16", "vgg16-bn", "googlenet", "googlenet-bn", "resnet18", "resnet50"),
    *("vgg16-bn-32", "googlenet-bn-32", "resnet18-32"),
)
METHODS = (
    *("surgery", "threshold-surgery", "naive-cut", "han-pruning", "inq", "surgery+inq"),
    *("sketching", "sketching-refined", "sketching-direct"),
)


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options. torch is imported only when the command runs."""
    parser = subparsers.add_parser("reproduce", help="a paper's row, beside the paper's number", description=__doc__)
    parser.add_argument("network", choices=NETWORKS, metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory of the data set: MNIST's IDX files for lenet300 and lenet5, CIFAR-10's binary version for "
        "resnet20, resnet56 and networks that end in -32, class folders or WebDataset shards (train and val) for all "
        "others",
    )
    parser.add_argument(
        "--reference",
        "--weights",
        type=Path,
        metavar="FILE",
        help="dense network: .safetensors or .pth, with names of torchvision, timm, Caffe or ours; default: train it",
    )
    parser.add_argument(
        "--reference-steps", type=int, metavar="N", help="optimizer steps of the dense network, where it is trained"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many seeds, from 0 on (default 1)")
    parser.add_argument(
        "--method",
        default="surgery",
        choices=METHODS,
        metavar="METHOD",
        help="surgery takes one density; threshold-surgery is the paper's rule with c_rate by hand; inq turns "
        "weights into powers of two, surgery+inq those that surgery leaves; sketching turns filters into binary planes "
        "and trains them, sketching-refined and sketching-direct don't train; naive-cut; han-pruning (default surgery)",
    )
    parser.add_argument(
        "--density", type=float, metavar="D", help="share of connections to keep (default: what was published)"
    )
    parser.add_argument("--bits", type=int, metavar="B", help="bits of a weight for inq, 2 to 8 (default 5)")
    parser.add_argument("--planes", type=int, metavar="M", help="binary planes for sketching, 1 to 8 (default 2)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=int, metavar="N", help="optimizer steps of the method's training; all its phases shrink alike"
    )
    length.add_argument("--epochs", type=int, metavar="N", help="the same in passes through the training images")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan of your own (TOML) in place of the method's")
    parser.add_argument("--shift", action="store_true", help="train on images moved by up to one pixel (augmentation)")
    parser.add_argument(
        "--teacher", action="store_true", help="learn from the dense network's outputs too, not from labels alone"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results go (default runs/NETWORK-METHOD)")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="auto: a graphics card if there is one"
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16", "float16"),
        help="of products while training; weights are float32 in any case (default float32)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: what is quickest now)")
    parser.add_argument(
        "--preprocessing",
        choices=("paper", "modern"),
        help="of pictures: paper cuts out squares and takes the mean away, modern is what public weights want",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes that read pictures (default: one a core)")
    parser.add_argument("--ten-crops", action="store_true", help="judge pictures by ten cuts of each, too")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry out the experiment, print its tables, write its files after every seed."""
    from netsurgery.train.processes import together

    with together(options.device):
        _reproduce(options)


def _reproduce(options: argparse.Namespace) -> None:
    """In each of the processes that torchrun has started, or in this one alone."""
    from netsurgery.checks import require, require_count, require_density
    from netsurgery.cli.terminal import carry_out
    from netsurgery.experiments.catalogue import REPRODUCIBLE
    from netsurgery.experiments.data import read_data
    from netsurgery.experiments.own_classes import for_own_classes
    from netsurgery.experiments.reproduction import Reproduction
    from netsurgery.experiments.results_folder import ResultsFolder
    from netsurgery.experiments.settings import Settings
    from netsurgery.plan import Plan

    require_count("seeds", options.seeds)
    if options.density is not None:
        require_density(options.density)
    by_density = options.plan is None and options.method in ("surgery", "naive-cut", "surgery+inq")
    require(
        options.density is None or by_density,
        "--density",
        options.density,
        "left out here",
        "a plan of your own and methods with thresholds (threshold-surgery, han-pruning) set the density themselves, "
        "and inq alone and sketching keep it",
    )
    by_bits = options.plan is None and options.method in ("inq", "surgery+inq")
    advice = "inq and surgery+inq take them; a plan of your own says them itself"
    require(options.bits is None or by_bits, "--bits", options.bits, "left out here", advice)
    by_planes = options.plan is None and options.method.startswith("sketching")
    advice = "sketching takes them; a plan of your own says them itself"
    require(options.planes is None or by_planes, "--planes", options.planes, "left out here", advice)
    settings = Settings(
        method=options.method,
        density=options.density,
        bits=options.bits,
        planes=options.planes,
        reference=options.reference,
        steps=options.steps,
        epochs=options.epochs,
        seeds=options.seeds,
        plan=Plan.read(options.plan) if options.plan else None,
        shift=options.shift,
        teacher=options.teacher,
        device=options.device,
        precision=options.precision,
        reference_steps=options.reference_steps,
        ten_crops=options.ten_crops,
    )
    experiment = REPRODUCIBLE[options.network]
    data = read_data(experiment, options.data, options.preprocessing, options.workers)
    experiment = for_own_classes(experiment, data, options.reference)
    reproduction = Reproduction(experiment, data, settings)
    folder = options.out or Path("runs") / f"{options.network}-{options.method}"
    ResultsFolder(reproduction, folder).check_keeps(options.plan, options.reference)
    carry_out(reproduction, folder, options.threads)
