"""Checkpoints of long work: one file, written at intervals under a temporary name, so that it is always complete."""

from __future__ import annotations

import io
import json
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, final

import torch

from netsurgery.errors import DataError
from netsurgery.files import write_verified

INTERVAL_S = 60.0
_SHOWN, _LONG = 3, 100  # differences that an error lists, and characters up to which it shows values
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
        self._interrupted = False

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
                f"{self.path} is the checkpoint of another experiment, or of one with other versions or settings"
                f"{_in_words(identity, self._identity)}. To go on from it, have all of that as it was; to begin anew, "
                "give another folder with --out, or delete this file."
            )
        return dict(contents)

    def offer(self, contents: Callable[[], dict[str, Any]]) -> None:
        """Write `contents()` if the interval has passed since the last time, or Ctrl-C waits for it."""
        if self._interrupted:
            self.write(contents())
            raise KeyboardInterrupt(
                f"interrupted; {self.path} holds every step so far, and the same command goes on from there"
            )
        now_s = time.monotonic()
        if now_s - self._written_s >= max(self._interval_s, _COST * self._took_s):
            self.write(contents())
            self._took_s = time.monotonic() - now_s

    @contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """While it is open, Ctrl-C waits for the next `offer`, which writes and raises KeyboardInterrupt.

        A second Ctrl-C doesn't wait, and at the end the first one doesn't any more. Outside the main thread, and where
        another has its own way with Ctrl-C, that stays as it is.
        """
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return

        def hear(_number: int, _frame: FrameType | None) -> None:
            self._interrupted = True
            signal.signal(signal.SIGINT, signal.default_int_handler)

        signal.signal(signal.SIGINT, hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            heard, self._interrupted = self._interrupted, False
        if heard:
            raise KeyboardInterrupt

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


def differences(found: Any, own: Any, name: str = "") -> list[str]:
    """What differs between two values as JSON has them, each with its place and both values."""
    if isinstance(found, Mapping) and isinstance(own, Mapping):
        names = [*own, *(key for key in found if key not in own)]
        return [
            line
            for key in names
            for line in differences(found.get(key), own.get(key), f"{name}.{key}" if name else key)
        ]
    if found == own:
        return []
    before, now = json.dumps(found), json.dumps(own)
    return [f"{name} was {before} and is {now}" if len(before + now) < _LONG else f"{name} is another"]


def _in_words(found: Any, own: str) -> str:
    """What differs between two identities, the first few of it; nothing where they aren't JSON."""
    try:
        lines = differences(json.loads(found), json.loads(own))
    except (TypeError, ValueError):
        return ""
    return summed_up(lines)


def summed_up(differing: list[str]) -> str:
    """The first few `differences`, as the end of a clause."""
    more = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    return f": {'; '.join(differing[:_SHOWN])}{more}" if differing else ""
