"""Shape rules of recurrent layers, as those of shapes.py."""

from __future__ import annotations

from netsurgery.errors import GraphError, TooSmallError
from netsurgery.graph.shapes import Attributes, Shape, Shapes

_ACTIVATIONS_OF_GATES = {4: 3, 3: 2, 1: 1}


def lstm(shapes: Shapes, attributes: Attributes) -> Shape:
    """(T, N, P) for result `steps`, (N, P) for `hidden`, (N, H) for `cell`; with batch_first (N, T, P) for the first.

    gates (T, N, 4H) or with batch_first (N, T, 4H), weight (4H, P), bias (4H,), peepholes (3, H), projection (P, H),
    lengths (N,), hidden (N, P), cell (N, H). Without projection P is H.
    """
    gates, weight, bias, peepholes, projection, lengths, hidden, cell = (*shapes, *(None,) * 8)[:8]
    size, width = _sizes(gates, weight, bias, 4, attributes, projected=projection is not None)
    batch = gates[0 if attributes["batch_first"] else 1]
    _require_shape("peepholes", peepholes, (3, size))
    _require_shape("projection", projection, (width, size))
    _require_shape("lengths", lengths, (batch,))
    _require_shape("hidden", hidden, (batch, width))
    _require_shape("cell", cell, (batch, size))
    if attributes["result"] == "cell":
        return (batch, size)
    return (*gates[:2], width) if attributes["result"] == "steps" else (batch, width)


def gru(shapes: Shapes, attributes: Attributes) -> Shape:
    """(T, N, H) for result `steps`, (N, H) for `hidden`; with batch_first (N, T, H) for the first.

    gates (T, N, 3H) or with batch_first (N, T, 3H), weight (3H, H), bias (3H,), lengths (N,), hidden (N, H).
    """
    return _of_one_state(shapes, attributes, 3)


def rnn(shapes: Shapes, attributes: Attributes) -> Shape:
    """As for Gru, with H instead of 3H."""
    return _of_one_state(shapes, attributes, 1)


def _of_one_state(shapes: Shapes, attributes: Attributes, gates_each: int) -> Shape:
    gates, weight, bias, lengths, hidden = (*shapes, *(None,) * 5)[:5]
    size, _ = _sizes(gates, weight, bias, gates_each, attributes, projected=False)
    batch = gates[0 if attributes["batch_first"] else 1]
    _require_shape("lengths", lengths, (batch,))
    _require_shape("hidden", hidden, (batch, size))
    return (*gates[:2], size) if attributes["result"] == "steps" else (batch, size)


def _sizes(
    gates: Shape, weight: Shape, bias: Shape | None, gates_each: int, attributes: Attributes, *, projected: bool
) -> tuple[int, int]:
    """H and P, all that is said twice compared."""
    if len(gates) != 3 or gates[2] % gates_each != 0:
        raise GraphError(f"gates have shape {gates}; three sizes are needed, the last one a multiple of {gates_each}.")
    size = gates[2] // gates_each
    if len(weight) != 2 or weight[0] != gates[2] or (weight[1] != size and not projected):
        columns = "P" if projected else str(size)
        raise GraphError(f"weight has shape {weight}, ({gates[2]}, {columns}) is needed.")
    _require_shape("bias", bias, (gates[2],))
    count, batch = _ACTIVATIONS_OF_GATES[gates_each], gates[0 if attributes["batch_first"] else 1]
    for name in ("alphas", "betas"):
        if len(attributes[name]) not in (0, count):
            raise GraphError(f"{name}={attributes[name]} has {len(attributes[name])} numbers, {count} are needed.")
    lengths = attributes["fixed_lengths"]
    sentence = f"fixed_lengths={lengths} must be one for each of {batch} sequences, none longer than gates."
    if lengths and len(lengths) != batch:
        raise GraphError(sentence)
    if lengths and max(lengths) > gates[1 if attributes["batch_first"] else 0]:
        raise TooSmallError(sentence)
    if not attributes["clip"] >= 0:
        raise GraphError(f"clip={attributes['clip']} must be 0 or more.")
    return size, weight[1]


def _require_shape(name: str, given: Shape | None, wanted: Shape) -> None:
    if given is not None and tuple(given) != wanted:
        raise GraphError(f"{name} has shape {tuple(given)}, {wanted} is needed.")
