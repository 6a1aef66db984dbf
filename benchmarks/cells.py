"""How figures are written in the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from outcomes import Outcome

_QUIET = 0.2  # cores


def errors(outcome: Outcome) -> str:
    """Test error in percent, before → after, with the spread over seeds where there are several."""
    mean, spread = outcome.error_percent
    after = f"**{mean:.2f}** ± {spread:.2f}" if len(outcome.record.runs) > 1 else f"**{mean:.2f}**"
    return f"{outcome.error_before_percent:.2f} → {after}"


def size(outcome: Outcome) -> str:
    """Bytes of a whole file; nothing where they weren't noted."""
    return f"{outcome.mean_bytes:,.0f}" if outcome.file_bytes else ""


def smaller(ratio: float) -> str:
    """So many times smaller: to a whole number, but for small ones."""
    return f"{ratio:.0f}x" if ratio >= 9.95 else f"{ratio:.1f}x"


def milliseconds(time_us: float) -> str:
    """To three figures."""
    return f"{time_us / 1000:.0f}" if time_us >= 99_950 else f"{time_us / 1000:#.3g}"


def faster(ratio: float) -> str:
    """So many times faster, and bold where it is."""
    return f"**{ratio:.1f}x**" if ratio >= 1 else f"{ratio:.2f}x"


def busy(rows: Iterable[Mapping[str, Any]]) -> str:
    """A sentence if other processes took part of the machine while rows were measured; nothing if they didn't."""
    most = max((row.get("busy_cores") or 0.0 for row in rows), default=0.0)
    if most <= _QUIET:
        return ""
    return f" The machine was busy: other processes took up to {most:.1f} cores meanwhile, so that times are rough."
