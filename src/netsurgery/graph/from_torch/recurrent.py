"""Recurrent layers of torch: nn.LSTM, GRU, RNN and their cells, one node for each layer and direction.

torch.export traces aten.lstm and its like step by step, which fixes the time axis. `recurrent_as_one` puts operators in
their place meanwhile that are traced as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import _VF, Tensor

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Activation, Call, Constant, Open, Sizes, Zeros

Outputs: TypeAlias = tuple[str | None, ...]

_PACKED = (
    "pack_padded_sequence has no place in a graph. Give the padded batch to the recurrent layer and, outside of the "
    "network, leave out what lies behind the end of each sequence; or write the model as ONNX, whose LSTM, GRU and RNN "
    "take the lengths as an input."
)


_SETTINGS = "bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first"
_STATES = {"lstm": "Tensor[]", "gru": "Tensor", "rnn_tanh": "Tensor", "rnn_relu": "Tensor"}
"""torch's operators -> the states that they take."""


def _traced_as_one(name: str, states: str) -> Callable[..., Any]:
    """An operator that computes what torch's does."""

    def run(x: Tensor, hx: Any, params: Sequence[Tensor], *settings: Any) -> tuple[Tensor, ...]:
        found = getattr(torch, name)(x, list(hx) if isinstance(hx, list | tuple) else hx, list(params), *settings)
        return tuple(one.clone() for one in found)  # none may be the memory of an operand

    def shaped(x: Tensor, hx: Any, _: Sequence[Tensor], *settings: Any) -> tuple[Tensor, ...]:
        given = list(hx) if isinstance(hx, list | tuple) else [hx]
        *_, bidirectional, _batch_first = settings
        output = x.new_empty((*x.shape[:2], given[0].shape[2] * (2 if bidirectional else 1)))
        return (output, *(x.new_empty(one.shape) for one in given))

    results = "(Tensor, Tensor, Tensor)" if states == "Tensor[]" else "(Tensor, Tensor)"
    schema = f"(Tensor input, {states} hx, Tensor[] params, {_SETTINGS}) -> {results}"
    made = torch.library.custom_op(f"netsurgery::{name}", run, mutates_args=(), schema=schema)
    made.register_fake(shaped)
    return made


_AS_ONE = {name: _traced_as_one(name, states) for name, states in _STATES.items()}


