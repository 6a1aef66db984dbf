"""`netsurgery demo`: train a LeNet-5 on embedded digits, operate on it, and print it before and after."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options."""
    parser = subparsers.add_parser("demo", help="the main job on embedded digits, about a minute", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="default runs/demo")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: what is quickest now)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry out the experiment, print its tables, write its files."""
    from netsurgery.cli.terminal import carry_out
    from netsurgery.experiments.catalogue import DEMO
    from netsurgery.experiments.reproduction import Reproduction
    from netsurgery.experiments.settings import Settings

    reproduction = Reproduction(DEMO, DEMO.read_data(options.out), Settings(method="surgery"))
    carry_out(reproduction, options.out, options.threads, resume=False)  # whoever runs it again wants to see it again
