"""The operator table: every operator that a graph can hold, with its operands, attributes, traits and shape rule.

Readers, passes, the file, the reference executor, the engine and docs/operators.md all read this one table. A trait
that isn't said is the safe one: nothing is known of what the operator does to entries, channels and images, and what
asks finds the general path.

Operands and outputs are float32 where nothing else is said. `N` is the batch, `C` channels, the axes after them are
spatial (one to three of them).

Attributes that have one number for each spatial axis (`strides`, `dilations`) or two (`pads`: all begins, then all
ends) may be the empty tuple, which means "all at their default"; `complete` writes them so.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from netsurgery.errors import GraphError
from netsurgery.graph import shapes as rule
from netsurgery.graph.value_types import WHOLE, ValueType

Shape: TypeAlias = tuple[int, ...]
AttributeValue: TypeAlias = int | float | str | bool | tuple[int, ...] | tuple[float, ...]
ShapeRule: TypeAlias = Callable[[Sequence[Any], Mapping[str, Any]], Shape]

LARGEST_INT = 2**31 - 1
"""No integer of a graph lies beyond ± this."""


class Work(Enum):
    """What an entry of the output depends on: what passes and planners may make of it."""

    OTHER = auto()
    """On anything."""
    ENTRYWISE = auto()
    """On the same entry of the only operand."""
    BROADCAST = auto()
    """On one entry of each of two operands, broadcast as in NumPy."""
    LAYER = auto()
    """On a sum of entries times the weights of one output: makes units. Operands x, weight and perhaps bias."""
    SPATIAL = auto()
    """On the same map of x (N, C, *S): channels stay apart."""


class Images(Enum):
    """Where an operator keeps the entries of its operands' first axes apart, so that a batch can be cut."""

    TOGETHER = auto()
    """Nowhere, as far as anybody knows."""
    APART = auto()
    """Everywhere."""
    APART_IN_MATRICES = auto()
    """Where x has two axes or more."""
    APART_IN_BROADCASTS = auto()
    """Where every operand has the batch in front, or is a constant without it."""
    APART_IN_PRODUCTS = auto()
    """Where the batch is none of the two axes that are multiplied."""
    APART_BEHIND_AXIS = auto()
    """Where the attribute `axis` isn't the first one; of several operands none is a constant then."""
    APART_OUTSIDE_AXES = auto()
    """Where the attribute `axes` leaves the first one out."""
    APART_IN_ORDER = auto()
    """Where the attribute `order` leaves the first axis in front."""
    APART_UNPADDED = auto()
    """Where the attribute `pads` leaves the first axis as it is."""


class Expected(Enum):
    """The shape that a constant operand of a node is expected to have: what of it the file needn't say."""

    NOTHING = auto()
    KERNEL = auto()
    """(open, channels of x / groups, open, ...), as many axes as x has."""
    MATRIX = auto()
    """(open, entries of x's last axis)."""
    OUTPUTS = auto()
    """The first axis of the operand before it."""
    FROM_AXIS = auto()
    """x's axes from the attribute `axis` on."""


class Length(Enum):
    """How many numbers an attribute of kind `ints` or `floats` is expected to have: more or fewer cost a few bits."""

    SPATIAL = auto()
    """One for each spatial axis of x."""
    TWICE_SPATIAL = auto()
    RANK = auto()
    """One for each axis of x."""
    TWICE_RANK = auto()
    ONE = auto()
    TWO = auto()

    def of(self, rank: int) -> int:
        """The number, for x with that many axes."""
        spatial = max(rank - 2, 0)
        return {
            Length.SPATIAL: spatial,
            Length.TWICE_SPATIAL: 2 * spatial,
            Length.RANK: rank,
            Length.TWICE_RANK: 2 * rank,
            Length.ONE: 1,
            Length.TWO: 2,
        }[self]


@dataclass(frozen=True)
class Operand:
    """One input of an operator.

    constant: it has to be a constant of the graph (weights, biases); kernels take it over. expected: its shape, as far
    as the node tells. types: those that its entries may have.
    """

    name: str
    constant: bool = False
    optional: bool = False
    variadic: bool = False
    expected: Expected = Expected.NOTHING
    types: tuple[ValueType, ...] = (ValueType.FLOAT32,)