@contextmanager
def recurrent_as_one() -> Iterator[None]:
    """Modules of torch.nn call operators that torch.export traces as one, whatever the length of their sequences."""

    def packed(*_: Any) -> Any:
        raise UnsupportedOperatorError(_PACKED)

    def guarded(operator: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            return packed() if isinstance(arguments[3], list | tuple) else operator(*arguments)

        return call

    replaced = {name: guarded(operator) for name, operator in _AS_ONE.items()} | {"_pack_padded_sequence": packed}
    vars(_VF).update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            del vars(_VF)[name]


def layers(operator: str, **attributes: Any) -> Callable[[Call], Outputs]:
    """aten.lstm, gru, rnn_tanh, rnn_relu: layers one after another, each in one direction or in both."""

    def translate(call: Call) -> Outputs:
        if call.arguments["dropout"] and call.arguments["train"]:
            raise UnsupportedOperatorError("drops out as in training; call model.eval()")
        return _Layers(call, operator, attributes).outputs()

    return translate


AS_ONE: dict[str, Callable[[Call], Outputs]] = {
    "lstm": layers("Lstm"),
    "gru": layers("Gru"),
    "rnn_tanh": layers("Rnn", candidate_activation="tanh"),
    "rnn_relu": layers("Rnn", candidate_activation="relu"),
}
"""ATen operator -> the translation of it, and of what is traced in its place."""


def packed(_: Call) -> Outputs:
    """aten.lstm.data and its like: sequences of several lengths, packed."""
    raise UnsupportedOperatorError(_PACKED)


class _Layers:
    """The layers of one call. Nodes are named after it: the layer, and `reverse` for that direction."""

    def __init__(self, call: Call, operator: str, attributes: dict[str, Any]) -> None:
        self._call = call
        self._operator = operator
        self._batch_first = bool(call.arguments["batch_first"])
        self._attributes = {"batch_first": self._batch_first, **attributes}
        self._directions = 2 if call.arguments["bidirectional"] else 1
        given = call.arguments["hx"]
        self._states = list(given) if operator == "Lstm" else [given]
        params = list(call.arguments["params"])
        count = call.arguments["num_layers"] * self._directions
        self._params = [
            params[len(params) // count * place : len(params) // count * (place + 1)] for place in range(count)
        ]
        self._projects = operator == "Lstm" and len(self._params[0]) in (3, 5)

    def outputs(self) -> Outputs:
        """The output, and the last states, as far as anybody reads them."""
        call, x, finals = self._call, self._call.operand("input"), []
        for layer in range(call.arguments["num_layers"]):
            steps = []
            for direction in range(self._directions):
                place = layer * self._directions + direction
                made = self._direction(x, place, layer, reverse=direction == 1)
                steps.append(made("steps") if 0 in call.used or layer + 1 < call.arguments["num_layers"] else "")
                finals.append(made)
            x = steps[0] if len(steps) == 1 else self._joined(steps, 2, f"layer_{layer}")
        names = ("hidden", "cell")[: len(self._states)]
        last = [self._final(finals, name) if 1 + index in call.used else None for index, name in enumerate(names)]
        return (x if 0 in call.used else None, *last)

    def _direction(self, x: str, place: int, layer: int, *, reverse: bool) -> Callable[[str], str]:
        """One layer in one direction: result -> the name of the value."""
        call, label = self._call, f"layer_{layer}" + ("_reverse" if reverse else "")
        for parameter in self._params[place]:
            if not isinstance(parameter, Constant):
                raise UnsupportedOperatorError("its weights must be parameters or constants, not computed values")
        weight_ih, weight_hh, *others = self._params[place]
        projection = others.pop() if self._projects else None
        bias_ih, bias_hh = (_unless_zero(one) for one in (others or (None, None)))
        gates = call.node(
            "Linear", [x, *(call.placed(one) for one in (weight_ih, bias_ih) if one is not None)], f"{label}.gates"
        )
        operands = [gates, call.placed(weight_hh), None if bias_hh is None else call.placed(bias_hh)]
        if self._operator == "Lstm":
            operands += [None, None if projection is None else call.placed(projection)]
        operands += [None, *(self._state(state, place, label) for state in self._states)]
        made: dict[str, str] = {}

        def result(name: str) -> str:
            if name not in made:
                settings = {"result": name, "reverse": reverse, **self._attributes}
                made[name] = call.node(self._operator, operands, f"{label}.{name}", **settings)
            return made[name]

        return result

    def _state(self, given: Any, place: int, label: str) -> str | None:
        """A state that a layer begins with, (N, H); None if it is zero."""
        if isinstance(given, Zeros) or (isinstance(given, Constant) and not given.tensor.any()):
            return None
        call = self._call
        part = call.node("Slice", [call.placed(given, "state")], f"{label}.state", axis=0, start=place, stop=place + 1)
        return call.reshaped(part, (1, *given.shape[1:]), given.shape[1:], f"{label}.first")

    def _joined(self, names: Sequence[str], axis: int, suffix: str) -> str:
        return names[0] if len(names) == 1 else self._call.node("Concat", names, suffix, axis=axis)

    def _final(self, made: Sequence[Callable[[str], str]], result: str) -> str:
        """The last states of all layers and directions, (layers * directions, N, H)."""
        shape: Sizes = self._states[("hidden", "cell").index(result)].shape
        parts = [self._call.reshaped(one(result), shape[1:], (1, *shape[1:]), f"{result}.part") for one in made]
        return self._joined(parts, 0, result)


def cell(operator: str, **attributes: Any) -> Callable[[Call], str | Outputs]:
    """aten.lstm_cell, gru_cell, rnn_tanh_cell, rnn_relu_cell: a single step."""

    def translate(call: Call) -> str | Outputs:
        x, given = call.sizes("input"), call.arguments["hx"]
        states = list(given) if operator == "Lstm" else [given]
        if len(x) != 2:
            raise UnsupportedOperatorError(f"{len(x)} axes are given, 2 are needed, the first of them the batch")
        call.parameter("w_ih"), call.parameter("w_hh")
        bias_ih, bias_hh = (
            _unless_zero(call.parameter(name)) if call.given(name) else None for name in ("b_ih", "b_hh")
        )
        weights = [call.operand("w_ih"), *([] if bias_ih is None else [call.placed(bias_ih)])]
        gates = call.node("Linear", [call.operand("input"), *weights], "gates")
        width: Sizes = (call.parameter("w_ih").shape[0],)
        step = call.reshaped(gates, (x[0], *width), (x[0], 1, *width), "step")
        operands = [step, call.operand("w_hh"), None if bias_hh is None else call.placed(bias_hh)]
        operands += [None] * (3 if operator == "Lstm" else 1)
        operands += [None if isinstance(one, Zeros) else call.placed(one, "state") for one in states]
        # With the batch in front, the new axis of one step comes behind an open one.
        results = ("hidden", "cell")[: len(states)]
        made = [
            call.node(operator, operands, result, result=result, batch_first=True, **attributes) for result in results
        ]
        return tuple(made) if operator == "Lstm" else made[0]

    return translate


def _unless_zero(bias: Constant | None) -> Constant | None:
    return None if bias is None or not bias.tensor.any() else bias


def last_step(call: Call, axis: int) -> str | None:
    """aten.select of the last step along an open time axis: the last hidden state, where x is all steps of a layer.

    None if it isn't.
    """
    x = call.arguments["self"]
    made = call.builder.maker(x.name) if isinstance(x, Activation) else None
    if made is None or made.attributes.get("result") != "steps" or made.attributes["reverse"]:
        return None
    whole = (
        made.inputs[3 if made.operator != "Lstm" else 5 :][:1] in ((), (None,)) and not made.attributes["fixed_lengths"]
    )
    if not whole or axis != (1 if made.attributes["batch_first"] else 0) or not isinstance(x.shape[axis], Open):
        return None
    settings: dict[str, Any] = {**made.attributes, "result": "hidden"}
    return call.node(made.operator, made.inputs, **settings)
