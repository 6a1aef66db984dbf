"""The largest connections of many layers together: what scores a connection, and masks of an exact total density."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from netsurgery.errors import NonFiniteWeightsError, OptimizerError
from netsurgery.methods import filters
from netsurgery.methods.base import Layer
from netsurgery.methods.blocks import as_number, row_blocks, rows_of
from netsurgery.methods.masking import MaskState, Piece
from netsurgery.methods.places import PlaceCosts
from netsurgery.methods.ranking import INFINITY, Cut, Scores, TensorCut, cut_at
from netsurgery.methods.readings import numbers, reads_at_once
from netsurgery.methods.shards import totals

_TINY = 1e-30  # keeps 0 / 0 away from filters of zeros
_HELD = {True: 1 << 22, False: 1 << 26}
"""Scores that are held at once, by whether they are on processors alone: little beside what a machine has."""


def largest(
    state: MaskState,
    layers: Sequence[Layer],
    keep: int,
    hysteresis: float,
    concentration: float = 0.0,
    floors: Mapping[str, int] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Iterator[Piece]:
    """Masks in pieces that together keep exactly `keep` of all connections of the layers.

    A connection's score is its saliency where the state has a sensitivity, and |w| / (the layer's constant) where it
    has none. Scores of connections kept now are multiplied by `hysteresis`, and all are divided by (bits that the
    connection costs, see places.py) to the power of `concentration`.
    floors: parameter name -> the fewest connections that it keeps, its best ones, as far as it has some with a score
        above 0; in sum at most `keep`. No floors by default.
    weights: layer name -> what all scores of the layer are multiplied by, > 0; 1 by default.
    Raises NonFiniteWeightsError if a gradient wasn't finite, OptimizerError if none was ever seen.
    """
    if state.sensitivity is not None and not state.sensitivity.outputs:
        raise OptimizerError(
            "No weight has a gradient just after optimizer.step(), so saliency can't be measured. Call zero_grad "
            "before backward, not inside step or its hooks, and let the loss depend on the model."
        )

    named = [(layer, name) for layer in layers for name in layer.tensors]
    rules = _rules(state, layers, hysteresis, concentration, weights or {})
    scores = _HeldScores(named, lambda layer, name: _scores(state, layer, name, rules[name]))
    cuts = _cuts(scores, [name for _, name in named], keep, floors or {})
    for _, name in named:
        for (rows, part), cut in zip(scores.of(name), cuts[name].parts, strict=True):
            yield name, rows, cut.select(part)


_Part = tuple[slice, Tensor]
"""Rows of a tensor, and their scores."""


class _HeldScores:
    """The scores of all connections, in parts: held while masks are chosen, or made anew where they would fill memory.

    Both come to the same: what `_scores` gives doesn't change while masks are adopted.
    """

    def __init__(self, named: Sequence[tuple[Layer, str]], make: Callable[[Layer, str], Iterator[_Part]]) -> None:
        self._layers = {name: layer for layer, name in named}
        self._make = make
        tensors = [layer.tensors[name] for layer, name in named]
        room = _HELD[all(map(reads_at_once, tensors))]
        self._holds = sum(tensor.numel() for tensor in tensors) <= room
        self._held: dict[str, list[_Part]] = {}

    def of(self, name: str) -> Iterable[_Part]:
        """The parts of one tensor."""
        if not self._holds:
            return self._make(self._layers[name], name)
        if name not in self._held:
            self._held[name] = list(self._make(self._layers[name], name))
        return self._held[name]

    def felt(self, names: Sequence[str]) -> dict[str, int]:
        """Name -> how many connections of the tensor have a score above 0."""
        here = [sum(numbers(part.count_nonzero() for _, part in self.of(name))) for name in names]
        found = totals(here, [self._layers[name].across(name) for name in names])
        return {name: int(count) for name, count in zip(names, found, strict=True)}

    def cut(self, names: Sequence[str], keep: int) -> dict[str, TensorCut]:
        """Name -> where it is cut if those tensors together keep `keep` connections."""
        scores = [Scores(partial(self._parts, name), self._layers[name].across(name)) for name in names]
        cut = _cut(scores, keep) if keep else Cut(bits=INFINITY, ties=0)
        return dict(zip(names, cut.shared(scores), strict=True))

    def _parts(self, name: str) -> Iterator[Tensor]:
        return (part for _, part in self.of(name))


def _cuts(scores: _HeldScores, names: Sequence[str], keep: int, floors: Mapping[str, int]) -> dict[str, TensorCut]:
    """Parameter name -> where it is cut: one cut for all, but for those that would fall below their floor."""
    own: dict[str, TensorCut] = {}  # of parameters at their floor
    free, left = list(names), keep
    while True:
        cuts = scores.cut(free, left)
        felt = scores.felt([name for name in free if cuts[name].kept < floors.get(name, 0)])
        low = {name: min(floors[name], count) for name, count in felt.items() if count > cuts[name].kept}
        if not low:
            return {**cuts, **own}
        for name, floor in low.items():
            own.update(scores.cut([name], floor))
        left -= sum(low.values())
        free = [name for name in free if name not in own]
        if not free:
            return own


def _cut(scores: Sequence[Scores], keep: int) -> Cut:
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
    name, weights = next(iter(layer.tensors.items()))
    squares = weights.detach().to(torch.float32).square()
    groups = layer.across(name)
    if groups:
        rms = math.sqrt(totals([float(squares.sum(dtype=torch.float64))], [groups])[0] / layer.size(name))
    else:
        rms = float(squares.mean().sqrt())
    return rms**0.5 if rms > 0 else 1.0


@dataclass(frozen=True)
class _Rule:
    """What the scores of one tensor are made from, beside its weights and its mask.

    factor: of all scores. outputs, inputs: of Sensitivity.factors; None where scores are |w| * factor. scales: the
    norms of filters. costs: None where places cost nothing.
    """

    factor: float
    outputs: Tensor | None
    inputs: Tensor | None
    scales: Tensor | None
    costs: PlaceCosts | None
    hysteresis: float
    concentration: float


def _rules(
    state: MaskState, layers: Sequence[Layer], hysteresis: float, concentration: float, weights: Mapping[str, float]
) -> dict[str, _Rule]:
    """Parameter name -> the rule of its scores. What other processes have a part in is settled here, once for all."""
    means = state.sensitivity.means(layers) if state.sensitivity is not None else {}
    rules = {}
    for layer in layers:
        for name, tensor in layer.tensors.items():
            outputs, inputs = None, None
            if state.sensitivity is not None:
                outputs, inputs = state.sensitivity.factors(name, tensor, layer.filter_dim(name), means.get(name))
            scales = None if outputs is None else state.scales.get(name)
            if scales is not None and name in state.dead.flags:  # a dead filter has nothing beside what comes back
                norms = filters.norms(tensor, layer.filter_dim(name), layer.within_filters(name))
                scales = torch.where(state.dead.flags[name], norms, scales)
            costs = PlaceCosts(state.masks[name], layer.shards.get(name)) if concentration else None
            factor = weights.get(layer.name, 1.0)
            if outputs is None:
                factor /= state.constants[layer.name]
            rules[name] = _Rule(factor, outputs, inputs, scales, costs, hysteresis, concentration)
    return rules


def _scores(state: MaskState, layer: Layer, name: str, rule: _Rule) -> Iterator[tuple[slice, Tensor]]:
    """Non-negative float32 scores of one tensor, some of its rows at a time.

    The same whether or not rows that were given already have their new masks meanwhile.
    """
    tensor = layer.tensors[name]
    for rows in row_blocks(tensor):
        scores = tensor[rows].to(torch.float32).abs()
        if rule.scales is not None:
            scores = _shares(scores, rows_of(rule.scales, rows), state.masks[name][rows])
        if rule.factor != 1:
            scores.mul_(rule.factor)
        if rule.outputs is not None:
            scores.mul_(rows_of(rule.outputs, rows))
            if rule.inputs is not None:
                scores.mul_(rows_of(rule.inputs, rows))
        if rule.costs is not None:
            scores.mul_(rule.costs.bits(rows).pow(-rule.concentration))
        scores.addcmul_(scores, as_number(state.masks[name][rows]), value=float(rule.hysteresis) - 1)
        yield rows, scores.contiguous()
