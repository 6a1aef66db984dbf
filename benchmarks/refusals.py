"""Why a network can't be packed, as records have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from own_process import LONGEST_REASON

from netsurgery.errors import NetsurgeryError, UnsupportedOperatorError


def missing(error: NetsurgeryError) -> dict[str, int]:
    """Operator that there isn't -> nodes of it."""
    if not isinstance(error, UnsupportedOperatorError):
        return {}
    return dict(Counter(problem.operator for problem in error.missing if problem.absent))


def reason(error: NetsurgeryError, source: Path) -> str:
    """What else is wrong, in a sentence without the file's name: uses of operators that there are, or the error."""
    if isinstance(error, UnsupportedOperatorError) and error.missing:
        uses = (f"{one.operator} {one.reason.partition('. ')[0]}" for one in error.missing if not one.absent)
        return shorten("; ".join(dict.fromkeys(uses)), LONGEST_REASON, placeholder=" ...")
    text = str(error).replace(f"{source}: ", "")
    return shorten(text.partition(". ")[0], LONGEST_REASON, placeholder=" ...")


def words(row: Mapping[str, Any]) -> str:
    """Both, as a cell of a table."""
    operators = ", ".join(f"{name} ×{count}" for name, count in row.get("missing", {}).items())
    return "; ".join(part for part in (operators, row.get("reason", "")) if part).replace("|", "\\|")
