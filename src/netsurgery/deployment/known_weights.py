"""What an operation that is attached to a model knows of its weights, as the types of a graph's constants.

Nothing has to be told from values again then, and what can't be told from them isn't lost: sums of many planes, or of
short rows.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from netsurgery.graph.ir import Graph
from netsurgery.graph.weights import Planes, Powers, Weights, same_bits


def with_known_weights(graph: Graph, model: Any) -> Graph:
    """The graph of a model, its constants typed where an operation knows them. Values stay the same, bit for bit.

    A constant is found by the name of its parameter, and left as it is unless it holds exactly what the operation says.
    """
    operation = sys.modules.get("netsurgery.attachment.operation")
    if operation is None or not hasattr(model, "named_parameters"):  # nothing is attached, and torch may not be there
        return graph
    changed = {}
    for name, form in operation.known_forms(model).items():
        known = _TYPES[form.kind](form) if form.kind in _TYPES and name in graph.constants else None
        if known is not None and same_bits(known, graph.constants[name]):
            changed[name] = known
    return graph.replaced(constants={**graph.constants, **changed}) if changed else graph


def _powers(form: Any) -> Weights | None:
    exponents = _array(form.exponents)
    if exponents.size and not (exponents.min() >= -126 and exponents.max() <= 127):
        return None  # subnormal in float32, or beyond it
    return Powers(_array(form.signs).astype(np.int8), exponents.astype(np.int8))


def _planes(form: Any) -> Weights | None:
    codes, scales = _array(form.codes), _array(form.scales)
    if codes.ndim < 2 or form.filter_dim:
        return None  # planes are of the rows of a matrix; those of columns are told from values, once it is transposed
    rows = scales.repeat(form.sharing, axis=0)[: len(codes)]
    signs = np.stack([codes >> plane & 1 for plane in range(scales.shape[1])]).astype(np.uint8)
    return Planes(np.ascontiguousarray(rows, np.float32), signs)


_TYPES: Mapping[str, Any] = {"powers": _powers, "planes": _planes}
"""Kind of an operation's record -> what makes weights of it, or None; a mask says no more than the values do."""


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy()
