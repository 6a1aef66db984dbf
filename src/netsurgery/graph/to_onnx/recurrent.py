"""Recurrent layers as ONNX's LSTM, GRU and RNN, together with the Linear that makes their gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.ir import Node
from netsurgery.graph.operators.recurrent import HAS_ALPHA, HAS_BETA, parameters

Nodes: TypeAlias = Any
"""The one of nodes.py, whose table names what is here."""

_OPERATORS = {"Lstm": "LSTM", "Gru": "GRU", "Rnn": "RNN"}
_GATES = {"Lstm": (0, 3, 1, 2), "Gru": (1, 0, 2), "Rnn": (0,)}
"""The places of ONNX's gates among ours."""
_RESULTS = ("steps", "hidden", "cell")
_FIRST_STATE = {"Lstm": 6, "Gru": 4, "Rnn": 4}


def recurrent(nodes: Nodes, node: Node) -> None:
    """One ONNX node for all nodes that are results of one computation. Raises UnsupportedOperatorError."""
    outputs = nodes.shared(_computation(node), lambda: _written(nodes, node))
    place = _RESULTS.index(node.attributes["result"])
    if not outputs[place]:
        outputs[place] = nodes.unique(f"{node.output}.onnx")
    axis = 1 if place == 0 else 0
    squeezed = [outputs[place], nodes.whole(node, "direction", (axis,))]
    if place == 0 and node.attributes["batch_first"]:
        nodes.add("Transpose", [nodes.step(node, "Squeeze", squeezed)], node.output, node.place, perm=(1, 0, 2))
    else:
        nodes.add("Squeeze", squeezed, node.output, node.place)


def _computation(node: Node) -> tuple[object, ...]:
    """The same for nodes that differ in their result alone."""
    attributes = {name: value for name, value in node.attributes.items() if name != "result"}
    return (node.operator, node.inputs, *sorted(attributes.items()))


def _written(nodes: Nodes, node: Node) -> Any:
    """The outputs of the ONNX node, to be named as they are asked for."""
    given: Mapping[str, Any] = node.attributes
    operator = node.operator
    inputs = (*node.inputs, *(None,) * 8)[:8]
    if operator == "Lstm" and inputs[4] is not None:
        raise UnsupportedOperatorError(f"{node} projects its hidden state, which ONNX's LSTM can't say.")
    x, weight, bias = _before(nodes, node)
    if given["batch_first"]:
        x = nodes.step(node, "Transpose", [x], perm=(1, 0, 2))
    recurrent_bias = 0 * bias if inputs[2] is None else nodes.initialisers[inputs[2]]
    gates = _GATES[operator]
    halves = [_ordered(half, gates) for half in (bias, recurrent_bias)]
    operands: list[str | None] = [
        x,
        nodes.constant(_ordered(weight, gates)[None], np.float32, f"{node.output}.W"),
        nodes.constant(_ordered(nodes.initialisers[str(inputs[1])], gates)[None], np.float32, f"{node.output}.R"),
        nodes.constant(np.concatenate(halves)[None], np.float32, f"{node.output}.B"),
        _lengths(nodes, node, inputs[_FIRST_STATE[operator] - 1]),
    ]
    for state in inputs[_FIRST_STATE[operator] :][: 2 if operator == "Lstm" else 1]:
        axis = nodes.whole(node, "first", (0,))
        operands.append(None if state is None else nodes.step(node, "Unsqueeze", [state, axis]))
    if operator == "Lstm" and inputs[3] is not None:
        peepholes = nodes.initialisers[inputs[3]][[0, 2, 1]].reshape(1, -1)
        operands.append(nodes.constant(peepholes, np.float32, f"{node.output}.P"))
    settings: dict[str, Any] = {
        "hidden_size": len(weight) // len(gates),
        "direction": "reverse" if given["reverse"] else "forward",
        **_activations(node),
    }
    if np.isfinite(given["clip"]):
        settings["clip"] = given["clip"]
    if operator == "Lstm":
        settings["input_forget"] = int(given["coupled"])
    if operator == "Gru":
        settings["linear_before_reset"] = int(given["reset_after"])
    outputs = [""] * (3 if operator == "Lstm" else 2)
    return nodes.several(_OPERATORS[operator], operands, outputs, node.place, **settings)


def _before(nodes: Nodes, node: Node) -> tuple[str, npt.NDArray[Any], npt.NDArray[Any]]:
    """What the ONNX node reads, its W and its bias: those of the Linear that makes the gates, or they as they are."""
    gates = str(node.inputs[0])
    made = nodes.producers.get(gates)
    if made is not None and made.operator == "Linear":
        x, weight, bias = (*made.inputs, None)[:3]
        matrix = nodes.initialisers[str(weight)]
        return str(x), matrix, np.zeros(len(matrix), np.float32) if bias is None else nodes.initialisers[bias]
    count = nodes.shapes[gates][2]
    return gates, np.eye(count, dtype=np.float32), np.zeros(count, np.float32)


def _lengths(nodes: Nodes, node: Node, lengths: str | None) -> str | None:
    if lengths is not None:
        return str(nodes.step(node, "Cast", [lengths], to=6))  # int32, which ONNX wants
    fixed = node.attributes["fixed_lengths"]
    if not fixed:
        return None
    return str(nodes.constant(fixed, np.int32, f"{node.output}.lengths"))


def _activations(node: Node) -> dict[str, Any]:
    """As ONNX has them: parameters of those activations alone that have some, in their order."""
    found = parameters(node.operator, dict(node.attributes))
    names = ["".join(part.capitalize() for part in name.split("_")) for name, _, _ in found]
    alphas = [alpha for name, alpha, _ in found if name in HAS_ALPHA]
    betas = [beta for name, _, beta in found if name in HAS_BETA]
    return {
        "activations": names,
        **({"activation_alpha": alphas} if alphas else {}),
        **({"activation_beta": betas} if betas else {}),
    }


def _ordered(array: npt.NDArray[Any], gates: Sequence[int]) -> npt.NDArray[Any]:
    """Rows of our gates in the order of ONNX's."""
    return np.concatenate([np.split(array, len(gates))[place] for place in gates])