@dataclass(frozen=True)
class Attribute:
    """One setting of an operator: its name, its kind, and what it is when nothing is said (None: it must be said).

    Kinds: `int`, `ints` (tuple), `float` (finite or infinite, never NaN), `floats`, `flag`, `choice`.
    `neutral`: an `ints` attribute whose entries all equal this is written as the empty tuple.
    `length`: how many numbers are expected. `flattens`: a shape that is expected to flatten all behind x's first axis.
    `torch`: the argument of the operator's ATen overloads that holds it. `onnx`, `onnx_default`: ONNX's name for it,
    and what it is there when nothing is said.
    """

    name: str
    kind: str
    default: AttributeValue | None = None
    low: int = -LARGEST_INT
    neutral: int | None = None
    choices: tuple[str, ...] = ()
    length: Length = Length.SPATIAL
    flattens: bool = False
    torch: str = ""
    onnx: str = ""
    onnx_default: AttributeValue | None = None

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
    """An operator: `code` is its number in the file, `shape` gives the output's shape or raises GraphError.

    work, images, moves: traits, the safe ones by default. moves: each entry of the output is one of the only operand's.
    What it gives is float32.
    torch: ATen overloads that are this operator, with its only operand as their first argument; onnx: ONNX's operator
    that is this one. Both only where attributes are renamed at most; what needs more has a translation of its own.
    """

    name: str
    code: int
    operands: tuple[Operand, ...]
    attributes: tuple[Attribute, ...]
    shape: ShapeRule
    summary: str
    work: Work = Work.OTHER
    images: Images = Images.TOGETHER
    moves: bool = False
    torch: str = ""
    onnx: str = ""

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

    def operand(self, place: int) -> Operand:
        """The operand that input number `place` is: a variadic one stands for all that follow it."""
        return self.operands[min(place, len(self.operands) - 1)]

    def check_types(self, types: Sequence[ValueType | None]) -> None:
        """Raise GraphError unless each operand, where it isn't left out, has a type that it may have."""
        for place, given in enumerate(types):
            operand = self.operand(place)
            if given is not None and given not in operand.types:
                allowed = " or ".join(map(str, operand.types))
                raise GraphError(f"input {operand.name!r} is {given}; it must be {allowed}.")

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
_BIAS = Operand("bias", constant=True, optional=True, expected=Expected.OUTPUTS)
_TWO = (Operand("a"), Operand("b"))
_KERNEL = Attribute("kernel", "ints", low=1)
_STRIDES = Attribute("strides", "ints", (), low=1, neutral=1)
_DILATIONS = Attribute("dilations", "ints", (), low=1, neutral=1)
_PADS = Attribute("pads", "ints", (), low=0, neutral=0, length=Length.TWICE_SPATIAL)
_CEIL = Attribute("ceil_mode", "flag", False)
_AXIS = Attribute("axis", "int", low=0)


def _entrywise(name: str, code: int, summary: str, *attributes: Attribute, torch: str = "", onnx: str = "") -> Operator:
    return Operator(
        name,
        code,
        (_X,),
        attributes,
        rule.same,
        summary,
        work=Work.ENTRYWISE,
        images=Images.APART,
        torch=torch,
        onnx=onnx,
    )


def _broadcast(name: str, code: int, summary: str) -> Operator:
    return Operator(
        name,
        code,
        _TWO,
        (),
        rule.broadcast,
        summary,
        work=Work.BROADCAST,
        images=Images.APART_IN_BROADCASTS,
    )


