"""Graphs inside the nodes of an ONNX model: branches and the bodies of loops, as nodes among the others.

What is inside gets names of its own, so that a body can be laid out more than once. Values of the graphs around it are
read under the names that they have there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from netsurgery.graph.from_onnx.constants import AnyArray, initialisers


@dataclass(frozen=True)
class LaidOut:
    """A graph taken out of its node. outputs: the new names of what it gives."""

    nodes: tuple[onnx.NodeProto, ...]
    arrays: Mapping[str, AnyArray]
    outputs: tuple[str, ...]


def laid_out(graph: onnx.GraphProto, inputs: Sequence[str], new_name: Callable[[str], str]) -> LaidOut:
    """The graph with its inputs called `inputs`, and all that it makes as `new_name` says."""
    names = {given.name: name for given, name in zip(graph.input, inputs, strict=False)}
    arrays = {name: array for name, array in initialisers(graph).items() if name not in names}
    for name in (*arrays, *(made for node in graph.node for made in node.output if made)):
        names[name] = new_name(name)
    nodes = tuple(_renamed(node, names) for node in graph.node)
    return LaidOut(
        nodes,
        {names[name]: array for name, array in arrays.items()},
        tuple(names.get(output.name, output.name) for output in graph.output),
    )


def _renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of the node in which values are called otherwise, in the graphs that it holds as well."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    for field in (made.input, made.output):
        renamed = [names.get(name, name) for name in field]
        del field[:]
        field.extend(renamed)
    for graph in graphs_in(made):
        own = {given.name for given in graph.input} | {tensor.name for tensor in graph.initializer}
        own |= {name for inner in graph.node for name in inner.output}
        outer = {old: new for old, new in names.items() if old not in own}
        nodes = [_renamed(inner, outer) for inner in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        for output in graph.output:
            output.name = outer.get(output.name, output.name)
    return made


def graphs_in(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def graph_named(node: onnx.NodeProto, name: str) -> onnx.GraphProto:
    """The graph that is an attribute of a node. Raises StopIteration without one."""
    graph: onnx.GraphProto = next(attribute.g for attribute in node.attribute if attribute.name == name)
    return graph


def read_by(node: onnx.NodeProto) -> set[str]:
    """The names that a node reads, its graphs too, of values made outside of it."""
    names = {name for name in node.input if name}
    for graph in graphs_in(node):
        inside = {given.name for given in graph.input} | {tensor.name for tensor in graph.initializer}
        for inner in graph.node:
            names |= read_by(inner) - inside
            inside.update(inner.output)
        names |= {output.name for output in graph.output} - inside
    return names


def needed(nodes: Sequence[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Those of the nodes that lead to wanted values, to which is added what they read."""
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted |= read_by(node)
            kept.append(node)
    return kept[::-1]
