"""Trained weights from files that other programs have written: torchvision, timm, Caffe's converters, one's own."""

from __future__ import annotations

import pickle
import re
from collections import Counter
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
_DEEPEST = 8  # of these within each other: a pickled mapping may hold itself
_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
_ZIP, _PICKLE = b"PK", b"\x80"  # what files of torch begin with, and older ones
_TAR = slice(257, 262), b"ustar"  # and the oldest ones hold
_LOOKED_AT = 16  # bytes that an error shows of a file of another kind
_SHOWN = 3  # names that an error lists of each kind

Shapes = Mapping[str, tuple[int, ...]]


def read_weights(model: nn.Module, path: str | Path) -> str:
    """Give a model the weights of a file; whose names of layers the file has, in a word or two.

    model: any module; of the zoo's, files with the names of torchvision, timm or Caffe fit too. path: a .safetensors
    file, or a .pth, .pt, .bin, .ckpt or .pth.tar file of torch: a state dict, or a checkpoint that holds one by the
    names "state_dict", "model_state_dict" or "model", which may lie in each other. Nothing but tensors is unpickled.
    Prefixes of wrappers ("module."), and others that all keys have ("backbone."), fall away where the rest fits.
    Numbers take the model's type and device. Counts of batches that batch norms have seen may be missing, and
    auxiliary classifiers are left out where the model has none.
    Raises DataError if the file can't be read or doesn't fit: which keys are missing, left over, or of which shapes,
    which network of the zoo the file is of, if any, and which tensors are no floats (codes of a quantized network,
    masks), or hold NaN or infinity. The model is unchanged then.

    >>> network = ns.zoo.resnet18(classes=10, size=32)
    >>> torch.save(network.state_dict(), "trained.pt")
    >>> ns.zoo.read_weights(ns.zoo.resnet18(classes=10, size=32), "trained.pt")
    'netsurgery'
    """
    path = Path(path)
    state = unwrapped(_read(path))
    own = model.state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in own.items()}
    tried = [
        (naming.whose, _fitted(naming.renamed(candidate), expected))
        for candidate in _without_prefixes(state)
        for naming in NAMINGS
    ]
    whose, found = min(tried, key=lambda item: _count_differing(_shapes(item[1]), expected))
    if differing := _differences(_shapes(found), expected):
        raise DataError(
            f"{path} doesn't hold the weights of this {type(model).__name__}: {differing}. {_advice(state, expected)}"
        )
    parameters = {name for name, _ in model.named_parameters()}
    for name, tensor in found.items():
        if fault := _fault(tensor, own[name], may_be_infinite=name not in parameters):
            raise DataError(f"{path} holds no weights of this {type(model).__name__}: {name} {fault}.")
    model.load_state_dict({**own, **found})
    return whose


def _fault(tensor: Tensor, own: Tensor, *, may_be_infinite: bool) -> str:
    """Why numbers of a file can't stand in the place of the model's own; nothing if they can.

    may_be_infinite: where the model's are, as in masks of attention, which are no parameters.
    """
    if tensor.layout != torch.strided or tensor.is_quantized:
        return "is stored as a sparse or quantized tensor; save it dense, as floats"
    if own.is_floating_point() and not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        return f"is of {kind}, where the model has floats; of a quantized network save the weights that codes stand for"
    if tensor.is_complex() and not own.is_complex():
        return "is complex, where the model has real numbers"
    if own.is_meta or (may_be_infinite and not own.isfinite().all()):
        return ""
    wide = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # torch can't ask floats of 8 bits
    if not wide.isfinite().all():
        return "holds NaN or infinity; give weights of a training that went well"
    if not tensor.to(own.dtype).isfinite().all():
        return f"holds numbers too large for the model's {str(own.dtype).removeprefix('torch.')}"
    return ""


def _without_prefixes(state: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """The same tensors, and those without the first part of their names, as long as all have the same one."""
    found = [state]
    while len({key.partition(".")[0] for key in state}) == 1 and all("." in key for key in state):
        state = {key.partition(".")[2]: tensor for key, tensor in state.items()}
        found.append(state)
    return found


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by its own names."""
    kinds = (".safetensors", *_PICKLED)
    if not path.name.lower().endswith(kinds):
        raise DataError(f"{path} is of a kind that can't be read: give a file of {', '.join(kinds)}.")
    try:
        with path.open("rb") as file:
            begin = file.read(_TAR[0].stop)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error
    # Names may lie. Safetensors first: the length that they begin with may be any bytes.
    of_safetensors = begin[8:9] == b"{"
    of_torch = not of_safetensors and (begin.startswith((_ZIP, _PICKLE)) or begin[_TAR[0]] == _TAR[1])
    if of_safetensors or (path.suffix.lower() == ".safetensors" and not of_torch):
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise DataError(f"{path} can't be read as safetensors: {error}.") from error
    if not of_torch:
        what = f"begins with {begin[:_LOOKED_AT]!r}" if begin else "is empty"
        raise DataError(f"{path} is no file of torch: it {what}. Fetch it again.")
    try:
        with path.open("rb") as file:  # by its name torch would take it for safetensors
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path} holds other things than tensors, or is damaged, and isn't unpickled: they could be programs. "
            "Where you trust it, load it with torch and save its state_dict() alone."
        ) from error
    except Exception as error:  # damaged pickles raise whatever their bytes happen to ask for
        reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise DataError(
            f"{path} can't be read as a file of torch ({reason}): it is damaged, or of another kind. Save a module's "
            "state_dict() again."
        ) from error
    for _ in range(_DEEPEST):
        inside = [content[name] for name in _INSIDE if isinstance(content, Mapping) and name in content]
        content = next((value for value in inside if isinstance(value, Mapping)), content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path} holds no state dict: a mapping of names to tensors is expected, {_held(content)}.")
    others = [key for key in content if not isinstance(key, str)]
    if others:
        raise DataError(
            f"{path} holds no state dict: a mapping of names to tensors is expected, and {others[0]!r} is no name. "
            "Save a module's state_dict()."
        )
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
        dense = tensor.layout == torch.strided
        flat = tuple(tensor.flatten(1).shape) if tensor.ndim == 4 and dense else None
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
    """Which part of the file would fit, or which network of the zoo the file is of."""
    prefixes = Counter(key[: found.end()] for key in state for found in re.finditer(r"\.", key))
    for prefix in (name for name, count in prefixes.items() if count >= len(_needed(expected))):
        part = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
        if any(not _differences(_shapes(_fitted(naming.renamed(part), expected)), expected) for naming in NAMINGS):
            return (
                f"Its keys that begin with {prefix!r} are those of this network: save them without {prefix!r}, and "
                "without the other keys."
            )
    for name, architecture in ZOO.items():
        with torch.device("meta"):
            own = _shapes(architecture.build().state_dict())
            without_heads = _shapes(architecture.deployed().state_dict())
        for shapes in (own, without_heads):
            fits = (_fitted(naming.renamed(state), shapes) for naming in NAMINGS)
            if shapes != expected and any(not _differences(_shapes(found), shapes) for found in fits):
                return f"It holds those of {name}: build that network."
    return "Give a file of that network, or build the network that the file is of."
