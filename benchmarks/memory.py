"""Memory that a runtime takes to load and run a network, each in a process of its own.

    python benchmarks/memory.py nsm|onnx FILE THREADS BATCH

What the bare interpreter with NumPy holds is subtracted, input and output included in the rest. Linux only: the system
counts the resident set, and its peak can be forgotten between loading and running.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

RUNS = 5


def probe(kind: str, path: Path, threads: int, batch: int) -> dict[str, int]:
    """Bytes above the bare interpreter: of the runtime's library, at most while loading, at most while running.

    Loading ends with the first run, for which netsurgery makes a plan."""
    random = np.random.default_rng(0)  # NumPy loads its generators when they are first asked for
    bare = _resident("VmRSS")
    if kind == "nsm":
        import netsurgery

        netsurgery.load  # noqa: B018  # imports what loading needs
    else:
        import onnxruntime
    library = _resident("VmRSS")
    if kind == "nsm":
        session = netsurgery.load(path, threads=threads)
        shape, call = session.inputs[0].shape, session
    else:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        shape, name = session.get_inputs()[0].shape, session.get_inputs()[0].name
        call = lambda x: session.run(None, {name: x})  # noqa: E731
    x = random.random((batch, *shape[1:]), np.float32)
    call(x)
    loading = _resident("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    for _ in range(RUNS):
        call(x)
    running = _resident("VmHWM")
    return {
        "library_bytes": library - bare,
        "peak_loading_bytes": loading - bare,
        "peak_running_bytes": running - bare,
    }


def measured(kind: str, path: Path, threads: int, batch: int) -> dict[str, int]:
    """`probe` in a fresh process."""
    command = [sys.executable, __file__, kind, str(path), str(threads), str(batch)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def _resident(what: str) -> int:
    """VmRSS: the resident set; VmHWM: the largest so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return 1024 * int(line.split()[1])
    raise SystemExit(f"/proc/self/status lacks {what}.")


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
