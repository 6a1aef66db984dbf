"""Outputs that are constants become nodes, as files want them: an auxiliary loss of 0, a scale beside the means."""

from __future__ import annotations

from dataclasses import replace

from netsurgery.graph.ir import Graph, node, unlike
from netsurgery.graph.value_types import ValueType


def compute_constant_outputs(graph: Graph) -> Graph:
    """A constant output is given as itself plus a 0 that no pass folds.

    Where all outputs are constants they stay so: a network that doesn't look at its inputs is no network.
    """
    constant = [name for name in dict.fromkeys(graph.outputs) if name in graph.constants]
    if not constant or set(constant) == set(graph.outputs):
        return graph
    taken = {*graph.constants, *(given.name for given in graph.inputs), *(made.output for made in graph.nodes)}
    renamed = {name: unlike(f"{name}.value", taken) for name in constant}
    zero = unlike("zero", taken)
    constants = {renamed.get(name, name): values for name, values in graph.constants.items()}
    nodes = [replace(one, inputs=tuple(renamed.get(name or "", name) for name in one.inputs)) for one in graph.nodes]
    nodes.append(node("Integers", [], zero, type=str(ValueType.FLOAT32), shape=(), values=(0,)))
    nodes += [node("Add", [renamed[name], zero], name) for name in constant]
    return graph.replaced(nodes=tuple(nodes), constants=constants)