# Codes are in the order of how often the operators occur, which saves bits. They never change once released.
_ALL = (
    Operator(
        "Conv",
        1,
        (_X, Operand("weight", constant=True, expected=Expected.KERNEL), _BIAS),
        (_STRIDES, _PADS, _DILATIONS, Attribute("groups", "int", 1, low=1)),
        rule.conv,
        "Cross-correlation of x (N, C, *S) with weight (O, C/groups, *K), plus bias (O,).",
        work=Work.LAYER,
        images=Images.APART,
    ),
    _entrywise("Relu", 2, "max(x, 0).", torch="relu.default", onnx="Relu"),
    Operator(
        "Linear",
        3,
        (_X, Operand("weight", constant=True, expected=Expected.MATRIX), _BIAS),
        (),
        rule.linear,
        "x (..., I) times the transpose of weight (O, I), plus bias (O,).",
        work=Work.LAYER,
        images=Images.APART_IN_MATRICES,
    ),
    Operator(
        "MaxPool",
        4,
        (_X,),
        (_KERNEL, _STRIDES, _PADS, _DILATIONS, _CEIL),
        rule.pool,
        "Largest value of each window; padding never wins.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "Reshape",
        5,
        (_X,),
        (Attribute("shape", "ints", low=-1, length=Length.TWO, flattens=True),),
        rule.reshape,
        "The same values in another shape. A size of 0 is that of x in the same place; one may be -1: what remains.",
        images=Images.APART,  # where the batch stays the first axis, which shapes tell
        moves=True,
    ),
    _broadcast("Add", 6, "a + b, broadcast as in NumPy."),
    Operator(
        "AdaptiveAveragePool",
        7,
        (_X,),
        (Attribute("size", "ints", low=1),),
        rule.adaptive_pool,
        "Means over windows floor(i*S/size) .. ceil((i+1)*S/size), so that `size` values remain; size 1 is global.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    _broadcast("Mul", 8, "a * b, broadcast as in NumPy."),
    Operator(
        "Concat",
        9,
        (Operand("x", variadic=True),),
        (_AXIS,),
        rule.concat,
        "All inputs, one after another.",
        images=Images.APART_BEHIND_AXIS,
    ),
    _entrywise(
        "Clip",
        10,
        "min(max(x, minimum), maximum).",
        Attribute("minimum", "float", -math.inf),
        Attribute("maximum", "float", math.inf),
    ),
    _entrywise("HardSwish", 11, "x * min(max(x / 6 + 1/2, 0), 1).", torch="hardswish.default", onnx="HardSwish"),
    _entrywise("Sigmoid", 12, "1 / (1 + exp(-x)).", torch="sigmoid.default", onnx="Sigmoid"),
    _entrywise(
        "HardSigmoid",
        13,
        "min(max(alpha * x + beta, 0), 1).",
        Attribute("alpha", "float", _single(1 / 6), onnx="alpha", onnx_default=0.2),
        Attribute("beta", "float", 0.5, onnx="beta", onnx_default=0.5),
        torch="hardsigmoid.default",
        onnx="HardSigmoid",
    ),
    _entrywise("Silu", 14, "x / (1 + exp(-x)).", torch="silu.default"),
    Operator(
        "AveragePool",
        15,
        (_X,),
        (_KERNEL, _STRIDES, _PADS, _DILATIONS, _CEIL, Attribute("count_include_pad", "flag", False)),
        rule.pool,
        "Mean of each window; padding counts as zeros with count_include_pad, and not at all without.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "Transpose",
        16,
        (_X,),
        (Attribute("order", "ints", low=0, length=Length.RANK),),
        rule.transpose,
        "Output axis i is input axis order[i].",
        images=Images.APART_IN_ORDER,
        moves=True,
    ),
    _entrywise(
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
    Operator(
        "LayerNorm",
        18,
        (
            _X,
            Operand("scale", constant=True, optional=True, expected=Expected.FROM_AXIS),
            Operand("bias", constant=True, optional=True, expected=Expected.FROM_AXIS),
        ),
        (Attribute("axis", "int", low=0), Attribute("epsilon", "float", _single(1e-5))),
        rule.layer_norm,
        "(x - mean) / sqrt(variance + epsilon) over all axes from `axis` on, times scale, plus bias.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "Mean",
        19,
        (_X,),
        (Attribute("axes", "ints", low=0, length=Length.ONE), Attribute("keepdims", "flag", True)),
        rule.mean,
        "Mean over the axes.",
        images=Images.APART_OUTSIDE_AXES,
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
        images=Images.APART_BEHIND_AXIS,
        moves=True,
    ),
    Operator(
        "Softmax",
        21,
        (_X,),
        (_AXIS,),
        rule.along_axis,
        "exp(x) over its sum along the axis.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "LogSoftmax",
        22,
        (_X,),
        (_AXIS,),
        rule.along_axis,
        "x minus the log of the sum of exp(x) along the axis.",
        images=Images.APART_BEHIND_AXIS,
    ),
    _entrywise(
        "LeakyRelu",
        23,
        "x where x >= 0, alpha * x elsewhere.",
        Attribute("alpha", "float", _single(0.01), torch="negative_slope", onnx="alpha", onnx_default=0.01),
        torch="leaky_relu.default",
        onnx="LeakyRelu",
    ),
    _broadcast("Sub", 24, "a - b, broadcast as in NumPy."),
    _broadcast("Div", 25, "a / b, broadcast as in NumPy."),
    Operator(
        "Pad",
        26,
        (_X,),
        (
            Attribute("pads", "ints", length=Length.TWICE_RANK),
            Attribute("mode", "choice", "constant", choices=("constant", "reflect", "edge", "wrap")),
            Attribute("value", "float", 0.0),
        ),
        rule.pad,
        "Pads every axis (all begins, then all ends; a negative one cuts), as numpy.pad.",
        images=Images.APART_UNPADDED,
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
        work=Work.SPATIAL,
        images=Images.APART,
        moves=True,
    ),
    _entrywise("Tanh", 28, "The hyperbolic tangent.", torch="tanh.default", onnx="Tanh"),
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
        images=Images.APART,
    ),
    Operator(
        "MatMul",
        30,
        _TWO,
        (),
        rule.matmul,
        "Matrix product of a (..., I, J) and b (..., J, K), as numpy.matmul.",
        images=Images.APART_IN_PRODUCTS,
    ),
    Operator(
        "AdaptiveMaxPool",
        31,
        (_X,),
        (Attribute("size", "ints", low=1),),
        rule.adaptive_pool,
        "Largest values over the same windows as AdaptiveAveragePool.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    _entrywise("Abs", 32, "The magnitude of x.", torch="abs.default", onnx="Abs"),
    Operator(
        "Embedding",
        33,
        (Operand("x", types=WHOLE), Operand("weight", constant=True)),
        (),
        rule.embedding,
        "Row x of weight (V, F) for each entry of x, -V to V - 1; -1 is the last row.",
        images=Images.APART,
    ),
)

OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _ALL}
"""Operator name -> operator, in the order of their codes."""


def working(work: Work) -> tuple[str, ...]:
    """The names of the operators with that trait."""
    return tuple(operator.name for operator in _ALL if operator.work is work)
