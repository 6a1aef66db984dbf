"""Reproductions one after another, in each of the processes that torchrun has started.

python -m torch.distributed.run ... picture_worker.py STOP ARGUMENTS -- ARGUMENTS ...: STOP is the number of the
checkpoint after which all processes end, 0 where none do. Prints the exit status of each.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from tests.pictures.narrow import offer_small_ones

from netsurgery.cli import main as command_line
from netsurgery.experiments import reproduction, results_folder
from netsurgery.train import loop
from netsurgery.train.checkpoint import Checkpoint


def stop_after(count: int) -> None:
    """Write a checkpoint after each step, and end all processes alike after that many."""
    Checkpoint.offer = lambda self, contents: self.write(contents())  # type: ignore[method-assign]
    train, steps = loop.train, [0]

    def stopping(*arguments: Any, watch: Any, **settings: Any) -> Any:
        def watched(step: int, operation: Any) -> None:
            watch(step, operation)
            steps[0] += step > 0
            if steps[0] > count:  # the checkpoint of the step before is there
                raise KeyboardInterrupt

        return train(*arguments, watch=watched, **settings)

    reproduction.train = stopping  # type: ignore[attr-defined]


if __name__ == "__main__":
    torch.set_num_threads(1)
    offer_small_ones()
    results_folder.write_page = lambda *_: None  # type: ignore[attr-defined]  # its pictures take long
    if int(sys.argv[1]):
        stop_after(int(sys.argv[1]))
    torch.distributed.init_process_group("gloo")  # once: torchrun's store knows of one beginning
    for separator, words in groupby(sys.argv[2:], lambda word: word == "--"):
        arguments = list(words)
        if not separator:
            status = command_line.main(["reproduce", *arguments])
            sys.stdout.flush()
            os.write(1, f"status {status} {' '.join(arguments[:3])}\n".encode())  # whole, as others write there too
            if status not in (0, 130):
                sys.exit(status)  # the others wait for this process, and are ended
    torch.distributed.destroy_process_group()
