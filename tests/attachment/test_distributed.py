"""Data parallel training: masks are equal on all ranks by construction, without any communication of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch import nn
import netsurgery as ns

rank, rendezvous, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
torch.manual_seed(rank)  # DDP broadcasts the weights of rank 0
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 5)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
plan = ns.Plan((
    ns.Stage(method=ns.Surgery(density=0.1, steps=40, interval=2, hysteresis=1.0, latent_speed=1.0), layers=("*.0",)),
    ns.Stage(method=ns.ThresholdSurgery(c_rate=0.5, gamma=0.1, iter_stop=30), layers=("*.2",)),
))
operation = ns.attach(model, optimizer, plan)
generator = torch.Generator().manual_seed(100 + rank)  # each rank has its own data
for _ in range(40):
    images = torch.randn(8, 20, generator=generator)
    optimizer.zero_grad()
    (model(images) - images[:, :5]).square().mean().backward()
    optimizer.step()
operation.finish()
torch.save({"masks": dict(operation.masks), "weights": model.module.state_dict()}, out)
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
def test_two_ranks_with_different_data_have_equal_masks_and_weights(tmp_path: Path) -> None:
    outputs = [tmp_path / f"rank{rank}.pt" for rank in (0, 1)]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(rank), str(tmp_path / "rendezvous"), str(outputs[rank])],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]
    first, second = (torch.load(path, weights_only=True) for path in outputs)
    for part in ("masks", "weights"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    assert sum(int(mask.sum()) for name, mask in first["masks"].items() if ".0." in name) == round(0.1 * 840)
