"""A packed network measured on this machine: latency and throughput, beside a dense runtime if one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from netsurgery import _native
from netsurgery.checks import require
from netsurgery.deployment.comparison import agreement
from netsurgery.graph.ir import Array
from netsurgery.runtime.session import Outputs, Session, load
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, other_processes, versions
from netsurgery.timing.turns import Pace, Times, in_turns

Bind: TypeAlias = Callable[[Sequence[Array]], Callable[[], "Outputs | Sequence[Array]"]]
"""bind(arrays) gives a call that runs a network on them, with nothing else to do."""

OURS = "netsurgery"
BATCHES = (1, 16)
SEED = 0


def measured(
    path: Path, against: str | None, batches: Sequence[int] | None, threads: Sequence[int] | None, seconds: float
) -> dict[str, Any]:
    """A record with a row for each batch size and number of threads; `netsurgery bench --help` lists the keys.

    against: "onnxruntime" or None. batches, threads: None for 1 and 16, and for one thread and all usable cores.
    seconds: of each runtime in each row. Raises what `load` and `DenseRuntime` raise, SettingError for batch sizes that
    a network with a fixed batch can't have, and VerificationError if outputs differ: times of wrong answers mean
    nothing. Every row is run and compared before the first one is timed.
    """
    session = load(path)
    counts = tuple(threads or dict.fromkeys((1, session.threads or 1)))
    sizes: Sequence[int | None] = batches or BATCHES
    if all(None not in given.shape for given in session.inputs):
        require(
            batches is None,
            "--batch",
            ",".join(map(str, batches or ())),
            "left out for this network, whose inputs have fixed shapes",
            "pack a model whose first axis is open for other batch sizes",
        )
        sizes = [None]
    installed = versions((OURS, "numpy"))
    runtimes: dict[int, dict[str, Bind]] = {count: {OURS: partial(_bound, load(path, count))} for count in counts}
    if against is not None:
        from netsurgery.deployment.dense_runtime import DenseRuntime

        for count in counts:
            dense = DenseRuntime(session.graph, count)
            runtimes[count][against], installed[against] = dense.bound, dense.version
    rows = [(count, batch) for count in counts for batch in sizes]
    differences = [_difference(runtimes[count], _random(session, batch)) for count, batch in rows]
    pace = Pace()
    with other_processes() as others:
        timed_rows = [
            _row(runtimes[count], _random(session, batch), batch, count, pace.lasting(seconds)) for count, batch in rows
        ]
    return {
        "model": str(path),
        "size_bytes": path.stat().st_size,
        "instructions": _native.instructions(),
        "machine": machine(max(counts)),
        "versions": installed,
        "seed": SEED,
        "busy_cores": others.busy_cores,
        "warning": others.warning,
        "rows": [
            row | {"largest_difference": difference} for row, difference in zip(timed_rows, differences, strict=True)
        ],
    }


def _bound(session: Session, arrays: Sequence[Array]) -> Callable[[], Outputs]:
    return partial(session, *arrays)


def _random(session: Session, batch: int | None) -> list[Array]:
    generator = np.random.default_rng(SEED)
    return [generator.standard_normal(given.at(batch or 1), np.float32) for given in session.inputs]


def _row(
    runtimes: Mapping[str, Bind], arrays: Sequence[Array], batch: int | None, threads: int, pace: Pace
) -> dict[str, Any]:
    times = in_turns({name: partial(timed, bind(arrays)) for name, bind in runtimes.items()}, pace)
    others = [name for name in runtimes if name != OURS]
    return {
        "batch": batch,
        "threads": threads,
        "runtimes": {name: _figures(one, batch or 1) for name, one in times.items()},
        "times_faster": times[OURS].times_faster_than(times[others[0]]).rounded() if others else None,
    }


def _difference(runtimes: Mapping[str, Bind], arrays: Sequence[Array]) -> float | None:
    """Between the outputs of netsurgery and those of another runtime; None where there is no other."""
    outputs = {name: _listed(runtimes[name](arrays)()) for name in reversed(list(runtimes))}
    return agreement(outputs) if len(outputs) > 1 else None


def _figures(times: Times, batch: int) -> dict[str, float]:
    per_second = 1e6 / times.latency_us.median
    return times.figures() | {
        "runs_per_second": round(per_second, 1),
        "inputs_per_second": round(batch * per_second, 1),
    }


def _listed(outputs: Outputs | Sequence[Array]) -> Sequence[Array]:
    return [outputs] if isinstance(outputs, np.ndarray) else outputs
