"""What a session of the engine keeps of a file, in the same terms as a graph that was read, so that they compare."""

from __future__ import annotations

from typing import Any

from netsurgery._native import read_graph
from netsurgery.graph.ir import Graph
from netsurgery.packed.format import Limits
from netsurgery.packed.reader import counted, in_words_of_python


def read(content: bytes, limits: Limits) -> tuple[object, ...]:
    """What the engine reads, as `numbered` has it. Raises PackedFileError."""
    with in_words_of_python():
        given = read_graph(content, *counted(limits))
    return (
        given["inputs"],
        tuple((least, step) for _, least, step in given["axes"]),
        repr(tuple(node[:-1] for node in given["nodes"])),
        tuple(zip(given["output_names"], given["outputs"], strict=True)),
        tuple((shape, entries.tobytes()) for _, shape, entries in given["constants"]),
        given["shapes"],
    )


def numbered(graph: Graph) -> tuple[object, ...]:
    """A graph with numbers in the place of names: inputs first, then nodes, then constants."""
    names = [*(given.name for given in graph.inputs), *(made.output for made in graph.nodes), *graph.constants]
    number = {name: place for place, name in enumerate(names)}
    shapes = graph.shapes()
    nodes: tuple[Any, ...] = tuple(
        (
            made.operator,
            tuple(None if name is None else number[name] for name in made.inputs),
            number[made.output],
            dict(made.at(graph.least).attributes),  # the engine fills in what follows open axes
        )
        for made in graph.nodes
    )
    return (
        tuple((given.name, given.shape, given.type.code) for given in graph.inputs),
        tuple((graph.least[name], graph.steps.get(name, 1)) for name in graph.axes),
        repr(nodes),  # which tells -0.0 from 0.0
        tuple((name, number[name]) for name in graph.outputs),
        tuple((known.shape, known.values.tobytes()) for known in graph.constants.values()),
        tuple(shapes[name] for name in names),
    )
