"""Recurrent layers: what a step gives depends on the steps before it.

One node is one layer in one direction, and gives one of its results: nodes that differ in `result` alone are one
computation. What the inputs add to the gates is a Linear before it, for all steps at once.
"""

from __future__ import annotations

import math
from typing import Any

from netsurgery.graph import recurrent_shapes as rule
from netsurgery.graph.operators.operator import Attribute, AttributeValue, Expected, Length, Operand, Operator
from netsurgery.graph.operators.parts import BIAS
from netsurgery.graph.value_types import WHOLE

ACTIVATIONS: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 0.0),
    "tanh": (0.0, 0.0),
    "relu": (0.0, 0.0),
    "affine": (1.0, 0.0),
    "leaky_relu": (0.01, 0.0),
    "thresholded_relu": (1.0, 0.0),
    "scaled_tanh": (1.0, 1.0),
    "hard_sigmoid": (0.2, 0.5),
    "elu": (1.0, 0.0),
    "softsign": (0.0, 0.0),
    "softplus": (0.0, 0.0),
}
"""What a gate or a state goes through -> its alpha and beta where nothing is said; 0 where it has none."""

HAS_ALPHA = ("affine", "leaky_relu", "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu")
HAS_BETA = ("affine", "scaled_tanh", "hard_sigmoid")

_GATES = Operand("gates")
_WEIGHT = Operand("weight", constant=True, expected=Expected.GATES)
_LENGTHS = Operand("lengths", optional=True, types=WHOLE)
_HIDDEN = Operand("hidden", optional=True)
_COMMON = (
    Attribute("batch_first", "flag", False),
    Attribute("reverse", "flag", False),
    Attribute("fixed_lengths", "ints", (), low=0, length=Length.TWO),
    Attribute("clip", "float", math.inf),
)


def _result(*choices: str) -> Attribute:
    return Attribute("result", "choice", "steps", choices=("steps", *choices))


def _activation(name: str, default: str) -> Attribute:
    return Attribute(name, "choice", default, choices=tuple(ACTIVATIONS))


def _parameters(length: Length) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, "floats", (), length=length) for name in ("alphas", "betas"))


RECURRENT = (
    Operator(
        "Lstm",
        70,
        (
            _GATES,
            _WEIGHT,
            BIAS,
            Operand("peepholes", constant=True, optional=True),
            Operand("projection", constant=True, optional=True),
            _LENGTHS,
            _HIDDEN,
            Operand("cell", optional=True),
        ),
        (
            _result("hidden", "cell"),
            *_COMMON,
            _activation("gate_activation", "sigmoid"),
            _activation("candidate_activation", "tanh"),
            _activation("cell_activation", "tanh"),
            *_parameters(Length.RANK),
            Attribute("coupled", "flag", False),
        ),
        rule.lstm,
        "Long short-term memory over gates (T, N, 4H), in the order input, forget, candidate, output, with weight "
        "(4H, P) and bias (4H,) for the hidden state (N, P) before each step.",
    ),
    Operator(
        "Gru",
        71,
        (_GATES, _WEIGHT, BIAS, _LENGTHS, _HIDDEN),
        (
            _result("hidden"),
            *_COMMON,
            _activation("gate_activation", "sigmoid"),
            _activation("candidate_activation", "tanh"),
            *_parameters(Length.TWO),
            Attribute("reset_after", "flag", True),
        ),
        rule.gru,
        "Gated recurrent unit over gates (T, N, 3H), in the order reset, update, candidate, with weight (3H, H) and "
        "bias (3H,) for the hidden state (N, H) before each step.",
    ),
    Operator(
        "Rnn",
        72,
        (_GATES, _WEIGHT, BIAS, _LENGTHS, _HIDDEN),
        (_result("hidden"), *_COMMON, _activation("candidate_activation", "tanh"), *_parameters(Length.ONE)),
        rule.rnn,
        "Each step is the activation of gates (T, N, H) + weight (H, H) times the hidden state (N, H) before it + bias "
        "(H,).",
    ),
)


def activations(operator: str) -> tuple[str, ...]:
    """The attributes that name activations, in the order of `alphas` and `betas`."""
    return {
        "Lstm": ("gate_activation", "candidate_activation", "cell_activation"),
        "Gru": ("gate_activation", "candidate_activation"),
        "Rnn": ("candidate_activation",),
    }[operator]


def lengths_of(node: Any) -> int | None:
    """The place of the lengths among a node's inputs, if it has some."""
    place = {"Lstm": 5, "Gru": 3, "Rnn": 3}.get(node.operator)
    return place if place is not None and place < len(node.inputs) and node.inputs[place] is not None else None


def _number(given: Any, place: int) -> float:
    return float(given[place])


def parameters(operator: str, attributes: dict[str, AttributeValue]) -> list[tuple[str, float, float]]:
    """(activation, alpha, beta) of each activation of a node."""
    names = [str(attributes[name]) for name in activations(operator)]
    alphas, betas = (attributes[name] for name in ("alphas", "betas"))
    return [
        (
            name,
            _number(alphas, place) if isinstance(alphas, tuple) and alphas else ACTIVATIONS[name][0],
            _number(betas, place) if isinstance(betas, tuple) and betas else ACTIVATIONS[name][1],
        )
        for place, name in enumerate(names)
    ]
