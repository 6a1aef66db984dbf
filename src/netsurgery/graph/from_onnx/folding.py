"""Computes nodes all of whose operands are known: exactly as the same operator is computed when a network runs.

node ──▶ in FOLDERS? ──▶ NumPy, in the operands' own type
           │ no
           ▼
         in TRANSLATIONS, and floats? ──▶ nodes of the graph ──▶ what an executor makes of them
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value
from netsurgery.graph.from_onnx.constants import AnyArray, attributes, is_float
from netsurgery.graph.from_onnx.folders import FOLDERS
from netsurgery.graph.from_onnx.operators import TRANSLATIONS
from netsurgery.graph.from_onnx.sequences import SEQUENCES
from netsurgery.graph.ir import Array, Sizes
from netsurgery.graph.passes.constant_folding import Evaluate

FOLDABLE = ("Constant", *FOLDERS, *(name for name in TRANSLATIONS if name not in {*FOLDERS, *SEQUENCES}))
"""ONNX operators of the default domain that may stand where everything is known."""


def folded(
    proto: onnx.NodeProto,
    operands: Sequence[Value | None],
    opset: int,
    used: Sequence[bool],
    evaluate: Evaluate,
    sizes: Sizes = MappingProxyType({}),
) -> list[AnyArray | None]:
    """The outputs of a node whose operands are known; None for one that nothing reads and that netsurgery can't give.

    sizes: of open axes in this reading, which attributes may follow.

    Raises UnsupportedOperatorError if it isn't among FOLDABLE, or is used in a way that isn't.
    """
    if proto.op_type == "Constant":
        return [_constant(attributes(proto))]
    if proto.op_type not in FOLDABLE:
        raise UnsupportedOperatorError(
            "reads constants only, but is not among the operators that netsurgery computes beforehand; fold it with "
            "another tool, such as onnxruntime's optimizer or onnxsim, before reading the model"
        )
    taken: dict[str, Array] = {}

    def place(value: Value) -> str:
        if value.array is None or not is_float(value.array):
            kind = None if value.array is None else value.array.dtype
            raise UnsupportedOperatorError(f"reads {value.name!r}, a constant of {kind}; it takes floats")
        name = f"{len(taken)}"
        taken[name] = np.asarray(value.array, np.float32, order="C")
        return name

    call = Call(operands, attributes(proto), opset, used, proto.name, place)
    with np.errstate(all="ignore"):
        if proto.op_type in FOLDERS:
            results = FOLDERS[proto.op_type](call)
            return [np.asarray(one) for one in (results if isinstance(results, list) else [results])]
        return _translated(call, TRANSLATIONS[proto.op_type], taken, evaluate, sizes)


def _constant(given: dict[str, Any]) -> AnyArray:
    ((kind, value),) = given.items()
    array = np.asarray(value, {"value_float": np.float32, "value_floats": np.float32}.get(kind))
    if array.dtype.kind in "OUS":
        raise UnsupportedOperatorError("holds text; netsurgery computes with numbers")
    return array


def _translated(
    call: Call, translation: Any, taken: dict[str, Array], evaluate: Evaluate, sizes: Sizes
) -> list[AnyArray | None]:
    """By the nodes of its translation, in float32; the outputs are of the type of the first operand."""
    answer = translation(call)
    for step in call.nodes:
        taken[step.output] = evaluate(step.at(sizes), [None if name is None else taken[name] for name in step.inputs])
    kind = np.dtype(np.float32) if not call.operands or call.x.array is None else call.x.array.dtype
    values = [answer] if isinstance(answer, Value) else answer
    return [None if value is None else _entries(value, taken, kind) for value in values]


def _entries(value: Value, taken: dict[str, Array], kind: np.dtype[Any]) -> AnyArray:
    if value.array is not None:
        return value.array
    entries = taken[value.name]
    if value.found is not None:
        entries = entries[(slice(None),) * value.found.axis + (slice(int(taken[value.found.count.name][0])),)]
    return _result(entries, kind)


def _result(array: AnyArray, kind: np.dtype[Any]) -> AnyArray:
    return array.astype(kind) if array.dtype == np.float32 else array
