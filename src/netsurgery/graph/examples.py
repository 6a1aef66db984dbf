"""Random numbers that a graph takes for inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Graph, Input, Sizes
from netsurgery.graph.operators.recurrent import lengths_of
from netsurgery.graph.value_types import ValueType


def random_inputs(graph: Graph, sizes: Sizes, seed: int) -> tuple[npt.NDArray[Any], ...]:
    """An array for each input at these sizes: normal numbers, rows of tables, lengths of sequences, or bools."""
    generator = np.random.default_rng(seed)
    return tuple(
        generator.integers(*_numbers(graph, given, sizes), given.at(sizes)).astype(given.type.dtype)
        if given.type is not ValueType.FLOAT32
        else generator.standard_normal(given.at(sizes), np.float32)
        for given in graph.inputs
    )


def sizes_of_axes(inputs: Sequence[Input], arrays: Sequence[npt.NDArray[Any]]) -> dict[str, int]:
    """The sizes of the open axes, as these arrays have them."""
    return {
        axis: size
        for given, array in zip(inputs, arrays, strict=True)
        for axis, size in zip(given.shape, array.shape, strict=True)
        if isinstance(axis, str)
    }


def _numbers(graph: Graph, given: Input, sizes: Sizes) -> tuple[int, int]:
    """The whole numbers that an input may hold, from one on, below the other."""
    for made in graph.nodes:
        place = lengths_of(made)
        if place is not None and made.inputs[place] == given.name:
            gates = graph.shapes(sizes)[str(made.inputs[0])]
            return 1, gates[1 if made.attributes["batch_first"] else 0] + 1
    return 0, _places(graph, given, sizes)


def _places(graph: Graph, given: Input, sizes: Sizes) -> int:
    """How many there are where whole numbers are looked up, along the shortest axis; 1 if they aren't. 2 for bools."""
    if given.type is ValueType.BOOL:
        return 2
    found = [1]
    for made in graph.nodes:
        if made.operator == "Embedding" and made.inputs[0] == given.name:
            found.append(graph.constants[str(made.inputs[1])].shape[0])
        elif made.operator in _PICKING and made.inputs[1] == given.name:
            axes = graph.shapes(sizes)[str(made.inputs[0])]
            found.append(min(axes) if "axis" not in made.attributes else axes[int(str(made.attributes["axis"]))])
    return min(found[1:], default=1)


_PICKING = ("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND", "RoiAlign")
"""Operators whose second operand holds places of the first."""
