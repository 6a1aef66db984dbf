"""The largest connections of many layers together: what scores a connection, and masks of an exact total density."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from netsurgery.errors import NonFiniteWeightsError, OptimizerError
from netsurgery.methods import filters
from netsurgery.methods.base import Layer
from netsurgery.methods.blocks import as_number, row_blocks
from netsurgery.methods.masking import MaskState, Piece
from netsurgery.methods.places import PlaceCosts
from netsurgery.methods.ranking import INFINITY, Cut, cut_at

_TINY = 1e-30  # keeps 0 / 0 away from filters of zeros


def largest(
    state: MaskState,
    layers: Sequence[Layer],
    keep: int,
    hysteresis: float,
    concentration: float = 0.0,
    floors: Mapping[str, int] | None = None,
) -> Iterator[Piece]:
    """Masks in pieces that together keep exactly `keep` of all connections of the layers.

    A connection's score is its saliency where the state has a sensitivity, and |w| / (the layer's constant) where it
    has none. Scores of connections kept now are multiplied by `hysteresis`, and all are divided by (bits that the
    connection costs, see places.py) to the power of `concentration`.
    floors: parameter name -> the fewest connections that it keeps, its best ones, as far as it has some with a score
        above 0; in sum at most `keep`. No floors by default.
    Raises NonFiniteWeightsError if a gradient wasn't finite, OptimizerError if none was ever seen.
    """
    if state.sensitivity is not None and not state.sensitivity.outputs:
        raise OptimizerError(
            "No weight has a gradient just after optimizer.step(), so saliency can't be measured. Call zero_grad "
            "before backward, not inside step or its hooks, and let the loss depend on the model."
        )

    def scores_of(chosen: Sequence[_Named]) -> Iterator[Tensor]:
        for layer, name in chosen:
            yield from (scores for _, scores in _scores(state, layer, name, hysteresis, concentration))

    named = [(layer, name) for layer in layers for name in layer.tensors]
    cuts = _cuts(scores_of, named, keep, floors or {})
    for layer, name in named:
        for rows, scores in _scores(state, layer, name, hysteresis, concentration):
            yield name, rows, cuts[name].select(scores)


_Named = tuple[Layer, str]
"""A layer and the name of one of its parameters."""


def _cuts(
    scores_of: Callable[[Sequence[_Named]], Iterator[Tensor]],
    named: Sequence[_Named],
    keep: int,
    floors: Mapping[str, int],
) -> dict[str, Cut]:
    """Parameter name -> where its ranking is cut: one cut for all, but for those that would fall below their floor."""
    own: dict[str, Cut] = {}  # of parameters at their floor
    free, left = list(named), keep
    while True:
        cut = _cut(partial(scores_of, free), left)
        trial = replace(cut)
        low: list[tuple[_Named, int]] = []
        for one in free:
            kept = sum(int(trial.select(scores).sum()) for scores in scores_of([one]))
            floor = floors.get(one[1], 0)
            if kept < floor:
                felt = sum(int(scores.count_nonzero()) for scores in scores_of([one]))
                if felt > kept:
                    low.append((one, min(floor, felt)))
        if not low:
            return {**dict.fromkeys([name for _, name in free], cut), **own}
        for one, floor in low:
            own[one[1]] = _cut(partial(scores_of, [one]), floor)
            left -= floor
        free = [one for one in free if one[1] not in own]
        if not left or not free:  # all that may be kept is spoken for
            return {**dict.fromkeys([name for _, name in free], Cut(bits=INFINITY, ties=0)), **own}


def _cut(scores: Callable[[], Iterator[Tensor]], keep: int) -> Cut:
    cut = cut_at(scores, keep)
    if cut is None:
        raise NonFiniteWeightsError(
            "A gradient has become NaN or infinite while training. Lower the learning rate, clip gradients, "
            "and start again from the last good checkpoint."
        )
    return cut


def _shares(sizes: Tensor, scales: Tensor, kept: Tensor) -> Tensor:
    """What part each connection has in its filter, or would have.

    |w| / s for a kept one, with s the filter's norm; |w| / sqrt(s² + w²) for a pruned one, as the filter's norm would
    grow with it: at most 1, however small the filter has become.
    """
    return sizes / torch.where(kept, scales, torch.hypot(scales, sizes)).clamp_(min=_TINY)


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
    scales = None if outputs is None else state.scales.get(name)
    if scales is not None and name in state.dead:  # a dead filter has nothing beside what comes back
        scales = torch.where(state.dead[name].dead, filters.norms(tensor), scales)
    for rows in row_blocks(tensor):
        scores = tensor[rows].to(torch.float32).abs()
        if scales is not None:
            scores = _shares(scores, scales[rows], state.masks[name][rows])
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
