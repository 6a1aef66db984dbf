"""Network sketching: Guo, Yao, Zhao, Chen, CVPR 2017, arXiv 1706.02021.

The network multiplies by sums of binary planes; the optimizer moves a full copy of the weights, with the gradient taken
at the sums (straight through the sign), and they are re-sketched after every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor

from netsurgery.checks import require_count, require_flag
from netsurgery.errors import NonFiniteWeightsError, StateError
from netsurgery.methods.base import Layer, Method, TensorReport, tensors_of
from netsurgery.methods.expansion import MOST_PLANES, expand, sum_of_planes
from netsurgery.methods.expansion_in_place import Place, expand_in_place, fits
from netsurgery.methods.saved_state import check_keys, check_tensors
from netsurgery.methods.soundness import check_finite, check_placement

_BLOCK = 1 << 17  # weights that are sketched at a time: with the planes of it they fit the processor's second cache


class _Mark(NamedTuple):
    """What tells whether a parameter is as it was left: writes through .data or NumPy don't count as changes."""

    version: int
    address: int
    total: float

    @classmethod
    def of(cls, tensor: Tensor) -> _Mark:
        return cls(tensor._version, tensor.data_ptr(), float(tensor.sum(dtype=torch.float32)))


@dataclass
class SketchState:
    """All that changes while a network is sketched: five bytes for each weight, and the scales."""

    latent: dict[str, Tensor]
    """Parameter name -> what the optimizer moves. Empty once the sketch is fixed."""
    scales: dict[str, Tensor]
    """Parameter name -> float32 (groups of filters, planes), falling and >= 0."""
    codes: dict[str, Tensor]
    """Parameter name -> uint8 tensor of its shape: bit j is 1 where plane j is +1."""
    projected: set[str] = field(default_factory=set)
    """Names of parameters that `update` has projected already; emptied by `project`, which follows it."""
    left: dict[str, _Mark] = field(default_factory=dict)
    """Parameter name -> what it was like when it was last projected."""


