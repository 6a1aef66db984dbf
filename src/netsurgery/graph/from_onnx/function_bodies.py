"""Operators that ONNX itself defines as graphs of others, such as Attention: what isn't translated is taken apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import onnx
from onnx import inliner

from netsurgery.graph.from_onnx.inner_graphs import graphs_in

_DEEPEST = 4
"""How often what a body holds is taken apart in turn."""


def taken_apart(model: onnx.ModelProto, opset: int, kept: Collection[str]) -> onnx.ModelProto:
    """The model with ONNX's own definitions in the place of operators that aren't kept, where it has any.

    What onnx can't take apart, or only into what isn't kept either, stays, and is refused by its name later: onnx needs
    to know types for that, and versions before 1.19 can't at all.
    """
    strange = sorted(set(_operators(model.graph)) - set(kept))
    if any(_has_body(operator, opset) for operator in strange):
        model = _with_types_of_constants(model)
    for operator in strange:
        model = _without(model, operator, opset, kept, _DEEPEST) or model
    return model


def _with_types_of_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with what onnx wants to know of initialisers, which it doesn't look at itself."""
    known = {value.name for value in (*model.graph.input, *model.graph.value_info)}
    unknown = [tensor for tensor in model.graph.initializer if tensor.name not in known]
    if not unknown:
        return model
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    typed.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in unknown
    )
    return typed


def _without(
    model: onnx.ModelProto, operator: str, opset: int, kept: Collection[str], deepest: int
) -> onnx.ModelProto | None:
    """The model without an operator, and without others that its body holds; None where that leads to none but kept."""
    if not deepest or not _has_body(operator, opset):
        return None
    try:
        result = inliner.inline_selected_functions(model, [("", operator)], inline_schema_functions=True)
    except (RuntimeError, TypeError, ValueError):
        return None
    there = set(_operators(result.graph))
    if operator in there:
        return None
    for other in sorted(there - set(_operators(model.graph)) - set(kept)):
        simpler = _without(result, other, opset, kept, deepest - 1)
        if simpler is None:
            return None
        result = simpler
    return result


def _operators(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        if not node.domain:
            yield node.op_type
        for inner in graphs_in(node):
            yield from _operators(inner)


def _has_body(operator: str, opset: int) -> bool:
    if not onnx.defs.has(operator, opset, ""):
        return False
    schema: Any = onnx.defs.get_schema(operator, opset)
    return bool(schema.has_function or schema.has_context_dependent_function)
