"""The operator table: every operator that a graph can hold, with its operands, attributes and shape rule.

Readers, passes, the file, the reference executor, the engine and docs/operators.md all read this one table.
Values are float32. `N` is the batch, `C` channels, the axes after them are spatial (one to three of them).

Attributes that have one number for each spatial axis (`strides`, `dilations`) or two (`pads`: all begins, then all
ends) may be the empty tuple, which means "all at their default"; `complete` writes them so.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from netsurgery.errors import GraphError
from netsurgery.graph import shapes as rule

Shape: TypeAlias = tuple[int, ...]
AttributeValue: TypeAlias = int | float | str | bool | tuple[int, ...] | tuple[float, ...]
ShapeRule: TypeAlias = Callable[[Sequence[Any], Mapping[str, Any]], Shape]

LARGEST_INT = 2**31 - 1
"""No integer of a graph lies beyond ± this."""


@dataclass(frozen=True)
class Operand:
    """One input of an operator. A `constant` one has to be a constant of the graph (weights, biases)."""

    name: str
    constant: bool = False
    optional: bool = False
    variadic: bool = False


@dataclass(frozen=True)
class Attribute:
    """One setting of an operator: its name, its kind, and what it is when nothing is said (None: it must be said).

    Kinds: `int`, `ints` (tuple), `float` (finite or infinite, never NaN), `floats`, `flag`, `choice`.
    `neutral`: an `ints` attribute whose entries all equal this is written as the empty tuple.
    """

    name: str
    kind: str
    default: AttributeValue | None = None
    low: int = -LARGEST_INT
    neutral: int | None = None
    choices: tuple[str, ...] = ()

    def checked(self, value: Any) -> AttributeValue:
        """The value in its canonical form. Raises GraphError."""
        if self.kind == "int" and _is_int(value) and self.low <= value <= LARGEST_INT:
            return int(value)
        if self.kind == "flag" and value in (0, 1):
            return bool(value)
        if self.kind == "choice" and value in self.choices:
            return str(value)
        if self.kind == "float" and _is_float(value):
            return _single(value)
        if self.kind == "floats" and isinstance(value, Sequence) and all(_is_float(item) for item in value):
            return tuple(_single(item) for item in value)
        if (
            self.kind == "ints"
            and isinstance(value, Sequence)
            and all(_is_int(item) and self.low <= item <= LARGEST_INT for item in value)
        ):
            given = tuple(int(item) for item in value)
            return () if self.neutral is not None and all(item == self.neutral for item in given) else given
        raise GraphError(f"{self.name}={value!r} is not allowed: {self.name} must be {self.allowed}.")

    @property
    def allowed(self) -> str:
        """What the attribute may be, in words."""
        at_least = f" >= {self.low}" if self.low > -LARGEST_INT else ""
        return {
            "int": f"a whole number{at_least}",
            "ints": f"whole numbers{at_least}",
            "float": "a number",
            "floats": "numbers",
            "flag": "True or False",
            "choice": "one of " + ", ".join(self.choices),
        }[self.kind]


@dataclass(frozen=True)
class Operator:
    """An operator: `code` is its number in the file, `shape` gives the output's shape or raises GraphError."""

    name: str
    code: int
    operands: tuple[Operand, ...]
    attributes: tuple[Attribute, ...]
    shape: ShapeRule
    summary: str

    def complete(self, given: Mapping[str, Any]) -> dict[str, AttributeValue]:
        """All attributes: those given, checked, and the defaults of the others. Raises GraphError."""
        unknown = set(given) - {attribute.name for attribute in self.attributes}
        if unknown:
            known = ", ".join(attribute.name for attribute in self.attributes) or "none"
            raise GraphError(f"unknown attribute {', '.join(sorted(unknown))}; {self.name} has {known}.")
        result: dict[str, AttributeValue] = {}
        for attribute in self.attributes:
            if attribute.name in given:
                result[attribute.name] = attribute.checked(given[attribute.name])
            elif attribute.default is not None:
                result[attribute.name] = attribute.default
            else:
                raise GraphError(f"{attribute.name} is missing; it must be {attribute.allowed}.")
        return result

    def check_operands(self, constant: Sequence[bool | None]) -> None:
        """Raise GraphError unless as many operands are given as allowed; each is True (a constant), False or None."""
        variadic = bool(self.operands) and self.operands[-1].variadic
        if len(constant) > len(self.operands) and not variadic:
            raise GraphError(f"{len(constant)} inputs given, at most {len(self.operands)} allowed.")
        for index, operand in enumerate(self.operands):
            is_constant = constant[index] if index < len(constant) else None
            if is_constant is None and not operand.optional:
                raise GraphError(f"input {operand.name!r} is missing.")
            if is_constant is False and operand.constant:
                raise GraphError(f"input {operand.name!r} must be a constant.")
        if any(item is None for item in constant[len(self.operands) :]):
            raise GraphError("none of its inputs may be left out.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_float(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _single(value: float) -> float:
    """The nearest float32: attributes are kept as precisely as the file keeps them."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


_X = Operand("x")
_WEIGHT = Operand("weight", constant=True)
_BIAS = Operand("bias", constant=True, optional=True)
_TWO = (Operand("a"), Operand("b"))
_KERNEL = Attribute("kernel", "ints", low=1)
_STRIDES = Attribute("strides", "ints", (), low=1, neutral=1)
_DILATIONS = Attribute("dilations", "ints", (), low=1, neutral=1)
_PADS = Attribute("pads", "ints", (), low=0, neutral=0)
_CEIL = Attribute("ceil_mode", "flag", False)
_AXIS = Attribute("axis", "int", low=0)


def _same(name: str, code: int, summary: str, *attributes: Attribute) -> Operator:
    return Operator(name, code, (_X,), attributes, rule.same, summary)


# Codes are in the order of how often the operators occur, which saves bits. They never change once released.
_ALL = (
    Operator(
        "Conv",
        1,
        (_X, _WEIGHT, _BIAS),
        (_STRIDES, _PADS, _DILATIONS, Attribute("groups", "int", 1, low=1)),
        rule.conv,
        "Cross-correlation of x (N, C, *S) with weight (O, C/groups, *K), plus bias (O,).",
    ),
    _same("Relu", 2, "max(x, 0)."),
    Operator(
        "Linear",
        3,
        (_X, _WEIGHT, _BIAS),
        (),
        rule.linear,
        "x (..., I) times the transpose of weight (O, I), plus bias (O,).",
    ),
    Operator(
        "MaxPool",
        4,
        (_X,),
        (_KERNEL, _STRIDES, _PADS, _DILATIONS, _CEIL),
        rule.pool,
        "Largest value of each window; padding never wins.",
    ),
    Operator(
        "Reshape",
        5,
        (_X,),
        (Attribute("shape", "ints", low=-1),),
        rule.reshape,
        "The same values in another shape; one size may be -1: what remains (the batch, where that is open).",
    ),
    Operator("Add", 6, _TWO, (), rule.broadcast, "a + b, broadcast as in NumPy."),
    Operator(
        "AdaptiveAveragePool",
        7,
        (_X,),
        (Attribute("size", "ints", low=1),),
        rule.adaptive_pool,
        "Means over windows floor(i*S/size) .. ceil((i+1)*S/size), so that `size` values remain; size 1 is global.",
    ),
    Operator("Mul", 8, _TWO, (), rule.broadcast, "a * b, broadcast as in NumPy."),
    Operator("Concat", 9, (Operand("x", variadic=True),), (_AXIS,), rule.concat, "All inputs, one after another."),
    _same(
        "Clip",
        10,
        "min(max(x, minimum), maximum).",
        Attribute("minimum", "float", -math.inf),
        Attribute("maximum", "float", math.inf),
    ),
    _same("HardSwish", 11, "x * min(max(x / 6 + 1/2, 0), 1)."),
    _same("Sigmoid", 12, "1 / (1 + exp(-x))."),
    _same(
        "HardSigmoid",
        13,
        "min(max(alpha * x + beta, 0), 1).",
        Attribute("alpha", "float", _single(1 / 6)),
        Attribute("beta", "float", 0.5),
    ),
    _same("Silu", 14, "x / (1 + exp(-x))."),
    Operator(
        "AveragePool",
        15,
        (_X,),
        (_KERNEL, _STRIDES, _PADS, _DILATIONS, _CEIL, Attribute("count_include_pad", "flag", False)),
        rule.pool,
        "Mean of each window; padding counts as zeros with count_include_pad, and not at all without.",
    ),
    Operator(
        "Transpose",
        16,
        (_X,),
        (Attribute("order", "ints", low=0),),
        rule.transpose,
        "Output axis i is input axis order[i].",
    ),
    _same(
        "Gelu",
        17,
        "x * Phi(x), Phi the normal distribution; or its approximation by tanh.",
        Attribute("approximate", "choice", "none", choices=("none", "tanh")),
    ),
    Operator(
        "LayerNorm",
        18,
        (_X, Operand("scale", constant=True, optional=True), _BIAS),
        (Attribute("axis", "int", low=0), Attribute("epsilon", "float", _single(1e-5))),
        rule.layer_norm,
        "(x - mean) / sqrt(variance + epsilon) over all axes from `axis` on, times scale, plus bias.",
    ),
    Operator(
        "Mean",
        19,
        (_X,),
        (Attribute("axes", "ints", low=0), Attribute("keepdims", "flag", True)),
        rule.mean,
        "Mean over the axes.",
    ),
    Operator(
        "Slice",
        20,
        (_X,),
        (
            _AXIS,
            Attribute("start", "int", 0, low=0),
            Attribute("stop", "int", low=1),
            Attribute("step", "int", 1, low=1),
        ),
        rule.cut,
        "Entries start, start + step, ... below stop along the axis.",
    ),
    Operator("Softmax", 21, (_X,), (_AXIS,), rule.along_axis, "exp(x) over its sum along the axis."),
    Operator(
        "LogSoftmax", 22, (_X,), (_AXIS,), rule.along_axis, "x minus the log of the sum of exp(x) along the axis."
    ),
    _same("LeakyRelu", 23, "x where x >= 0, alpha * x elsewhere.", Attribute("alpha", "float", _single(0.01))),
    Operator("Sub", 24, _TWO, (), rule.broadcast, "a - b, broadcast as in NumPy."),
    Operator("Div", 25, _TWO, (), rule.broadcast, "a / b, broadcast as in NumPy."),
    Operator(
        "Pad",
        26,
        (_X,),
        (
            Attribute("pads", "ints"),
            Attribute("mode", "choice", "constant", choices=("constant", "reflect", "edge", "wrap")),
            Attribute("value", "float", 0.0),
        ),
        rule.pad,
        "Pads every axis (all begins, then all ends; a negative one cuts), as numpy.pad.",
    ),
    Operator(
        "Resize",
        27,
        (_X,),
        (
            Attribute("size", "ints", low=1),
            Attribute("scales", "floats", ()),
            Attribute(
                "coordinates",
                "choice",
                "asymmetric",
                choices=(
                    "asymmetric",
                    "half_pixel",
                    "pytorch_half_pixel",
                    "align_corners",
                    "half_pixel_symmetric",
                ),
            ),
            Attribute(
                "rounding",
                "choice",
                "floor",
                choices=("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
            ),
        ),
        rule.resize,
        "Nearest neighbour to `size` (spatial); scales (output / input, default size / S), coordinates and rounding "
        "as ONNX names them.",
    ),
    _same("Tanh", 28, "The hyperbolic tangent."),
    Operator(
        "Lrn",
        29,
        (_X,),
        (
            Attribute("size", "int", low=1),
            Attribute("alpha", "float", _single(1e-4)),
            Attribute("beta", "float", 0.75),
            Attribute("bias", "float", 1.0),
        ),
        rule.lrn,
        "x / (bias + alpha/size * sum of x² over channels c - floor((size-1)/2) .. c + ceil((size-1)/2)) ^ beta.",
    ),
    Operator(
        "MatMul", 30, _TWO, (), rule.matmul, "Matrix product of a (..., I, J) and b (..., J, K), as numpy.matmul."
    ),
    Operator(
        "AdaptiveMaxPool",
        31,
        (_X,),
        (Attribute("size", "ints", low=1),),
        rule.adaptive_pool,
        "Largest values over the same windows as AdaptiveAveragePool.",
    ),
)

OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _ALL}
"""Operator name -> operator, in the order of their codes."""
