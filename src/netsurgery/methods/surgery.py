"""Dynamic network surgery: Guo, Yao, Chen, NIPS 2016, arXiv 1608.04493.

Both methods prune *and splice*: every weight goes on moving, W <- W - lr * dL/d(W * T), also where the mask T is 0,
so that a connection cut by mistake comes back by itself (the paper's equation 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from netsurgery.checks import is_number, require, require_count, require_density, require_flag, require_range
from netsurgery.errors import DensityWarning, StarvedLayerWarning, UnnamedLayerWarning
from netsurgery.methods.base import Layer, size_of
from netsurgery.methods.blocks import row_blocks
from netsurgery.methods.floors import fewest, floors
from netsurgery.methods.masking import MaskMethod, MaskState, Observation, Piece
from netsurgery.methods.moments import Block, moments
from netsurgery.methods.selection import largest
from netsurgery.methods.state import of_all_parts
from netsurgery.schedules import DensityRamp, InversePower

_OBSERVATION_INTERVAL = 4  # optimizer steps at most; gradients of neighbouring steps say much the same
_REFRESHES = 100  # in a ramp, where it has as many steps
_WINDOWS = 16  # of observations in a ramp
_SHORTEST_WINDOW, _LONGEST_WINDOW = 10, 125  # observations


@final
@dataclass(frozen=True)
class Surgery(MaskMethod):
    """Surgery by one number: the final density of all tensors that it operates on together.

    The default; use ThresholdSurgery only to reproduce the paper. Thresholds per layer follow by themselves:
    connections of all layers are ranked together by relative saliency, (|w| / ‖w‖) * sqrt(E[(g ‖w‖)²]) with ‖w‖ the
    norm of the filter, which means the same in every layer and at any scale of a filter in front of a normalisation
    (docs/methods/surgery.md). The largest stay, and no layer falls below a floor (floors.py). A kept connection ranks
    `hysteresis` times higher than a pruned one, which is the b/a of the paper's equation 3. The density falls from 1,
    connections come and go until `splicing`, then masks are fixed and the kept weights train on.

    A layer that the loss never reaches while it operates has no saliency and goes first: leave such layers out.
    Warns (DensityWarning) if the density is so low that layers would lose their last paths; more is kept then.

    density: kept / all, in (0, 1], biases counted if operated on. Reached exactly, to the connection, unless a
        DensityWarning says otherwise.
    steps: optimizer steps the whole operation gets, >= 1. Give the length of your training (ns.steps_of counts it).
    ramp: share of `steps` after which the density is reached, in [0, splicing].
    splicing: share of `steps` after which masks are fixed, in [ramp, 1].
    interval: optimizer steps between two refreshes of the masks at most, >= 1. Fewer lie between them where the ramp is
        short: it has 100 refreshes, or one at each step.
    hysteresis: b/a, >= 1; larger means fewer changes of mind.
    latent_speed: share of the optimizer's move that the latent weight of a pruned connection follows, in [0, 1]; it
        begins at 0 when the connection is pruned. At 1 the many pruned connections of a very sparse network drift up
        and displace trained ones. Weights of 16 bits always use 1: a share of their step would be lost in rounding.
    concentration: how strongly connections are drawn to outputs and inputs that have many already, in [0, 16]. 0 ranks
        by saliency alone. Otherwise a score is divided by (the bits that the connection costs in a file)^concentration
        (places.py): as many connections, on fewer units, in a smaller file. Large values cost accuracy: begin with 1.
    uses: for a fast network rather than a small one, pairs of a layer's name and how often a run uses each of its
        connections, > 0: a convolution as often as its output has positions, a recurrent layer at each time step. Only
        their proportions count. A layer's scores are divided by the square root of its uses: to remove connections of
        little saliency² for each multiplication is what a bound on multiplications asks for. Layers that aren't named
        have 1.
    biases: operate on biases too.
    warm_start: for a network that was pruned before: connections that are 0 when the stage begins are pruned from the
        start, though they may come back, and the ramp begins at the density that is left instead of at 1.

    Raises SettingError for a value outside its range.

    >>> operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=100))
    >>> for inputs, labels in loader:  # your loop, unchanged
    ...     optimizer.zero_grad()
    ...     loss_of(model(inputs), labels).backward()
    ...     optimizer.step()
    >>> operation.finish()
    >>> round(operation.density, 2)
    0.3
    """

    density: float
    steps: int = 10_000
    ramp: float = 0.5
    splicing: float = 0.7
    interval: int = 20
    hysteresis: float = 3.0
    latent_speed: float = 0.3
    concentration: float = 0.0
    biases: bool = True
    warm_start: bool = False
    uses: tuple[tuple[str, float], ...] = ()

    name: ClassVar[str] = "surgery"
    guards_latent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_density(self.density)
        require_count("steps", self.steps)
        require_range("ramp", self.ramp, 0, 1)
        require_range("splicing", self.splicing, 0, 1)
        require(
            self.ramp <= self.splicing,
            "ramp",
            self.ramp,
            f"<= splicing ({self.splicing})",
            "the density has to be reached before masks are fixed",
        )
        require_count("interval", self.interval)
        require_range("hysteresis", self.hysteresis, 1, float("inf"))
        require_range("latent_speed", self.latent_speed, 0, 1)
        require_range("concentration", self.concentration, 0, 16)
        require_flag("biases", self.biases)
        require_flag("warm_start", self.warm_start)
        object.__setattr__(self, "uses", _pairs(self.uses))

    @property
    def begins_pruned(self) -> bool:
        return self.warm_start

    @property
    def active_steps(self) -> int:
        return max(1, round(self.splicing * self.steps))  # the first gradient is seen at step 1

    @property
    def observation(self) -> Observation:
        interval = min(_OBSERVATION_INTERVAL, max(1, self._interval // 4))
        window = self._ramp_steps // (_WINDOWS * interval)
        return Observation(interval, min(_LONGEST_WINDOW, max(_SHORTEST_WINDOW, window)))

    def advice(self, layers: Sequence[Layer]) -> UserWarning | None:
        total, least = size_of(layers), fewest(layers)
        asked, needed = round(self.density * total), sum(least.values())
        if asked >= needed:
            return self._unnamed(layers)
        most = max(least, key=lambda name: least[name])
        return DensityWarning(
            f"density={self.density:.4g} asks for {asked:,} of {total:,} connections, but {needed:,} are needed so "
            f"that every layer passes something on, {least[most]:,} of them in {most}. That "
            f"many are kept. Ask for a density of {_rounded_up(needed / total):.2g} or more, or leave layers out with "
            "Stage(skip=...)."
        )

    def _unnamed(self, layers: Sequence[Layer]) -> UserWarning | None:
        named = {name for name, _ in self.uses}
        others = [layer.name for layer in layers if layer.name not in named]
        if not named or not others:
            return None
        return UnnamedLayerWarning(
            f"uses names {len(layers) - len(others)} of {len(layers)} layers, and not {others[0]!r}: connections of "
            "layers without uses count as used once. Name all of them, as model.named_modules() does."
        )

    def measure(self, layer: Layer) -> float | None:
        """How many connections are there when the stage begins, where the ramp begins with them."""
        if not self.warm_start:
            return None
        here = {name: int(tensor.count_nonzero()) for name, tensor in layer.tensors.items()}
        return float(sum(of_all_parts(here, [layer]).values()))

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        # At step 0 no gradient has been seen yet; nor at step 1, if the only ones there were are from before attach.
        if not step or (step == 1 < self.active_steps and state.sensitivity and not state.sensitivity.outputs):
            return ()
        return layers if step % self._interval == 0 or step == self.active_steps else ()

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        start = max(1.0, sum(state.constants.values())) / size_of(layers) if self.warm_start else 1.0
        density = DensityRamp(self.density, self._ramp_steps, start)(step)
        keep = max(round(density * size_of(layers)), sum(fewest(layers).values()))
        weights = {name: uses**-0.5 for name, uses in self.uses}
        return largest(state, layers, keep, self.hysteresis, self.concentration, floors(layers, keep), weights)

    @property
    def _ramp_steps(self) -> int:
        return round(self.ramp * self.steps)

    @property
    def _interval(self) -> int:
        """Optimizer steps between two refreshes: in a short ramp fewer, so that none removes much at once."""
        return max(1, min(self.interval, self._ramp_steps // _REFRESHES))


def _pairs(given: object) -> tuple[tuple[str, float], ...]:
    """A layer's name and its uses, in each pair; as TOML has them, in lists. Raises SettingError."""
    pairs = given if isinstance(given, list | tuple) else (given,)
    good = all(
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and is_number(pair[1])
        and 0 < pair[1] < math.inf
        for pair in pairs
    )
    require(
        good, "uses", given, 'pairs of a layer\'s name and a finite number > 0, such as (("conv1", 576), ("fc1", 1))'
    )
    return tuple((str(name), float(uses)) for name, uses in pairs)


