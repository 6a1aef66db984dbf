"""Incremental network quantization: Zhou, Yao, Guo, Xu, Chen, ICLR 2017, arXiv 1702.03044.

Weights become zero or powers of two, a portion at a time: the largest that are still free are quantized and fixed, then
the free ones are retrained to recover the accuracy; and again, until none is free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor

from netsurgery.checks import is_number, require, require_choice, require_count, require_flag
from netsurgery.errors import NonFiniteWeightsError, StarvedLayerWarning
from netsurgery.methods.base import Layer, Method, tensors_of, weights_of
from netsurgery.methods.blocks import ROW_BLOCK, as_number, blocks, row_blocks, rows_of
from netsurgery.methods.channel_powers import largest_exponents, nearest_in_channels, sizes_in_channels
from netsurgery.methods.encoded import EncodedPowers, EncodedSparse
from netsurgery.methods.fields import generator, hidden, per_filter, per_parameter, per_parameter_number
from netsurgery.methods.powers import fitted_powers, nearest_power, powers, smallest_power
from netsurgery.methods.ranking import Scores, cut_at
from netsurgery.methods.shards import before_and_all, most, totals
from netsurgery.methods.soundness import check_finite
from netsurgery.methods.state import State, no_counts, of_all_parts

PORTIONS: dict[int, tuple[float, ...]] = {
    2: (0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0),
    3: (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    4: (0.3, 0.5, 0.8, 0.9, 0.95, 1.0),
    5: (0.5, 0.75, 0.875, 1.0),
}
"""Bits -> the portions of the paper's ResNet-18; more bits than 5 take those of 5."""


@dataclass
class QuantizationState(State):
    """All that changes while weights are quantized: per connection one byte and one value."""

    free: dict[str, Tensor] = per_parameter(torch.bool)
    """Parameter name -> bool tensor of its shape, True = trains on: the paper's T."""
    fixed: dict[str, Tensor] = hidden()
    """Parameter name -> the value of each connection that isn't free, and +0 for the free ones."""
    exponents: dict[str, tuple[int, int]] = per_parameter_number(count=2)
    """Parameter name -> (n1, n2), taken once when the stage begins; (0, 0) for a tensor of zeros, which needs none.
    Where channels have their own, the largest n1 and the smallest n2 of them."""
    channel_exponents: dict[str, Tensor] = per_filter(torch.int16)
    """Names of the weights whose channels have their own powers -> n1 of each, as `largest_exponents` gives it."""
    survivors: dict[str, int] = per_parameter_number()
    """Parameter name -> connections other than 0 when the stage begins, of which portions are the shares."""
    generator: torch.Generator = generator()
    """Source of the order of portions that are taken at random."""

    def own(self, name: str) -> Tensor:
        return self.free[name]

    def kept(self, name: str) -> Tensor:
        return self.free[name] | (self.fixed[name] != 0)


