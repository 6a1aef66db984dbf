"""Running on an instruction set that isn't the processor's best."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def instructions(name: str) -> Iterator[None]:
    """What sessions that are loaded meanwhile use, whatever the processor has beside it."""
    before = os.environ.get("NETSURGERY_ISA")
    os.environ["NETSURGERY_ISA"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["NETSURGERY_ISA"]
        else:
            os.environ["NETSURGERY_ISA"] = before
