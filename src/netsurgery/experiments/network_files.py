"""Networks of the zoo as files: read with a check of every key and shape, written as safetensors, verified."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from netsurgery.files import write_verified
from netsurgery.zoo.weights import read_weights


def read_network(model: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """The state_dict that a file of weights has for `model`, which takes them over.

    Counts of batches that batch norms have seen may be missing: the model's own stand for them. Raises DataError that
    names what differs.
    """
    read_weights(model, path)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def write_network(model: nn.Module, path: Path) -> None:
    """The model's own keys and tensors as safetensors, under a temporary name first."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}

    def same(written: Path) -> bool:
        found = load_file(written)
        return found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)

    write_verified(path, save(tensors), same)