def _rounded_up(share: float) -> float:
    """To two digits, so that it is enough."""
    step = 10.0 ** (math.floor(math.log10(share)) - 1)
    return min(math.ceil(round(share / step, 6)) * step, 1.0)


@final
@dataclass(frozen=True)
class ThresholdSurgery(MaskMethod):
    """The rule of the paper, thresholds by hand: for reproducing it and for comparison.

    Each layer by itself, h of equation 3: with mu and std of |w| over the layer's weights and biases together, taken
    once at step 0 (std = sqrt(E[w²] - mu²)), t = max(mu + c_rate * std, 0), a = (1 - margin) t, b = (1 + margin) t:
    a kept connection is pruned if |w| <= a, a pruned one is spliced if |w| > b. A layer's mask is refreshed at a
    step with probability (1 + gamma * step) ** -power, while step < iter_stop.

    c_rate: how deep to cut, any number; larger cuts more. It wants a value per layer: give each its own Stage. 1 leaves
        about a fifth of weights that are spread normally, and 3 none of those that are spread evenly, as torch draws
        them: beyond the largest weight of a layer there is nothing to keep, which a StarvedLayerWarning says.
    gamma >= 0, power >= 0, iter_stop >= 1: as in the released code. margin in [0, 1).
    biases: operate on biases too, as the paper does.

    Raises SettingError for a value outside its range.

    >>> stages = [
    ...     ns.Stage(method=ns.ThresholdSurgery(c_rate=c_rate, iter_stop=7_000), layers=(layer,))
    ...     for layer, c_rate in {"hidden": 1.0, "head": 0.5}.items()
    ... ]
    >>> operation = ns.attach(model, optimizer, ns.Plan(tuple(stages)))
    """

    c_rate: float = 1.0
    gamma: float = 1e-3
    power: float = 1.0
    iter_stop: int = 10_000
    margin: float = 0.1
    biases: bool = True

    name: ClassVar[str] = "threshold-surgery"

    def __post_init__(self) -> None:
        require(is_number(self.c_rate), "c_rate", self.c_rate, "a finite number", "the paper's lie in -0.7 .. 5")
        require_range("gamma", self.gamma, 0, float("inf"))
        require_range("power", self.power, 0, float("inf"))
        require_count("iter_stop", self.iter_stop)
        require_range("margin", self.margin, 0, 1)
        require_flag("biases", self.biases)

    @property
    def active_steps(self) -> int:
        return self.iter_stop

    @property
    def latent_speed(self) -> float:
        return 1.0

    def advice(self, layers: Sequence[Layer]) -> UserWarning | None:
        here = {
            name: int(part.count_nonzero())
            for layer in layers
            for name, part in layer.tensors.items()
            if part.dim() > 1
        }
        empty = [name for name, kept in of_all_parts(here, layers).items() if not kept]
        if not empty:
            return None
        names = ", ".join(empty[:3]) + (f" and {len(empty) - 3} more" if len(empty) > 3 else "")
        return StarvedLayerWarning(
            f"c_rate={self.c_rate:g} leaves no connection of {names}: no weight there is larger than mean + c_rate * "
            "std of its layer, so that nothing passes and hardly a gradient comes. Give a lower c_rate, best to each "
            "layer its own in Stage(layers=...)."
        )

    def measure(self, layer: Layer) -> float:
        """The threshold t."""

        def sizes(name: str) -> Iterator[Block]:
            tensor = layer.tensors[name].detach()
            return ((tensor[rows].to(torch.float64).abs(), None) for rows in row_blocks(tensor))

        found = moments(layer, sizes)
        return max(found.mean + self.c_rate * found.deviation, 0.0)

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        if step >= self.iter_stop:
            return ()
        probability = InversePower(1.0, self.gamma, self.power)(step)
        draws = torch.rand(len(layers), generator=state.generator).tolist()
        return [layer for layer, draw in zip(layers, draws, strict=True) if draw < probability]

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        for layer in layers:
            threshold = state.constants[layer.name]
            low, high = threshold * (1 - self.margin), threshold * (1 + self.margin)
            for name, tensor in layer.tensors.items():
                for rows in row_blocks(tensor):
                    # Kept unless |w| <= a, spliced if |w| > b: both are |w| > limit.
                    limit = torch.where(state.masks[name][rows], tensor.new_full((), low), tensor.new_full((), high))
                    yield name, rows, tensor[rows].abs() > limit
