"""What no output depends on goes."""

from __future__ import annotations

from netsurgery.graph.ir import Graph


def remove_unused(graph: Graph) -> Graph:
    """Nodes and constants that no output depends on are removed. Inputs stay: they are the caller's."""
    needed = set(graph.outputs)
    nodes = []
    for node in reversed(graph.nodes):
        if node.output in needed:
            nodes.append(node)
            needed.update(node.given)
    constants = {name: value for name, value in graph.constants.items() if name in needed}
    if len(nodes) == len(graph.nodes) and len(constants) == len(graph.constants):
        return graph
    return graph.replaced(nodes=tuple(reversed(nodes)), constants=constants)
