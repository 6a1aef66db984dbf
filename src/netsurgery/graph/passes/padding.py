"""Zeros that a Pad puts around a picture become the padding of the Conv that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netsurgery.graph.ir import Graph, Node


def fold_padding(graph: Graph) -> Graph:
    """A Conv reads what a Pad reads, and pads by itself. Outputs stay the same, bit for bit.

    That goes for a Pad with zeros, around pixels alone and by numbers that don't follow open axes. It stays for its
    other readers.
    """
    producers = graph.producers()
    nodes = tuple(_padding_itself(node, producers) if node.operator == "Conv" else node for node in graph.nodes)
    return graph if nodes == graph.nodes else graph.replaced(nodes=nodes)


def _padding_itself(conv: Node, producers: Mapping[str, Node]) -> Node:
    padded = producers.get(conv.given[0])
    zeros = None if padded is None else _zeros_around_pixels(padded)
    if padded is None or zeros is None:
        return conv
    own = _whole(conv) or [0] * len(zeros)
    pads = tuple(a + b for a, b in zip(own, zeros, strict=True))
    return replace(conv, inputs=(padded.given[0], *conv.inputs[1:]), attributes={**conv.attributes, "pads": pads})


def _zeros_around_pixels(node: Node) -> list[int] | None:
    """How many a Pad adds on each side of the pixels: all begins, then all ends. None if it does anything else."""
    if node.operator != "Pad" or node.attributes["mode"] != "constant" or node.attributes["value"] != 0:
        return None
    pads = _whole(node)
    if pads is None or min(pads, default=-1) < 0:
        return None
    begins, ends = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    return None if any((*begins[:2], *ends[:2])) else begins[2:] + ends[2:]


def _whole(node: Node) -> list[int] | None:
    """The numbers that a node pads by; None if any follows open axes."""
    pads = node.attributes["pads"]
    whole = [size for size in pads if isinstance(size, int)] if isinstance(pads, tuple) else []
    return whole if isinstance(pads, tuple) and len(whole) == len(pads) else None
