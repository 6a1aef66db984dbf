"""The LeNets at the paper's compression, from a run of `netsurgery reproduce`, or random weights with as many kept."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from netsurgery.zoo.lenet import LeNet5, LeNet300
from networks.magnitude import cut

RECORDS = Path(__file__).resolve().parents[1] / "results" / "mnist"
RUNS = {"lenet300": "lenet300-surgery-56x", "lenet5": "lenet5-surgery-108x"}
"""The recorded experiment that each network comes from, which is also the folder of its run."""


def trained(name: str, runs: Path | None) -> Path | None:
    """The file of a LeNet's run below `runs`, a folder that holds folders of `netsurgery reproduce --out`."""
    path = runs / RUNS[name] / f"{name}-seed0.safetensors" if runs else None
    return path if path and path.is_file() else None


def origin(name: str, runs: Path | None) -> str:
    """Where the weights of `lenet` are from, in words."""
    if trained(name, runs):
        return f"netsurgery reproduce, {RUNS[name]}, seed 0"
    return f"random, seed 0, cut to the densities of {RUNS[name]}"


def lenet(name: str, runs: Path | None = None) -> nn.Module:
    """A pruned LeNet in eval mode.

    Without a run of this network, random weights are cut to as many in each tensor as the record of the experiment
    says. That is a harder network to run: surgery leaves whole units without a connection, a cut of random weights
    hardly any.
    """
    model = (LeNet300 if name == "lenet300" else LeNet5)().eval()
    if path := trained(name, runs):
        model.load_state_dict(load_file(path))
        return model
    torch.manual_seed(0)
    run = json.loads((RECORDS / f"{RUNS[name]}.json").read_text(encoding="utf-8"))["runs"][0]
    kept = {tensor["name"]: tensor["kept"] / tensor["size"] for tensor in run["tensors"]}
    for tensor, parameter in model.named_parameters():
        nn.init.normal_(parameter, std=0.1)
        cut(parameter, kept[tensor])
    return model
