"""What a method is: a rule that moves latent weights to effective weights around each optimizer step.

The model's own parameters hold **effective** weights (what the network multiplies by) whenever user code can see
them. Only inside `optimizer.step()` do they hold **latent** weights (what the optimizer moves).

A method is a frozen record of settings. What changes while the network trains lives in one state record per stage.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from netsurgery.methods.encoded import Encoded
from netsurgery.methods.shards import Groups, Shard


@dataclass(frozen=True)
class Layer:
    """The tensors of one module that are operated on together.

    name: the module's name in the model, e.g. "features.3" ("" for the model itself).
    tensors: parameter name -> parameter, weights before biases; to a method, the part of it that this process holds.
    groups: into how many groups a convolution takes its channels apart.
    filter_dims: parameter name -> the dimension along which its filters, or outputs, lie, where that isn't the first.
    shards: parameter name -> which part is here, of those of which other processes hold other parts.
    gradients: parameter name -> gives the gradient of what is here, where that isn't the tensor's own `grad`.
    """

    name: str
    tensors: Mapping[str, Tensor]
    groups: int = 1
    filter_dims: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[str, Shard] = field(default_factory=dict)
    gradients: Mapping[str, Callable[[], Tensor | None]] = field(default_factory=dict)

    def filter_dim(self, name: str) -> int:
        """The dimension of a parameter along which its filters lie."""
        return self.filter_dims.get(name, 0)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the whole parameter."""
        return self.shards[name].shape if name in self.shards else tuple(self.tensors[name].shape)

    def size(self, name: str) -> int:
        """Connections of the whole parameter."""
        return math.prod(self.shape(name))

    def gradient(self, name: str) -> Tensor | None:
        """Of what is here of the parameter; None if there is none."""
        return self.gradients[name]() if name in self.gradients else self.tensors[name].grad

    def across(self, name: str) -> Groups:
        """Over which a sum over all connections of the parameter goes on."""
        return self.shards[name].across() if name in self.shards else ()

    def across_filters(self, name: str) -> Groups:
        """Over which a sum over the filters goes on, entry by entry of a filter."""
        return self.shards[name].across({self.filter_dim(name)}) if name in self.shards else ()

    def within_filters(self, name: str) -> Groups:
        """Over which a sum over the entries of each filter goes on."""
        dims = {dim for dim in range(self.tensors[name].dim()) if dim != self.filter_dim(name)}
        return self.shards[name].across(dims) if name in self.shards else ()


def tensors_of(layers: Sequence[Layer]) -> Iterator[tuple[str, Tensor]]:
    """(parameter name, parameter) over all layers, in the plan's order."""
    for layer in layers:
        yield from layer.tensors.items()


def size_of(layers: Sequence[Layer]) -> int:
    """Connections of all layers, wherever they are held."""
    return sum(layer.size(name) for layer in layers for name in layer.tensors)


def weights_of(layers: Sequence[Layer]) -> Iterator[tuple[Layer, str, Tensor]]:
    """(layer, parameter name, parameter) of all weights, biases left out."""
    for layer in layers:
        for name, tensor in layer.tensors.items():
            if tensor.dim() > 1:
                yield layer, name, tensor


@dataclass(frozen=True)
class TensorReport:
    """What has happened to one tensor: counts of connections.

    quantized: those kept whose value is fixed. groups: of its layer.
    """

    layer: str
    name: str
    shape: tuple[int, ...]
    kept: int
    pruned_total: int
    spliced_total: int
    quantized: int = 0
    groups: int = 1

    @property
    def size(self) -> int:
        """All connections of the tensor, kept or not."""
        return math.prod(self.shape)

    @property
    def density(self) -> float:
        """Kept / all."""
        return self.kept / self.size


StateT = TypeVar("StateT")


class Method(ABC, Generic[StateT]):
    """A rule over the layers of one stage. Subclasses are final, frozen dataclasses of settings.

    It says four things, `init`, `update`, `project` and `encode`, and declares in `state_type` what changes meanwhile
    (state.py). All else follows from that declaration: the exchange with the parameters (exchange.py), masks and
    reports (state.py), saving and loading (fields.py).

    When its stage begins the operation calls `init`, `update` with step 0 and `project`; then `update` and `project`
    after every optimizer step. All of them run without autograd.
    """

    name: ClassVar[str]
    """The word for the method in plan files."""
    state_type: ClassVar[type[Any]]
    """The record of what changes, a State."""
    biases: bool
    """True if the biases of the layers are operated on too."""
    shares_tensors: ClassVar[bool] = True
    """True if stages may follow each other on a tensor where this method is one of them: its project leaves alone what
    is not of its declared set, and it declares nothing of what an earlier stage did."""
    leaves_weights_free: ClassVar[bool] = True
    """True if weights still train when the method has ended: a stage may follow it on a tensor."""

    @property
    def latent_speed(self) -> float | None:
        """The share of the optimizer's move that latent weights follow, in [0, 1]; None if the method has none."""
        return None

    @property
    def round_starts(self) -> tuple[int, ...]:
        """Optimizer steps, since the stage began, at which a round of training begins, and a learning rate again."""
        return (0,)

    @property
    @abstractmethod
    def active_steps(self) -> int:
        """Optimizer steps, since the stage began, after which the declared set changes no more."""

    @abstractmethod
    def init(self, layers: Sequence[Layer], seed: int) -> StateT:
        """The state before step 0. Reads the weights, which are finite, and changes nothing."""

    @abstractmethod
    def update(self, state: StateT, layers: Sequence[Layer], step: int) -> None:
        """The only place where the state changes; parameters hold latent weights, `step` steps have been taken."""

    @abstractmethod
    def project(self, state: StateT, name: str, tensor: Tensor) -> None:
        """Latent -> effective, in place in one parameter. The state stays as it is."""

    @abstractmethod
    def encode(self, state: StateT, name: str, tensor: Tensor) -> Encoded | None:
        """The exact form of one parameter, which is effective; None if no more is known than its values."""

    def reads_gradients(self, step: int) -> bool:
        """True if `update` looks at the gradients that `step` was taken with."""
        return False

    def felt(self, state: StateT, layer: Layer, name: str, gradient: Tensor) -> Tensor:
        """The gradient of a parameter as the optimizer, and whoever clips it, shall see it; called in backward.

        Most methods leave it as it is. May not write to `gradient`.
        """
        return gradient

    def check_parts(self, layers: Sequence[Layer]) -> None:
        """Raise AttachmentError if the method can't work on layers of which several processes hold parts."""

    def advice(self, layers: Sequence[Layer]) -> UserWarning | None:
        """What the settings can't do on these layers, and what would do; None if there is nothing to say."""
        return None
