"""The machine's measured peak: peak.cpp, compiled for this machine and run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "peak.cpp"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-pthread")


def measured_peak(threads: int) -> dict[str, float]:
    """Place of the operand (registers, l1, l2, l3, memory) -> GFLOP/s of all threads together.

    Raises SystemExit where no compiler is there: a peak from another machine would mean nothing.
    """
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(compiler[0]) is None:
        raise SystemExit(f"{compiler[0]} isn't there: the machine's peak is measured by a compiled program. Set CXX.")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "peak"
        subprocess.run([*compiler, *FLAGS, str(SOURCE), "-o", str(program)], check=True)
        printed = subprocess.run([str(program), str(threads)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {place: float(rate) for place, rate in (line.split() for line in printed.splitlines())}
