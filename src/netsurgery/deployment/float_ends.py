"""Whether the first and the last layers of a network in fixed point stay in float32: by what that does to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from netsurgery.deployment.fixed_error import error_of, outputs_on
from netsurgery.errors import SettingError
from netsurgery.graph.end_layers import first_layers, last_layers
from netsurgery.graph.fixed_layers import WholeLayer
from netsurgery.graph.ir import Array, Graph

Ends: TypeAlias = Literal["auto", "fixed", "float"]

NOTICED = 0.01
"""Outputs that lie nearer than that, as a share of their root mean square, leave the ends in fixed point."""
WORTH = 0.5
"""An end stays in float32 if the error of outputs falls below that share of what it was."""


@dataclass(frozen=True)
class WithEnds:
    """A network in fixed point, and in sentences which of its ends isn't, and why."""

    graph: Graph
    remarks: tuple[str, ...] = ()


def with_ends(
    graph: Graph,
    layers: Mapping[str, WholeLayer],
    in_fixed_point: Callable[[Mapping[str, WholeLayer]], Graph],
    batches: Sequence[Sequence[Array]],
    ends: Ends,
) -> WithEnds:
    """The network with its ends in fixed point, or not.

    layers: those that can be in fixed point, by output. in_fixed_point: gives the network with some of them so.
    ends: "fixed", "float", or "auto": by the error of outputs on the batches, if it is NOTICED at all. That end stays
    in float32 with which it falls below WORTH of what it is without, and then the other one by the same rule. Raises
    SettingError where "float" leaves no layer.
    """
    first, last = first_layers(graph), last_layers(graph)
    if ends == "fixed":
        return WithEnds(in_fixed_point(layers))
    if ends == "float":
        rest = _without(layers, first | last)
        if not rest:
            raise SettingError(
                f"ends='float' leaves none of {len(layers)} layers in fixed point. Say ends='fixed', or leave "
                "activations='float'."
            )
        return WithEnds(in_fixed_point(rest), ("The first and the last layer stay in float32, as asked.",))
    whole = in_fixed_point(layers)
    expected = outputs_on(graph, batches)

    def error_in(made: Graph) -> float:
        return error_of(outputs_on(made, batches), expected).share

    before = error_in(whole)
    if before < NOTICED:
        return WithEnds(whole)
    tried = {"first": first, "last": last}
    best, error, kept = whole, before, set[str]()
    while True:
        found = []
        for name, those in tried.items():
            rest = _without(layers, those.union(*(tried[one] for one in kept)))
            if name not in kept and rest:
                made = in_fixed_point(rest)
                found.append((error_in(made), name, made))
        least, name, made = min(found, key=lambda one: one[0], default=(error, "", best))
        if least >= WORTH * error:
            break
        best, error, kept = made, least, {*kept, name}
    if not kept:
        return WithEnds(whole)
    which = "The first and the last layer stay" if len(kept) > 1 else f"The {kept.pop()} layer stays"
    return WithEnds(
        best,
        (
            f"{which} in float32: outputs are off by {100 * error:.2g} % so, by {100 * before:.2g} % in fixed point "
            "(root mean square, on calibration batches).",
        ),
    )


def _without(layers: Mapping[str, WholeLayer], those: set[str]) -> dict[str, WholeLayer]:
    return {output: layer for output, layer in layers.items() if output not in those}
