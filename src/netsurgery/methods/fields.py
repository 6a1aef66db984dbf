"""What a record of state holds, said once for each field: how it is saved, checked, loaded and freed follows.

    @dataclass
    class CutState(State):
        masks: dict[str, Tensor] = per_parameter(torch.bool)
        thresholds: dict[str, float] = per_layer_number()
        draws: torch.Generator = generator()

`while_changing` marks what nobody needs once the declared set is final: `free` empties it, and it is saved as empty.
Fields that are declared otherwise, or not at all, are of the moment and are not saved.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, final

import torch
from torch import Tensor

from netsurgery.methods.base import Layer, tensors_of
from netsurgery.methods.saved_state import check_keys, check_tensor, misfit
from netsurgery.methods.shards import Along, Extents, Shard, part_of, shape_of, whole

RecordT = TypeVar("RecordT")
_KIND = "netsurgery.kind"


class Home(NamedTuple):
    """A parameter that something is held for: its method, itself, and the dimension along which its filters lie.

    Where other processes hold parts of it, `tensor` is the part that is here, and `shard` says which that is.
    """

    method: Any
    tensor: Tensor
    filter_dim: int
    shard: Shard | None = None


Shape = Callable[[Home], Extents]
"""The shape of what is held for a parameter."""


class Place(NamedTuple):
    """Whose state it is: a method's, on those layers."""

    method: Any
    layers: Sequence[Layer]


def per_parameter(dtype: torch.dtype | None = None, shape: Shape | None = None) -> Any:
    """Parameter name -> tensor of its shape and layout, or of `shape`; of its type, unless `dtype` says another."""
    return _field(_Tensors(dtype, shape), dict)


def per_some(shape: Shape) -> Any:
    """Names of some parameters -> float32 tensor of `shape`."""
    return _field(_Tensors(torch.float32, shape, of_some=True), dict)


def per_filter(dtype: torch.dtype = torch.float32, while_changing: bool = False) -> Any:
    """Names of some weights -> tensor as filters.norms gives it: one number for each filter."""
    return _field(_Tensors(dtype, _filters, of_some=True, while_changing=while_changing), dict)


def per_stretch() -> Any:
    """Parameter name, colon, index of a stretch of it (blocks.py) -> float32 tensor of shape ()."""
    return _field(_Tensors(torch.float32, _scalar, of_some=True, of_stretches=True), dict)


def per_parameter_number(count: int = 1) -> Any:
    """Parameter name -> a whole number, or a tuple of `count` of them."""
    return _field(_Numbers(int, count), dict)


def per_layer_number() -> Any:
    """Names of some layers -> a float."""
    return _field(_Numbers(float, of_layers=True), dict)


def filter_dims() -> Any:
    """Names of the parameters whose filters don't lie along the first dimension -> the one along which they lie."""
    return _field(_FilterDims(), dict)


def number(default: int | None = None) -> Any:
    """A whole number >= 1."""
    return _field(_Number(), None if default is None else lambda: default)


def one_tensor() -> Any:
    """A float32 tensor of shape (), on the device of the first parameter, or None."""
    return _field(_OneTensor(), _none)


def generator() -> Any:
    """A source of random numbers."""
    return _field(_Generator(), torch.Generator)


def nested(record: type[Any], while_changing: bool = False) -> Any:
    """Another record; None at first, and in the end, if nobody needs it once the declared set is final."""
    return _field(_Nested(record, while_changing=while_changing), _none if while_changing else record)


def hidden(while_changing: bool = False) -> Any:
    """Parameter name -> what connections weigh whose home isn't the parameter, +0 for the others (exchange.py).

    Of all parameters or of none. It is saved with the parameters: no connection is in both.
    """
    return _field(Hidden(while_changing=while_changing), dict)


def save(record: Any, place: Place) -> dict[str, Any]:
    """All fields but those of the moment, in tensors, numbers, strings and dicts; nothing of the record is shared.

    What several processes hold parts of is put together: all of them get the same.
    """
    return {name: kind.save(getattr(record, name), place) for name, kind in kinds(type(record))}


def check(record: type[Any], saved: object, what: str, place: Place) -> None:
    """Raise StateError unless `load` can make a record of `saved`, which `what` names at the head of a sentence."""
    declared = dict(kinds(record))
    check_keys(saved, set(declared), what)
    for name, kind in declared.items():
        kind.check(saved[name], name, place)  # type: ignore[index]  # check_keys found a mapping


