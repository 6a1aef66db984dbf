"""Network sketching: Guo, Yao, Zhao, Chen, CVPR 2017, arXiv 1706.02021.

The network multiplies by sums of binary planes; the optimizer moves a full copy of the weights, with the gradient taken
at the sums (straight through the sign), and they are re-sketched after every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, final

import torch
from torch import Tensor

from netsurgery.checks import require_count, require_flag
from netsurgery.errors import AttachmentError, NonFiniteWeightsError
from netsurgery.methods import fields
from netsurgery.methods.base import Layer, Method, tensors_of
from netsurgery.methods.encoded import EncodedPlanes
from netsurgery.methods.exchange import remember
from netsurgery.methods.expansion import MOST_PLANES, expand, sum_of_planes
from netsurgery.methods.expansion_in_place import Place, adopt_in_place, expand_in_place, fits, sum_in_place
from netsurgery.methods.fields import Home, filter_dims, number, per_parameter
from netsurgery.methods.readings import numbers, reads_at_once
from netsurgery.methods.shards import Along, Extents, Shard, shape_of
from netsurgery.methods.state import State, no_counts, of_all_parts

_LOOK = 50
"""Steps between two looks at whether weights of a graphics card are finite; a processor's are looked at each time."""
_BLOCK = 1 << 17  # weights that are sketched at a time: with the planes of it they fit the processor's second cache


def _scales(home: Home) -> Extents:
    return [Along(home.filter_dim, per=home.method.sharing), home.method.planes]


