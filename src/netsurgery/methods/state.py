"""What every method's state declares, and what follows from it: which connections are kept, and a report of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from netsurgery.methods.base import Layer, TensorReport, tensors_of
from netsurgery.methods.fields import hidden, per_parameter_number
from netsurgery.methods.shards import totals


@dataclass
class State(ABC):
    """All that changes while a method operates. Subclasses declare their fields with methods/fields.py.

    A connection has one home. Either that is the parameter, or the connection is hidden: the parameter then shows an
    effective weight that the state declares, and the optimizer moves the one in `latent`, if there is any.
    """

    latent: dict[str, Tensor] = hidden(while_changing=True)
    """Parameter name -> what the optimizer moves of each hidden connection, and +0 for the others. Empty when hidden
    connections have no weight of their own: in methods where nothing comes back, or once the declared set is final."""
    pruned: dict[str, int] = per_parameter_number()
    """Parameter name -> prunes so far."""
    spliced: dict[str, int] = per_parameter_number()
    """Parameter name -> splices so far."""
    projected: set[str] = field(default_factory=set)
    """Names of parameters that `update` has projected already; emptied when the others have been."""

    @abstractmethod
    def own(self, name: str) -> Tensor | None:
        """Bool of the parameter's shape, True where the parameter is the weight's home; None if it is nowhere."""

    @abstractmethod
    def kept(self, name: str) -> Tensor:
        """Bool of the parameter's shape, True where the connection isn't pruned; to be read only."""

    def adopt(self, layers: Sequence[Layer], tells: bool = True) -> set[str]:
        """What somebody wrote over hidden connections becomes latent; the names of those parameters.

        Not where it contradicts what is declared, as by most methods: there it is dropped.
        tells: whether the names are wanted: a graphics card is waited for then.
        """
        return set()


def report(state: State, layers: Sequence[Layer]) -> list[TensorReport]:
    """One row per tensor, of the whole of it."""
    kept: dict[str, int] = {}
    fixed: dict[str, int] = {}
    for name, _ in tensors_of(layers):
        keeps, own = state.kept(name), state.own(name)
        kept[name] = int(keeps.count_nonzero())
        fixed[name] = 0 if own is None or own is keeps else int((keeps > own).count_nonzero())
    kept, fixed = of_all_parts(kept, layers), of_all_parts(fixed, layers)
    return [
        TensorReport(
            layer=layer.name,
            name=name,
            shape=layer.shape(name),
            kept=kept[name],
            pruned_total=state.pruned[name],
            spliced_total=state.spliced[name],
            quantized=fixed[name],
            groups=layer.groups,
        )
        for layer in layers
        for name in layer.tensors
    ]


def of_all_parts(counts: Mapping[str, int], layers: Sequence[Layer]) -> dict[str, int]:
    """Parameter name -> the sum of such a count over all processes that hold a part of it."""
    homes = {name: layer for layer in layers for name in layer.tensors}
    sums = totals(list(counts.values()), [homes[name].across(name) for name in counts])
    return {name: int(count) for name, count in zip(counts, sums, strict=True)}


def no_counts(layers: Sequence[Layer]) -> dict[str, int]:
    """Parameter name -> 0."""
    return {name: 0 for layer in layers for name in layer.tensors}