@final
@dataclass(frozen=True)
class INQ(Method[QuantizationState]):
    """Weights become zero or powers of two, and the network trains on meanwhile.

    Use it last, on a trained network or after Surgery: connections that are 0 when its stage begins stay 0, and
    portions are of the others. Each tensor by itself has its powers, or each output channel of it on request, and gives
    its largest weights first. At the end every connection costs `bits` bits or fewer, and `pack` stores exponents.
    After the last portion nothing is left to train; batch norms and biases stay as floating-point numbers.

    bits: b, 2 .. 8: zero and 2^(b-1) / 2 sizes with either sign, powers of two; 2 is ternary. A Stage for each layer
        gives each its own.
    steps: optimizer steps the whole operation gets, at least one for each round of retraining. The first portion is
        quantized at once, the last one at `steps`; rounds of equal length lie between. Let the learning rate begin
        again with each, see `round_starts`.
    portions: shares quantized so far, in (0, 1], strictly rising, 1 at last. Empty: the paper's for `bits` (PORTIONS).
    largest_power: "fitted" to all weights of a tensor, by the least squared error of rounding them, or the "paper"'s,
        which follows from the largest weight alone. With 5 bits or more both are nearly always the same; with fewer the
        paper's leaves many weights below the smallest power.
    order: "largest", as the paper advises, or "random", which it found worse.
    biases: quantize biases too.
    mantissa_bits: m of the bits, 0 .. bits - 2, say where between two powers a size lies: (1 + j / 2^m) * 2^e, with 2^m
        times fewer powers. 0 is the paper's. Where few connections are left, each has to say more than a power of two
        can: with 1/306 of LeNet-5's, 5 bits cost 0.12 points, and 7 bits of which 2 are these cost none. `pack` stores
        such weights as short floats, the engine runs them as floats, and fixed point leaves their layers out.
    per_channel: every output channel of a weight has powers of its own: `largest_power` is meant of its weights alone,
        and the largest weights are those nearest to the largest power of their channel. For few bits, and for channels
        that differ in size, as those of depthwise layers do; fewer weights become 0, so the file grows a little. Biases
        keep the powers of a tensor.

    Raises SettingError for a value outside its range.

    >>> ns.INQ(bits=5, steps=8_000).round_starts  # where the learning rate begins again
    (0, 2667, 5333)
    >>> operation = ns.attach(model, optimizer, ns.INQ(bits=2, steps=100))
    >>> for inputs, labels in loader:  # your loop, unchanged
    ...     optimizer.zero_grad()
    ...     loss_of(model(inputs), labels).backward()
    ...     optimizer.step()
    >>> operation.finish()
    >>> len(model.head.weight.abs().unique())  # 0 and one power of two
    2
    """

    bits: int
    steps: int = 10_000
    portions: tuple[float, ...] = ()
    largest_power: Literal["fitted", "paper"] = "fitted"
    order: Literal["largest", "random"] = "largest"
    biases: bool = False
    per_channel: bool = False
    mantissa_bits: int = 0

    name: ClassVar[str] = "inq"
    state_type: ClassVar[type[QuantizationState]] = QuantizationState
    leaves_weights_free: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_count("bits", self.bits, minimum=2, maximum=8)
        require_count("steps", self.steps)
        listed = isinstance(self.portions, list | tuple) and all(is_number(portion) for portion in self.portions)
        rising = listed and all(low < high for low, high in pairwise((0, *self.portions)))
        ends = rising and (not self.portions or self.portions[-1] == 1)
        require(ends, "portions", self.portions, "shares above 0 that rise strictly and end with 1", "or left out")
        object.__setattr__(self, "portions", tuple(self.portions))
        require_choice("largest_power", self.largest_power, "fitted", "paper")
        require_choice("order", self.order, "largest", "random")
        require_flag("per_channel", self.per_channel)
        require_flag("biases", self.biases)
        require_count("mantissa_bits", self.mantissa_bits, minimum=0, maximum=self.bits - 2)
        rounds = len(self._portions()) - 1
        require(self.steps >= rounds, "steps", self.steps, f">= {rounds}", "a round of retraining has one at least")

    @property
    def round_starts(self) -> tuple[int, ...]:
        """Optimizer steps, since the stage began, at which a round of retraining begins: 0 first; none for one portion.

        What a learning rate needs that begins again with each: schedules.Restarted, or Restarts for torch's schedulers.
        """
        return self._moments()[:-1]

    @property
    def active_steps(self) -> int:
        return self._moments()[-1]

    def advice(self, layers: Sequence[Layer]) -> UserWarning | None:
        survivors = _survivors(layers)
        zeros = [name for _, name, _ in weights_of(layers) if not survivors[name]]
        if not zeros:
            return None
        return StarvedLayerWarning(
            f"{', '.join(zeros[:3])}{', ...' if len(zeros) > 3 else ''} holds zeros alone, and 0 stays 0: such a layer "
            "learns nothing from here on. Train it first, or leave it out with Stage(skip=...)."
        )

    def init(self, layers: Sequence[Layer], seed: int) -> QuantizationState:
        survivors = _survivors(layers)
        channels = {
            name: largest_exponents(
                tensor,
                self.bits,
                self.mantissa_bits,
                layer.filter_dim(name),
                self.largest_power == "fitted",
                layer.within_filters(name),
            )
            for layer, name, tensor in weights_of(layers)
            if self.per_channel
        }
        state = QuantizationState(
            free={name: tensor != 0 for name, tensor in tensors_of(layers)},
            fixed={name: torch.zeros_like(tensor) for name, tensor in tensors_of(layers)},
            exponents={
                name: self._powers(layer, name, channels.get(name)) if survivors[name] else (0, 0)
                for layer in layers
                for name in layer.tensors
            },
            channel_exponents=channels,
            survivors=survivors,
            pruned=no_counts(layers),
            spliced=no_counts(layers),
        )
        state.generator.manual_seed(seed)
        return state

    def update(self, state: QuantizationState, layers: Sequence[Layer], step: int) -> None:
        moments = self._moments()
        if step not in moments:
            return
        check_finite(layers, "while training")
        portion = self._portions()[moments.index(step)]
        free = of_all_parts({name: int(state.free[name].count_nonzero()) for name, _ in tensors_of(layers)}, layers)
        for layer in layers:
            for name in layer.tensors:
                left = state.survivors[name] - round(portion * state.survivors[name])
                if free[name] > left:
                    self._fix(state, layer, name, free[name] - left)

    def project(self, state: QuantizationState, name: str, tensor: Tensor) -> None:
        """Every fixed connection has its value, to the bit."""
        for weight, fixed, free in blocks(tensor, state.fixed[name], as_number(state.free[name])):
            torch.addcmul(fixed, weight, free, out=weight)  # one of both is +0

    def encode(self, state: QuantizationState, name: str, tensor: Tensor) -> EncodedPowers | EncodedSparse:
        if self.mantissa_bits or bool(state.free[name].any()):
            return EncodedSparse.of(tensor, state.kept(name))
        return EncodedPowers.of(tensor)

    def _powers(self, layer: Layer, name: str, channels: Tensor | None) -> tuple[int, int]:
        """(n1, n2) of a tensor that isn't all zeros. channels: n1 of each, if they have their own."""
        tensor, groups = layer.tensors[name], layer.across(name)
        if channels is not None:
            spread = layer.across_filters(name)
            ends = torch.aminmax(channels) if len(channels) else (math.inf, -math.inf)
            least, highest = -most(-float(ends[0]), spread), most(float(ends[1]), spread)
            return int(highest), smallest_power(int(least), self.bits, self.mantissa_bits)
        if self.largest_power == "paper":
            here = max(abs(float(end)) for end in torch.aminmax(tensor)) if tensor.numel() else 0.0
            return powers(most(here, groups), self.bits, self.mantissa_bits)
        return fitted_powers(
            lambda: (tensor[rows][tensor[rows] != 0] for rows in row_blocks(tensor)),
            self.bits,
            self.mantissa_bits,
            groups,
        )

    def _portions(self) -> tuple[float, ...]:
        return self.portions or PORTIONS[min(self.bits, max(PORTIONS))]

    def _moments(self) -> tuple[int, ...]:
        """Steps, since the stage began, at which a portion is taken: one for each, strictly rising, from 0 on."""
        rounds = len(self._portions()) - 1
        return tuple(round(index * self.steps / max(rounds, 1)) for index in range(rounds + 1))

    def _fix(self, state: QuantizationState, layer: Layer, name: str, count: int) -> None:
        """Quantize `count` of the free connections of a tensor, 1 .. all of them, and free them no more."""
        tensor, groups = layer.tensors[name], layer.across(name)
        draws = None
        if self.order == "random":
            seed = int(torch.randint(1 << 62, (), generator=state.generator))
            here = {name: int(state.free[name].count_nonzero())} if groups else {}
            draws = _Draws(seed, before_and_all(here, {name: groups})[name][0] if groups else 0)
        channels = state.channel_exponents.get(name)

        def all_scores() -> Iterator[Tensor]:
            return (scores for _, scores in _scores(tensor, state.free[name], channels, draws))

        cut = cut_at([Scores(all_scores, groups)], keep=count)
        if cut is None:
            raise NonFiniteWeightsError(
                f"{name} holds weights beyond float32's range. Scale them down, and attach again."
            )
        (own,) = cut.shared([Scores(all_scores, groups)])
        zeros = 0
        for (rows, scores), part in zip(_scores(tensor, state.free[name], channels, draws), own.parts, strict=True):
            free = state.free[name][rows]
            chosen = torch.zeros_like(free).masked_scatter_(free, part.select(scores))
            if channels is None:
                values = nearest_power(tensor[rows], *state.exponents[name], self.mantissa_bits)
            else:
                values = nearest_in_channels(tensor[rows], rows_of(channels, rows), self.bits, self.mantissa_bits)
            zeros += int((chosen & (values == 0)).count_nonzero())  # too small for the smallest power
            state.fixed[name][rows].addcmul_(values, as_number(chosen))
            free.logical_and_(chosen.logical_not_())
        state.pruned[name] += int(totals([zeros], [groups])[0])


