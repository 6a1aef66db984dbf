"""Parameters of which each process holds a part: which part is here, and sums over all parts.

A method works on the part that is here. Where it decides something of the whole, by a mean, a norm, a threshold, what
the parts contribute is summed; weights are never collected for it. Everything here is collective: all processes that
hold parts call it alike, and all get the same. Where nothing is spread nothing is called.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

KeyT = TypeVar("KeyT", bound=Hashable)


class Group(NamedTuple):
    """Processes that hold the parts of something.

    handle: as torch.distributed takes it. size: how many they are. place: this one's, from 0. device: the type of
    device that they exchange tensors on.
    """

    handle: Any
    size: int
    place: int
    device: str


Groups = tuple[Group, ...]
"""Over which something is to be summed, one after another; none of them if it is whole already."""


@dataclass(frozen=True)
class Shard:
    """Which part of a parameter is here: a box of it.

    shape: of the whole parameter. offset: where the part begins in each dimension. cuts: (dimension, group) of each
    group of processes that has divided the parameter along that dimension.
    """

    shape: tuple[int, ...]
    offset: tuple[int, ...]
    cuts: tuple[tuple[int, Group], ...]

    def across(self, dims: Collection[int] | None = None) -> Groups:
        """The groups over which a sum over those dimensions goes on; None: over all."""
        return tuple(group for dim, group in self.cuts if dims is None or dim in dims)


class Along(NamedTuple):
    """A dimension of what is held for a parameter: it has one entry for each `per` of the parameter's dimension."""

    dim: int
    per: int = 1


Extents = Sequence[int | Along]
"""The shape of what is held for a parameter, dimension by dimension: a number, or as long as one of the parameter's."""


def shape_of(extents: Extents, shape: Sequence[int]) -> tuple[int, ...]:
    """The extents in numbers, for a parameter, or a part of one, of that shape."""
    return tuple(-(-shape[each.dim] // each.per) if isinstance(each, Along) else each for each in extents)


def summed(values: Sequence[Tensor], groups: Sequence[Groups]) -> list[Tensor]:
    """Each value summed over its groups, and as it is where it has none; few large exchanges for all."""
    return _reduced(values, groups) if any(groups) else list(values)


def largest(values: Sequence[Tensor], groups: Sequence[Groups]) -> list[Tensor]:
    """The largest of each entry over its groups; as `summed`."""
    return _reduced(values, groups, takes_largest=True) if any(groups) else list(values)


def norm(part: Tensor, groups: Groups) -> Tensor:
    """The Euclidean norm of what is spread over groups. part: float32, the norms of what is here."""
    return summed([part.square()], [groups])[0].sqrt() if groups else part


def totals(counts: Sequence[float], groups: Sequence[Groups]) -> list[float]:
    """Python's numbers summed over their groups in float64: whole ones exactly, up to 2^53."""
    if not any(groups):
        return list(counts)
    values = torch.tensor(counts, dtype=torch.float64)
    return [float(value) for value in summed(values.unbind(), groups)]


def most(number: float, groups: Groups) -> float:
    """The largest of a number over its groups."""
    return float(largest([torch.tensor(number, dtype=torch.float64)], [groups])[0]) if groups else number


def before_and_all(counts: Mapping[KeyT, int], groups: Mapping[KeyT, Groups]) -> dict[KeyT, tuple[int, int]]:
    """For each count: the sum of those of processes before this one, and of all; one exchange for all counts."""
    slots: dict[KeyT, Tensor] = {}
    for key, count in counts.items():
        each = torch.zeros([group.size for group in groups[key]], dtype=torch.int64)
        each[tuple(group.place for group in groups[key])] = count
        slots[key] = each
    keys = list(slots)
    found = summed([slots[key] for key in keys], [groups[key] for key in keys])
    result: dict[KeyT, tuple[int, int]] = {}
    for key, each in zip(keys, found, strict=True):
        place = 0
        for group in groups[key]:
            place = place * group.size + group.place
        flat = each.cpu().flatten()
        result[key] = int(flat[:place].sum()), int(flat.sum())
    return result


def whole(part: Tensor, shard: Shard | None, extents: Extents) -> Tensor:
    """What is held for a whole parameter, on the processor, bit for bit; a copy. part: what is held for the part."""
    if shard is None:
        return part.detach().clone()
    groups = shard.across({each.dim for each in extents if isinstance(each, Along)})
    if not groups:
        return part.detach().cpu().clone()
    full = torch.zeros(shape_of(extents, shard.shape), dtype=part.dtype, device=groups[0].device)
    full[_place(shard, extents, part)] = part.to(full.device)
    raw = full.view(torch.uint8)  # all others are 0 there: sums of bytes are the bytes, -0 and NaN among them
    for group in groups:
        exchange(raw, group)
    return full.cpu()


def part_of(full: Tensor, shard: Shard | None, extents: Extents, like: Tensor) -> Tensor:
    """What of it is held for the part that is here, a view. like: of the shape of that."""
    return full if shard is None else full[_place(shard, extents, like)]


def _place(shard: Shard, extents: Extents, part: Tensor) -> tuple[slice, ...]:
    starts = [shard.offset[each.dim] // each.per if isinstance(each, Along) else 0 for each in extents]
    return tuple(slice(start, start + extent) for start, extent in zip(starts, part.shape, strict=True))


def exchange(tensor: Tensor, group: Group, largest_of: bool = False) -> None:
    """Sum a tensor over a group, in place, or take the largest of each entry: all that processes ever exchange here."""
    operation = distributed.ReduceOp.MAX if largest_of else distributed.ReduceOp.SUM
    distributed.all_reduce(tensor, operation, group=group.handle)


def _reduced(values: Sequence[Tensor], groups: Sequence[Groups], takes_largest: bool = False) -> list[Tensor]:
    found = list(values)
    for (spread, _), places in _alike(values, groups).items():
        flat = torch.cat([values[place].flatten() for place in places]).to(spread[0].device)
        for group in spread:
            exchange(flat, group, largest_of=takes_largest)
        for place, part in zip(places, flat.split([values[place].numel() for place in places]), strict=True):
            found[place] = part.view(values[place].shape).to(values[place].device)
    return found


def _alike(values: Sequence[Tensor], groups: Iterable[Groups]) -> dict[tuple[Groups, torch.dtype], list[int]]:
    """The places of those values that can be exchanged together, in an order that is the same everywhere."""
    alike: dict[tuple[Groups, torch.dtype], list[int]] = {}
    for place, (value, spread) in enumerate(zip(values, groups, strict=True)):
        if spread:
            alike.setdefault((spread, value.dtype), []).append(place)
    return alike
