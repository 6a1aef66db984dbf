"""The meaning of each operator, in NumPy: short and plain; what runs faster is compared with it.

Products are summed in float32 by BLAS. Everything else that rounds more than once works in float64 and rounds once, at
the end, so that an element is off by little more than half a unit in its last place. NaN and infinity pass through as
IEEE 754 says; the sign of a zero that Relu, Clip or pooling picks among equals is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from netsurgery.errors import GraphError, InputError
from netsurgery.graph.ir import Array, Graph, Node, named_sizes
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.value_types import type_of
from netsurgery.runtime.inputs import checked_sizes
from netsurgery.runtime.kernels import (
    arithmetic,
    boxes,
    elementary,
    fixed_point,
    functions,
    integers,
    interpolation,
    layers,
    moves,
    pictures,
    places,
    recurrent,
    reductions,
)
from netsurgery.runtime.kernels.kernel import Kernel

KERNELS: dict[str, Kernel] = {
    **layers.KERNELS,
    **recurrent.KERNELS,
    **functions.KERNELS,
    **elementary.KERNELS,
    **arithmetic.KERNELS,
    **pictures.KERNELS,
    **interpolation.KERNELS,
    **boxes.KERNELS,
    **reductions.KERNELS,
    **moves.KERNELS,
    **integers.KERNELS,
    **places.KERNELS,
    **fixed_point.KERNELS,
}
"""Operator name -> function (operands, attributes) -> the output, of its type or as what `run_node` makes that of.

That is float64, which is rounded, for float32.
"""


def run(
    graph: Graph, inputs: Mapping[str, Array], passed_on: Callable[[Node, Array], Array] | None = None
) -> tuple[Array, ...]:
    """The outputs that a graph shows, in order, for arrays by input name; sizes of open axes are those of the arrays.

    A value is dropped once its last reader has run. passed_on: called with each node and the value that it makes;
    others get what it returns. Raises InputError for arrays that the network doesn't take, or if it can't run at these
    sizes.
    """
    sizes = checked_sizes(graph.inputs, inputs, graph.rules)
    try:
        graph.shapes(sizes)
    except GraphError as error:
        raise InputError(
            f"the network can't run at {named_sizes(sizes)}: {graph.why_not(sizes, str(error))}"
        ) from error
    values: dict[str, Array] = {**{name: weights.values for name, weights in graph.constants.items()}, **inputs}
    last_use = {
        name: index
        for index, node in enumerate(graph.nodes)
        for name in (*node.inputs, node.output)
        if name is not None
    }
    for index, node in enumerate(graph.nodes_at(sizes)):
        values[node.output] = run_node(node, [None if name is None else values[name] for name in node.inputs])
        if passed_on is not None:
            values[node.output] = passed_on(node, values[node.output])
        for name in {*node.inputs, node.output} - {*graph.outputs}:
            if name is not None and last_use[name] == index:
                del values[name]
    return found(graph, {name: values[name].copy() for name in graph.outputs})


def found(graph: Graph, outputs: Mapping[str, Array]) -> tuple[Array, ...]:
    """The outputs that are shown, with as many entries as there are."""
    result = []
    for name in graph.shown_outputs:
        axis, count = graph.found.get(name, (0, ""))
        result.append(first_entries(outputs[name], axis, outputs[count]) if count else outputs[name])
    return tuple(result)


def first_entries(values: Array, axis: int, count: Array) -> Array:
    """So many of the entries along an axis; below 0 that many less than all."""
    return np.ascontiguousarray(values[(slice(None),) * axis + (slice(0, int(count[0])),)])


def run_node(node: Node, operands: Sequence[Array | None]) -> Array:
    """The node's output, of its type, for arrays that fit its rules; None where an optional operand is left out."""
    types = [None if array is None else type_of(array.dtype) for array in operands]
    kind = OPERATORS[node.operator].type(types, node.attributes)
    with np.errstate(all="ignore"):
        return np.asarray(KERNELS[node.operator](operands, node.attributes), kind.dtype, order="C")
