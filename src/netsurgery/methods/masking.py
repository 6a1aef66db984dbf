"""Methods that decide for each connection whether it is kept: the mask, the latent weights and their exchange.

Per optimizer step nothing happens to a kept connection. A pruned one gets its latent weight back just before the
optimizer moves the weights, and is hidden again just after. Every weight has one home: kept ones live in the parameter
(so that whatever the user does to them between steps stays done: clamping, loading a checkpoint, averaging), pruned
ones in `latent`; the sum of both is the whole latent tensor.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from netsurgery.errors import StateError
from netsurgery.methods import filters
from netsurgery.methods.base import Layer, Method, TensorReport, tensors_of, weights_of
from netsurgery.methods.blocks import as_number, blocks
from netsurgery.methods.filters import DeadFilters
from netsurgery.methods.latent_moves import LatentMoves
from netsurgery.methods.readings import numbers
from netsurgery.methods.saved_state import check_keys, check_tensors
from netsurgery.methods.sensitivity import Sensitivity
from netsurgery.methods.soundness import check_finite, check_placement

_SAVED = {
    "masks",
    "weights",
    "splicing",
    "constants",
    "pruned",
    "spliced",
    "sensitivity",
    "moves",
    "scales",
    "dead",
    "generator",
}
GROUP = {True: 1 << 19, False: 1 << 24}
"""Connections worked on together, by whether a processor does it: as many as its cache holds, or a card is worth."""
_MEANS = {"outputs", "inputs", "total"}

Piece = tuple[str, slice, Tensor]
"""Parameter name, rows of it, bool tensor: the new mask of those rows, True = kept."""


class Observation(NamedTuple):
    """How gradients are observed: every `interval` optimizer steps, averaged over about `window` observations."""

    interval: int
    window: int


@dataclass
class MaskState:
    """All that changes while a mask method operates: per connection one byte and one weight, and a few counts."""

    masks: dict[str, Tensor]
    """Parameter name -> bool tensor of its shape, True = kept."""
    latent: dict[str, Tensor]
    """Parameter name -> what each pruned connection would weigh, and +0 for the kept ones.
    Empty when pruned connections can't come back: without splicing, or after it."""
    constants: dict[str, float] = field(default_factory=dict)
    """Layer name -> what was measured once at step 0: a threshold or a scale."""
    pruned: dict[str, int] = field(default_factory=dict)
    """Parameter name -> prunes so far."""
    spliced: dict[str, int] = field(default_factory=dict)
    """Parameter name -> splices so far."""
    sensitivity: Sensitivity | None = None
    """How much the loss feels each connection, for methods that rank by it and while masks still change."""
    moves: LatentMoves | None = None
    """How far latent weights usually move, for methods that guard them."""
    scales: dict[str, Tensor] = field(default_factory=dict)
    """Name of each weight -> the norm of what is kept of each filter, or was when it died, as filters.norms gives it;
    for methods that rank by sensitivity."""
    dead: dict[str, DeadFilters] = field(default_factory=dict)
    """Parameter name -> which of its filters are dead; only of weights that have such filters."""
    projected: set[str] = field(default_factory=set)
    """Names of parameters that `update` has projected already; emptied by `project`, which follows it."""
    generator: torch.Generator = field(default_factory=torch.Generator)
    """Source of the draws of methods that refresh masks at random."""


