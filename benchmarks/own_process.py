"""A measurement in a process of its own: what it takes goes when it ends, and a crash is one answer among others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

LONGEST_REASON = 200


class FailedError(Exception):
    """The process gave no answer; says in a sentence why."""


def answer_of(command: Sequence[str], timeout_s: float) -> Any:
    """What `python COMMAND` prints as JSON in its last line. Raises FailedError."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *command], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"takes longer than {timeout_s:g} seconds") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise FailedError(shorten(last, LONGEST_REASON, placeholder=" ..."))
    return json.loads(done.stdout.splitlines()[-1])
