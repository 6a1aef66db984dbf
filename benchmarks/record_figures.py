"""What tables say of a record of experiments: means over its seeds."""

from __future__ import annotations

from netsurgery.records.record import Record, mean_and_spread


def kept_share(record: Record) -> float:
    """Kept / all parameters."""
    return mean_and_spread([run.kept / run.size for run in record.runs])[0]


def file_bytes(record: Record) -> float:
    """Of the packed networks."""
    return mean_and_spread(record.packed_bytes)[0]


def accuracies(record: Record) -> tuple[float, float, str]:
    """Top-1 accuracy on the test images, in percent: before, after, and the latter's spread in words if it has one."""
    before = mean_and_spread([100 - run.test_error_before_percent for run in record.runs])[0]
    after, spread = mean_and_spread([100 - run.test_error_percent for run in record.runs])
    return before, after, f" ± {spread:.2f}" if len(record.runs) > 1 else ""
