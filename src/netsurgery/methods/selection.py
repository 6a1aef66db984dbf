"""The largest connections of many layers together: what scores a connection, and masks of an exact total density."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from netsurgery.errors import NonFiniteWeightsError, OptimizerError
from netsurgery.methods import filters
from netsurgery.methods.base import Layer
from netsurgery.methods.blocks import as_number, row_blocks, rows_of
from netsurgery.methods.masking import MaskState, Piece
from netsurgery.methods.places import PlaceCosts
from netsurgery.methods.ranking import INFINITY, Cut, PartCut, cut_at
from netsurgery.methods.readings import numbers

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

    named = [(layer, name) for layer in layers for name in layer.tensors]
    scores = _Scores(named, lambda layer, name: _scores(state, layer, name, hysteresis, concentration))
    cuts = _cuts(scores, [name for _, name in named], keep, floors or {})
    for _, name in named:
        for (rows, part), cut in zip(scores.of(name), cuts[name], strict=True):
            yield name, rows, cut.select(part)


_Part = tuple[slice, Tensor]
"""Rows of a tensor, and their scores."""


class _Scores:
    """The scores of all connections, in parts: held while masks are chosen, or made anew where they would fill memory.

    Both come to the same: what `_scores` gives doesn't change while masks are adopted.
    """

    def __init__(self, named: Sequence[tuple[Layer, str]], make: Callable[[Layer, str], Iterator[_Part]]) -> None:
        self._layers = {name: layer for layer, name in named}
        self._make = make
        tensors = [layer.tensors[name] for layer, name in named]
        room = _HELD[all(tensor.device.type == "cpu" for tensor in tensors)]
        self._holds = sum(tensor.numel() for tensor in tensors) <= room
        self._held: dict[str, list[_Part]] = {}

    def of(self, name: str) -> Iterable[_Part]:
        """The parts of one tensor."""
        if not self._holds:
            return self._make(self._layers[name], name)
        if name not in self._held:
            self._held[name] = list(self._make(self._layers[name], name))
        return self._held[name]

    def together(self, names: Sequence[str]) -> Iterator[Tensor]:
        """The scores of several tensors, one part after the other."""
        return (part for name in names for _, part in self.of(name))

    def cut(self, names: Sequence[str], keep: int) -> dict[str, list[PartCut]]:
        """Name -> where its parts are cut if those tensors together keep `keep` connections."""
        if keep:
            return self.split(names, _cut(partial(self.together, names), keep))
        return self.split(names, Cut(bits=INFINITY, ties=0))

    def split(self, names: Sequence[str], cut: Cut) -> dict[str, list[PartCut]]:
        parts = iter(cut.shared(self.together(names)))
        return {name: [next(parts) for _ in row_blocks(self._layers[name].tensors[name])] for name in names}


def _cuts(scores: _Scores, names: Sequence[str], keep: int, floors: Mapping[str, int]) -> dict[str, list[PartCut]]:
    """Parameter name -> where its parts are cut: one cut for all, but for those that would fall below their floor."""
    own: dict[str, list[PartCut]] = {}  # of parameters at their floor
    free, left = list(names), keep
    while True:
        cuts = scores.cut(free, left)
        low: dict[str, int] = {}
        for name in free:
            kept, floor = sum(part.kept for part in cuts[name]), floors.get(name, 0)
            if kept < floor:
                felt = sum(numbers(part.count_nonzero() for part in scores.together([name])))
                if felt > kept:
                    low[name] = min(floor, felt)
        if not low:
            return {**cuts, **own}
        for name, floor in low.items():
            own.update(scores.cut([name], floor))
        left -= sum(low.values())
        free = [name for name in free if name not in own]
        if not free:
            return own


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
        outputs, inputs = state.sensitivity.factors(name, tensor, layer.filter_dim(name))
    scales = None if outputs is None else state.scales.get(name)
    if scales is not None and name in state.dead.flags:  # a dead filter has nothing beside what comes back
        scales = torch.where(state.dead.flags[name], filters.norms(tensor, layer.filter_dim(name)), scales)
    for rows in row_blocks(tensor):
        scores = tensor[rows].to(torch.float32).abs()
        if scales is not None:
            scores = _shares(scores, rows_of(scales, rows), state.masks[name][rows])
        if outputs is None:
            scores.mul_(1 / state.constants[layer.name])
        else:
            scores.mul_(rows_of(outputs, rows))
            if inputs is not None:
                scores.mul_(rows_of(inputs, rows))
        if costs is not None:
            scores.mul_(costs.bits(rows).pow(-concentration))
        scores.addcmul_(scores, as_number(state.masks[name][rows]), value=hysteresis - 1)
        yield rows, scores.contiguous()
