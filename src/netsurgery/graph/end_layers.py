"""The first and the last layers of a network: those behind, and in front of, which no other has weights."""

from __future__ import annotations

from netsurgery.graph.ir import Graph, Node


def first_layers(graph: Graph) -> set[str]:
    """Outputs of the convolutions and linear layers that no other one comes before."""
    behind: set[str] = set()
    for made in graph.nodes:
        if any(name in behind for name in made.given) or is_layer(made, graph):
            behind.add(made.output)
    return {made.output for made in graph.nodes if is_layer(made, graph) and not behind.intersection(made.given)}


def last_layers(graph: Graph) -> set[str]:
    """Outputs of the convolutions and linear layers that no other one follows."""
    leads: set[str] = set()
    """Values that a layer with weights reads, or what leads to one."""
    last: set[str] = set()
    for made in reversed(graph.nodes):
        if is_layer(made, graph) and made.output not in leads:
            last.add(made.output)
        if is_layer(made, graph) or made.output in leads:
            leads.update(made.given)
    return last


def is_layer(made: Node, graph: Graph) -> bool:
    """True for a convolution or linear layer that has its weights."""
    return made.operator in ("Conv", "Linear") and made.inputs[1] in graph.constants
