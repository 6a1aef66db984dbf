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

WORKER = """
import sys
import warnings
import torch
import torch.distributed as dist
from torch import nn
import netsurgery as ns

rank, rendezvous, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)


def network(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 5))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def step(model, optimizer, images):
    optimizer.zero_grad()
    (model(images) - images[:, :5]).square().mean().backward()
    optimizer.step()


def unequal():
    ns.attach(*network(rank), ns.NaiveCut(density=0.1))


def equal():
    ns.attach(*network(0), ns.NaiveCut(density=0.1))


def other_plan():
    ns.attach(*network(0), ns.NaiveCut(density=0.1 + 0.1 * rank))


def unshared():
    # Gradients aren't averaged.
    model, optimizer = network(0)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.2, steps=10))
    yield len(caught)
    generator = torch.Generator().manual_seed(rank)
    for _ in range(10):
        step(model, optimizer, torch.randn(8, 20, generator=generator))
    operation.finish()


def cut_before_it_was_wrapped():
    # Which gives both the same weights, but each has its own mask.
    model, optimizer = network(rank)
    ns.attach(model, optimizer, ns.NaiveCut(density=0.1))
    wrapped = nn.parallel.DistributedDataParallel(model)
    for _ in range(2):
        step(wrapped, optimizer, torch.ones(8, 20))


def data_parallel():
    torch.manual_seed(rank)  # DDP broadcasts the weights of rank 0
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 5)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    method = ns.Surgery(density=0.1, steps=40, interval=2, hysteresis=1.0, latent_speed=1.0)
    plan = ns.Plan((
        ns.Stage(method=method, layers=("*.0",)),
        ns.Stage(method=ns.ThresholdSurgery(c_rate=0.5, gamma=0.1, iter_stop=30), layers=("*.2",)),
    ))
    operation = ns.attach(model, optimizer, plan)
    generator = torch.Generator().manual_seed(100 + rank)  # each rank has its own data
    for _ in range(40):
        step(model, optimizer, torch.randn(8, 20, generator=generator))
    operation.finish()
    yield {"masks": dict(operation.masks), "weights": model.module.state_dict()}


found = {}
for case in (unequal, equal, other_plan, unshared, cut_before_it_was_wrapped, data_parallel):
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}-{case.__name__}", rank=rank, world_size=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = list(case() or ())
        said = [str(one.message) for one in caught if one.category is ns.errors.RanksDifferWarning]
    found[case.__name__] = given, said
    dist.barrier()
    dist.destroy_process_group()
torch.save(found, out)
"""
pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")


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
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    return [torch.load(path, weights_only=True) for path in outputs]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[list[Any], list[str]]]]:
    """Of both processes what each case has given, and what it was told; each case has a group of its own."""
    return ranks(WORKER, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("case", ["unequal", "equal", "other_plan"])
def test_cuts_of_unequal_weights_are_told_by_the_process_that_comes_last(case: str, found: Any) -> None:
    said = [sentence for one in found for sentence in one[case][1]]
    assert bool(said) == (case == "unequal")
    assert all(
        "declared different connections" in sentence and "DistributedDataParallel" in sentence for sentence in said
    )


def test_every_process_is_told_of_a_cut_before_weights_were_made_equal(found: Any) -> None:
    for one in found:
        _, said = one["cut_before_it_was_wrapped"]
        assert len(said) == 1  # once, however often it is seen again
        assert "at step 0" in said[0]
        assert "wrap the model in DistributedDataParallel before attach" in said[0]


def test_weights_that_drift_apart_without_averaged_gradients_are_told_after_the_first_step(found: Any) -> None:
    assert [one["unshared"][0] for one in found] == [[0], [0]]  # they begin with the same weights
    assert any("at step 1:" in sentence for one in found for sentence in one["unshared"][1])


def test_two_ranks_with_different_data_have_equal_masks_and_weights(found: Any) -> None:
    (first,), (second,) = (one["data_parallel"][0] for one in found)
    for part in ("masks", "weights"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    assert sum(int(mask.sum()) for name, mask in first["masks"].items() if name.startswith("0.")) == round(0.1 * 840)
    assert not [said for one in found for said in one["data_parallel"][1]]
