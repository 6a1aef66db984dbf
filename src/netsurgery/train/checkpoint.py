"""Checkpoints of long work: one file, written at intervals under a temporary name, so that it is always complete."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch

from netsurgery.errors import DataError
from netsurgery.files import write_verified

INTERVAL_S = 60.0
_COST = 20  # a gigabyte takes seconds: writing has at most a twentieth of the time


@final
class Checkpoint:
    """A file that holds how far some work has come: tensors, numbers, strings, lists and dicts.

    path: of the file; none is written before `interval_s` seconds have passed, nor before twenty times as long as the
    last one took.
    identity: what work it is, in words or as JSON. A file with another identity is not read.
    """

    def __init__(self, path: Path, identity: str, interval_s: float = INTERVAL_S) -> None:
        self.path = path
        self._identity = identity
        self._interval_s = interval_s
        self._written_s = time.monotonic()
        self._took_s = 0.0

    def read(self) -> dict[str, Any]:
        """What was written last; nothing where there is no file.

        Raises DataError if the file is of other work, as it would be overwritten, and if it is damaged. It is read
        with weights_only, so that it can't run any code.
        """
        if not self.path.exists():
            return {}
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            identity, contents = found["identity"], found["contents"]
        except (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
            raise DataError(
                f"{self.path} can't be read as a checkpoint: {error}. Delete it to begin from the start."
            ) from error
        if identity != self._identity:
            raise DataError(
                f"{self.path} is the checkpoint of another experiment, or of one with other versions or settings. "
                "Give another folder with --out, or delete this file."
            )
        return dict(contents)

    def offer(self, contents: Callable[[], dict[str, Any]]) -> None:
        """Write `contents()` if the interval has passed since the last time."""
        now_s = time.monotonic()
        if now_s - self._written_s >= max(self._interval_s, _COST * self._took_s):
            self.write(contents())
            self._took_s = time.monotonic() - now_s

    def write(self, contents: dict[str, Any]) -> None:
        """Write now."""
        buffer = io.BytesIO()
        torch.save({"identity": self._identity, "contents": contents}, buffer)
        whole = buffer.getvalue()
        write_verified(self.path, whole, lambda written: written.read_bytes() == whole)
        self._written_s = time.monotonic()

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)
