"""Translations of ONNX's LSTM, GRU and RNN: a Linear and a recurrent layer for each direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, known
from netsurgery.graph.from_onnx.constants import AnyArray, is_whole
from netsurgery.graph.operators.recurrent import ACTIVATIONS, HAS_ALPHA, HAS_BETA, activations

_NAMES = {name.replace("_", ""): name for name in ACTIVATIONS}
"""ONNX's name of an activation, in small letters -> ours."""


@dataclass(frozen=True)
class _Kind:
    """An operator: ours, the places of our gates among ONNX's, what its activations are where nothing is said."""

    operator: str
    gates: tuple[int, ...]
    activations: tuple[str, ...]
    initial_states: tuple[int, ...]


_LSTM = _Kind("Lstm", (0, 2, 3, 1), ("Sigmoid", "Tanh", "Tanh"), (5, 6))
_GRU = _Kind("Gru", (1, 0, 2), ("Sigmoid", "Tanh"), (5,))
_RNN = _Kind("Rnn", (0,), ("Tanh",), (5,))


def _translation(kind: _Kind) -> Callable[[Call], Sequence[Value | None]]:
    return lambda call: _Recurrent(call, kind).outputs()


lstm, gru, rnn = (_translation(kind) for kind in (_LSTM, _GRU, _RNN))


