"""What is said of an operator: its operands, attributes, traits and shape rule. What isn't said is the safe answer."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from netsurgery.errors import GraphError, TooSmallError
from netsurgery.graph.extents import Extent
from netsurgery.graph.value_types import ValueType

Shape: TypeAlias = tuple[int, ...]
AttributeValue: TypeAlias = int | float | str | bool | Extent | tuple[int | Extent, ...] | tuple[float, ...]
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
    """Where the attribute `axis` isn't the first one, and constants have fewer axes than what is made."""
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
    GATES = auto()
    """(entries of x's last axis, open)."""
    OUTPUTS = auto()
    """The first axis of the operand before it."""
    FROM_AXIS = auto()
    """x's axes from the attribute `axis` on."""


class Gives(Enum):
    """The type of an operator's output."""

    FLOAT32 = auto()
    FIRST = auto()
    """That of its first operand."""
    LAST = auto()
    """That of its last operand."""
    INT64 = auto()
    BOOL = auto()
    SAID = auto()
    """The one that the attribute `type` names."""


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
    as the node tells. types: those that its entries may have. alike: operands of which this is said have one type.
    """

    name: str
    constant: bool = False
    optional: bool = False
    variadic: bool = False
    expected: Expected = Expected.NOTHING
    types: tuple[ValueType, ...] = (ValueType.FLOAT32,)
    alike: bool = False


@dataclass(frozen=True)
class Attribute:
    """One setting of an operator: its name, its kind, and what it is when nothing is said (None: it must be said).

    Kinds: `int`, `ints` (tuple), `float` (finite or infinite, never NaN), `floats`, `flag`, `choice`.
    `neutral`: an `ints` attribute whose entries all equal this is written as the empty tuple.
    `length`: how many numbers are expected; `most`: how many there may be. `flattens`: a shape that is expected to
    flatten all behind x's first axis. `follows`: the lowest value of a number that follows open axes, an Extent; None:
    none may.
    `torch`: the argument of the operator's ATen overloads that holds it; `torch_values`: what its numbers 0, 1, ...
    mean. `onnx`, `onnx_default`: ONNX's name for it, and what it is there when nothing is said; `onnx_values`: pairs of
    what ONNX says and what that is here, where they differ. Of several with one meaning the first is written.
    `is_axis`: there, a number below 0 counts from the end of x's axes.
    """

    name: str
    kind: str
    default: AttributeValue | None = None
    low: int = -LARGEST_INT
    neutral: int | None = None
    choices: tuple[str, ...] = ()
    length: Length = Length.SPATIAL
    most: int = 16
    flattens: bool = False
    follows: int | None = None
    torch: str = ""
    torch_values: tuple[AttributeValue, ...] = ()
    onnx: str = ""
    onnx_default: AttributeValue | None = None
    onnx_values: tuple[tuple[AttributeValue, AttributeValue], ...] = ()
    is_axis: bool = False

    def checked(self, value: Any) -> AttributeValue:
        """The value in its canonical form. Raises GraphError."""
        if self.kind == "int" and self._is_number(value):
            return value if isinstance(value, Extent) else int(value)
        if self.kind == "flag" and value in (0, 1):
            return bool(value)
        if self.kind == "choice" and value in self.choices:
            return str(value)
        if self.kind == "float" and _is_float(value):
            return single(value)
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > self.most:
            raise GraphError(f"{self.name} has {len(value):,} numbers; at most {self.most:,} are allowed.")
        if self.kind == "floats" and isinstance(value, Sequence) and all(_is_float(item) for item in value):
            return tuple(single(item) for item in value)
        if self.kind == "ints" and isinstance(value, Sequence) and all(self._is_number(item) for item in value):
            given = tuple(item if isinstance(item, Extent) else int(item) for item in value)
            return () if self.neutral is not None and all(item == self.neutral for item in given) else given
        raise GraphError(f"{self.name}={value!r} is not allowed: {self.name} must be {self.allowed}.")

    def at(self, value: AttributeValue, sizes: Mapping[str, int]) -> AttributeValue:
        """The value with numbers in the place of those that follow open axes. Raises GraphError."""
        if isinstance(value, tuple):
            return tuple(self._at(item, sizes) if isinstance(item, Extent) else item for item in value)
        return self._at(value, sizes) if isinstance(value, Extent) else value

    def _at(self, extent: Extent, sizes: Mapping[str, int]) -> int:
        number = extent.at(sizes)
        if self.follows is None or number > LARGEST_INT:
            raise GraphError(f"{self.name}={number} is not allowed.")
        if number < self.follows:
            raise TooSmallError(f"{self.name} is {number}; at least {self.follows} is needed.")
        return number

    def _is_number(self, value: Any) -> bool:
        if isinstance(value, Extent):
            return self.follows is not None
        return _is_int(value) and self.low <= value <= LARGEST_INT

    def of_onnx(self, given: Mapping[str, Any]) -> Any:
        """What an ONNX node's attributes say of it."""
        value = given.get(self.onnx, self.onnx_default)
        return dict(self.onnx_values).get(value, value) if self.onnx_values else value

    def as_onnx(self, value: AttributeValue) -> AttributeValue:
        """The value as ONNX says it."""
        for theirs, ours in self.onnx_values:
            if ours == value:
                return theirs
        return int(value) if isinstance(value, bool) else value

    def of_torch(self, given: Any) -> Any:
        """What an argument of ATen means."""
        return self.torch_values[int(given)] if self.torch_values else given

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
    gives: the type of its output.
    torch: ATen overloads that are this operator, with its operands as their first arguments; onnx: ONNX's operator that
    is this one, with the same operands. Both only where the attributes say how each of them is called there and what
    its values mean; what needs more has a translation of its own.
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
    gives: Gives = Gives.FLOAT32
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

    def type(self, types: Sequence[ValueType | None], attributes: Mapping[str, Any]) -> ValueType:
        """The type of the output, for operands of these types."""
        if self.gives is Gives.SAID:
            return ValueType[attributes["type"].upper()]
        if self.gives is Gives.FIRST or self.gives is Gives.LAST:
            return types[0 if self.gives is Gives.FIRST else -1] or ValueType.FLOAT32
        return ValueType[self.gives.name]

    @property
    def variadic(self) -> bool:
        """True if its last operand stands for any number of them."""
        return bool(self.operands) and self.operands[-1].variadic

    def operand(self, place: int) -> Operand:
        """The operand that input number `place` is: a variadic one stands for all that follow it."""
        return self.operands[min(place, len(self.operands) - 1)]

    def check_types(self, types: Sequence[ValueType | None]) -> None:
        """Raise GraphError unless each operand, where it isn't left out, has a type that it may have.

        Those that have to be alike have one type together.
        """
        first: ValueType | None = None
        for place, given in enumerate(types):
            operand = self.operand(place)
            if given is not None and given not in operand.types:
                allowed = " or ".join(map(str, operand.types))
                raise GraphError(f"input {operand.name!r} is {given}; it must be {allowed}.")
            if operand.alike and given is not None:
                first = first or given
                if given is not first:
                    raise GraphError(f"input {operand.name!r} is {given}, another one is {first}; they must be alike.")

    def check_operands(self, constant: Sequence[bool | None]) -> None:
        """Raise GraphError unless as many operands are given as allowed; each is True (a constant), False or None."""
        if len(constant) > len(self.operands) and not self.variadic:
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


def single(value: float) -> float:
    """The nearest float32: attributes are kept as precisely as the file keeps them."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
