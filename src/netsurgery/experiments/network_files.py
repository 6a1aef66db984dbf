"""Networks of the zoo as safetensors files: read with a check of every key and shape, written verified."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from netsurgery.errors import DataError
from netsurgery.files import write_verified

_MAY_LACK = "num_batches_tracked"  # batch norm's count of training batches, which no output depends on
_SHOWN = 3  # differences that an error names


def read_network(model: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """The state_dict in a safetensors file, checked against `model`. Raises DataError that names what differs.

    Counts of batches that batch norms have seen may be missing: the model's own stand for them.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} can't be read as safetensors: {error}.") from error
    own = model.state_dict()
    tensors = {**{name: count for name, count in own.items() if name.endswith(_MAY_LACK)}, **tensors}
    expected, found = ({name: tuple(tensor.shape) for name, tensor in state.items()} for state in (own, tensors))
    if found != expected:
        names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
        differences = [f"{name}: {_shape(found, name)}, expected {_shape(expected, name)}" for name in names[:_SHOWN]]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise DataError(
            f"{path} is not a network that {type(model).__name__} has the layers of: {'; '.join(differences)}{more}. "
            "Give a file of that network."
        )
    return tensors


def write_network(model: nn.Module, path: Path) -> None:
    """The model's own keys and tensors as safetensors, under a temporary name first."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}

    def same(written: Path) -> bool:
        found = load_file(written)
        return found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)

    write_verified(path, save(tensors), same)


def _shape(shapes: dict[str, tuple[int, ...]], name: str) -> str:
    return str(shapes[name]) if name in shapes else "nothing"
