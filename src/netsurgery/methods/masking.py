"""Methods that decide for each connection whether it is kept: the mask, and the latent weights of what is pruned.

Per optimizer step nothing happens to a kept connection. A pruned one gets its latent weight back just before the
optimizer moves the weights, and is hidden again just after (exchange.py). Every weight has one home: kept ones live in
the parameter, pruned ones in `latent`; the sum of both is the whole latent tensor.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from netsurgery.methods import fields, filters
from netsurgery.methods.base import Layer, Method, tensors_of, weights_of
from netsurgery.methods.blocks import BLOCK, as_number, blocks
from netsurgery.methods.encoded import EncodedSparse
from netsurgery.methods.exchange import remember
from netsurgery.methods.fields import generator, nested, per_filter, per_layer_number, per_parameter
from netsurgery.methods.filters import DeadFilters
from netsurgery.methods.latent_moves import LatentMoves
from netsurgery.methods.readings import numbers, reads_at_once
from netsurgery.methods.sensitivity import Sensitivity
from netsurgery.methods.shards import summed
from netsurgery.methods.soundness import check_finite
from netsurgery.methods.state import State, no_counts, of_all_parts

GROUP = {True: 1 << 19, False: 1 << 24}
"""Connections worked on together, by whether a processor does it: as many as its cache holds, or a card is worth."""

Piece = tuple[str, slice, Tensor]
"""Parameter name, rows of it, bool tensor: the new mask of those rows, True = kept."""


class Observation(NamedTuple):
    """How gradients are observed: every `interval` optimizer steps, averaged over about `window` observations."""

    interval: int
    window: int


@dataclass
class MaskState(State):
    """All that changes while a mask method operates: per connection one byte and one weight, and a few counts."""

    masks: dict[str, Tensor] = per_parameter(torch.bool)
    """Parameter name -> bool tensor of its shape, True = kept."""
    constants: dict[str, float] = per_layer_number()
    """Layer name -> what was measured once at step 0: a threshold or a scale."""
    sensitivity: Sensitivity | None = nested(Sensitivity, while_changing=True)
    """How much the loss feels each connection, for methods that rank by it."""
    moves: LatentMoves | None = nested(LatentMoves, while_changing=True)
    """How far latent weights usually move, for methods that guard them."""
    scales: dict[str, Tensor] = per_filter(while_changing=True)
    """The norm of what is kept of each filter, or was when it died; for methods that rank by sensitivity."""
    dead: DeadFilters = nested(DeadFilters)
    """Which filters are dead."""
    generator: torch.Generator = generator()
    """Source of the draws of methods that refresh masks at random."""

    def own(self, name: str) -> Tensor:
        return self.masks[name]

    def kept(self, name: str) -> Tensor:
        return self.masks[name]


class MaskMethod(Method[MaskState]):
    """A method whose projection is latent * mask. Subclasses say when masks change, and how."""

    state_type: ClassVar[type[MaskState]] = MaskState
    guards_latent: ClassVar[bool] = False
    """True if latent weights have to earn their place: they begin at 0 when a connection is pruned, and are guarded
    against what would throw them far, one odd batch (latent_moves.py) and the gradient of dead filters (filters.py)."""

    @property
    def begins_pruned(self) -> bool:
        """True if what is 0 when the stage begins counts as pruned; it may come back where the method splices."""
        return False

    @property
    def observation(self) -> Observation | None:
        """How the gradients' second moments are observed; None for a method that doesn't rank by them."""
        return None

    @property
    def latent_speed(self) -> float | None:
        """The share in [0, 1] of the optimizer's move that the latent weight of a pruned connection follows.

        A share of the move, not of the gradient: it means the same under Adam, which undoes any scaling of gradients.
        None if pruned connections never come back, so that no latent weights are needed.
        """
        return None

    def measure(self, layer: Layer) -> float | None:
        """What is taken once from a layer's weights, at step 0: a threshold or a scale. None if nothing is."""
        return None

    @abstractmethod
    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        """The layers whose masks are refreshed at `step`. May draw from state.generator."""

    @abstractmethod
    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        """The new masks of the layers, in pieces; the parameters hold latent weights.

        Each piece is adopted before the next is asked for, so that little exists beside the state.
        """

    @final
    def init(self, layers: Sequence[Layer], seed: int) -> MaskState:
        splices = self.latent_speed is not None
        state = MaskState(
            masks={
                name: tensor != 0 if self.begins_pruned else torch.ones_like(tensor, dtype=torch.bool)
                for name, tensor in tensors_of(layers)
            },
            latent={name: torch.zeros_like(tensor) for name, tensor in tensors_of(layers)} if splices else {},
            constants={layer.name: value for layer in layers if (value := self.measure(layer)) is not None},
            pruned=no_counts(layers),
            spliced=no_counts(layers),
            sensitivity=Sensitivity(self.observation.window) if self.observation is not None else None,
            moves=LatentMoves() if self.guards_latent else None,
        )
        state.generator.manual_seed(seed)
        if self.begins_pruned:
            self._find_dead(state, layers)
        return state

    @final
    def update(self, state: MaskState, layers: Sequence[Layer], step: int) -> None:
        observes = state.sensitivity is not None and self.reads_gradients(step)
        if observes and state.sensitivity:
            self._measure_filters(state, layers)
            state.sensitivity.observe(layers, state.scales)
        due = self.due(state, layers, step) if step <= self.active_steps else ()
        if state.latent:
            self._follow(state, layers, due)
        if due:
            if not observes:  # what is kept weighs as much after latent weights have followed as before
                self._measure_filters(state, due)
            self._refresh(state, due, step)
        if step >= self.active_steps:
            fields.free(state)

    @final
    def reads_gradients(self, step: int) -> bool:
        observation = self.observation
        wanted = observation is not None and (step % observation.interval == 0 or step == 1)
        return wanted and step <= self.active_steps

    @final
    def project(self, state: MaskState, name: str, tensor: Tensor) -> None:
        """Every pruned connection weighs exactly +0."""
        zero = tensor.new_zeros(())
        for weight, mask in blocks(tensor, as_number(state.masks[name])):
            torch.addcmul(zero, weight, mask, out=weight)  # 0 + w * mask; the sum turns -0 into +0

    @final
    def encode(self, state: MaskState, name: str, tensor: Tensor) -> EncodedSparse:
        return EncodedSparse.of(tensor, state.masks[name])

    @final
    def felt(self, state: MaskState, layer: Layer, name: str, gradient: Tensor) -> Tensor:
        """What dead filters feel says nothing once they can't come back, and little while they can (filters.py)."""
        if gradient.is_sparse:
            return gradient
        if name not in state.latent:
            return state.dead.without(name, gradient)
        if not self.guards_latent:
            return gradient
        return state.dead.bounded(name, gradient, layer.across_filters(name), layer.within_filters(name))

    def _follow(self, state: MaskState, layers: Sequence[Layer], due: Sequence[Layer]) -> None:
        """Move the latent weights after the optimizer, which has moved the parameters; then project at once.

        Only in the parameters of layers that are `due` it leaves what every connection weighs now, pruned or not.
        """
        revealed = {name for name, _ in tensors_of(due)}
        shares = self._shares_of_all(state, layers) if any(layer.shards for layer in layers) else None
        for group in _groups(state, layers):
            weights, latents = [piece.weight for piece in group], [piece.latent for piece in group]
            zero = weights[0].new_zeros(())
            effective = [torch.addcmul(zero, piece.weight, piece.mask) for piece in group]  # the sum turns -0 into +0
            hidden = torch._foreach_sub(weights, effective)  # of kept connections a - a is +0: nothing is remembered
            for latent, value, speed in zip(latents, hidden, self._speeds(state, group, hidden, shares), strict=True):
                latent.lerp_(value, speed)
            torch._foreach_copy_(weights, effective)
            for piece in group:
                if piece.name in revealed:
                    piece.weight.add_(piece.latent)
        state.projected.update(name for name, _ in tensors_of(layers) if name not in revealed)

    def _speeds(
        self,
        state: MaskState,
        group: Sequence[_Stretch],
        hidden: Sequence[Tensor],
        known: Mapping[str, Tensor] | None,
    ) -> Sequence[float | Tensor]:
        """What share of the way to `hidden` latent weights go. Those of 16 bits go all of it: a share would be lost.

        known: by stretch, the share that it may follow, where that is settled already.
        """
        speeds = [(self.latent_speed or 0.0) if piece.latent.element_size() > 2 else 1.0 for piece in group]
        if state.moves is None:
            return speeds
        if known is None:
            moves = torch._foreach_sub(list(hidden), [piece.latent for piece in group])
            lengths = torch.stack([length.to(torch.float32) for length in torch._foreach_norm(moves)])
            shares = state.moves.shares([piece.key for piece in group], lengths).unbind()
        else:
            shares = tuple(known[piece.key] for piece in group)
        return [
            (share * speed).to(piece.latent.dtype) for share, speed, piece in zip(shares, speeds, group, strict=True)
        ]

    def _shares_of_all(self, state: MaskState, layers: Sequence[Layer]) -> dict[str, Tensor] | None:
        """The shares that stretches may follow which lie in several processes, by their key; one exchange for all."""
        if state.moves is None:
            return None
        device = next(tensor.device for _, tensor in tensors_of(layers))
        spread = {key: layer.across(name) for layer in layers for name in layer.tensors for key in _keys(layer, name)}
        squares = {key: torch.zeros((), device=device) for key in spread}
        for group in _groups(state, layers):
            for piece in group:
                hidden = piece.weight - torch.addcmul(piece.weight.new_zeros(()), piece.weight, piece.mask)
                length = torch.linalg.vector_norm(hidden.sub_(piece.latent), dtype=torch.float32)
                squares[piece.key] = squares[piece.key] + length.square().to(device)
        lengths = torch.stack(summed(list(squares.values()), list(spread.values()))).sqrt_()
        return dict(zip(spread, state.moves.shares(list(spread), lengths).unbind(), strict=True))

    def _refresh(self, state: MaskState, layers: Sequence[Layer], step: int) -> None:
        """Ask for new masks, count prunes and splices, and remember what is pruned now."""
        check_finite(layers, "while training")
        names: list[str] = []

        def adopted() -> Iterator[Tensor]:
            for name, rows, fresh in self.refreshed(state, layers, step):
                mask = state.masks[name][rows]
                names.append(name)
                yield torch.count_nonzero(fresh > mask)
                yield torch.count_nonzero(fresh < mask)
                mask.copy_(fresh)

        changes = numbers(adopted())
        for counts, found in ((state.spliced, changes[::2]), (state.pruned, changes[1::2])):
            here = {name: 0 for name, _ in tensors_of(layers)}
            for name, change in zip(names, found, strict=True):
                here[name] += change
            for name, change in of_all_parts(here, layers).items():
                counts[name] += change
        if self.guards_latent and state.latent:
            for name, tensor in tensors_of(layers):
                # What has just been pruned begins at 0; it has no latent weight yet.
                for whole, latent, mask in blocks(tensor, state.latent[name], as_number(state.masks[name])):
                    whole.mul_(mask.logical_or(latent))
        if state.latent:
            for name, tensor in tensors_of(layers):
                remember(state.latent[name], tensor, state.masks[name])
        self._find_dead(state, layers)

    def _measure_filters(self, state: MaskState, layers: Sequence[Layer]) -> None:
        """The norms of filters as they are now; parameters hold latent weights."""
        if self.observation is None:
            return
        for layer, name, tensor in weights_of(layers):
            before, dim, groups = state.scales.get(name), layer.filter_dim(name), layer.within_filters(name)
            before = filters.norms(tensor, dim, groups) if before is None else before
            state.scales[name] = filters.scales(tensor, state.masks[name], before, dim, groups)

    def _find_dead(self, state: MaskState, layers: Sequence[Layer]) -> None:
        """Which filters are dead with the masks as they are now."""
        weights = list(weights_of(layers))
        flags = [
            filters.dead(state.masks[name], layer.filter_dim(name), layer.within_filters(name))
            for layer, name, _ in weights
        ]
        here = dict(zip((name for _, name, _ in weights), numbers(dead.any() for dead in flags), strict=True))
        some = of_all_parts(here, layers)
        for (layer, name, tensor), dead in zip(weights, flags, strict=True):
            state.dead.forget(name)
            if some[name]:
                scales = state.scales.get(name)
                if scales is None:
                    scales = filters.norms(tensor, layer.filter_dim(name), layer.within_filters(name))
                state.dead.note(name, dead, scales)


