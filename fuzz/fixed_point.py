"""Random networks in fixed point: every instruction set, number of threads and batch gives the reference's bits.

    python -m fuzz.fixed_point --count 5000 --processes 2 [--record FILE.json]

Equality, not tolerance: one bit that differs is a fault. Needs an x86 processor for the sets of x86; those that a
processor doesn't run are left out, and the record says which ran.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.engine.fixed_networks import in_fixed_point, inputs_of  # noqa: E402

from netsurgery import _native  # noqa: E402
from netsurgery.errors import SettingError  # noqa: E402
from netsurgery.graph.fixed_point import same_everywhere  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime import reference  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402
from netsurgery.timing.machine import machine, versions  # noqa: E402

SWITCH, LANES = "NETSURGERY_ISA", "NETSURGERY_FIXED"


def compare(seed: int) -> tuple[str, Counter[str]]:
    """What came of one network: "equal", "no layer", "floats" (it gives values of no grid) or where bits differ."""
    try:
        made = in_fixed_point(seed)
    except SettingError:
        return "no layer", Counter()
    graph = made.graph
    if not same_everywhere(graph).issuperset(graph.outputs):
        return "floats", Counter()
    rng = np.random.default_rng(seed)
    content = encode(graph)
    threads, batches = int(rng.integers(1, 5)), [1, int(rng.integers(2, 34))]
    kinds: Counter[str] = Counter()
    # Of tiny networks floats are mostly estimated to be faster: here they run so in one case of four.
    lanes = "floats" if rng.random() < 0.25 else "whole"
    for word in _native.available_instructions():
        os.environ |= {SWITCH: word, LANES: lanes}
        session = Session(content, threads=threads)
        for batch in batches:
            x = inputs_of(graph, batch, seed)
            given = session(x)
            wanted = reference.run(graph, {graph.inputs[0].name: x})
            for one, other in zip(given if isinstance(given, tuple) else (given,), wanted, strict=True):
                if not np.array_equal(one, other):
                    return f"differs: seed {seed}, {word}, {lanes}, {threads} threads, batch {batch}", kinds
        kinds.update(kind for _, kind, _, _ in session.profile(x))
    for name in (SWITCH, LANES):
        os.environ.pop(name, None)
    return "equal", kinds


def main() -> None:
    """Compare as many networks as asked for, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first network")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    begun = time.monotonic()
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    differing = []
    for outcome, seen in _results(options):
        kinds += seen
        outcomes[outcome.split(":")[0]] += 1
        if outcome.startswith("differs"):
            differing.append(outcome)
            print(outcome, flush=True)
    seconds = time.monotonic() - begun
    print(f"{dict(outcomes)} in {seconds:.0f} s; steps: {dict(kinds.most_common())}")
    if options.record:
        record: dict[str, Any] = {
            "what": "random networks in fixed point: engine against reference, bit for bit",
            "first": options.first,
            "count": options.count,
            "outcomes": dict(outcomes),
            "steps": dict(kinds),
            "differing": differing,
            "instruction_sets": list(_native.available_instructions()),
            "seconds": round(seconds),
            "machine": machine(options.processes),
            "versions": versions(),
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(bool(differing))


def _results(options: argparse.Namespace) -> Iterator[tuple[str, Counter[str]]]:
    seeds = range(options.first, options.first + options.count)
    if options.processes == 1:
        yield from map(compare, seeds)
        return
    with ProcessPoolExecutor(options.processes) as pool:
        yield from pool.map(compare, seeds, chunksize=16)


if __name__ == "__main__":
    main()
