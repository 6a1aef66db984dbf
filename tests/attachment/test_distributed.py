"""Data parallel training: masks are equal on all ranks without any exchange of ours, or every process is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


UNEQUAL = """
import sys
import warnings
import torch
import torch.distributed as dist
from torch import nn
import netsurgery as ns

rank, rendezvous, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
case = sys.argv[4]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
torch.manual_seed(rank if case == "unequal" else 0)
model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 5))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
said = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    if case == "unshared":  # gradients aren't averaged
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.2, steps=10))
        said.append(len(caught))
        generator = torch.Generator().manual_seed(rank)
        for _ in range(10):
            optimizer.zero_grad()
            images = torch.randn(8, 20, generator=generator)
            (model(images) - images[:, :5]).square().mean().backward()
            optimizer.step()
        operation.finish()
    elif case == "cut before it was wrapped":  # which gives both the same weights, but each has its own mask
        torch.manual_seed(rank)
        model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 5))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        ns.attach(model, optimizer, ns.NaiveCut(density=0.1))
        wrapped = nn.parallel.DistributedDataParallel(model)
        for _ in range(2):
            optimizer.zero_grad()
            wrapped(torch.ones(8, 20)).square().mean().backward()
            optimizer.step()
    else:
        plan = ns.NaiveCut(density=0.1 + 0.1 * rank * (case == "other plan"))
        ns.attach(model, optimizer, plan)
    said += [str(w.message) for w in caught if w.category is ns.errors.RanksDifferWarning]
torch.save(said, out)
dist.barrier()
dist.destroy_process_group()
"""


def ranks(script: str, folder: Path, *arguments: str) -> list[Any]:
    """What two processes have saved."""
    outputs = [folder / f"rank{rank}.pt" for rank in (0, 1)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, str(rank), str(folder / "rendezvous"), str(out), *arguments],
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank, out in enumerate(outputs)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [torch.load(path, weights_only=True) for path in outputs]


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
@pytest.mark.parametrize("case", ["unequal", "equal", "other plan"])
def test_cuts_of_unequal_weights_are_told_by_the_process_that_comes_last(case: str, tmp_path: Path) -> None:
    said = [sentence for one in ranks(UNEQUAL, tmp_path, case) for sentence in one]
    assert bool(said) == (case == "unequal")
    assert all(
        "declared different connections" in sentence and "DistributedDataParallel" in sentence for sentence in said
    )


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
def test_every_process_is_told_of_a_cut_before_weights_were_made_equal(tmp_path: Path) -> None:
    for said in ranks(UNEQUAL, tmp_path, "cut before it was wrapped"):
        assert len(said) == 1  # once, however often it is seen again
        assert "at step 0" in said[0]
        assert "wrap the model in DistributedDataParallel before attach" in said[0]


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
def test_weights_that_drift_apart_without_averaged_gradients_are_told_after_the_first_step(tmp_path: Path) -> None:
    found = ranks(UNEQUAL, tmp_path, "unshared")
    assert [one[0] for one in found] == [0, 0]  # they begin with the same weights
    assert any("at step 1:" in sentence for one in found for sentence in one[1:])


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
def test_two_ranks_with_different_data_have_equal_masks_and_weights(tmp_path: Path) -> None:
    first, second = ranks(SCRIPT, tmp_path)
    for part in ("masks", "weights"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    assert sum(int(mask.sum()) for name, mask in first["masks"].items() if name.startswith("0.")) == round(0.1 * 840)
