"""Gives mutated .nsm files to the readers and looks for a crash, a hang, a wrong error, or two readers that differ.

    python -m fuzz.files --count 100000 --coder deployed --processes 2

File number n of a seed is always the same, whatever the number of processes. What breaks a promise is written to
fuzz/findings/, and the exit status is 1. With --record the result of a campaign without findings is kept in
benchmarks/results/fuzzing.json. Linux only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from ctypes import Structure, c_char, c_longlong
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.checking import SECONDS, SMALL, Finding, ReaderName, bounded_memory, check
from fuzz.corpus import corpus
from fuzz.mutations import mutated
from netsurgery.packed.format import Limits

ROOT = Path(__file__).resolve().parents[1]
FINDINGS = ROOT / "fuzz" / "findings"
RESULTS = ROOT / "benchmarks" / "results" / "fuzzing.json"
READERS: dict[str, tuple[ReaderName, ...]] = {
    "library": ("library",),
    "native": ("native",),
    "reference": ("reference",),
    "both": ("native", "reference"),
    "deployed": ("library", "engine", "native"),
    "all": ("library", "native", "reference", "engine"),
}
ALIVE = 2 * sum(SECONDS.values())
"""Seconds after which a process that still works on one file hangs where no signal reaches it."""


class Progress(Structure):
    """What a worker tells of itself, in shared memory, so that it is known even of one that crashed."""

    _fields_ = (("number", c_longlong), ("done", c_longlong), ("accepted", c_longlong), ("finding", c_char * 1000))


@dataclass(frozen=True)
class Settings:
    """One campaign."""

    count: int
    seed: int
    coder: str
    seconds: float
    processes: int
    limits: Limits


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="mutated files (default: 100000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coder", choices=READERS, default="deployed")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--number", type=int, help="only this file of the series, in this process")
    parser.add_argument("--default-limits", action="store_true", help="grant what the library grants: slower")
    parser.add_argument("--record", action="store_true", help="keep the result in benchmarks/results/fuzzing.json")
    given = parser.parse_args()
    limits = Limits() if given.default_limits else SMALL
    settings = Settings(given.count, given.seed, given.coder, given.seconds, given.processes, limits)
    if given.number is not None:
        content = mutated(given.seed, given.number, corpus())
        with bounded_memory(limits, len(content)):
            print("accepted" if check(content, READERS[given.coder], limits) else "refused")
        return 0
    started = time.monotonic()
    workers = _run(settings)
    seconds = time.monotonic() - started
    done, accepted = sum(worker.done for worker in workers), sum(worker.accepted for worker in workers)
    print(f"{done:,} files, {accepted:,} of them accepted, {seconds:.0f} s, readers: {given.coder}")
    found = [worker for worker in workers if worker.finding]
    for worker in found:
        _report(settings, worker)
    if given.record and not found:
        _record(settings, done, accepted, seconds)
    return 1 if found else 0


def _run(settings: Settings) -> list[Progress]:
    """Every worker takes every so-and-so-many-th file; all stop at the first finding of their own."""
    corpus()  # made once, before the processes divide
    shared: Any = RawArray(Progress, settings.processes)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(settings, at, shared), daemon=True) for at in range(len(shared))]
    for process in processes:
        process.start()
    seen = [(-1, time.monotonic())] * len(processes)
    while any(process.is_alive() for process in processes):
        processes[0].join(0.5)
        for at, process in enumerate(processes):
            if shared[at].done != seen[at][0]:
                seen[at] = (shared[at].done, time.monotonic())
            elif process.is_alive() and time.monotonic() - seen[at][1] > ALIVE:
                process.kill()
        if sys.stderr.isatty():
            print(f"\r{sum(worker.done for worker in shared):,} files", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for worker, process in zip(shared, processes, strict=True):
        process.join()
        if process.exitcode != 0 and not worker.finding:
            worker.finding = f"the process ended with {process.exitcode}".encode()
    return list(shared)


def _work(settings: Settings, at: int, shared: Any) -> None:
    files, coders = corpus(), READERS[settings.coder]
    end = time.monotonic() + settings.seconds
    with bounded_memory(settings.limits, max(map(len, files))):
        for number in range(at, settings.count, settings.processes):
            shared[at].number = number
            try:
                shared[at].accepted += check(mutated(settings.seed, number, files), coders, settings.limits)
            except Exception as error:
                shared[at].finding = (str(error) if isinstance(error, Finding) else repr(error)).encode()[:999]
                return
            shared[at].done += 1
            if time.monotonic() > end:
                return


def _report(settings: Settings, worker: Progress) -> None:
    FINDINGS.mkdir(exist_ok=True)
    path = FINDINGS / f"seed-{settings.seed}-number-{worker.number}.nsm"
    path.write_bytes(mutated(settings.seed, worker.number, corpus()))
    limits = " --default-limits" if settings.limits != SMALL else ""
    print(f"FOUND: {worker.finding.decode(errors='replace')}")
    print(f"  {path.relative_to(ROOT)}")
    print(f"  python -m fuzz.files --seed {settings.seed} --number {worker.number} --coder {settings.coder}{limits}")


def _record(settings: Settings, done: int, accepted: int, seconds: float) -> None:
    """Add to the recorded campaigns, or replace the one with the same settings."""
    campaigns = json.loads(RESULTS.read_text(encoding="utf-8"))["campaigns"] if RESULTS.exists() else []
    campaign = {
        "coder": settings.coder,
        "limits": "small" if settings.limits == SMALL else "default",
        "seed": settings.seed,
        "files": done,
        "accepted": accepted,
        "seconds": round(seconds),
        "processes": settings.processes,
        "findings": 0,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    key = ("coder", "limits", "seed")
    others = [other for other in campaigns if any(other[name] != campaign[name] for name in key)]
    RESULTS.write_text(json.dumps({"campaigns": [*others, campaign]}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