def load(record: type[RecordT], saved: Mapping[str, Any], place: Place) -> RecordT:
    """The record that was saved, on the devices of the parameters, once `check` accepted it."""
    return record(**{name: kind.load(saved[name], place) for name, kind in kinds(record)})


def completed(record: type[Any], saved: object) -> object:
    """What was saved, with no dimensions where it is of before they were held: all filters lay along the first then."""
    if not isinstance(saved, Mapping):
        return saved
    return {**{name: {} for name, kind in kinds(record) if isinstance(kind, _FilterDims)}, **saved}


def free(record: Any) -> None:
    """Empty what nobody needs once the declared set is final."""
    for name, kind in kinds(type(record)):
        if kind.while_changing:
            setattr(record, name, None if isinstance(kind, _Nested) else {})


def kinds(record: type[Any]) -> Iterator[tuple[str, Kind]]:
    """(name, kind) of the fields that are declared here."""
    for field in dataclasses.fields(record):
        if _KIND in field.metadata:
            yield field.name, field.metadata[_KIND]


@dataclass(frozen=True, kw_only=True)
class Kind(ABC):
    """How the value of a field is saved, checked and loaded."""

    while_changing: bool = False

    @abstractmethod
    def save(self, value: Any, place: Place) -> Any:
        """What goes into a file; shares no memory with the value."""

    @abstractmethod
    def check(self, found: Any, field: str, place: Place) -> None:
        """Raise StateError unless `load` takes it."""

    @abstractmethod
    def load(self, found: Any, place: Place) -> Any:
        """The value that was saved."""


@final
@dataclass(frozen=True)
class _Tensors(Kind):
    dtype: torch.dtype | None
    shape: Shape | None
    of_some: bool = False
    of_stretches: bool = False

    def save(self, value: dict[str, Tensor], place: Place) -> dict[str, Tensor]:
        homes = self._homes(value, place)
        return {key: whole(tensor, homes[key].shard, self._extents(homes[key])) for key, tensor in value.items()}

    def check(self, found: Any, field: str, place: Place) -> None:
        homes = dict(tensors_of(place.layers))
        expected = set(homes)
        if self.of_some and isinstance(found, Mapping):
            expected = {key for key in found if self._home(key) in homes}
        check_keys(found, expected, f"{field!r} of the saved state")
        for key, home in self._homes(found, place).items():
            shape = shape_of(self._extents(home), home.shard.shape if home.shard else home.tensor.shape)
            like = torch.empty(shape, dtype=self.dtype or home.tensor.dtype, device="meta")
            check_tensor(found[key], field, key, like)

    def load(self, found: Any, place: Place) -> dict[str, Tensor]:
        loaded = {}
        for key, home in self._homes(found, place).items():
            extents = self._extents(home)
            if self.shape is None:
                empty = torch.empty_like(home.tensor, dtype=self.dtype)
            else:
                empty = home.tensor.new_empty(shape_of(extents, home.tensor.shape), dtype=self.dtype)
            loaded[key] = empty.copy_(part_of(found[key], home.shard, extents, empty))
        return loaded

    def _extents(self, home: Home) -> Extents:
        return [Along(dim) for dim in range(home.tensor.dim())] if self.shape is None else self.shape(home)

    def _homes(self, keys: Iterable[str], place: Place) -> dict[str, Home]:
        """What each key is held for."""
        homes = {
            name: Home(place.method, tensor, layer.filter_dim(name), layer.shards.get(name))
            for layer in place.layers
            for name, tensor in layer.tensors.items()
        }
        return {key: homes[self._home(key)] for key in keys}

    def _home(self, key: object) -> str:
        return str(key).rpartition(":")[0] if self.of_stretches else str(key)


@final
@dataclass(frozen=True)
class Hidden(Kind):
    """Said in a file by whether it is there; exchange.py takes it from the parameters."""

    def save(self, value: dict[str, Tensor], place: Place) -> bool:
        return bool(value)

    def check(self, found: Any, field: str, place: Place) -> None:
        allowed = (True, False) if self.while_changing else (True,)
        if not isinstance(found, bool) or found not in allowed:
            raise misfit(repr(found), field, " or ".join(map(str, allowed)))

    def load(self, found: bool, place: Place) -> dict[str, Tensor]:
        return {name: torch.zeros_like(tensor) for name, tensor in tensors_of(place.layers)} if found else {}