@dataclass
class SketchState(State):
    """All that changes while a network is sketched: five bytes for each weight, and the scales.

    Every weight is hidden: what the optimizer moves is in `latent`, and the parameters show the sketch.
    """

    scales: dict[str, Tensor] = per_parameter(torch.float32, _scales)
    """Parameter name -> float32 (groups of filters, planes), falling and >= 0."""
    codes: dict[str, Tensor] = per_parameter(torch.uint8)
    """Parameter name -> uint8 tensor of its shape: bit j is 1 where plane j is +1."""
    sharing: int = number(1)
    """How many neighbouring filters share their scales."""
    filter_dims: dict[str, int] = filter_dims()
    """Parameter name -> the dimension along which its filters lie, where that isn't the first."""

    def own(self, name: str) -> None:
        return None

    def kept(self, name: str) -> Tensor:
        return torch.ones_like(self.codes[name], dtype=torch.bool)

    def adopt(self, layers: Sequence[Layer], tells: bool = True) -> set[str]:
        """Whatever isn't the sum of its planes becomes latent.

        Entries that are it again, after something else was there for a while such as an average of weights, keep their
        latent weights.
        """
        if not self.latent:
            return set()
        written, named, places = set(), list[str](), list[Place]()
        for name, tensor in tensors_of(layers):
            whole = list(self.blocks(name, tensor, tensor.numel()))
            if all(block.fits_in_place for block in whole):
                named += [name] * len(whole)
                places += [block.place() for block in whole]
                continue
            for block in self.blocks(name, tensor):
                other = block.weight != block.sum().to(tensor.dtype)
                if (tells or reads_at_once(other)) and not bool(other.any()):
                    continue
                block.latent.copy_(torch.where(other, block.weight, block.latent))
                written.add(name)
        return written.union(name for name, adopts in zip(named, adopt_in_place(places), strict=True) if adopts)

    def blocks(self, name: str, tensor: Tensor, most: int = _BLOCK) -> Iterator[_Block]:
        """Filters of `most` weights together, about, in the order of memory inside of a filter."""
        along = self.filter_dims.get(name, 0)
        others = (dim for dim in range(tensor.dim()) if dim != along)
        order = (along, *sorted(others, key=tensor.stride, reverse=True))
        weight, codes, scales = tensor.permute(order), self.codes[name].permute(order), self.scales[name]
        latent = self.latent[name].permute(order) if self.latent else weight
        whole = len(weight) - len(weight) % self.sharing
        count = max(1, most * len(weight) // (max(1, weight.numel()) * self.sharing)) * self.sharing
        cuts = sorted({*range(0, whole, count), whole, len(weight)})
        for start, stop in pairwise(cuts):
            rows = slice(start, stop)
            groups = slice(start // self.sharing, math.ceil(stop / self.sharing))
            yield _Block(weight[rows], latent[rows], codes[rows], scales[groups])


@final
@dataclass(frozen=True)
class Sketching(Method[SketchState]):
    """Each filter becomes a sum of a few binary planes times their scales, and is trained as that.

    Use it where a network has to stay dense but small: m planes take m bits for a weight, need no multiplication for
    it, and pack as they are (`ns.pack`). A filter is what makes one output: a row of the weight, flattened, or a
    column of one that is held as (inputs, outputs), as GPT-2's are; of transposed convolutions in groups, what one
    input makes. Two planes or three lose little; one plane is a binary network and wants a long training. Where most
    connections can go, Surgery makes smaller files.

    planes: m, 1 .. 8. refined: solve all scales again with each plane (the paper's refined approximation), which costs
        some time and always fits better; otherwise its direct one.
    steps: optimizer steps during which weights are sketched again, >= 0; at 0 they are sketched once. Afterwards
        signs and scales stay; biases and other layers train on. Give the length of your training.
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
    state_type: ClassVar[type[SketchState]] = SketchState
    biases: ClassVar[bool] = False  # type: ignore[misc]  # a setting of the others
    shares_tensors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_count("planes", self.planes, maximum=MOST_PLANES)
        require_flag("refined", self.refined)
        require_count("steps", self.steps, minimum=0)
        require_count("interval", self.interval)
        require_count("sharing", self.sharing)

    @property
    def latent_speed(self) -> float:
        return 1.0

    @property
    def active_steps(self) -> int:
        return self.steps

    def check_parts(self, layers: Sequence[Layer]) -> None:
        torn = {
            name: int(name in layer.shards and self._is_torn(layer.shards[name], layer.filter_dim(name)))
            for layer in layers
            for name in layer.tensors
        }
        names = [name for name, count in of_all_parts(torn, layers).items() if count]
        if names:
            raise AttachmentError(
                f"{self.name!r} sketches whole filters, and processes hold parts of those of {', '.join(names[:3])}"
                f"{' and others' if len(names) > 3 else ''} (sharing={self.sharing}). Divide these weights along the "
                "dimension of their outputs (the first, but for transposed ones), between groups of filters that share "
                "scales (of the first, fully_shard does with sharing=1, and ColwiseParallel does), or leave their "
                "layers out with Stage(skip=...)."
            )

    def _is_torn(self, shard: Shard, along: int) -> bool:
        return any(dim != along for dim, _ in shard.cuts) or bool(shard.offset[along] % self.sharing)

    def init(self, layers: Sequence[Layer], seed: int) -> SketchState:
        tensors = dict(tensors_of(layers))
        return SketchState(
            latent={name: tensor.detach().clone() for name, tensor in tensors.items()},
            pruned=no_counts(layers),
            spliced=no_counts(layers),
            scales={
                name: tensor.new_zeros(
                    shape_of(_scales(Home(self, tensor, layer.filter_dim(name))), tensor.shape), dtype=torch.float32
                )
                for layer in layers
                for name, tensor in layer.tensors.items()
            },
            codes={name: torch.zeros_like(tensor, dtype=torch.uint8) for name, tensor in tensors.items()},
            sharing=self.sharing,
            filter_dims={name: dim for layer in layers for name in layer.tensors if (dim := layer.filter_dim(name))},
        )

    def update(self, state: SketchState, layers: Sequence[Layer], step: int) -> None:
        if not state.latent:
            return
        due = step % self.interval == 0 or step >= self.active_steps
        if due:
            self._sketch(state, tensors_of(layers), looks=step % _LOOK == 0 or step >= self.active_steps)
        else:
            for name, tensor in tensors_of(layers):
                remember(state.latent[name], tensor, None)
        if step >= self.active_steps:
            fields.free(state)

    def project(self, state: SketchState, name: str, tensor: Tensor) -> None:
        """Every weight is the sum of its planes."""
        whole = list(state.blocks(name, tensor, tensor.numel()))
        if all(block.fits_in_place for block in whole):
            sum_in_place(block.place() for block in whole)
            return
        for block in state.blocks(name, tensor):
            block.weight.copy_(block.sum())

    def encode(self, state: SketchState, name: str, tensor: Tensor) -> EncodedPlanes:
        along = state.filter_dims.get(name, 0)
        return EncodedPlanes(state.scales[name].clone(), state.codes[name].clone(), self.sharing, tensor.dtype, along)

    def _sketch(self, state: SketchState, tensors: Iterable[tuple[str, Tensor]], looks: bool) -> None:
        """What the parameters hold becomes latent; new planes for it, and their sum in its place.

        looks: whether a graphics card may be waited for, to see that all is finite; what isn't stays so.
        Raises NonFiniteWeightsError, and leaves in the parameters what they held.
        """
        named, places = list(tensors), list[Place]()
        for name, tensor in named:
            whole = list(state.blocks(name, tensor, tensor.numel()))
            if all(block.fits_in_place for block in whole):
                places += [block.place() for block in whole]
            else:
                self._sketch_block_by_block(state, name, tensor)
        expand_in_place(places, self.refined)
        seen = [name for name, _ in named if looks or reads_at_once(state.scales[name])]
        finite = dict(zip(seen, numbers(torch.isfinite(state.scales[name]).all() for name in seen), strict=True))
        for name, _ in named:
            if not finite.get(name, True):
                for sketched, values in named:
                    values.copy_(state.latent[sketched])
                raise NonFiniteWeightsError(
                    f"{name} holds NaN, infinity or numbers close to the largest, and can't be sketched. Start from "
                    "smaller weights; if training diverged, lower the learning rate or clip gradients, and resume from "
                    "a good checkpoint. A layer that is not to be operated on can be left out with Stage(skip=...)."
                )
            state.projected.add(name)

    def _sketch_block_by_block(self, state: SketchState, name: str, tensor: Tensor) -> None:
        room = torch.empty(0)
        for block in state.blocks(name, tensor):
            block.latent.copy_(block.weight)
            weight = block.filters(block.latent).float()
            if room.device != weight.device or room.numel() < (self.planes + 2) * weight.numel():
                room = weight.new_empty(self.planes + 2, weight.numel())
            expansion = expand(weight, self.planes, self.refined, room)
            block.scales.copy_(expansion.scales)
            block.codes.copy_(expansion.codes.view(block.codes.shape))
            block.weight.copy_(expansion.total.view(block.weight.shape))


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
