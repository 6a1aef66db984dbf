"""Tensors of which is known everything but how much of them is used: tables of positions, masks, counted places.

A buffer cut to the length of a sequence is computed with as a whole, as long as each of its entries goes its own way;
what comes out is cut where the graph needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from netsurgery.graph.from_torch.call import Constant, Cut, Open

MOST_ENTRIES = 2**24
"""Of what is computed as a whole."""

MOST_PLACES = 2**16
"""How far places are counted that follow an open axis."""

_CASTS = ("aten._to_copy.default", "aten.to.dtype", "aten.to.dtype_layout", "aten.clone.default", "aten.detach.default")

_AT_EVEN_STEPS = ("aten.add.Tensor", "aten.add.Scalar", "aten.sub.Tensor", "aten.mul.Tensor", "aten.mul.Scalar")
"""What leaves even steps even, with a number."""


def cut_of(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Cut | None:
    """What a call gives if that is the beginning of a tensor that is known; None if it isn't, or not easily."""
    kind = str(target)
    if kind == "aten.slice.Tensor":
        return _sliced(args, kwargs)
    if kind in ("aten.arange.default", "aten.arange.start"):
        return _counted(kind, args, kwargs, name)
    if not any(isinstance(value, Cut) for value in args):
        return None
    if kind == "aten.unsqueeze.default":
        return _unsqueezed(args[0], args[1])
    if kind == "aten.embedding.default" and isinstance(args[0], Constant):
        return _looked_up(args[0], args[1])
    if kind in _CASTS or torch.Tag.pointwise in getattr(target, "tags", ()):
        return _pointwise(target, args, kwargs, name)
    return None


def _sliced(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Cut | None:
    """The first entries along one more axis."""
    given = dict(enumerate(args))
    dim, start, stop, step = (
        kwargs.get(word, given.get(place, default))
        for place, (word, default) in enumerate((("dim", 0), ("start", None), ("end", None), ("step", 1)), 1)
    )
    if not isinstance(args[0], Constant | Cut) or step != 1 or start not in (None, 0):
        return None
    whole, stops = (args[0].whole, args[0].stops) if isinstance(args[0], Cut) else (args[0], {})
    axis = dim % whole.tensor.ndim
    if isinstance(stop, Open) and (axis not in stops or stops[axis] == stop):
        return Cut(whole, {**stops, axis: stop}, isinstance(args[0], Cut) and args[0].endless)
    unlimited = stop is None or (isinstance(stop, int) and stop >= whole.tensor.shape[axis])
    return args[0] if isinstance(args[0], Cut) and unlimited else None


def _counted(kind: str, args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Cut | None:
    """0, 1, 2, ... up to an open size, as whole numbers: they are places in a table, or parts of a mask."""
    start, stop = (0, args[0]) if kind == "aten.arange.default" else args[:2]
    if start != 0 or not isinstance(stop, Open) or kwargs.get("dtype") not in (None, torch.int64, torch.int32):
        return None
    places = torch.arange(MOST_PLACES, dtype=kwargs.get("dtype") or torch.int64)
    return Cut(Constant(places, name), {0: stop}, endless=True)


def _unsqueezed(value: Any, dim: int) -> Cut | None:
    if not isinstance(value, Cut):
        return None
    axis = dim % (value.whole.tensor.ndim + 1)
    stops = {old + (old >= axis): stop for old, stop in value.stops.items()}
    return Cut(Constant(value.whole.tensor.unsqueeze(axis), value.whole.name), stops, value.endless)


def _looked_up(table: Constant, places: Any) -> Cut | None:
    """Rows of a table, as far as it goes."""
    if not isinstance(places, Cut):
        return None
    index, rows = places.whole.tensor, table.tensor.shape[0]
    for axis in places.stops:
        others = [other for other in range(index.ndim) if other != axis]
        inside = ((index >= 0) & (index < rows)).to(torch.uint8)
        kept = inside.amin(others) if others else inside
        index = index.narrow(axis, 0, int(kept.cumprod(0).sum()))
    if index.numel() == 0 or index.numel() * table.tensor[0].numel() > MOST_ENTRIES:
        return None
    return Cut(Constant(torch.nn.functional.embedding(index.long(), table.tensor), table.name), places.stops)


def _pointwise(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> Cut | None:
    """An operator that works entry by entry, on whole tensors; what is counted without an end stays whole numbers."""
    tensors = [value for value in args if isinstance(value, Cut | Constant)]
    endless = all(value.endless for value in tensors if isinstance(value, Cut))
    if endless and (len(tensors) > 1 or str(target) not in (*_CASTS, *_AT_EVEN_STEPS)):
        return None  # the graph computes it for as many as there are
    if any(not isinstance(value, Cut | Constant | int | float | bool | torch.dtype | None) for value in args):
        return None
    rank = max(len(value.shape) for value in tensors)
    stops: dict[int, Open] = {}
    for value in tensors:
        for axis, stop in value.stops.items() if isinstance(value, Cut) else ():
            place = axis + rank - len(value.shape)
            if stops.setdefault(place, stop) != stop:
                return None
    parts: list[Any] = []
    for value in args:
        tensor = (
            value.whole.tensor if isinstance(value, Cut) else value.tensor if isinstance(value, Constant) else value
        )
        if isinstance(value, Constant) and any(
            tensor.ndim - rank + place >= 0 and tensor.shape[tensor.ndim - rank + place] != 1 for place in stops
        ):
            return None  # as long as the cut is, which only torch knows
        parts.append(tensor)
    for place in stops:  # tables of different lengths are as long as the shortest
        lengths = [
            part.shape[part.ndim - rank + place]
            for part in parts
            if isinstance(part, torch.Tensor) and part.ndim - rank + place >= 0
        ]
        shortest = min((length for length in lengths if length != 1), default=1)
        parts = [
            part.narrow(part.ndim - rank + place, 0, shortest)
            if isinstance(part, torch.Tensor)
            and part.ndim - rank + place >= 0
            and part.shape[part.ndim - rank + place] != 1
            else part
            for part in parts
        ]
    shape = torch.broadcast_shapes(*(part.shape for part in parts if isinstance(part, torch.Tensor)))
    if torch.Size(shape).numel() > MOST_ENTRIES:
        return None
    settings = {
        key: torch.device("cpu") if key == "device" and value is not None else value for key, value in kwargs.items()
    }
    with torch.no_grad():
        made = target(*parts, **settings)
    if endless and (made.is_floating_point() or made.dtype is torch.bool):
        return None
    return Cut(Constant(made, name), stops, endless)
