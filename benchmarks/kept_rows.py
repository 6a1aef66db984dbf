"""Records that are measured anew in part."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from netsurgery import _native
from netsurgery.timing.machine import machine


def kept_rows(out: Path | None, anew: Collection[str]) -> list[dict[str, Any]]:
    """The rows of a record that stay: those of other networks, if they were measured on such a machine."""
    if out is None or not out.exists():
        return []
    record = json.loads(out.read_text(encoding="utf-8"))
    here = (machine(1)["processor"], _native.instructions())
    if (record["machine"]["processor"], record["instructions"]) != here:
        return []
    return [row for row in record["rows"] if row["network"] not in anew]
