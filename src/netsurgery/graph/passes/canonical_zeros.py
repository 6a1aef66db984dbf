"""Masks that multiply leave -0.0 behind where a negative weight was; one zero is enough."""

from __future__ import annotations

import numpy as np

from netsurgery.graph.ir import Graph
from netsurgery.graph.operators import OPERATORS, Work, working
from netsurgery.graph.operators.recurrent import RECURRENT
from netsurgery.graph.weights import Dense

_LAYERS = (*working(Work.LAYER), *(operator.name for operator in RECURRENT))
_NEGATIVE_ZERO = np.uint32(0x80000000)


def canonical_zeros(graph: Graph) -> Graph:
    """Every -0.0 in weights and biases of layers becomes 0.0: no output changes but for the sign of a zero.

    A constant that is also read otherwise (a divisor, say) or is an output stays as it is.
    """
    layered: set[str | None] = set()
    otherwise: set[str | None] = set(graph.outputs)
    for node in graph.nodes:
        for operand, name in zip(OPERATORS[node.operator].operands, node.inputs, strict=False):
            summed = node.operator in _LAYERS and operand.constant and name is not None
            (layered if summed else otherwise).add(name)
        otherwise.update(node.inputs[len(OPERATORS[node.operator].operands) :])
    changed = {}
    for name, weights in graph.constants.items():
        if name not in layered or name in otherwise:
            continue
        value = weights.values
        negative_zero = value.view(np.uint32) == _NEGATIVE_ZERO
        if negative_zero.any():
            changed[name] = Dense(np.where(negative_zero, np.float32(0), value))
    return graph.replaced(constants={**graph.constants, **changed}) if changed else graph
