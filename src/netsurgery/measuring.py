"""A packed network measured on this machine: latency and throughput, beside a dense runtime if one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import netsurgery
from netsurgery import _native
from netsurgery.checks import require
from netsurgery.errors import VerificationError
from netsurgery.graph.examples import random_inputs
from netsurgery.graph.ir import Array, Sizes
from netsurgery.runtime.comparison import TOLERANCE, largest_difference
from netsurgery.runtime.session import Outputs, Session, load
from netsurgery.runtime.turns import Times, in_turns

Run: TypeAlias = Callable[[Sequence[Array]], Outputs]

OURS = "netsurgery"
BATCHES = (1, 16)
SEED = 0


def measured(
    path: Path,
    against: str | None,
    batches: Sequence[int] | None,
    threads: Sequence[int] | None,
    seconds: float,
    sizes: Sizes | None = None,
) -> dict[str, Any]:
    """A record with a row for each batch size and number of threads; `netsurgery bench --help` lists the keys.

    against: "onnxruntime" or None. batches, threads: None for 1 and 16, and for one thread and all usable cores;
    batches are sizes of the first open axis, `sizes` those of the others. seconds: of each runtime in each row. Raises
    what `load` and `DenseRuntime` raise, SettingError for sizes that the network can't have or that are missing, and
    VerificationError if outputs differ: times of wrong answers mean nothing. Every row is run and compared before the
    first one is timed.
    """
    session = load(path)
    counts = tuple(threads or dict.fromkeys((1, session.threads or 1)))
    rows_at: Sequence[int | None] = batches or BATCHES
    others = session.axes[1:]
    given = sizes or {}
    require(
        set(given) == set(others),
        "--size",
        ",".join(f"{name}={size}" for name, size in given.items()) or "none",
        f"one for each open axis but the first: {', '.join(others) or 'none'}",
    )
    if not session.axes:
        require(
            batches is None,
            "--batch",
            ",".join(map(str, batches or ())),
            "left out for this network, whose inputs have fixed shapes",
            "pack a model whose first axis is open for other batch sizes",
        )
        rows_at = [None]
    versions = {OURS: netsurgery.__version__, "numpy": np.__version__}
    runtimes: dict[int, dict[str, Run]] = {count: {OURS: partial(_called, load(path, count))} for count in counts}
    if against is not None:
        from netsurgery.dense_runtime import DenseRuntime

        for count in counts:
            runtimes[count][against] = dense = DenseRuntime(session.graph, count)
            versions[against] = dense.version
    rows = [(count, batch) for count in counts for batch in rows_at]
    differences = [_difference(runtimes[count], _random(session, batch, given)) for count, batch in rows]
    return {
        "model": str(path),
        "size_bytes": path.stat().st_size,
        "instructions": _native.instructions(),
        "versions": versions,
        "rows": [
            _row(runtimes[count], _random(session, batch, given), batch, count, seconds)
            | {"largest_difference": difference}
            for (count, batch), difference in zip(rows, differences, strict=True)
        ],
    }


def _called(session: Session, arrays: Sequence[Array]) -> Outputs:
    return session(*arrays)


def _random(session: Session, batch: int | None, sizes: Sizes) -> tuple[Array, ...]:
    first = {} if batch is None else {session.axes[0]: batch}
    return random_inputs(session.graph, {**first, **sizes}, SEED)


def _row(
    runtimes: Mapping[str, Run], arrays: Sequence[Array], batch: int | None, threads: int, seconds: float
) -> dict[str, Any]:
    times = in_turns({name: partial(call, arrays) for name, call in runtimes.items()}, seconds)
    others = [name for name in runtimes if name != OURS]
    faster = times[OURS].times_faster_than(times[others[0]]) if others else None
    return {
        "batch": batch,
        "threads": threads,
        "runtimes": {name: _figures(one, batch or 1) for name, one in times.items()},
        "times_faster": None if faster is None else {key: round(value, 3) for key, value in asdict(faster).items()},
    }


def _difference(runtimes: Mapping[str, Run], arrays: Sequence[Array]) -> float | None:
    """Between the outputs of the first runtime and those of another, as a share of the largest."""
    outputs = {name: _listed(call(arrays)) for name, call in runtimes.items()}
    (_, ours), *others = outputs.items()
    for name, theirs in others:
        difference = largest_difference(ours, theirs)
        if not difference <= TOLERANCE:
            raise VerificationError(
                f"outputs differ from those of {name} by {difference:.1e} of the largest one, {TOLERANCE:.0e} is "
                "allowed; nothing was timed."
            )
        return difference
    return None


def _listed(outputs: Outputs) -> tuple[Array, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _figures(times: Times, batch: int) -> dict[str, float]:
    latency = times.latency_us
    per_second = 1e6 / latency.median
    return {
        "median_us": round(latency.median, 2),
        "p10_us": round(latency.p10, 2),
        "p90_us": round(latency.p90, 2),
        "calls": times.calls,
        "runs_per_second": round(per_second, 1),
        "inputs_per_second": round(batch * per_second, 1),
    }