class _Stretch(NamedTuple):
    """The same stretch of a parameter, of its latent weights and of its mask as numbers."""

    name: str
    key: str
    weight: Tensor
    latent: Tensor
    mask: Tensor


def _groups(state: MaskState, layers: Sequence[Layer]) -> Iterator[list[_Stretch]]:
    """All stretches, those of one type that lie beside each other together, so that a device gets few, large orders."""
    group: list[_Stretch] = []
    room = 0
    for layer in layers:
        for name, whole in layer.tensors.items():
            stretches = blocks(whole, state.latent[name], as_number(state.masks[name]), beyond=_before(layer, name))
            for key, parts in zip(_keys_here(layer, name), stretches, strict=False):
                weight = parts[0]
                like = group and (group[0].weight.dtype, group[0].weight.device) == (weight.dtype, weight.device)
                if not like or weight.numel() > room:
                    if group:
                        yield group
                    group, room = [], GROUP[reads_at_once(weight)]
                group.append(_Stretch(name, key, *parts))
                room -= weight.numel()
    if group:
        yield group


def _keys(layer: Layer, name: str) -> list[str]:
    """The keys of all stretches of a parameter, wherever they are."""
    count = 1 if _before(layer, name) is None else math.ceil(layer.size(name) / BLOCK)
    return [f"{name}:{index}" for index in range(count)]


def _keys_here(layer: Layer, name: str) -> Iterator[str]:
    """The keys of the stretches that are here, and more."""
    return (f"{name}:{index}" for index in itertools.count((_before(layer, name) or 0) // BLOCK))


def _before(layer: Layer, name: str) -> int | None:
    """How many connections of the whole parameter lie before what is here; None if that isn't one piece of it."""
    shard = layer.shards.get(name)
    if shard is None:
        return 0
    if any(dim for dim, _ in shard.cuts):
        return None
    return shard.offset[0] * math.prod(shard.shape[1:])
