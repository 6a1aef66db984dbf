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
from netsurgery.graph.examples import random_inputs
from netsurgery.graph.ir import Array, Sizes
from netsurgery.runtime.session import Outputs, Session, load
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, other_processes, versions
from netsurgery.timing.turns import Pace, Times, in_turns

Bind: TypeAlias = Callable[[Sequence[Array]], Callable[[], "Outputs | Sequence[Array]"]]
"""bind(arrays) gives a call that runs a network on them, with nothing else to do."""

OURS = "netsurgery"
BATCHES = (1, 16)
SEED = 0
_ON_WHOLE_NUMBERS = ("fixed lanes", "fixed tables", "fixed depthwise")
"""The kinds of the steps that layers of whole numbers become, as `Session.profile` has them."""


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
    installed = versions((OURS, "numpy"))
    runtimes: dict[int, dict[str, Bind]] = {count: {OURS: partial(_bound, load(path, count))} for count in counts}
    if against is not None:
        from netsurgery.deployment.dense_runtime import DenseRuntime

        for count in counts:
            dense = DenseRuntime(session.graph, count)
            runtimes[count][against], installed[against] = dense.bound, dense.version
    rows = [(count, batch) for count in counts for batch in rows_at]
    differences = [_difference(runtimes[count], _random(session, batch, given)) for count, batch in rows]
    on_whole_numbers = [_on_whole_numbers(session, _random(session, batch, given)) for _, batch in rows]
    pace = Pace()
    with other_processes() as busy:
        timed_rows = [
            _row(runtimes[count], _random(session, batch, given), batch, count, pace.lasting(seconds))
            for count, batch in rows
        ]
    return {
        "model": str(path),
        "size_bytes": path.stat().st_size,
        "instructions": _native.instructions(),
        "machine": machine(max(counts)),
        "versions": installed,
        "seed": SEED,
        "busy_cores": busy.busy_cores,
        "warning": busy.warning,
        "rows": [
            row | {"largest_difference": difference, "layers_on_whole_numbers": layers}
            for row, difference, layers in zip(timed_rows, differences, on_whole_numbers, strict=True)
        ],
    }


def _bound(session: Session, arrays: Sequence[Array]) -> Callable[[], Outputs]:
    return partial(session, *arrays)


def _random(session: Session, batch: int | None, sizes: Sizes) -> tuple[Array, ...]:
    first = {} if batch is None else {session.axes[0]: batch}
    return random_inputs(session.graph, {**first, **sizes}, SEED)


def _on_whole_numbers(session: Session, arrays: Sequence[Array]) -> int:
    """How many layers the engine computes on whole numbers at these sizes; which ones is its own choice."""
    return sum(kind in _ON_WHOLE_NUMBERS for _, kind, _, _ in session.profile(*arrays))


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
