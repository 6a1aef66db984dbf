"""ONNX Runtime in a process of its own: some models end the process that runs them, and `pack` goes on."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netsurgery.deployment.dense_runtime import Answer, asked, version
from netsurgery.graph.ir import Array

_PROGRAM = "import sys; sys.path[:] = {path!r}; from netsurgery.deployment.separate_process import answer; answer()"
"""What the other process runs. It finds modules where this one does, and reads nobody's main program."""


def asked_apart(model: Any, feeds: Mapping[str, Array]) -> Answer:
    """The same as `dense_runtime.asked`, but a crash of ONNX Runtime's is an answer without outputs.

    The process takes a third of a second to start. A program that holds its own Python can't start another one, and
    asks in its own process.
    model: the path of an .onnx file, or an onnx.ModelProto. feeds: arrays by the names of the model's inputs.
    """
    if importlib.util.find_spec("onnxruntime") is None or not sys.executable or getattr(sys, "frozen", False):
        return asked(model, feeds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if isinstance(model, str | Path):
            source = Path(model).resolve()
        else:
            source = folder / _CONTENT
            try:
                source.write_bytes(model.SerializeToString())
            except ValueError:  # of protobuf's, beyond 2 GiB
                return asked(model, feeds)
        np.savez(folder / "feeds.npz", *feeds.values())
        (folder / "question.json").write_text(json.dumps([str(source), *feeds]), encoding="utf-8")
        command = [sys.executable, "-c", _PROGRAM.format(path=sys.path), str(folder)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
        if done.returncode or not (folder / "answer.json").is_file():
            return Answer(None, f"onnxruntime {version()} crashed on the model ({_ending(done.returncode)})")
        runtime, count = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        return Answer(None if count is None else _arrays(folder / "outputs.npz"), runtime)


_CONTENT = "model"
"""The file of a model that lies in no other."""


def _arrays(path: Path) -> tuple[Array, ...]:
    with np.load(path) as stored:
        return tuple(stored[f"arr_{place}"] for place in range(len(stored.files)))


def _ending(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"


def answer() -> None:
    """What the other process does: `asked` of what lies in the folder of its argument, and its answer beside that."""
    folder = Path(sys.argv[1])
    source, *names = json.loads((folder / "question.json").read_text(encoding="utf-8"))
    path = Path(source)
    model = path.read_bytes() if path == folder / _CONTENT else path
    found = asked(model, dict(zip(names, _arrays(folder / "feeds.npz"), strict=True)))
    if found.outputs is not None:
        np.savez(folder / "outputs.npz", *found.outputs)
    count = None if found.outputs is None else len(found.outputs)
    (folder / "answer.json").write_text(json.dumps([found.runtime, count]), encoding="utf-8")