class MaskMethod(Method[MaskState]):
    """A method whose projection is latent * mask. Subclasses say when masks change, and how."""

    guards_latent: ClassVar[bool] = False
    """True if latent weights have to earn their place: they begin at 0 when a connection is pruned, and are guarded
    against what would throw them far, one odd batch (latent_moves.py) and the gradient of dead filters (filters.py)."""

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
        names = [name for name, _ in tensors_of(layers)]
        splices = self.latent_speed is not None
        state = MaskState(
            masks={name: torch.ones_like(tensor, dtype=torch.bool) for name, tensor in tensors_of(layers)},
            latent={name: torch.zeros_like(tensor) for name, tensor in tensors_of(layers)} if splices else {},
            constants={layer.name: value for layer in layers if (value := self.measure(layer)) is not None},
            pruned=dict.fromkeys(names, 0),
            spliced=dict.fromkeys(names, 0),
            sensitivity=Sensitivity(self.observation.window) if self.observation is not None else None,
            moves=LatentMoves() if self.guards_latent else None,
        )
        state.generator.manual_seed(seed)
        return state

    @final
    def check_placement(self, state: MaskState, layers: Sequence[Layer]) -> None:
        check_placement(layers, state.masks, state.latent)

    @final
    def reveal(self, state: MaskState, layers: Sequence[Layer]) -> None:
        if state.latent:
            for name, whole in tensors_of(layers):
                for weight, latent, mask in blocks(whole, state.latent[name], as_number(state.masks[name])):
                    # w * mask, not w: what somebody has written over a pruned 0 meanwhile is not its latent weight.
                    torch.addcmul(latent, weight, mask, out=weight)

    @final
    def update(self, state: MaskState, layers: Sequence[Layer], step: int) -> None:
        observation = self.observation
        observes = observation and state.sensitivity and (step % observation.interval == 0 or step == 1)
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
            _settle(state)

    @final
    def felt(self, state: MaskState, name: str, tensor: Tensor, gradient: Tensor) -> Tensor:
        """What dead filters feel says nothing once they can't come back, and little while they can (filters.py)."""
        dead = state.dead.get(name)
        if dead is None or gradient.is_sparse:
            return gradient
        if name not in state.latent:
            return dead.without(gradient)
        return dead.bounded(gradient) if self.guards_latent else gradient

    @final
    def project(self, state: MaskState, layers: Sequence[Layer]) -> None:
        """Every pruned connection weighs exactly +0."""
        for name, tensor in tensors_of(layers):
            if name not in state.projected:
                self._project(state, name, tensor)
        state.projected.clear()

    @final
    def finish(self, state: MaskState, layers: Sequence[Layer]) -> None:
        check_finite(layers, "after training")
        _settle(state)

    @final
    def masks(self, state: MaskState) -> dict[str, Tensor]:
        return state.masks

    @final
    def report(self, state: MaskState, layers: Sequence[Layer]) -> list[TensorReport]:
        return [
            TensorReport(
                layer=layer.name,
                name=name,
                shape=tuple(tensor.shape),
                kept=int(state.masks[name].sum()),
                pruned_total=state.pruned[name],
                spliced_total=state.spliced[name],
                groups=layer.groups,
            )
            for layer in layers
            for name, tensor in layer.tensors.items()
        ]

    @final
    def state_dict(self, state: MaskState, layers: Sequence[Layer]) -> dict[str, Any]:
        def latent(name: str, tensor: Tensor) -> Tensor:
            hidden = state.latent.get(name)
            return tensor.detach().clone() if hidden is None else tensor + hidden

        return {
            "masks": {name: mask.clone() for name, mask in state.masks.items()},
            "weights": {name: latent(name, tensor) for name, tensor in tensors_of(layers)},
            "splicing": bool(state.latent),
            "constants": dict(state.constants),
            "pruned": dict(state.pruned),
            "spliced": dict(state.spliced),
            "sensitivity": None if state.sensitivity is None else state.sensitivity.state_dict(),
            "scales": {name: scales.clone() for name, scales in state.scales.items()},
            "dead": {name: dead.scales.clone() for name, dead in state.dead.items()},
            "moves": None if state.moves is None else {name: mean.clone() for name, mean in state.moves.means.items()},
            "generator": state.generator.get_state(),
        }

    @final
    def check_state(self, layers: Sequence[Layer], saved: Mapping[str, Any]) -> None:
        names = {name for name, _ in tensors_of(layers)}
        check_keys(saved, _SAVED, "A stage of the saved state")
        check_tensors(saved, layers, "masks", torch.bool)
        check_tensors(saved, layers, "weights", None)
        for part in ("pruned", "spliced"):
            check_keys(saved[part], names, f"{part!r} of the saved state")
        if saved["sensitivity"] is not None:
            check_keys(saved["sensitivity"], _MEANS, "'sensitivity' of the saved state")
        try:
            torch.Generator().set_state(saved["generator"])
            self._sensitivity(saved, layers)
            self._moves(saved, layers)
            self._scales(saved["scales"], layers)
            self._scales(saved["dead"], layers)
        except (AttributeError, KeyError, RuntimeError, TypeError) as error:
            raise StateError(f"The saved state is damaged: {error}. Load another checkpoint.") from error

    @final
    def load_state(self, layers: Sequence[Layer], saved: Mapping[str, Any]) -> MaskState:
        masks, weights = saved["masks"], saved["weights"]
        latent = {name: torch.zeros_like(tensor) for name, tensor in tensors_of(layers)} if saved["splicing"] else {}
        state = MaskState(
            masks={name: torch.empty_like(tensor, dtype=torch.bool) for name, tensor in tensors_of(layers)},
            latent=latent,
            constants=dict(saved["constants"]),
            pruned=dict(saved["pruned"]),
            spliced=dict(saved["spliced"]),
            sensitivity=self._sensitivity(saved, layers),
            moves=self._moves(saved, layers),
            scales=self._scales(saved["dead"], layers),
        )
        state.generator.set_state(saved["generator"])
        for name, tensor in tensors_of(layers):
            state.masks[name].copy_(masks[name])
            tensor.copy_(weights[name])
        self._remember(state, layers)
        self._find_dead(state, layers)  # with the norms that bounded them
        state.scales = self._scales(saved["scales"], layers)
        self.project(state, layers)
        return state

    def _sensitivity(self, saved: Mapping[str, Any], layers: Sequence[Layer]) -> Sensitivity | None:
        if saved["sensitivity"] is None or self.observation is None:
            return None
        return Sensitivity.from_state(self.observation.window, saved["sensitivity"], layers)

    def _moves(self, saved: Mapping[str, Any], layers: Sequence[Layer]) -> LatentMoves | None:
        if saved["moves"] is None:
            return None
        tensors = dict(tensors_of(layers))
        return LatentMoves(
            {key: mean.to(tensors[key.rpartition(":")[0]].device, copy=True) for key, mean in saved["moves"].items()}
        )

    def _scales(self, saved: Mapping[str, Tensor], layers: Sequence[Layer]) -> dict[str, Tensor]:
        """Norms of filters that were saved, on the device of their weights."""
        weights = {name: (layer, tensor) for layer, name, tensor in weights_of(layers)}
        scales = {}
        for name, found in saved.items():
            layer, tensor = weights[name]
            scales[name] = filters.norms(tensor, layer.filter_dim(name))
            scales[name].copy_(found)
        return scales

    def _project(self, state: MaskState, name: str, whole: Tensor) -> None:
        zero = whole.new_zeros(())
        for tensor, mask in blocks(whole, as_number(state.masks[name])):
            torch.addcmul(zero, tensor, mask, out=tensor)  # 0 + w * mask; the sum turns -0 into +0

    def _follow(self, state: MaskState, layers: Sequence[Layer], due: Sequence[Layer]) -> None:
        """Move the latent weights after the optimizer, which has moved the parameters; then project at once.

        Only in the parameters of layers that are `due` it leaves what every connection weighs now, pruned or not.
        """
        revealed = {name for name, _ in tensors_of(due)}
        for group in _groups(state, layers):
            weights, latents = [piece.weight for piece in group], [piece.latent for piece in group]
            zero = weights[0].new_zeros(())
            effective = [torch.addcmul(zero, piece.weight, piece.mask) for piece in group]  # the sum turns -0 into +0
            hidden = torch._foreach_sub(weights, effective)  # of kept connections a - a is +0: nothing is remembered
            for latent, value, speed in zip(latents, hidden, self._speeds(state, group, hidden), strict=True):
                latent.lerp_(value, speed)
            torch._foreach_copy_(weights, effective)
            for piece in group:
                if piece.name in revealed:
                    piece.weight.add_(piece.latent)
        state.projected.update(name for name, _ in tensors_of(layers) if name not in revealed)

    def _speeds(
        self, state: MaskState, group: Sequence[_Stretch], hidden: Sequence[Tensor]
    ) -> Sequence[float | Tensor]:
        """What share of the way to `hidden` latent weights go. Those of 16 bits go all of it: a share would be lost."""
        speeds = [(self.latent_speed or 0.0) if piece.latent.element_size() > 2 else 1.0 for piece in group]
        if state.moves is None:
            return speeds
        moves = torch._foreach_sub(list(hidden), [piece.latent for piece in group])
        lengths = torch.stack([length.to(torch.float32) for length in torch._foreach_norm(moves)])
        shares = state.moves.shares([piece.key for piece in group], lengths)
        return [
            (share * speed).to(piece.latent.dtype)
            for share, speed, piece in zip(shares.unbind(), speeds, group, strict=True)
        ]

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
        for name, spliced, pruned in zip(names, changes[::2], changes[1::2], strict=True):
            state.spliced[name] += spliced
            state.pruned[name] += pruned
        if self.guards_latent and state.latent:
            for name, tensor in tensors_of(layers):
                # What has just been pruned begins at 0; it has no latent weight yet.
                for whole, latent, mask in blocks(tensor, state.latent[name], as_number(state.masks[name])):
                    whole.mul_(mask.logical_or(latent))
        self._remember(state, layers)
        self._find_dead(state, layers)

    def _remember(self, state: MaskState, layers: Sequence[Layer]) -> None:
        """Take over from the parameters what pruned connections weigh."""
        if state.latent:
            for name, whole in tensors_of(layers):
                for tensor, latent, mask in blocks(whole, state.latent[name], as_number(state.masks[name])):
                    latent.copy_(tensor)
                    latent.addcmul_(latent, mask, value=-1)

    def _measure_filters(self, state: MaskState, layers: Sequence[Layer]) -> None:
        """The norms of filters as they are now; parameters hold latent weights."""
        if self.observation is None:
            return
        for layer, name, tensor in weights_of(layers):
            before, dim = state.scales.get(name), layer.filter_dim(name)
            before = filters.norms(tensor, dim) if before is None else before
            state.scales[name] = filters.scales(tensor, state.masks[name], before, dim)

    def _find_dead(self, state: MaskState, layers: Sequence[Layer]) -> None:
        """Which filters are dead with the masks as they are now."""
        weights = list(weights_of(layers))
        flags = [filters.dead(state.masks[name], layer.filter_dim(name)) for layer, name, _ in weights]
        some = numbers(dead.any() for dead in flags)
        for (layer, name, tensor), dead, any_dead in zip(weights, flags, some, strict=True):
            state.dead.pop(name, None)
            if any_dead:
                dim, scales = layer.filter_dim(name), state.scales.get(name)
                scales = filters.norms(tensor, dim) if scales is None else scales
                state.dead[name] = DeadFilters.of(dead, scales, dim)


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
    for name, whole in tensors_of(layers):
        for index, parts in enumerate(blocks(whole, state.latent[name], as_number(state.masks[name]))):
            weight = parts[0]
            like = group and (group[0].weight.dtype, group[0].weight.device) == (weight.dtype, weight.device)
            if not like or weight.numel() > room:
                if group:
                    yield group
                group, room = [], GROUP[weight.device.type == "cpu"]
            group.append(_Stretch(name, f"{name}:{index}", *parts))
            room -= weight.numel()
    if group:
        yield group


def _settle(state: MaskState) -> None:
    """Masks change no more: free what only changes need."""
    state.latent.clear()
    state.scales.clear()
    state.sensitivity = None
    state.moves = None
