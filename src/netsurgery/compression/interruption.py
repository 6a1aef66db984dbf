"""Ctrl-C, told from errors that it brings about."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """What tells whether Ctrl-C was pressed since the block began. It raises KeyboardInterrupt as ever.

    Not always does that come out of the block: a terminal interrupts the workers of a DataLoader as well, and torch
    raises a RuntimeError in its place when they end. In other threads than the main one, which get no signals, nothing
    is told.
    """
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
