"""Files of the papers' networks on ImageNet at the papers' densities and bits, with random weights.

    python benchmarks/papers_networks.py                      # all rows, some ten minutes
    python benchmarks/papers_networks.py --only resnet50      # these anew, the others as recorded

Every row of `netsurgery plan` is packed with two kinds of random weights (netsurgery.planning.drawn_weights), one
process for each, since peaks of memory would add up. Writes benchmarks/results/papers_networks.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "papers_networks.json"


def measured(place: int, spread: str, seed: int) -> dict[str, Any]:
    """One file, in this process."""
    import torch

    from netsurgery.planning.drawn_weights import Spread
    from netsurgery.planning.measured_file import measured_file
    from netsurgery.planning.published import ROWS

    torch.set_num_threads(1)
    started = time.perf_counter()
    file = measured_file(ROWS[place], Spread(spread), seed)
    return {**asdict(file), "seconds": round(time.perf_counter() - started, 1)}


def in_process(place: int, spread: str, seed: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--place", str(place), "--spread", spread, "--seed", str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose network and title, such as `resnet18, INQ`, begin so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--spread", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.place is not None:
        print(json.dumps(measured(options.place, options.spread, options.seed)))
        return

    from netsurgery.planning.drawn_weights import SCALE_SPREAD, Spread
    from netsurgery.planning.published import ROWS
    from netsurgery.timing.machine import machine, versions

    record = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"rows": []}
    known = {(row["network"], row["title"]): row for row in record["rows"]}
    for place, row in enumerate(ROWS):
        if not f"{row.network}, {row.title}".startswith(options.only):
            continue
        files = {spread.value: in_process(place, spread.value, options.seed) for spread in Spread}
        known[row.network, row.title] = {"network": row.network, "title": row.title, "files": files}
        print(row.network, row.title, {name: file["size_bytes"] for name, file in files.items()}, flush=True)
        in_order = [known[key] for key in ((row.network, row.title) for row in ROWS) if key in known]
        record = {
            "machine": machine(threads=1),
            "versions": versions(("torch", "numpy")),
            "seed": options.seed,
            "scale_spread": SCALE_SPREAD,
            "rows": in_order,
        }
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