@final
@dataclass(frozen=True)
class Sketching(Method[SketchState]):
    """Each filter becomes a sum of a few binary planes times their scales, and is trained as that.

    Use it where a network has to stay dense but small: m planes take m bits for a weight, need no multiplication for
    it, and pack as they are (`ns.pack`). A filter is what makes one output: a row of the weight, flattened. Two planes
    or three lose little; one plane is a binary network and wants a long training. Where most connections can go,
    Surgery makes smaller files.

    planes: m, 1 .. 8. refined: solve all scales again with each plane (the paper's refined approximation), which costs
        some time and always fits better; otherwise its direct one.
    steps: optimizer steps during which weights are sketched again, >= 1. Afterwards signs and scales stay; biases and
        other layers train on. Give the length of your training.
    interval: optimizer steps between two sketches, >= 1. In between, the network keeps the last one.
    sharing: how many neighbouring filters share their scales, >= 1; the last ones of a layer may be fewer. For layers
        with a few weights in a filter, as depthwise ones have, where a scale would cost as much as its weights.

    Biases are left alone, and no other stage may operate on the same weights. Weights of 16 bits are sketched in
    float32, and the sum is rounded to their type: what was rounded packs as a codebook, not as planes.
    Raises SettingError for a value outside its range.

    >>> operation = ns.attach(model, optimizer, ns.Sketching(planes=1, steps=100))
    >>> for inputs, labels in loader:  # your loop, unchanged
    ...     optimizer.zero_grad()
    ...     loss_of(model(inputs), labels).backward()
    ...     optimizer.step()
    >>> operation.finish()
    >>> [len(row.abs().unique()) for row in model.head.weight]  # each output has one scale
    [1, 1, 1]
    """

    planes: int = 2
    refined: bool = True
    steps: int = 10_000
    interval: int = 1
    sharing: int = 1

    name: ClassVar[str] = "sketching"
    biases: ClassVar[bool] = False  # type: ignore[misc]  # a setting of the others
    shares_tensors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_count("planes", self.planes, maximum=MOST_PLANES)
        require_flag("refined", self.refined)
        require_count("steps", self.steps)
        require_count("interval", self.interval)
        require_count("sharing", self.sharing)

    @property
    def latent_speed(self) -> float:
        return 1.0

    @property
    def active_steps(self) -> int:
        return self.steps

    def init(self, layers: Sequence[Layer], seed: int) -> SketchState:
        return SketchState(
            latent={name: tensor.detach().clone() for name, tensor in tensors_of(layers)},
            scales={name: self._no_scales(tensor) for name, tensor in tensors_of(layers)},
            codes={name: torch.zeros_like(tensor, dtype=torch.uint8) for name, tensor in tensors_of(layers)},
        )

    def check_placement(self, state: SketchState, layers: Sequence[Layer]) -> None:
        check_placement(layers, state.codes, state.latent)

    def reveal(self, state: SketchState, layers: Sequence[Layer]) -> None:
        if state.latent:
            for name, tensor in tensors_of(layers):
                self._adopt(state, name, tensor)
                tensor.copy_(state.latent[name])

    def update(self, state: SketchState, layers: Sequence[Layer], step: int) -> None:
        if not state.latent:
            return
        due = step % self.interval == 0 or step >= self.active_steps
        if due:
            self._sketch(state, tensors_of(layers))
        else:
            for name, tensor in tensors_of(layers):
                state.latent[name].copy_(tensor)
        if step >= self.active_steps:
            state.latent.clear()

    def project(self, state: SketchState, layers: Sequence[Layer]) -> None:
        """Every weight is the sum of its planes."""
        for name, tensor in tensors_of(layers):
            if name not in state.projected:
                for block in self._blocks(state, name, tensor):
                    block.weight.copy_(block.sum())
                if state.latent:
                    state.left[name] = _Mark.of(tensor)
        state.projected.clear()

    def finish(self, state: SketchState, layers: Sequence[Layer]) -> None:
        check_finite(layers, "after training")
        for name, tensor in tensors_of(layers):
            if state.latent and self._adopt(state, name, tensor):
                tensor.copy_(state.latent[name])
                self._sketch(state, [(name, tensor)])
        state.latent.clear()
        self.project(state, layers)

    def masks(self, state: SketchState) -> dict[str, Tensor]:
        return {name: torch.ones_like(codes, dtype=torch.bool) for name, codes in state.codes.items()}

    def report(self, state: SketchState, layers: Sequence[Layer]) -> list[TensorReport]:
        """Nothing is cut: every tensor is kept as a whole."""
        return [
            TensorReport(layer.name, name, tuple(tensor.shape), tensor.numel(), 0, 0)
            for layer in layers
            for name, tensor in layer.tensors.items()
        ]

    def state_dict(self, state: SketchState, layers: Sequence[Layer]) -> dict[str, Any]:
        for name, tensor in tensors_of(layers):
            if state.latent:
                self._adopt(state, name, tensor)
        parts = {"latent": state.latent, "scales": state.scales, "codes": state.codes}
        return {part: {name: tensor.clone() for name, tensor in tensors.items()} for part, tensors in parts.items()}

    def check_state(self, layers: Sequence[Layer], saved: Mapping[str, Any]) -> None:
        check_keys(saved, {"latent", "scales", "codes"}, "A stage of the saved state")
        check_tensors(saved, layers, "codes", torch.uint8)
        if saved["latent"] != {}:  # once the sketch is fixed there are none
            check_tensors(saved, layers, "latent", None)
        check_keys(saved["scales"], {name for name, _ in tensors_of(layers)}, "'scales' of the saved state")
        for name, tensor in tensors_of(layers):
            found, expected = saved["scales"][name], self._no_scales(tensor)
            if not isinstance(found, Tensor) or found.shape != expected.shape or found.dtype != expected.dtype:
                raise StateError(
                    f"The saved state holds {found!r} in 'scales' for {name}, expected {expected.dtype} "
                    f"{tuple(expected.shape)}. Load the state of an operation on the same model with the same plan."
                )

    def load_state(self, layers: Sequence[Layer], saved: Mapping[str, Any]) -> SketchState:
        tensors = dict(tensors_of(layers))
        state = SketchState(
            latent={name: torch.empty_like(tensors[name]).copy_(found) for name, found in saved["latent"].items()},
            scales={name: self._no_scales(tensors[name]).copy_(found) for name, found in saved["scales"].items()},
            codes={
                name: torch.empty_like(tensors[name], dtype=torch.uint8).copy_(found)
                for name, found in saved["codes"].items()
            },
        )
        self.project(state, layers)
        return state

    def _no_scales(self, tensor: Tensor) -> Tensor:
        return tensor.new_zeros(math.ceil(len(tensor) / self.sharing), self.planes, dtype=torch.float32)

    def _adopt(self, state: SketchState, name: str, tensor: Tensor) -> bool:
        """What the user wrote to a parameter since the last step is latent; True if there is any.

        Entries that were left as they were, or written back after something else was there for a while, such as an
        average of weights, keep their latent weights.
        """
        if _Mark.of(tensor) == state.left.get(name):
            return False
        written = False
        for block in self._blocks(state, name, tensor):
            other = block.weight != block.sum().to(tensor.dtype)
            block.latent.copy_(torch.where(other, block.weight, block.latent))
            written = written or bool(other.any())
        state.left[name] = _Mark.of(tensor)
        return written

    def _sketch(self, state: SketchState, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """What the parameters hold becomes latent; new planes for it, and their sum in its place.

        Raises NonFiniteWeightsError, and leaves in the parameters what they held.
        """
        named, places = list(tensors), list[Place]()
        for name, tensor in named:
            whole = list(self._blocks(state, name, tensor, tensor.numel()))
            if all(block.fits_in_place for block in whole):
                places += [block.place() for block in whole]
            else:
                self._sketch_block_by_block(state, name, tensor)
        expand_in_place(places, self.refined)
        for name, tensor in named:
            if not bool(torch.isfinite(state.scales[name]).all()):
                for sketched, values in named:
                    values.copy_(state.latent[sketched])
                raise NonFiniteWeightsError(
                    f"{name} holds NaN, infinity or numbers close to the largest, and can't be sketched. Start from "
                    "smaller weights; if training diverged, lower the learning rate or clip gradients, and resume from "
                    "a good checkpoint. A layer that is not to be operated on can be left out with Stage(skip=...)."
                )
            state.left[name] = _Mark.of(tensor)
            state.projected.add(name)

    def _sketch_block_by_block(self, state: SketchState, name: str, tensor: Tensor) -> None:
        room = torch.empty(0)
        for block in self._blocks(state, name, tensor):
            block.latent.copy_(block.weight)
            weight = block.filters(block.latent).float()
            if room.device != weight.device or room.numel() < (self.planes + 2) * weight.numel():
                room = weight.new_empty(self.planes + 2, weight.numel())
            expansion = expand(weight, self.planes, self.refined, room)
            block.scales.copy_(expansion.scales)
            block.codes.copy_(expansion.codes.view(block.codes.shape))
            block.weight.copy_(expansion.total.view(block.weight.shape))

    def _blocks(self, state: SketchState, name: str, tensor: Tensor, most: int = _BLOCK) -> Iterator[_Block]:
        """Filters of `most` weights together, about, in the order of memory inside of a filter."""
        order = (0, *sorted(range(1, tensor.dim()), key=tensor.stride, reverse=True))
        weight, codes = tensor.permute(order), state.codes[name].permute(order)
        latent = state.latent[name].permute(order) if state.latent else weight
        whole = len(tensor) - len(tensor) % self.sharing
        count = max(1, most * len(tensor) // (tensor.numel() * self.sharing)) * self.sharing
        cuts = sorted({*range(0, whole, count), whole, len(tensor)})
        for start, stop in pairwise(cuts):
            rows = slice(start, stop)
            groups = slice(start // self.sharing, math.ceil(stop / self.sharing))
            yield _Block(weight[rows], latent[rows], codes[rows], state.scales[name][groups])


@dataclass(frozen=True)
class _Block:
    """The same filters in a parameter, in its latent weights and in their sketch. All are views.

    weight, latent, codes: (filters, ...); scales: (groups, planes), each for as many filters as share them.
    """

    weight: Tensor
    latent: Tensor
    codes: Tensor
    scales: Tensor

    @property
    def fits_in_place(self) -> bool:
        """True if C++ can work on them where they are."""
        return fits(self.weight, self.latent, self.scales) and self.codes.is_contiguous()

    def place(self) -> Place:
        """Where they are."""
        return Place(self.filters(self.weight), self.filters(self.latent), self.scales, self.filters(self.codes))

    def filters(self, tensor: Tensor) -> Tensor:
        """(filters, ...) -> (groups, entries): filters that share their scales are one filter."""
        return tensor.reshape(len(self.scales), -1)

    def sum(self) -> Tensor:
        """What the weights are by their sketch, float32, of the shape of `weight`."""
        return sum_of_planes(self.scales, self.filters(self.codes)).view(self.weight.shape)
