"""Functions of one entry."""

from __future__ import annotations

import math

from netsurgery.graph.operators.operator import Attribute, single
from netsurgery.graph.operators.parts import entrywise

FUNCTIONS = (
    entrywise("Relu", 2, "max(x, 0).", torch="relu.default", onnx="Relu"),
    entrywise(
        "Clip",
        10,
        "min(max(x, minimum), maximum).",
        Attribute("minimum", "float", -math.inf),
        Attribute("maximum", "float", math.inf),
    ),
    entrywise("HardSwish", 11, "x * min(max(x / 6 + 1/2, 0), 1).", torch="hardswish.default", onnx="HardSwish"),
    entrywise("Sigmoid", 12, "1 / (1 + exp(-x)).", torch="sigmoid.default", onnx="Sigmoid"),
    entrywise(
        "HardSigmoid",
        13,
        "min(max(alpha * x + beta, 0), 1).",
        Attribute("alpha", "float", single(1 / 6), onnx="alpha", onnx_default=0.2),
        Attribute("beta", "float", 0.5, onnx="beta", onnx_default=0.5),
        torch="hardsigmoid.default",
        onnx="HardSigmoid",
    ),
    entrywise("Silu", 14, "x / (1 + exp(-x)).", torch="silu.default"),
    entrywise(
        "Gelu",
        17,
        "x * Phi(x), Phi the normal distribution; or its approximation by tanh.",
        Attribute(
            "approximate",
            "choice",
            "none",
            choices=("none", "tanh"),
            torch="approximate",
            onnx="approximate",
            onnx_default="none",
        ),
        torch="gelu.default",
        onnx="Gelu",
    ),
    entrywise(
        "LeakyRelu",
        23,
        "x where x >= 0, alpha * x elsewhere.",
        Attribute("alpha", "float", single(0.01), torch="negative_slope", onnx="alpha", onnx_default=0.01),
        torch="leaky_relu.default",
        onnx="LeakyRelu",
    ),
    entrywise("Tanh", 28, "The hyperbolic tangent.", torch="tanh.default", onnx="Tanh"),
    entrywise("Abs", 32, "The magnitude of x.", torch="abs.default", onnx="Abs"),
)
