"""Data parallel training with rounded activations: processes see other images, and round to the same grids."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed
from tests.attachment.test_distributed import ranks

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
network = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 5))
model = nn.parallel.DistributedDataParallel(network)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
operation = ns.attach(model, optimizer, ns.INQ(bits=3, steps=20, per_channel=True))
rounding = ns.FixedActivations(network, start=6)
generator = torch.Generator().manual_seed(100 + rank)
for _ in range(20):
    images = torch.randn(8, 20, generator=generator) * 10.0 ** (1 - 2 * rank)
    optimizer.zero_grad()
    (model(images) - images[:, :5]).square().mean().backward()
    optimizer.step()
operation.finish()
grids = {name: [grid.exponent, grid.bits, grid.signed] for name, grid in rounding.grids.items()}
torch.save({"grids": grids, "weights": network.state_dict()}, out)
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
def test_ranks_whose_images_differ_a_hundredfold_have_equal_grids_and_weights(tmp_path: Path) -> None:
    first, second = ranks(SCRIPT, tmp_path)
    assert first["grids"] == second["grids"]
    assert first["grids"].keys() == {"0.weight", "2.weight"}
    exponent, bits, signed = first["grids"]["0.weight"]
    assert (bits, signed) == (8, True)
    assert exponent >= -3  # rank 0's images reach tens: others' would ask for much less
    assert all(torch.equal(first["weights"][name], second["weights"][name]) for name in first["weights"])