class _Recurrent:
    def __init__(self, call: Call, kind: _Kind) -> None:
        self._call = call
        self._kind = kind
        self._batch_first = bool(call.attributes.get("layout", 0))
        direction = call.attributes.get("direction", "forward")
        self._reversed = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(direction, ())
        weight = call.array(1, "W")
        if not self._reversed or weight.ndim != 3 or len(weight) != len(self._reversed):
            raise UnsupportedOperatorError(
                f"has direction {direction!r} and W of shape {weight.shape}, which don't fit"
            )
        self._functions = list(self._activations())
        self._lengths = self._sequence_lengths()

    def outputs(self) -> list[Value | None]:
        """Y, the last hidden states, and of an LSTM the last cells; None where nothing reads them."""
        used = [*self._call.used, False, False][: 1 + len(self._kind.initial_states)]
        directions = [self._direction(place, reverse) for place, reverse in enumerate(self._reversed)]
        result: list[Value | None] = [None] * len(used)
        for index, name in enumerate(("steps", "hidden", "cell")[: len(used)]):
            if used[index]:
                # A new axis for the directions: behind T, or with the batch in front behind T and N.
                axis = (2 if self._batch_first else 1) if name == "steps" else 1 if self._batch_first else 0
                result[index] = self._together([made(name) for made in directions], axis)
        return result

    def _together(self, values: Sequence[Value], axis: int) -> Value:
        parts = [self._call.reshaped(one, (*one.shape[:axis], 1, *one.shape[axis:])) for one in values]
        return parts[0] if len(parts) == 1 else self._call.node("Concat", parts, axis=axis)

    def _direction(self, place: int, reverse: bool) -> Callable[[str], Value]:
        """The layer in one direction: result -> its value."""
        call, kind = self._call, self._kind
        weight, recurrent = (self._part(index, name, place, kind.gates) for index, name in ((1, "W"), (2, "R")))
        bias = None
        added = None
        if call.given(3):
            both = call.array(3, "B")[place]
            bias, added = (
                self._unless_zero(known(_ordered(half, kind.gates), self._name(3, place, half_name)))
                for half, half_name in zip(np.split(both, 2), ("input", "recurrent"), strict=True)
            )
        gates = call.node("Linear", [call.x, weight, bias])
        operands: list[Value | None] = [gates, recurrent, added]
        if kind is _LSTM:
            peepholes = None
            if call.given(7):
                of_gates = call.array(7, "P")[place].reshape(3, -1)[[0, 2, 1]]
                peepholes = self._unless_zero(known(of_gates, self._name(7, place, "peepholes")))
            operands += [peepholes, None]
        operands += [self._lengths if isinstance(self._lengths, Value) else None]
        operands += [self._state(index, place) for index in kind.initial_states]
        attributes: dict[str, Any] = {
            "batch_first": self._batch_first,
            "reverse": reverse,
            **self._functions[place],
            "clip": call.attributes.get("clip", float("inf")),
        }
        if isinstance(self._lengths, tuple):
            attributes["fixed_lengths"] = self._lengths
        if kind is _LSTM:
            attributes["coupled"] = bool(call.attributes.get("input_forget", 0))
        if kind is _GRU:
            attributes["reset_after"] = bool(call.attributes.get("linear_before_reset", 0))
        return lambda result: call.node(kind.operator, operands, result=result, **attributes)

    def _part(self, index: int, role: str, place: int, gates: Sequence[int]) -> Value:
        return known(_ordered(self._call.array(index, role)[place], gates), self._name(index, place))

    def _name(self, index: int, place: int, suffix: str = "") -> str:
        words = [self._call.operand(index).name, "reverse" if self._reversed[place] else "", suffix]
        return ".".join(word for word in words if word)

    @staticmethod
    def _unless_zero(value: Value) -> Value | None:
        return value if value.array is not None and value.array.any() else None

    def _state(self, index: int, place: int) -> Value | None:
        """A state to begin with, (N, H); None if it is zero."""
        call = self._call
        if not call.given(index):
            return None
        given, axis = call.operand(index), 1 if self._batch_first else 0
        if given.array is not None:
            return self._unless_zero(known(given.array.take(place, axis), f"{given.name}.{place}"))
        whole = len(self._reversed) == 1
        part = given if whole else call.node("Slice", [given], axis=axis, start=place, stop=place + 1)
        return call.reshaped(part, (*given.shape[:axis], *given.shape[axis + 1 :]))

    def _sequence_lengths(self) -> Value | tuple[int, ...] | None:
        """Lengths that are computed, or known ones; None where all sequences are as long as x."""
        call = self._call
        if not call.given(4):
            return None
        given = call.operand(4)
        if given.array is None:
            return given
        if not is_whole(given.array):
            raise UnsupportedOperatorError(f"has sequence_lens of {given.array.dtype}; it must be whole numbers")
        lengths = tuple(int(one) for one in given.array.reshape(-1))
        time = call.x.shape[1 if self._batch_first else 0]
        return None if all(one == time for one in lengths) else lengths

    def _activations(self) -> Iterator[dict[str, Any]]:
        """Of each direction the attributes that say its activations."""
        attributes, count = self._call.attributes, len(self._kind.activations)
        said = list(attributes.get("activations", self._kind.activations * len(self._reversed)))
        said = [one.decode() if isinstance(one, bytes) else str(one) for one in said]
        if len(said) != count * len(self._reversed):
            raise UnsupportedOperatorError(f"names {len(said)} activations; {count} for each direction are needed")
        alphas, betas = (iter(attributes.get(name, ())) for name in ("activation_alpha", "activation_beta"))
        for place in range(len(self._reversed)):
            names = [self._activation(one) for one in said[place * count : (place + 1) * count]]
            # Values are consumed in the order of the activations, by those that have such a parameter.
            found = [
                (
                    self._parameter(alphas, name, 0) if name in HAS_ALPHA else 0.0,
                    self._parameter(betas, name, 1) if name in HAS_BETA else 0.0,
                )
                for name in names
            ]
            given: dict[str, Any] = dict(zip(activations(self._kind.operator), names, strict=True))
            if found != [ACTIVATIONS[name] for name in names]:
                given |= {"alphas": tuple(a for a, _ in found), "betas": tuple(b for _, b in found)}
            yield given

    @staticmethod
    def _parameter(given: Iterator[float], name: str, place: int) -> float:
        """The next one, or what the activation has by itself. Raises UnsupportedOperatorError where that isn't agreed.

        ONNX says 1 of some, ONNX Runtime takes 0.
        """
        said = next(given, None)
        if said is None and name in ("affine", "thresholded_relu", "scaled_tanh"):
            missing = ("activation_alpha", "activation_beta")[place]
            raise UnsupportedOperatorError(f"goes through {name} without its {missing}, which has to be said")
        return ACTIVATIONS[name][place] if said is None else float(said)

    @staticmethod
    def _activation(name: str) -> str:
        found = _NAMES.get(name.lower())
        if found is None:
            raise UnsupportedOperatorError(f"goes through {name!r}; there are {', '.join(_NAMES)}")
        return found


def _ordered(array: AnyArray, gates: Sequence[int]) -> AnyArray:
    """Rows of ONNX's gates in the order of ours."""
    if len(gates) == 1:
        return array
    return np.concatenate([np.split(array, len(gates))[place] for place in gates])
