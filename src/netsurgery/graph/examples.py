"""Random numbers that a graph takes for inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Graph, Input, Sizes
from netsurgery.graph.value_types import ValueType


def random_inputs(graph: Graph, sizes: Sizes, seed: int) -> tuple[npt.NDArray[Any], ...]:
    """An array for each input at these sizes: normal numbers, rows of the tables in which they are looked up, bools."""
    generator = np.random.default_rng(seed)
    return tuple(
        generator.integers(0, 2 if given.type is ValueType.BOOL else _rows(graph, given), given.at(sizes)).astype(
            given.type.dtype
        )
        if given.type is not ValueType.FLOAT32
        else generator.standard_normal(given.at(sizes), np.float32)
        for given in graph.inputs
    )


def _rows(graph: Graph, given: Input) -> int:
    """Of the smallest table in which whole numbers are looked up; 1 if there is none."""
    tables = [made for made in graph.nodes if made.operator == "Embedding" and made.inputs[0] == given.name]
    return min((len(graph.constants[str(made.inputs[1])].values) for made in tables), default=1)
