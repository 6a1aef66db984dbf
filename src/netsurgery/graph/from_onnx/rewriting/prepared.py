"""All rewritings of a model, one after another."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from netsurgery.graph.from_onnx.rewriting.number_formats import with_float32
from netsurgery.graph.from_onnx.rewriting.old_operators import NEWEST_REWRITTEN, with_newer_operators
from netsurgery.graph.from_onnx.rewriting.quantisation import without_quantisation
from netsurgery.graph.from_onnx.rewriting.tabular import without_tables


@dataclass(frozen=True)
class Prepared:
    """A model that computes in float32 with the operators of `opset`, 11 or later.

    remarks: what makes its outputs others than those of the model it was made from, in sentences; empty where nothing
    does.
    """

    model: onnx.ModelProto
    opset: int
    remarks: tuple[str, ...]


def prepared(model: onnx.ModelProto, opset: int) -> Prepared:
    """Rewrite a model of an opset from 7 on, in place. Raises UnsupportedOperatorError where that can't be done."""
    if opset < NEWEST_REWRITTEN:
        with_newer_operators(model.graph, opset)
        opset = NEWEST_REWRITTEN
        for entry in model.opset_import:
            if entry.domain in ("", "ai.onnx"):
                entry.version = opset
    remarks = [*without_tables(model.graph, opset), *without_quantisation(model.graph), *with_float32(model)]
    return Prepared(model, opset, tuple(remarks))
