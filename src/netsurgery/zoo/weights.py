"""Trained weights from files that other programs have written: torchvision, timm, Caffe's converters, one's own."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from netsurgery.errors import DataError
from netsurgery.zoo.namings import NAMINGS, unwrapped
from netsurgery.zoo.table import ZOO

_COUNTS = "num_batches_tracked"  # batch norm's count of training batches, which no output depends on
_HEADS = re.compile(r"^aux[12]\.")  # auxiliary classifiers, which a network that is deployed doesn't have
_INSIDE = ("state_dict", "model_state_dict", "model")  # where training programs keep it in their checkpoints
_PICKLED = (".pth", ".pt", ".bin")
_SHOWN = 3  # names that an error lists of each kind

Shapes = Mapping[str, tuple[int, ...]]


def read_weights(model: nn.Module, path: str | Path) -> str:
    """Give a model the weights of a file; whose names of layers the file has, in a word or two.

    model: any module; of the zoo's, files with the names of torchvision, timm or Caffe fit too. path: a .safetensors
    file, or a .pth, .pt or .bin file of torch: a state dict, or a checkpoint that holds one by the name "state_dict",
    "model_state_dict" or "model". Nothing but tensors is unpickled. Prefixes of wrappers ("module.") fall away.
    Numbers take the model's type and device. Counts of batches that batch norms have seen may be missing, and
    auxiliary classifiers are left out where the model has none.
    Raises DataError if the file can't be read or doesn't fit: which keys are missing, left over, or of which shapes,
    and which network of the zoo the file is of, if any. The model is unchanged then.

    >>> network = ns.zoo.resnet18(classes=10, size=32)
    >>> torch.save(network.state_dict(), "trained.pt")
    >>> ns.zoo.read_weights(ns.zoo.resnet18(classes=10, size=32), "trained.pt")
    'netsurgery'
    """
    path = Path(path)
    state = unwrapped(_read(path))
    own = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    tried = [(naming.whose, _fitted(naming.renamed(state), expected)) for naming in NAMINGS]
    whose, found = min(tried, key=lambda item: _count_differing(_shapes(item[1]), expected))
    if differing := _differences(_shapes(found), expected):
        raise DataError(
            f"{path} doesn't hold the weights of this {type(model).__name__}: {differing}. {_advice(state, expected)}"
        )
    model.load_state_dict({**own, **found})
    return whose


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by its own names."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path} can't be read as safetensors: {error}.") from error
    if path.suffix not in _PICKLED:
        raise DataError(f"{path} is of a kind that can't be read: give a file of .safetensors, {', '.join(_PICKLED)}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds other things than tensors, or is damaged, and isn't unpickled: they could be programs. "
            "Where you trust it, load it with torch and save its state_dict() alone."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path} can't be read as a file of torch: {error}.") from error
    for name in _INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path} holds no state dict: a mapping of names to tensors is expected, {_held(content)}.")
    return dict(content)


def _held(content: object) -> str:
    """What there is in the place of a state dict."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__} was found"
    names = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    return f"{', '.join(names[:_SHOWN])} {'are none' if len(names) > 1 else 'is none'}"


def _fitted(state: dict[str, Tensor], expected: Shapes) -> dict[str, Tensor]:
    """Without what may be left out; convolutions that see their whole picture as the linear layers that they are."""
    has_heads = any(_HEADS.match(name) for name in expected)
    fitted = {}
    for name, tensor in state.items():
        if name not in expected and (name.endswith(_COUNTS) or (_HEADS.match(name) and not has_heads)):
            continue
        flat = tuple(tensor.flatten(1).shape) if tensor.ndim == 4 else None
        fitted[name] = tensor.flatten(1) if flat and expected.get(name) == flat else tensor
    return fitted


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _needed(expected: Shapes) -> list[str]:
    return [name for name in expected if not name.endswith(_COUNTS)]


def _count_differing(found: Shapes, expected: Shapes) -> int:
    missing = sum(found.get(name) != expected[name] for name in _needed(expected))
    return missing + len(found.keys() - expected.keys())


def _differences(found: Shapes, expected: Shapes) -> str:
    """In words; nothing if there are none."""
    missing = [name for name in _needed(expected) if name not in found]
    left_over = [name for name in found if name not in expected]
    shapes = [
        f"{name} is {found[name]} in the place of {expected[name]}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    parts = [("missing: ", missing), ("left over: ", left_over), ("", shapes)]
    return "; ".join(f"{begin}{_some(names)}" for begin, names in parts if names)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _advice(state: dict[str, Tensor], expected: Shapes) -> str:
    """Which network of the zoo the file is of."""
    for name, architecture in ZOO.items():
        with torch.device("meta"):
            own = _shapes(architecture.build().state_dict())
            without_heads = _shapes(architecture.deployed().state_dict())
        for shapes in (own, without_heads):
            fits = (_fitted(naming.renamed(state), shapes) for naming in NAMINGS)
            if shapes != expected and any(not _differences(_shapes(found), shapes) for found in fits):
                return f"It holds those of {name}: build that network."
    return "Give a file of that network, or build the network that the file is of."
