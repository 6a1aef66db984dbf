"""Telling the type of numbers whose maker says nothing: models of other programs, and what passes have computed.

Each Dense constant is looked at once; what comes of it is exact, or it stays Dense.
"""

from __future__ import annotations

import numpy as np

from netsurgery.graph.ir import Graph
from netsurgery.graph.planes import recognised_planes
from netsurgery.graph.uniform import recognised_uniform
from netsurgery.graph.weights import Codebook, Dense, Planes, Powers, Uniform, Weights, matrix_shape


def recognise_weights(graph: Graph) -> Graph:
    """The graph with a type for each Dense constant that has one. Values stay the same, bit for bit."""
    found = {name: recognised(weights) for name, weights in graph.constants.items()}
    if all(found[name] is weights for name, weights in graph.constants.items()):
        return graph
    return graph.replaced(constants=found)


def recognised(weights: Weights) -> Weights:
    """The weights as the type that says most of them: the same object if they have one already, or there is none.

    A codebook comes before whole numbers with a scale for each row, of which it would need one for each pair. Powers of
    two come before planes, as their products with a scale stay powers; but rows of ± one magnitude are a
    single plane. What is all zeros, or not finite, is Dense.
    """
    if not isinstance(weights, Dense) or weights.is_plain:
        return weights
    found = _type_of(weights.values) if weights.values.any() and np.isfinite(weights.values).all() else None
    if found is None:
        weights.remember_plain()
        return weights
    return found


def _type_of(values: np.ndarray) -> Weights | None:
    powers = Powers.of(values)
    matrix = values.reshape(matrix_shape(values.shape))
    if len(matrix) > 1 and (powers is None or _is_one_plane(matrix)):
        planes = recognised_planes(matrix)
        if planes is not None:
            scales, signs = planes
            return Planes(scales, signs.reshape(len(signs), *values.shape))
    if powers is not None:
        return powers
    book = Codebook.of(values)
    if book is not None or len(matrix) == 1:
        return book
    uniform = recognised_uniform(matrix)
    return None if uniform is None else Uniform(uniform[0].reshape(values.shape), uniform[1])


def _is_one_plane(matrix: np.ndarray) -> bool:
    magnitudes = np.abs(matrix)
    return bool((magnitudes == magnitudes[:, :1]).all())
