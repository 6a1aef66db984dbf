"""What every method's state declares, and what follows from it: which connections are kept, and a report of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from netsurgery.methods.base import Layer, TensorReport
from netsurgery.methods.fields import hidden, per_parameter_number


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

    def adopt(self, layers: Sequence[Layer]) -> set[str]:
        """What somebody wrote over hidden connections becomes latent; the names of those parameters.

        Not where it contradicts what is declared, as by most methods: there it is dropped.
        """
        return set()


def report(state: State, layers: Sequence[Layer]) -> list[TensorReport]:
    """One row per tensor."""
    rows = []
    for layer in layers:
        for name, tensor in layer.tensors.items():
            kept, own = state.kept(name), state.own(name)
            rows.append(
                TensorReport(
                    layer=layer.name,
                    name=name,
                    shape=tuple(tensor.shape),
                    kept=int(kept.count_nonzero()),
                    pruned_total=state.pruned[name],
                    spliced_total=state.spliced[name],
                    quantized=0 if own is None or own is kept else int((kept > own).count_nonzero()),
                    groups=layer.groups,
                )
            )
    return rows


def no_counts(layers: Sequence[Layer]) -> dict[str, int]:
    """Parameter name -> 0."""
    return {name: 0 for layer in layers for name in layer.tensors}
