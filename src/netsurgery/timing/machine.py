"""The machine that something was timed on: its processor, what is installed, and whether others used it meanwhile."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

_SHORTEST_S = 0.5  # the system counts in hundredths of a second
_BUSY = 0.1  # share of all cores that makes a machine busy
_COUNTED = 8  # user, nice, system, idle, iowait, irq, softirq, steal; what follows is in the first two already
_IDLE = (3, 4)


def versions(packages: Sequence[str] = ("netsurgery", "torch", "numpy")) -> dict[str, str]:
    """Versions that a figure may depend on: Python's, and those of packages, as they say themselves.

    Not by what is installed: a source folder on the path isn't, and onnxruntime-gpu is installed under another name.
    """
    return {
        "python": platform.python_version(),
        **{name: str(getattr(import_module(name), "__version__", "unknown")) for name in packages},
    }


def machine(threads: int, device: str = "cpu") -> dict[str, str]:
    """The processor by its own name, how many threads were used, and the device that trained: cpu or a card's name."""
    return {"processor": _processor(), "system": platform.system(), "threads": str(threads), "device": device}


@dataclass
class OtherProcesses:
    """What others took of the machine for a while.

    busy_cores: mean number of cores that other processes kept busy; None where the system doesn't say, and before half
    a second has passed. cores: all of the machine.
    """

    cores: int
    busy_cores: float | None = None

    @property
    def warning(self) -> str | None:
        """A sentence if they took more than a tenth of the machine."""
        if self.busy_cores is None or self.busy_cores <= _BUSY * self.cores:
            return None
        return (
            f"The machine was busy: other processes took {self.busy_cores:.1f} of its {self.cores} cores meanwhile. "
            "Times may be too long; ratios, which are of neighbouring turns, suffer less."
        )


@contextmanager
def other_processes() -> Iterator[OtherProcesses]:
    """Counts what other processes take from here to the end of the block. Linux only; elsewhere nothing is known."""
    found = OtherProcesses(os.cpu_count() or 1)
    began_s, busy_s, own_s = time.perf_counter(), _busy_s(), _own_s()
    yield found
    passed_s, busy_then_s = time.perf_counter() - began_s, _busy_s()
    if busy_s is not None and busy_then_s is not None and passed_s >= _SHORTEST_S:
        others_s = busy_then_s - busy_s - (_own_s() - own_s)
        found.busy_cores = round(max(0.0, others_s) / passed_s, 2)


def _busy_s() -> float | None:
    """Seconds that all cores together have worked since the system began."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as file:
            counts = [int(count) for count in file.readline().split()[1 : 1 + _COUNTED]]
    except (OSError, ValueError):
        return None
    ticks = sum(count for place, count in enumerate(counts) if place not in _IDLE)
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Seconds that this process has worked, its threads together, and its children that have ended."""
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def peak_resident_bytes() -> int:
    """The largest resident set of this process so far, in bytes; not on Windows.

    On Linux from /proc, as what getrusage says begins with the resident set of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
