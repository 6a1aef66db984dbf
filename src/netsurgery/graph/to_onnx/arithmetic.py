"""Arithmetic, reductions and normalisations in ONNX of opset 20, some of them by several nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from netsurgery.graph.ir import Node

Nodes: TypeAlias = Any
"""The one of nodes.py, whose table names what is here."""

Writer: TypeAlias = Callable[[Nodes, Node], None]


def _same(operator: str, **attributes: Any) -> Writer:
    return lambda nodes, node: nodes.answer(node, operator, **attributes)


def _trunc(nodes: Nodes, node: Node) -> None:
    """The sign times the floor of the magnitude."""
    x = node.inputs[0]
    whole = nodes.step(node, "Floor", [nodes.step(node, "Abs", [x])])
    nodes.add("Mul", [nodes.step(node, "Sign", [x]), whole], node.output, node.place)


def _expm1(nodes: Nodes, node: Node) -> None:
    nodes.add("Sub", [nodes.step(node, "Exp", node.inputs), nodes.number(node, "one", 1)], node.output, node.place)


def _log1p(nodes: Nodes, node: Node) -> None:
    more = nodes.step(node, "Add", [node.inputs[0], nodes.number(node, "one", 1)])
    nodes.add("Log", [more], node.output, node.place)


def _elu(nodes: Nodes, node: Node) -> None:
    """Elu and Selu as they are; with another scale inside, what lies above and below 0 apart."""
    given: Mapping[str, Any] = node.attributes
    if given["input_scale"] == 1:
        if given["scale"] == 1:
            nodes.answer(node, "Elu", alpha=given["alpha"])
        else:
            nodes.answer(node, "Selu", alpha=given["alpha"], gamma=given["scale"])
        return
    x = node.inputs[0]
    above = nodes.step(node, "Mul", [nodes.step(node, "Relu", [x]), nodes.number(node, "scale", given["scale"])])
    below = nodes.step(node, "Min", [x, nodes.number(node, "zero", 0)])
    below = nodes.step(node, "Mul", [below, nodes.number(node, "input_scale", given["input_scale"])])
    if given["input_scale"] > 0:
        below = nodes.step(node, "Selu", [below], alpha=given["alpha"], gamma=given["scale"])
    else:  # exp grows there, and what is above 0 would pass through a Selu as it is
        grown = nodes.step(node, "Sub", [nodes.step(node, "Exp", [below]), nodes.number(node, "one", 1)])
        below = nodes.step(node, "Mul", [grown, nodes.number(node, "size", given["alpha"] * given["scale"])])
    nodes.add("Add", [above, below], node.output, node.place)


def _remainder(nodes: Nodes, node: Node) -> None:
    """Brought to the sign of the divisor: the rest of (rest + divisor)."""
    a, b = node.inputs
    rest = nodes.step(node, "Add", [nodes.step(node, "Mod", [a, b], fmod=1), b])
    nodes.add("Mod", [rest, b], node.output, node.place, fmod=1)


def _prelu(nodes: Nodes, node: Node) -> None:
    """ONNX broadcasts the slope alone; where x has to be, the part above 0 and the part below it are added."""
    x, slope = node.inputs
    if nodes.shapes[str(x)] == nodes.shapes[node.output]:
        nodes.answer(node, "PRelu")
        return
    below = nodes.step(node, "Mul", [nodes.step(node, "Min", [x, nodes.number(node, "zero", 0)]), slope])
    nodes.add("Add", [nodes.step(node, "Relu", [x]), below], node.output, node.place)


def _reduction(operator: str) -> Writer:
    def write(nodes: Nodes, node: Node) -> None:
        given: Mapping[str, Any] = node.attributes
        nodes.answer(node, operator, nodes.whole(node, "axes", given["axes"]), keepdims=int(given["keepdims"]))

    return write


def _rms_norm(nodes: Nodes, node: Node) -> None:
    x, scale = (*node.inputs, None)[:2]
    given: Mapping[str, Any] = node.attributes
    axes = nodes.whole(node, "axes", range(given["axis"], len(nodes.shape(node))))
    squares = nodes.step(node, "ReduceMean", [nodes.step(node, "Mul", [x, x]), axes], keepdims=1)
    shifted = nodes.step(node, "Add", [squares, nodes.number(node, "epsilon", given["epsilon"])])
    operands = [x, nodes.step(node, "Sqrt", [shifted])]
    if scale is None:
        nodes.add("Div", operands, node.output, node.place)
    else:
        nodes.add("Mul", [nodes.step(node, "Div", operands), scale], node.output, node.place)


WRITERS: dict[str, Writer] = {
    "Trunc": _trunc,
    "Expm1": _expm1,
    "Log1p": _log1p,
    "Elu": _elu,
    "Pow": _same("Pow"),
    "Min": _same("Min"),
    "Max": _same("Max"),
    "Fmod": _same("Mod", fmod=1),
    "Remainder": _remainder,
    "PRelu": _prelu,
    "Mean": _reduction("ReduceMean"),
    **{name: _reduction(name) for name in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")},
    **{name: _reduction(name) for name in ("ReduceSumSquare", "ReduceL2")},
    "RmsNorm": _rms_norm,
}
"""Operator of the graph -> what writes it."""
