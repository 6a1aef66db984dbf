"""The largest connections of many layers together: what scores a connection, and masks of an exact total density."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from netsurgery.errors import NonFiniteWeightsError, OptimizerError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.methods.blocks import as_number, row_blocks
from netsurgery.methods.masking import MaskState, Piece
from netsurgery.methods.places import PlaceCosts
from netsurgery.methods.ranking import cut_at


def largest(
    state: MaskState, layers: Sequence[Layer], density: float, hysteresis: float, concentration: float = 0.0
) -> Iterator[Piece]:
    """Masks in pieces that together keep exactly `density` of all connections of the layers.

    A connection's score is its saliency |w| * sqrt(mean squared gradient) where the state has a sensitivity, and
    |w| / (the layer's constant) where it has none. Scores of connections kept now are multiplied by `hysteresis`, and
    all are divided by (bits that the connection costs, see places.py) to the power of `concentration`.
    Raises NonFiniteWeightsError if a gradient wasn't finite, OptimizerError if none was ever seen.
    """
    total = sum(tensor.numel() for _, tensor in tensors_of(layers))
    if state.sensitivity is not None and not state.sensitivity.outputs:
        raise OptimizerError(
            "No weight has a gradient just after optimizer.step(), so saliency can't be measured. Call zero_grad "
            "before backward, not inside step or its hooks, and let the loss depend on the model."
        )

    def all_scores() -> Iterator[Tensor]:
        for layer in layers:
            for name in layer.tensors:
                yield from (scores for _, scores in _scores(state, layer, name, hysteresis, concentration))

    cut = cut_at(all_scores, keep=max(1, round(density * total)))
    if cut is None:
        raise NonFiniteWeightsError(
            "A gradient has become NaN or infinite while training. Lower the learning rate, clip gradients, "
            "and start again from the last good checkpoint."
        )
    for layer in layers:
        for name in layer.tensors:
            for rows, scores in _scores(state, layer, name, hysteresis, concentration):
                yield name, rows, cut.select(scores)


def root_rms(layer: Layer) -> float:
    """Sqrt of the root mean square of a layer's weights, biases left out; 1 for a layer of zeros.

    Layers whose weights are larger by nature lose their advantage in a common ranking, but only half of it: with the
    full quotient small layers with strong weights would be cut as deep as large redundant ones.
    """
    weights = next(iter(layer.tensors.values())).detach()
    rms = float(weights.to(torch.float32).square().mean().sqrt())
    return rms**0.5 if rms > 0 else 1.0


def _scores(
    state: MaskState, layer: Layer, name: str, hysteresis: float, concentration: float
) -> Iterator[tuple[slice, Tensor]]:
    """Non-negative float32 scores of one tensor, some of its rows at a time.

    The same whether or not rows that were given already have their new masks meanwhile.
    """
    tensor = layer.tensors[name]
    costs = PlaceCosts(state.masks[name]) if concentration else None
    outputs, inputs = None, None
    if state.sensitivity is not None:
        outputs, inputs = state.sensitivity.factors(name, tensor)
    for rows in row_blocks(tensor):
        scores = tensor[rows].to(torch.float32).abs()
        if outputs is None:
            scores.mul_(1 / state.constants[layer.name])
        else:
            scores.mul_(outputs[rows])
            if inputs is not None:
                scores.mul_(inputs)
        if costs is not None:
            scores.mul_(costs.bits(rows).pow(-concentration))
        scores.addcmul_(scores, as_number(state.masks[name][rows]), value=hysteresis - 1)
        yield rows, scores.contiguous()
