"""Pruning without splicing, as comparators: the naive cut, and Han et al. 2015 (arXiv 1506.02626)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from netsurgery.checks import require_count, require_density, require_flag, require_range
from netsurgery.methods.base import Layer, size_of
from netsurgery.methods.blocks import row_blocks
from netsurgery.methods.masking import MaskMethod, MaskState, Piece
from netsurgery.methods.moments import Block, moments
from netsurgery.methods.selection import largest, root_rms


@final
@dataclass(frozen=True)
class NaiveCut(MaskMethod):
    """One cut when it is attached, by the same ranking as Surgery; nothing comes back.

    density: kept / all of the tensors operated on, in (0, 1]. biases: cut biases too.
    Raises SettingError for a value outside its range.

    >>> operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5))
    >>> round(operation.density, 2)
    0.5
    """

    density: float
    biases: bool = True

    name: ClassVar[str] = "naive-cut"

    def __post_init__(self) -> None:
        require_density(self.density)
        require_flag("biases", self.biases)

    @property
    def active_steps(self) -> int:
        return 0

    def measure(self, layer: Layer) -> float:
        return root_rms(layer)

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        return layers

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        return largest(state, layers, max(1, round(self.density * size_of(layers))), hysteresis=1.0)


@final
@dataclass(frozen=True)
class HanPruning(MaskMethod):
    """Prune, retrain, repeat: Han, Pool, Tran, Dally 2015. Pruned connections get no update and never come back.

    In each round every layer loses the connections with |w| <= quality * std of the connections that it still has
    (its biases measured with its weights, if they are operated on); then the rest is retrained. The paper retrains
    with 1/10 (LeNet) or 1/100 (AlexNet) of the original learning rate; that is set in your optimizer.

    quality: threshold in standard deviations, >= 0; larger cuts more. Give layers their own Stage to set it by layer.
    rounds: how many times, >= 1. round_steps: optimizer steps of retraining after each, >= 1.
    Raises SettingError for a value outside its range.

    >>> method = ns.HanPruning(quality=0.8, rounds=5, round_steps=1_000)
    >>> method.active_steps  # the last round's retraining changes no mask
    4000
    """

    quality: float = 1.0
    rounds: int = 5
    round_steps: int = 2_000
    biases: bool = True

    name: ClassVar[str] = "han-pruning"

    def __post_init__(self) -> None:
        require_range("quality", self.quality, 0, float("inf"))
        require_count("rounds", self.rounds)
        require_count("round_steps", self.round_steps)
        require_flag("biases", self.biases)

    @property
    def active_steps(self) -> int:
        return (self.rounds - 1) * self.round_steps

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        return layers if step % self.round_steps == 0 else ()

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        for layer in layers:
            threshold = self.quality * _kept_deviation(state, layer)
            for name, tensor in layer.tensors.items():
                for rows in row_blocks(tensor):
                    yield name, rows, state.masks[name][rows] & (tensor[rows].abs() > threshold)


def _kept_deviation(state: MaskState, layer: Layer) -> float:
    """Standard deviation over the kept connections of a layer; 0 if none is kept."""

    def kept(name: str) -> Iterator[Block]:
        tensor, mask = layer.tensors[name], state.masks[name]
        for rows in row_blocks(tensor):  # pruned connections are 0 and add nothing to the sums
            yield tensor[rows], mask[rows].count_nonzero()

    return moments(layer, kept).deviation
