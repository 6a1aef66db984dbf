"""Which names a graph's values have, so that new ones get others."""

from __future__ import annotations

import onnx


def names_in(graph: onnx.GraphProto) -> set[str]:
    """All of them, those of the graphs in its nodes too, which see the values of this one."""
    names = {one.name for one in (*graph.initializer, *graph.input, *graph.output)}
    for node in graph.node:
        names.update(node.input, node.output)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                names |= names_in(inner)
    return names
