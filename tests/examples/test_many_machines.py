"""The example of many machines: two processes, then one that goes on from what they saved, to the same densities."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import netsurgery as ns

EXAMPLE = Path(__file__).parents[2] / "examples" / "many_machines.py"

pytest.importorskip("sklearn")
pytest.importorskip("torch.distributed.fsdp", exc_type=ImportError)
if not torch.distributed.is_gloo_available() or not hasattr(torch.distributed.fsdp, "fully_shard"):
    pytest.skip("this build of torch has no gloo, or no fully_shard", allow_module_level=True)


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *command, str(EXAMPLE)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_processes_save_and_pack_and_one_resumes_what_they_saved(tmp_path: Path) -> None:
    told = run(tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert told.count("total") == 1  # one process speaks
    first = ns.load(tmp_path / "digits.nsm")(np.ones((1, 64), np.float32))
    (tmp_path / "digits.nsm").unlink()
    again = run(tmp_path)
    assert [line for line in again.splitlines() if line.startswith("total")] == [
        line for line in told.splitlines() if line.startswith("total")
    ]
    # Both went the same 200 steps from the same state. Halves of a batch are averaged: sums of 64 examples in another
    # order, some units in the last place of each step.
    np.testing.assert_allclose(ns.load(tmp_path / "digits.nsm")(np.ones((1, 64), np.float32)), first, atol=1e-3)
