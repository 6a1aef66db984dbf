"""A reproduction at the terminal: progress while it runs, tables when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from netsurgery.checks import require_count
from netsurgery.cli.record_tables import comparison_table, layer_table
from netsurgery.errors import MissingExtraError
from netsurgery.experiments.reproduction import Reproduction
from netsurgery.experiments.results_folder import ResultsFolder
from netsurgery.experiments.seed_work import SeedWork
from netsurgery.files import made_folder, remove_left_behind
from netsurgery.records.record import Run
from netsurgery.train.thread_choice import quickest_threads

_QUIET_LINES = 4  # per training, where nobody watches a bar


def carry_out(reproduction: Reproduction, folder: Path, threads: int | None, resume: bool = True) -> None:
    """Run every seed; after each, all files in `folder` are complete.

    Ctrl-C loses nothing of a training in one process; what ends it otherwise, the steps since its last checkpoint.

    resume: keep what is done in `folder`, seeds and checkpoints; otherwise it is overwritten. Of several processes the
    first one alone reads, writes and prints there.
    """
    processes = reproduction.processes
    if threads is not None:
        require_count("threads", threads)
        torch.set_num_threads(threads)
    if processes.first:
        made_folder(folder)  # whatever stops us from writing there had better do it now
        remove_left_behind(folder)
    if find_spec("matplotlib") is None:
        raise MissingExtraError("The report's pictures need matplotlib: pip install 'netsurgery[report]'.")
    torch.backends.cudnn.deterministic = True  # costs these networks little, and runs can be compared
    torch.set_flush_denormal(True)  # momentum of pruned weights decays into denormals, which are slow to compute with
    terminal, messages = Console(quiet=not processes.first), Console(stderr=True, quiet=not processes.first)
    results = ResultsFolder(reproduction, folder)
    if processes.first:
        if resume:
            results.resume()
        else:
            results.forget()
    for seed in results.seeds:
        messages.print(f"seed {seed}: done before", highlight=False)
    missing = processes.told(results.missing() if processes.first else [])
    if threads is None and processes.count == 1 and reproduction.trains_on_processor and missing:
        _choose_threads(reproduction, missing, messages)
    paths: list[Path] = []
    for work in missing:
        done = reproduction.run_seed(work, lambda what, steps: _progress(messages, what, steps))
        run = done.run
        if processes.first:
            results.add(done)
            paths = results.save()
        processes.wait()
        messages.print(
            f"seed {run.seed}: {run.compression:.1f}x, test error {run.test_error_before_percent:.2f} -> "
            f"{run.test_error_percent:.2f} %, {run.duration_s:.0f} s{_pace(run)}"
        )
    if not processes.first:
        return
    if not paths:  # all were done; what was cut off behind the last one wasn't
        paths = results.save()
    record = results.record()
    terminal.print(layer_table(record))
    terminal.print(comparison_table(record))
    for path in paths:
        terminal.print(f"wrote {path}", soft_wrap=True, highlight=False)


def _pace(run: Run) -> str:
    """How fast images were shown, and what share of the time went by waiting for them."""
    if run.images_per_s is None or run.waiting_percent is None:
        return ""
    return f", {run.images_per_s:.0f} images/s, {run.waiting_percent:.0f} % of the time waiting for them"


def _choose_threads(reproduction: Reproduction, missing: Sequence[SeedWork], messages: Console) -> None:
    """As many as are quickest now; as many as before where a seed goes on, as that gives the same bits."""
    before = next((work.threads for work in missing if work.threads is not None), None)
    if before is not None:
        torch.set_num_threads(before)
        return
    most = torch.get_num_threads()
    chosen, medians_us = quickest_threads(reproduction.sample_step(), most)
    torch.set_num_threads(chosen)
    if most > 1:
        times = ", ".join(f"{time_us / 1000:.3g} ms with {count}" for count, time_us in medians_us.items())
        messages.print(f"threads: {chosen} (a step takes {times})", highlight=False)


@contextmanager
def _progress(console: Console, what: str, steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; a few plain lines in a pipe."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=steps)
            yield lambda done: bar.update(task, completed=done)
        return
    every = max(1, steps // _QUIET_LINES)

    def report(done: int) -> None:
        if done and done % every == 0:
            console.print(f"{what}: {done} of {steps} steps", highlight=False)

    yield report
