"""Files whose constants are binary planes: those too that the writer can't tell from their sums, in very short rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias
from unittest import mock

from netsurgery.graph.ir import Array, Graph
from netsurgery.graph.planes import Signs, recognised_planes, sum_of_planes
from netsurgery.packed import tensors
from netsurgery.packed.writer import encode

Planes: TypeAlias = Mapping[str, tuple[Array, Signs]]
"""Scales (rows, m) and signs (m, rows, columns), by the name of a constant."""


def encode_with_planes(graph: Graph, planes: Planes) -> bytes:
    """As `encode`, which then knows of these planes; it still writes whatever is shortest."""
    known = {sum_of_planes(scales, signs).tobytes(): (scales, signs) for scales, signs in planes.values()}

    def told(matrix: Array) -> tuple[Array, Signs] | None:
        return known.get(matrix.tobytes()) or recognised_planes(matrix)

    with mock.patch.object(tensors, "recognised_planes", told):
        return encode(graph)
