"""Recurrent layers, step by step: ONNX's equations for LSTM, GRU and RNN, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from netsurgery.errors import InputError
from netsurgery.graph.ir import Array
from netsurgery.graph.operators.recurrent import parameters
from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands

States: TypeAlias = tuple[Doubles, ...]
Step: TypeAlias = Callable[[Doubles, States], States]
"""(what the input adds to the gates (N, G * H), states before) -> states after, the hidden one first."""

_FUNCTIONS: dict[str, Callable[[Doubles, float, float], Doubles]] = {
    "sigmoid": lambda x, *_: 1 / (1 + np.exp(-x)),
    "tanh": lambda x, *_: np.tanh(x),
    "relu": lambda x, *_: np.maximum(x, 0),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "leaky_relu": lambda x, alpha, _: np.where(x >= 0, x, alpha * x),
    "thresholded_relu": lambda x, alpha, _: np.where((x > alpha) | np.isnan(x), x, 0),
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "elu": lambda x, alpha, _: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "softsign": lambda x, *_: x / (1 + np.abs(x)),
    "softplus": lambda x, *_: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}


def _activations(operator: str, attributes: Attributes) -> list[Callable[[Doubles], Doubles]]:
    """Each with its parameters. Sums are clipped before they go through one; the cell isn't, as in ONNX Runtime."""

    def one(name: str, alpha: float, beta: float, clip: float) -> Callable[[Doubles], Doubles]:
        return lambda x: _FUNCTIONS[name](np.clip(x, -clip, clip), alpha, beta)

    found = parameters(operator, dict(attributes))
    return [one(*given, attributes["clip"] if place < 2 else np.inf) for place, given in enumerate(found)]


def _double(given: Any) -> Doubles:
    return np.asarray(given, np.float64)


def _lstm(operands: Operands, attributes: Attributes) -> Array:
    gates, weight, bias, peepholes, projection, lengths, hidden, cell = (*operands, *(None,) * 8)[:8]
    gate, candidate, output = _activations("Lstm", attributes)
    recurrent, size = _double(weight).T, len(weight) // 4
    added = np.zeros(4 * size) if bias is None else _double(bias)
    from_input, from_forget, from_output = np.zeros((3, size)) if peepholes is None else _double(peepholes)

    def step(x: Doubles, states: States) -> States:
        before, memory = states
        i, f, g, o = np.split(x + added + before @ recurrent, 4, axis=1)
        entering = gate(i + from_input * memory)
        staying = 1 - entering if attributes["coupled"] else gate(f + from_forget * memory)
        after = staying * memory + entering * candidate(g)
        shown = gate(o + from_output * after) * output(after)
        return (shown if projection is None else shown @ _double(projection).T), after

    return _run(step, gates, lengths, (hidden, cell), (weight.shape[1], size), attributes)


def _gru(operands: Operands, attributes: Attributes) -> Array:
    gates, weight, bias, lengths, hidden = (*operands, *(None,) * 5)[:5]
    gate, candidate = _activations("Gru", attributes)
    size = weight.shape[1]
    of_gates, of_candidate = _double(weight[: 2 * size]).T, _double(weight[2 * size :]).T
    added = np.zeros(3 * size) if bias is None else _double(bias)

    def step(x: Doubles, states: States) -> States:
        (before,) = states
        reset, update = np.split(gate(x[:, : 2 * size] + added[: 2 * size] + before @ of_gates), 2, axis=1)
        if attributes["reset_after"]:
            recurrent = reset * (before @ of_candidate + added[2 * size :])
        else:
            recurrent = (reset * before) @ of_candidate + added[2 * size :]
        return ((1 - update) * candidate(x[:, 2 * size :] + recurrent) + update * before,)

    return _run(step, gates, lengths, (hidden,), (size,), attributes)


def _rnn(operands: Operands, attributes: Attributes) -> Array:
    gates, weight, bias, lengths, hidden = (*operands, *(None,) * 5)[:5]
    (activation,) = _activations("Rnn", attributes)
    recurrent, added = _double(weight).T, 0.0 if bias is None else _double(bias)

    def step(x: Doubles, states: States) -> States:
        return (activation(x + added + states[0] @ recurrent),)

    return _run(step, gates, lengths, (hidden,), (len(weight),), attributes)


def _run(
    step: Step,
    gates: Array,
    lengths: Array | None,
    given: tuple[Array | None, ...],
    widths: tuple[int, ...],
    attributes: Attributes,
) -> Array:
    """All steps, from the first states or zeros: the result that the attributes name.

    A sequence that is over keeps its states, and its hidden ones behind the end are 0.
    """
    x = _double(gates.swapaxes(0, 1) if attributes["batch_first"] else gates)
    time, batch = x.shape[:2]
    ends = _ends(lengths, attributes["fixed_lengths"], time, batch)
    states: States = tuple(
        np.zeros((batch, width)) if one is None else _double(one) for one, width in zip(given, widths, strict=True)
    )
    steps = np.zeros((time, batch, widths[0]))
    every = np.arange(batch)
    for count in range(time):
        going = every[count < ends]
        places = ends[going] - 1 - count if attributes["reverse"] else np.full(len(going), count)
        after = step(x[places, going], tuple(one[going] for one in states))
        for one, new in zip(states, after, strict=True):
            one[going] = new
        steps[places, going] = after[0]
    if attributes["result"] != "steps":
        return np.asarray(states[("hidden", "cell").index(attributes["result"])], np.float32)
    return np.asarray(steps.swapaxes(0, 1) if attributes["batch_first"] else steps, np.float32)


def _ends(lengths: Array | None, fixed: tuple[int, ...], time: int, batch: int) -> Any:
    """How many steps each sequence has. Raises InputError."""
    if lengths is None:
        return np.asarray(fixed or (time,) * batch)
    odd = np.flatnonzero((lengths < 0) | (lengths > time))
    if len(odd):
        raise InputError(impossible_length(int(lengths[odd[0]]), int(odd[0]), time))
    return np.asarray(lengths, np.int64)


def impossible_length(number: int, place: int, time: int) -> str:
    """What is said of a length that no sequence of an input can have."""
    return f"{number} at place ({place},) is no length of a sequence of at most {time} steps: 0 to {time} are."


KERNELS: dict[str, Kernel] = {
    "Lstm": _lstm,
    "Gru": _gru,
    "Rnn": _rnn,
}