@final
@dataclass(frozen=True)
class _Numbers(Kind):
    type: type[int] | type[float]
    count: int = 1
    of_layers: bool = False

    def save(self, value: dict[str, Any], place: Place) -> dict[str, Any]:
        return dict(value)

    def check(self, found: Any, field: str, place: Place) -> None:
        expected = {name for name, _ in tensors_of(place.layers)}
        if self.of_layers:
            expected = {layer.name for layer in place.layers if not isinstance(found, Mapping) or layer.name in found}
        check_keys(found, expected, f"{field!r} of the saved state")
        for name, value in found.items():
            values = value if self.count > 1 and isinstance(value, tuple | list) else [value]
            counts = self.count == 1 and self.type is int  # of connections
            fits = all(_is_number(each, self.type) and (each >= 0 or not counts) for each in values)
            if len(values) != self.count or not fits:
                kind = "whole number >= 0" if counts else "whole number" if self.type is int else "finite float"
                expects = f"a {kind}" if self.count == 1 else f"{self.count} {kind}s"
                raise misfit(repr(value), field, expects, name)

    def load(self, found: Any, place: Place) -> dict[str, Any]:
        return {name: value if self.count == 1 else tuple(value) for name, value in found.items()}


@final
@dataclass(frozen=True)
class _Number(Kind):
    def save(self, value: int, place: Place) -> int:
        return value

    def check(self, found: Any, field: str, place: Place) -> None:
        if not _is_number(found, int) or found < 1:
            raise misfit(repr(found), field, "a whole number >= 1")

    def load(self, found: int, place: Place) -> int:
        return found


@final
@dataclass(frozen=True)
class _FilterDims(Kind):
    """Follows from the layers; in a file it says what else was saved for them means."""

    def save(self, value: dict[str, int], place: Place) -> dict[str, int]:
        return dict(value)

    def check(self, found: Any, field: str, place: Place) -> None:
        expected = self.of(place.layers)
        if not isinstance(found, Mapping) or dict(found) != expected:
            raise misfit(repr(found), field, repr(expected))

    def load(self, found: Any, place: Place) -> dict[str, int]:
        return self.of(place.layers)

    @staticmethod
    def of(layers: Sequence[Layer]) -> dict[str, int]:
        return {name: dim for layer in layers for name in layer.tensors if (dim := layer.filter_dim(name))}


@final
@dataclass(frozen=True)
class _OneTensor(Kind):
    def save(self, value: Tensor | None, place: Place) -> Tensor | None:
        return None if value is None else value.clone()

    def check(self, found: Any, field: str, place: Place) -> None:
        if found is not None:
            check_tensor(found, field, None, torch.empty(()))

    def load(self, found: Tensor | None, place: Place) -> Tensor | None:
        device = next(tensor.device for _, tensor in tensors_of(place.layers))
        return None if found is None else found.to(device, copy=True)


@final
@dataclass(frozen=True)
class _Generator(Kind):
    def save(self, value: torch.Generator, place: Place) -> Tensor:
        return value.get_state()

    def check(self, found: Any, field: str, place: Place) -> None:
        try:
            torch.Generator().set_state(found)
        except (AttributeError, RuntimeError, TypeError) as error:
            raise misfit(type(found).__name__, field, f"the state of a torch.Generator ({error})") from error

    def load(self, found: Tensor, place: Place) -> torch.Generator:
        loaded = torch.Generator()
        loaded.set_state(found)
        return loaded


@final
@dataclass(frozen=True)
class _Nested(Kind):
    record: type[Any]

    def save(self, value: Any, place: Place) -> dict[str, Any] | None:
        return None if value is None else save(value, place)

    def check(self, found: Any, field: str, place: Place) -> None:
        if found is not None or not self.while_changing:
            check(self.record, found, f"{field!r} of the saved state", place)

    def load(self, found: Any, place: Place) -> Any:
        return None if found is None else load(self.record, found, place)


def _field(kind: Kind, default: Callable[[], Any] | None = None) -> Any:
    if default is None:
        return dataclasses.field(metadata={_KIND: kind})
    return dataclasses.field(default_factory=default, metadata={_KIND: kind})


def _none() -> None:
    return None


def _is_number(value: object, kind: type[int] | type[float]) -> bool:
    return type(value) is kind and math.isfinite(value)


def _filters(home: Home) -> Extents:
    return [Along(dim) if dim == home.filter_dim else 1 for dim in range(home.tensor.dim())]


def _scalar(_: Home) -> Extents:
    return ()
