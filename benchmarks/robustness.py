"""The stress table: every treatment on every kind of network, optimizer and schedule, beside dense training.

    python benchmarks/robustness.py --out benchmarks/results/robustness.json
    python benchmarks/robustness.py --out benchmarks/results/robustness.json --resume
    python benchmarks/robustness.py --only 'residual/*/surgery-0.1/0' --only '*/dense-1/0'

What is trained is in stress/; robustness_table.py makes the tables of docs/robustness.md. About 2,000 runs of 1 to 4
seconds. The record is written after every few, and --resume goes on with those that are missing. A change of the
library's methods or of stress/ asks for a table of its own: --resume refuses to mix both.

--only takes patterns of network/optimizer/schedule/treatment-setting/seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from robustness_table import summary_table
from stress.record import StressRecord, digest
from stress.runs import Configuration, DenseNetwork, Outcome, carry_out, configurations, train_dense
from stress.treatments import DENSE

from netsurgery.files import check_target

WRITTEN_EVERY = 20  # runs


def chosen(seeds: int, patterns: Sequence[str]) -> list[Configuration]:
    """The runs of the table whose name matches one of the patterns, and the dense training beside each of them."""
    every = list(configurations(range(seeds)))
    if not patterns:
        return every
    named = {run for run in every if any(fnmatchcase(run.name, pattern) for pattern in patterns)}
    if not named:
        raise SystemExit(f"No run matches {' or '.join(patterns)}; the first one's name is {every[0].name}.")
    beside = {dataclasses.replace(run, treatment=DENSE, setting=1) for run in named}
    return [run for run in every if run in named | beside]


def earlier(path: Path | None, resume: bool) -> list[Outcome]:
    """The outcomes that --resume goes on from."""
    if not resume:
        return []
    if path is None:
        raise SystemExit("--resume needs --out, the record to go on with.")
    if not path.exists():
        return []
    record = StressRecord.read(path)
    if record.sources != digest():
        raise SystemExit(
            f"{path} was made with other sources ({record.sources}, now {digest()}). Leave out --resume to begin again."
        )
    return list(record.outcomes)


def carried_out(runs: Sequence[Configuration], processes: int, progress: Progress) -> Iterator[Outcome]:
    """Outcomes in the order in which they are ready; dense networks are trained once and kept in a folder meanwhile."""
    networks = sorted({run.dense for run in runs})
    # A process forked after torch has used threads hangs in its first product.
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processes, mp_context=context, initializer=_begin) as pool,
    ):
        paths = {network: _path(Path(folder), network) for network in networks}
        try:
            training = [pool.submit(train_dense, network, path) for network, path in paths.items()]
            for future in _tracked(training, progress, "dense networks"):
                future.result()
            running = [pool.submit(carry_out, run, paths[run.dense]) for run in runs]
            for future in _tracked(running, progress, "runs"):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _path(folder: Path, dense: DenseNetwork) -> Path:
    return folder / f"{dense.network}-{dense.optimizer}-{dense.seed}.pt"


def _tracked(futures: Sequence[Future], progress: Progress, title: str) -> Iterator[Future]:
    task = progress.add_task(title, total=len(futures))
    for future in as_completed(futures):
        progress.advance(task)
        yield future


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes; nothing is written without it")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 .. N - 1 (default 3)")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="of one thread each (default 2)")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="only runs whose name matches")
    parser.add_argument("--resume", action="store_true", help="go on with the record at --out")
    options = parser.parse_args()
    if options.out:
        check_target(options.out)
    outcomes = earlier(options.out, options.resume)
    done = {outcome.configuration for outcome in outcomes}
    left = [run for run in chosen(options.seeds, options.only) if run not in done]
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            for outcome in carried_out(left, options.processes, progress):
                outcomes.append(outcome)
                if options.out and len(outcomes) % WRITTEN_EVERY == 0:
                    StressRecord.of(outcomes).write(options.out)
    finally:
        if options.out:
            StressRecord.of(outcomes).write(options.out)
    print(summary_table(StressRecord.of(outcomes)))


if __name__ == "__main__":
    main()
