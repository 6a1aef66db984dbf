"""The exchange of latent and effective weights, for every method: what is where, and who wrote to it meanwhile.

    parameter: effective --reveal--> latent --optimizer.step, update--> latent --hide--> effective

Where the parameter is a connection's home, whatever the user does to it between two steps stays done: clamping, loading
a checkpoint, averaging. Of a hidden connection the parameter shows what the state declares, so that its content tells
whether somebody has written to it; nothing counts writes, which torch doesn't notice where they go through `.data` or
NumPy. What was written there is dropped, as it contradicts the declared set, unless the method declares every weight of
the tensor (a sketch): then it is what the optimizer goes on from (State.adopt).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from netsurgery.methods import fields
from netsurgery.methods.base import Layer, Method, tensors_of
from netsurgery.methods.blocks import as_number, blocks
from netsurgery.methods.fields import Hidden, Place
from netsurgery.methods.saved_state import check_keys, check_tensor
from netsurgery.methods.shards import Along, Extents, part_of, whole
from netsurgery.methods.state import State, of_all_parts

_WEIGHTS = "weights"


def reveal(state: State, layers: Sequence[Layer]) -> None:
    """Effective -> latent, in place in the parameters. Only what was written to a sketch changes the state."""
    if not state.latent:
        return
    state.adopt(layers, tells=False)
    for name, tensor in tensors_of(layers):
        own = state.own(name)
        if own is None:
            tensor.copy_(state.latent[name])
        else:
            for weight, latent, part in blocks(tensor, state.latent[name], as_number(own)):
                # w * own, not w: what somebody has written over a pruned 0 meanwhile is not its latent weight.
                torch.addcmul(latent, weight, part, out=weight)


def hide(method: Method[Any], state: State, layers: Sequence[Layer]) -> None:
    """Latent -> effective, in place in the parameters that `update` hasn't projected already."""
    for name, tensor in tensors_of(layers):
        if name not in state.projected:
            method.project(state, name, tensor)
    state.projected.clear()


def remember(latent: Tensor, tensor: Tensor, own: Tensor | None) -> None:
    """Take over from a parameter that holds latent weights those of hidden connections, and +0 for the others."""
    if own is None:
        latent.copy_(tensor)
        return
    for weight, part, mask in blocks(tensor, latent, as_number(own)):
        part.copy_(weight)
        part.addcmul_(part, mask, value=-1)  # a - a is +0


def marks(tensors: Sequence[Tensor]) -> list[tuple[int, float]]:
    """What tells quickly that tensors were written to: equal marks, equal content, but for odd chances.

    Torch's count of changes misses writes through `.data`, and a sum those that leave it as it is.
    """
    sums = [tensor.detach().sum(dtype=torch.float32).to(tensors[0].device) for tensor in tensors]
    return [(tensor._version, total) for tensor, total in zip(tensors, torch.stack(sums).tolist(), strict=True)]


def settle(method: Method[Any], state: State, layers: Sequence[Layer]) -> None:
    """Make the declared set final: free what only its changes need. Parameters hold effective weights, which stay."""
    adopted = state.adopt(layers)
    anywhere = of_all_parts({name: int(name in adopted) for name, _ in tensors_of(layers)}, layers)
    written = {name for name, count in anywhere.items() if count}
    if written:
        only = [dataclasses.replace(la, tensors={n: t for n, t in la.tensors.items() if n in written}) for la in layers]
        for name, tensor in tensors_of(only):
            tensor.copy_(state.latent[name])
        method.update(state, only, method.active_steps)
    fields.free(state)
    hide(method, state, layers)


def save(method: Method[Any], state: State, layers: Sequence[Layer]) -> dict[str, Any]:
    """All that `load` needs, in tensors, numbers and dicts: torch.load(weights_only=True) reads it."""
    state.adopt(layers)
    parts = _hidden(state)
    weights = {}
    for layer in layers:
        for name, tensor in layer.tensors.items():
            own = state.own(name)
            part = parts[0][name] if parts else tensor.new_zeros(())
            held = (part if parts else tensor) if own is None else torch.addcmul(part, tensor, as_number(own))
            is_ours = own is not None and name not in layer.shards
            weights[name] = held if is_ours else whole(held, layer.shards.get(name), _every(tensor))
    return {_WEIGHTS: weights, **fields.save(state, Place(method, layers))}


def check(method: Method[Any], layers: Sequence[Layer], saved: Mapping[str, Any]) -> None:
    """Raise StateError if `saved` belongs to other layers, shapes or settings, or is damaged."""
    declared = dict(fields.kinds(method.state_type))
    saved = fields.completed(method.state_type, saved)  # type: ignore[assignment]  # a mapping stays one
    check_keys(saved, {_WEIGHTS, *declared}, "A stage of the saved state")
    check_keys(saved[_WEIGHTS], {name for name, _ in tensors_of(layers)}, f"{_WEIGHTS!r} of the saved state")
    for layer in layers:
        for name, tensor in layer.tensors.items():
            like = torch.empty(layer.shape(name), dtype=tensor.dtype, device="meta")
            check_tensor(saved[_WEIGHTS][name], _WEIGHTS, name, like)
    for field, kind in declared.items():
        kind.check(saved[field], field, Place(method, layers))


def load(method: Method[Any], layers: Sequence[Layer], saved: Mapping[str, Any]) -> State:
    """The state that `save` described, once `check` accepted it; the parameters become effective."""
    complete: Any = fields.completed(method.state_type, saved)
    state: State = fields.load(method.state_type, complete, Place(method, layers))
    for layer in layers:
        for name, tensor in layer.tensors.items():
            tensor.copy_(part_of(saved[_WEIGHTS][name], layer.shards.get(name), _every(tensor), tensor))
            for part in _hidden(state):
                remember(part[name], tensor, state.own(name))
    hide(method, state, layers)
    return state


def gathered(method: Method[Any], state: State, layers: Sequence[Layer]) -> tuple[State, list[Layer]]:
    """A copy of the state and of its layers, put together from all processes that hold parts; on the processor."""
    saved = save(method, state, layers)
    copies = [
        Layer(one.name, {name: saved[_WEIGHTS][name].clone() for name in one.tensors}, one.groups, one.filter_dims)
        for one in layers
    ]
    return load(method, copies, saved), copies


def _every(tensor: Tensor) -> Extents:
    return [Along(dim) for dim in range(tensor.dim())]


def _hidden(state: State) -> list[dict[str, Tensor]]:
    """What is there of hidden connections: latent weights, fixed ones, or nothing."""
    parts = [getattr(state, field) for field, kind in fields.kinds(type(state)) if isinstance(kind, Hidden)]
    return [part for part in parts if part]
