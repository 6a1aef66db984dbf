"""Elementary functions of one entry, and the activations that are made of them."""

from __future__ import annotations

from netsurgery.graph.operators.operator import Attribute, Operator
from netsurgery.graph.operators.parts import entrywise


def _same_in_both(name: str, code: int, summary: str) -> Operator:
    """A function that ATen and ONNX call by its name."""
    return entrywise(name, code, summary, torch=f"{name.lower()}.default", onnx=name)


ELEMENTARY = (
    _same_in_both("Exp", 80, "e to the power of x."),
    _same_in_both("Log", 81, "The natural logarithm; NaN below 0."),
    _same_in_both("Sqrt", 82, "The square root; NaN below 0."),
    _same_in_both("Erf", 83, "The error function, 2 / sqrt(pi) times the integral of exp(-t²) from 0 to x."),
    _same_in_both("Sin", 84, "The sine of x radians."),
    _same_in_both("Cos", 85, "The cosine of x radians."),
    _same_in_both("Tan", 86, "The tangent of x radians."),
    _same_in_both("Asin", 87, "The inverse of the sine, in radians; NaN outside of -1 to 1."),
    _same_in_both("Acos", 88, "The inverse of the cosine, in radians; NaN outside of -1 to 1."),
    _same_in_both("Atan", 89, "The inverse of the tangent, in radians."),
    _same_in_both("Sinh", 90, "The hyperbolic sine."),
    _same_in_both("Cosh", 91, "The hyperbolic cosine."),
    _same_in_both("Asinh", 92, "The inverse of the hyperbolic sine."),
    _same_in_both("Acosh", 93, "The inverse of the hyperbolic cosine; NaN below 1."),
    _same_in_both("Atanh", 94, "The inverse of the hyperbolic tangent; NaN outside of -1 to 1."),
    entrywise("Sign", 95, "-1, 0 or 1; NaN of NaN.", torch="sign.default sgn.default", onnx="Sign"),
    _same_in_both("Floor", 96, "The largest whole number that isn't above x."),
    _same_in_both("Ceil", 97, "The smallest whole number that isn't below x."),
    _same_in_both("Round", 98, "The nearest whole number, of two equally near ones the even one."),
    entrywise("Trunc", 99, "x without its fraction.", torch="trunc.default fix.default"),
    entrywise("Expm1", 100, "exp(x) - 1, which doesn't cancel near 0.", torch="expm1.default"),
    entrywise("Log1p", 101, "log(1 + x), which doesn't cancel near 0; NaN below -1.", torch="log1p.default"),
    entrywise(
        "Elu",
        102,
        "scale * x where x > 0, scale * alpha * (exp(input_scale * x) - 1) elsewhere.",
        Attribute("alpha", "float", 1.0, torch="alpha", onnx="alpha", onnx_default=1.0),
        Attribute("scale", "float", 1.0, torch="scale"),
        Attribute("input_scale", "float", 1.0, torch="input_scale"),
        torch="elu.default",
    ),
    entrywise("Softplus", 103, "log(1 + exp(x)).", onnx="Softplus"),
    entrywise("Softsign", 104, "x / (1 + |x|).", onnx="Softsign"),
    entrywise("Mish", 105, "x * tanh(log(1 + exp(x))).", torch="mish.default", onnx="Mish"),
    entrywise(
        "ThresholdedRelu",
        106,
        "0 where x <= alpha, x elsewhere.",
        Attribute("alpha", "float", 1.0, onnx="alpha", onnx_default=1.0),
        onnx="ThresholdedRelu",
    ),
    entrywise(
        "Shrink",
        107,
        "x - bias where x > threshold, x + bias where x < -threshold, 0 between.",
        Attribute("threshold", "float", 0.5, onnx="lambd", onnx_default=0.5),
        Attribute("bias", "float", 0.0, onnx="bias", onnx_default=0.0),
        onnx="Shrink",
    ),
)
