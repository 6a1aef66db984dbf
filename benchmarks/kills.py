"""Kills a search at random moments, 20 times by default, and goes on with it: does it end with the same file?

    python benchmarks/kills.py --times 20 --seed 0

Each time a search begins anew, is killed (SIGKILL) at a moment drawn from the time that an undisturbed one takes, and
is resumed to its end. One that had ended before its moment came doesn't count, and is begun once more. Prints a line
for each, and the count at the end; exit code 1 where any file differs.

Writes benchmarks/results/kills.json.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from netsurgery.files import write_verified
from netsurgery.timing.machine import machine, versions

RESULTS = Path(__file__).parent / "results" / "kills.json"
TASK = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def drawn(count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 20, generator=generator)
    return TensorDataset(x, ((x[:, :4] ** 2).sum(1) > 3.4).long())

def model():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(20):
        for x, y in train_loader():
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x), y).backward()
            optimizer.step()
    return network

def train_loader():
    return DataLoader(drawn(1024, 0), batch_size=64, shuffle=True)

def val_loader():
    return DataLoader(drawn(512, 1), batch_size=512)
"""


def started(task: Path, out: Path, steps: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "netsurgery", "compress", str(task), "--budget", str(steps), "--out", str(out)]
    more = ["--max-loss", "2", "--threads", "1", "--resume"]
    return subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, metavar="N")
    parser.add_argument("--steps", type=int, default=1500, metavar="N", help="of each search")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        task = folder / "task.py"
        task.write_text(TASK, encoding="utf-8")
        begun_s = time.monotonic()
        if started(task, folder / "straight", options.steps).wait():
            raise SystemExit("the undisturbed search failed")
        whole_s = time.monotonic() - begun_s
        wanted = (folder / "straight" / "best.nsm").read_bytes()
        kills: list[dict[str, Any]] = []
        attempts = 0
        while len(kills) < options.times:
            attempts += 1
            out, moment_s = folder / str(attempts), draw.uniform(0, whole_s)
            process = started(task, out, options.steps)
            try:
                process.wait(moment_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                whole_s *= 0.9  # other work slowed the undisturbed one
                continue
            tried = len(json.loads((out / "state.json").read_text())["candidates"]) if out.exists() else 0
            ended = started(task, out, options.steps).wait() == 0
            equal = ended and (out / "best.nsm").read_bytes() == wanted
            kills.append({"after_s": round(moment_s, 2), "networks": tried, "same_file": equal})
            what = f"killed after {moment_s:.1f} s, at network {tried}"
            print(f"{len(kills):2}: {what}, resumed: {'the same file' if equal else 'ANOTHER FILE'}", flush=True)
        same = sum(bool(one["same_file"]) for one in kills)
        print(f"{same} of {options.times} end with the same file, {len(wanted):,} bytes")
    found = {"steps": options.steps, "seed": options.seed, "size_bytes": len(wanted), "kills": kills}
    content = json.dumps(found | {"versions": versions(), "machine": machine(threads=1)}, indent=1).encode() + b"\n"
    write_verified(RESULTS, content, lambda path: path.read_bytes() == content)
    raise SystemExit(same != options.times)


if __name__ == "__main__":
    main()
