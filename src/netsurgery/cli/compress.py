"""`netsurgery compress task.py`: the smallest or fastest network within a limit, by one command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netsurgery.compression.result import Compression, Moment

_BUILT_IN = ("lenet300", "lenet5", "resnet20", "resnet56")


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the options. torch is imported only when the command runs."""
    parser = subparsers.add_parser("compress", help="the smallest network within a limit", description=__doc__)
    parser.add_argument(
        "task",
        metavar="TASK",
        help="a Python file with model(), train_loader() and val_loader(), and where defaults don't fit "
        f"loss(model, batch), metric(model, batch), optimizer(parameters); or one of {', '.join(_BUILT_IN)}",
    )
    parser.add_argument(
        "--max-loss", type=float, default=0.0, metavar="X", help="of the metric, in its unit (default 0)"
    )
    parser.add_argument(
        "--budget", default="30m", metavar="B", help="30m, 2h, '40 epochs', '20000 steps' (default 30m)"
    )
    parser.add_argument(
        "--objective", default="size", choices=("size", "latency"), help="what is made small (default size)"
    )
    parser.add_argument("--methods", default="surgery,inq", metavar="M", help="which may be used (default surgery,inq)")
    parser.add_argument(
        "--certainty",
        type=float,
        metavar="P",
        help="that the limit holds (default 0.5: the mean decides; lenet300 and lenet5 0.84)",
    )
    parser.add_argument(
        "--baseline",
        metavar="X",
        help="metric that drops are counted from; 'own' for the network's own on held-out data (default: own, but for "
        "built-in tasks what references have that never saw the held-out data)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16"),
        help="of products while training (default float32); where the processor has bfloat16, it is faster",
    )
    parser.add_argument("--out", metavar="DIR", help="where results go (default runs/compress-N)")
    parser.add_argument("--resume", action="store_true", help="go on with the search in --out")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (default: what is quickest now)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="of a built-in task: the folder of its data set")
    parser.add_argument(
        "--reference", type=Path, metavar="FILE", help="of a built-in task: the dense network (safetensors)"
    )
    parser.add_argument(
        "--shift",
        action=argparse.BooleanOptionalAction,
        help="of MNIST's tasks: train on images some of which are moved by up to a pixel (default: yes)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry out the search, print what it found and where it is."""
    import torch

    from netsurgery.checks import require, require_count
    from netsurgery.compression.compress import compress
    from netsurgery.compression.task import read_task

    if options.threads is not None:
        require_count("threads", options.threads)
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # momentum of pruned weights decays into denormals, which are slow to compute with
    if options.task in _BUILT_IN:
        from netsurgery.experiments.built_in_tasks import built_in

        given = {"--data": options.data, "--reference": options.reference}
        missing = [name for name, value in given.items() if value is None]
        require(not missing, missing[0] if missing else "", None, f"given for {options.task}")
        task = built_in(options.task, options.data, options.reference, shift=options.shift is not False)
    else:
        own = options.data is None and options.reference is None and options.shift is None
        require(own, "--data, --reference, --shift", "given", "left out for a task of your own", "its file says them")
        task = read_task(Path(options.task))
    with shown() as progress:
        result = compress(
            task.model,
            task.train_loader,
            task.evaluate,
            loss=task.loss,
            max_loss=options.max_loss,
            budget=int(options.budget) if options.budget.isdecimal() else options.budget,
            objective=options.objective,
            methods=[name for name in options.methods.split(",") if name],
            optimizer=task.optimizer,
            certainty=task.certainty if options.certainty is None else options.certainty,
            baseline=_baseline(options.baseline, task.baseline),
            seed=options.seed,
            precision=options.precision,
            out=options.out,
            resume=options.resume,
            pack_options=task.pack_options,
            progress=progress,
        )
    for line in [*_table(result), "", str(result), *task.report(result.model)]:
        print(line)
    for path in (result.path, result.folder / "best.pt", result.report):
        if path is not None:
            print(f"wrote {path}")
    if result.interrupted:
        print("The search was ended early; --resume goes on with it.")


def _baseline(given: str | None, of_task: float | None) -> float | None:
    from netsurgery.checks import require

    if given is None or given == "own":
        return of_task if given is None else None
    try:
        return float(given)
    except ValueError:
        require(False, "--baseline", given, "a number, or own")
        return None


def _table(result: Compression) -> list[str]:
    """The frontier, one line for each network."""
    lines = [f"{'network':<28}{'fewer':>9}{'metric':>12}{'lost':>10}{'bytes':>12}{'us':>10}"]
    for one in result.curve:
        words = "as given" if one.trial is None else one.trial.words
        mark = " *" if one.number == result.best.number else ""
        lines.append(
            f"{words + mark:<28}{one.compression:>8,.1f}x{one.value:>12.6g}{one.drop:>+10.3g}"
            f"{one.size_bytes or '':>12,}{one.latency_us or '':>10,}"
            if one.size_bytes and one.latency_us
            else f"{words + mark:<28}{one.compression:>8,.1f}x{one.value:>12.6g}{one.drop:>+10.3g}"
        )
    return [*lines, "* the best within the limit"]


@contextmanager
def shown() -> Iterator[Callable[[Moment], None]]:
    """A bar on a terminal, with what is tried and the best so far; a line for each new thing in a pipe."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[best]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            whole = bar.add_task("budget", total=1.0, best="")
            now = bar.add_task("", total=1, best="")

            def watch(moment: Moment) -> None:
                bar.update(whole, completed=moment.spent, best=_best(moment))
                bar.update(now, description=moment.what, total=moment.steps, completed=moment.step)

            yield watch
        return
    said = [""]

    def say(moment: Moment) -> None:
        if moment.what != said[0]:
            said[0] = moment.what
            console.print(f"{moment.spent:4.0%} {moment.what}; best so far: {_best(moment) or '-'}", highlight=False)

    yield say


def _best(moment: Moment) -> str:
    one = moment.best
    if one is None:
        return ""
    size = f", {one.size_bytes:,} bytes" if one.size_bytes else ""
    return f"{one.compression:,.1f}x fewer{size}, metric {one.value:.6g}"
