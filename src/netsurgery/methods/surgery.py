"""Dynamic network surgery: Guo, Yao, Chen, NIPS 2016, arXiv 1608.04493.

Both methods prune *and splice*: every weight goes on moving, W <- W - lr * dL/d(W * T), also where the mask T is 0,
so that a connection cut by mistake comes back by itself (equations 3 and 4 of the paper).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from netsurgery.checks import is_number, require, require_count, require_density, require_range
from netsurgery.errors import NonFiniteWeightsError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.methods.masking import MaskMethod, MaskState, as_number
from netsurgery.methods.ranking import cut_at
from netsurgery.schedules import DensityRamp, InversePower

_CHUNK = 1 << 20  # connections whose scores are in memory at a time


@final
@dataclass(frozen=True)
class Surgery(MaskMethod):
    """Surgery by one number: the final density of all tensors that it operates on together.

    Use it always, unless the paper's own rule is wanted (ThresholdSurgery). Thresholds per layer follow by themselves:
    connections of all layers are ranked together by |w| / sqrt(rms of the layer's weights), and the largest stay. A
    kept connection ranks `hysteresis` times higher than a pruned one, which is the b/a of the paper's equation 3. The
    density falls exponentially from 1, connections come and go until `splicing`, then masks are fixed and the kept
    weights train on.

    density: kept / all, in (0, 1], biases counted if operated on. Reached exactly, to the connection.
    steps: optimizer steps the whole operation gets, >= 1. Give the length of your training.
    ramp: share of `steps` after which the density is reached, in [0, splicing].
    splicing: share of `steps` after which masks are fixed, in [ramp, 1].
    interval: optimizer steps between two refreshes of the masks, >= 1.
    hysteresis: b/a, >= 1; larger means fewer changes of mind.
    latent_speed: share of the optimizer's move that a pruned connection follows, in [0, 1]. At 1, as in the paper,
        pruned connections of a very sparse network drift up and displace trained ones.
    biases: operate on biases too.

    Raises SettingError for a value outside its range.
    """

    density: float
    steps: int = 10_000
    ramp: float = 0.5
    splicing: float = 0.7
    interval: int = 20
    hysteresis: float = 1.5
    latent_speed: float = 0.1
    biases: bool = True

    name: ClassVar[str] = "surgery"

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

    @property
    def active_steps(self) -> int:
        return round(self.splicing * self.steps)

    def measure(self, layer: Layer) -> float:
        return root_rms(layer)

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        return layers if step % self.interval == 0 or step == self.active_steps else ()

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Tensor]:
        density = DensityRamp(self.density, round(self.ramp * self.steps))(step)
        return largest(state, layers, density, self.hysteresis)


@final
@dataclass(frozen=True)
class ThresholdSurgery(MaskMethod):
    """The rule of the paper, thresholds by hand: for reproducing it and for comparison.

    Each layer by itself, h of equation 3: with mu and std of |w| over the layer's weights and biases together, taken
    once at step 0 (std = sqrt(E[w²] - mu²)), t = max(mu + c_rate * std, 0), a = (1 - margin) t, b = (1 + margin) t:
    a kept connection is pruned if |w| <= a, a pruned one is spliced if |w| > b. A layer's mask is refreshed at a
    step with probability (1 + gamma * step) ** -power, while step < iter_stop.

    c_rate: how deep to cut, any number; larger cuts more. It wants a value per layer: give each its own Stage.
    gamma >= 0, power >= 0, iter_stop >= 1: as in the released code. margin in [0, 1).
    biases: operate on biases too, as the paper does.

    Raises SettingError for a value outside its range.
    """

    c_rate: float = 3.0
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

    @property
    def active_steps(self) -> int:
        return self.iter_stop

    @property
    def latent_speed(self) -> float:
        return 1.0

    def measure(self, layer: Layer) -> float:
        """The threshold t."""
        weights = torch.cat([tensor.detach().flatten().to(torch.float64) for tensor in layer.tensors.values()])
        mean = weights.abs().mean()
        deviation = (weights.square().mean() - mean.square()).clamp(min=0).sqrt()
        return max(float(mean + self.c_rate * deviation), 0.0)

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        if step >= self.iter_stop:
            return ()
        probability = InversePower(1.0, self.gamma, self.power)(step)
        draws = torch.rand(len(layers), generator=state.generator).tolist()
        return [layer for layer, draw in zip(layers, draws, strict=True) if draw < probability]

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Tensor]:
        for layer in layers:
            threshold = state.constants[layer.name]
            low, high = threshold * (1 - self.margin), threshold * (1 + self.margin)
            for name, tensor in layer.tensors.items():
                # Kept unless |w| <= a, spliced if |w| > b: both are |w| > limit.
                limit = torch.where(state.masks[name], tensor.new_tensor(low), tensor.new_tensor(high))
                yield tensor.abs() > limit


def root_rms(layer: Layer) -> float:
    """Sqrt of the root mean square of a layer's weights, biases left out; 1 for a layer of zeros.

    Layers whose weights are larger by nature lose their advantage in a common ranking, but only half of it: with the
    full quotient small layers with strong weights would be cut as deep as large redundant ones.
    """
    weights = next(iter(layer.tensors.values())).detach()
    rms = float(weights.to(torch.float32).square().mean().sqrt())
    return rms**0.5 if rms > 0 else 1.0


def largest(state: MaskState, layers: Sequence[Layer], density: float, hysteresis: float) -> Iterator[Tensor]:
    """Masks that keep exactly the `density` of all tensors: the largest |w| / constant, over all layers together.

    Scores of connections kept now are multiplied by `hysteresis`.
    Raises NonFiniteWeightsError if a weight isn't finite.
    """
    total = sum(tensor.numel() for _, tensor in tensors_of(layers))

    def chunks_of(layer: Layer, name: str) -> Iterator[Tensor]:
        tensor, mask = layer.tensors[name], state.masks[name]
        rows = max(1, _CHUNK * tensor.shape[0] // tensor.numel())
        for weights, kept in zip(tensor.split(rows), mask.split(rows), strict=True):
            scores = weights.to(torch.float32).abs().mul_(1 / state.constants[layer.name])
            scores.addcmul_(scores, as_number(kept), value=hysteresis - 1)
            yield scores.contiguous()

    def all_chunks() -> Iterator[Tensor]:
        for layer in layers:
            for name in layer.tensors:
                yield from chunks_of(layer, name)

    cut = cut_at(all_chunks, keep=max(1, round(density * total)))
    if cut is None:
        broken = next(name for name, tensor in tensors_of(layers) if not bool(torch.isfinite(tensor).all()))
        raise NonFiniteWeightsError(
            f"{broken} has become NaN or infinite while training. Lower the learning rate, clip gradients, "
            "and start again from the last good checkpoint."
        )
    for layer in layers:
        for name in layer.tensors:
            yield torch.cat([cut.select(scores) for scores in chunks_of(layer, name)])