class _Draws(NamedTuple):
    """Numbers drawn from `seed`, those after the first `before`, which other processes have for their parts."""

    seed: int
    before: int

    def generator(self) -> torch.Generator:
        """That gives them, the same each time."""
        generator = torch.Generator().manual_seed(self.seed)
        for start in range(0, self.before, ROW_BLOCK):
            torch.rand(min(ROW_BLOCK, self.before - start), generator=generator)
        return generator


def _survivors(layers: Sequence[Layer]) -> dict[str, int]:
    """Parameter name -> connections other than 0."""
    return of_all_parts({name: int(tensor.count_nonzero()) for name, tensor in tensors_of(layers)}, layers)


def _scores(
    tensor: Tensor, free: Tensor, channels: Tensor | None, draws: _Draws | None
) -> Iterator[tuple[slice, Tensor]]:
    """Non-negative float32 scores of the free connections, (k,), some rows at a time; the highest are taken first.

    |w|, over the largest power of its channel where `channels` has n1 of each, or numbers drawn: the same each time, so
    that they needn't be kept.
    """
    generator = None if draws is None else draws.generator()
    for rows in row_blocks(tensor):
        if channels is None:
            sizes = tensor[rows].to(torch.float32).abs()
        else:
            sizes = sizes_in_channels(tensor[rows], rows_of(channels, rows))
        scores = sizes[free[rows]]
        yield rows, scores if generator is None else torch.rand(len(scores), generator=generator).to(scores.device)
