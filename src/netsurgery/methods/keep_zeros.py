"""A network that was pruned elsewhere, and is to train on without getting its connections back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from netsurgery.checks import require_flag
from netsurgery.methods.base import Layer
from netsurgery.methods.masking import MaskMethod, MaskState, Piece


@final
@dataclass(frozen=True)
class KeepZeros(MaskMethod):
    """What is 0 when the stage begins stays 0; all other weights train on. Nothing is cut and nothing comes back.

    For fine-tuning a network that was pruned before, by this library or another one: a plain optimizer would move its
    zeros at the first step.

    biases: hold the zeros of biases too. False by default: a bias of 0 is one that was never trained, as a rule.

    >>> operation = ns.attach(model, optimizer, ns.KeepZeros())
    >>> for inputs, labels in loader:  # your loop, unchanged
    ...     optimizer.zero_grad()
    ...     loss_of(model(inputs), labels).backward()
    ...     optimizer.step()
    >>> operation.finish()
    """

    biases: bool = False

    name: ClassVar[str] = "keep-zeros"

    def __post_init__(self) -> None:
        require_flag("biases", self.biases)

    @property
    def begins_pruned(self) -> bool:
        return True

    @property
    def active_steps(self) -> int:
        return 0

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        return ()

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        return iter(())
