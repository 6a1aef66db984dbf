"""Files whose constants are binary planes: those too that nobody can tell from their sums, in very short rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import netsurgery.graph.weights as types
from netsurgery.graph.ir import Array, Graph
from netsurgery.graph.planes import Signs
from netsurgery.graph.recognition import recognise_weights
from netsurgery.packed.writer import encode

Planes: TypeAlias = Mapping[str, tuple[Array, Signs]]
"""Scales (rows, m) and signs (m, rows, columns), by the name of a constant."""


def encode_with_planes(graph: Graph, planes: Planes) -> bytes:
    """As `encode`, which is told of these planes; it still writes whatever is shortest."""
    known = {
        name: types.Planes(scales, signs.reshape(len(signs), *graph.constants[name].shape))
        for name, (scales, signs) in planes.items()
    }
    return encode(recognise_weights(graph.replaced(constants={**graph.constants, **known})))
