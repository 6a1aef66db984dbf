"""One ONNX node, as its translation sees it: operands, attributes, and the way to answer with nodes of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import reshaping
from netsurgery.graph.from_onnx.constants import AnyArray, is_float
from netsurgery.graph.from_onnx.traced import extent_of, extents_of, whole_numbers
from netsurgery.graph.ir import Node, integers_attributes
from netsurgery.graph.operators import OPERATORS, AttributeValue, Shape
from netsurgery.graph.value_types import ValueType, type_of

TYPES = ", ".join(map(str, ValueType))


@dataclass(frozen=True)
class Whole:
    """A known tensor of which only the beginning is used, along axes that follow open ones.

    stops: axis -> how many entries are used along it; where there is one, it stands for all.
    """

    array: AnyArray
    stops: Mapping[int, int]


@dataclass(frozen=True)
class Found:
    """That there are as many entries along an axis as a run finds: the first `count` of those that there may be.

    zeros: all others are 0. spare: so many zeros more lie behind them, of which the first ones are to be cut.
    bounded: the count is never below 0 nor above the axis; else it is one that a Slice takes for its end.
    """

    axis: int
    count: Value
    zeros: bool = False
    spare: int = 0
    bounded: bool = False


@dataclass(frozen=True)
class Value:
    """What an ONNX name stands for. `array`: its entries, if they are known; `name` is then a wish.

    kind: the type of its entries, what a graph makes of it where they are known; None for types that it doesn't have.
    numbers, whole: how known ones follow open axes (`tracing.py`). found: how many of the entries there are, where a
    run decides that (`found.py`). items: the entries of a sequence, which has no others (`sequences.py`).
    """

    name: str
    shape: Shape
    array: AnyArray | None = None
    kind: ValueType | None = ValueType.FLOAT32
    numbers: AnyArray | None = None
    whole: Whole | None = None
    found: Found | None = None
    items: tuple[Value, ...] | None = None

    @property
    def is_weight(self) -> bool:
        """True for known floats, which become a constant; what else is known becomes whole numbers in a node."""
        return self.array is not None and is_float(self.array)


def known(array: AnyArray, name: str) -> Value:
    """A value whose entries are known."""
    return Value(name, tuple(array.shape), array, ValueType.FLOAT32 if is_float(array) else type_of(array.dtype))


def has_no_number(value: Value) -> bool:
    """True for known floats of which some are infinite or NaN."""
    with np.errstate(over="ignore"):
        return value.is_weight and not np.isfinite(np.asarray(value.array, np.float32)).all()


@dataclass(frozen=True)
class Call:
    """A node of an ONNX model. The shapes of all operands are numbers.

    `used`: which of its outputs anything reads. `place` puts a known value into the graph and returns its name.
    `nodes` are the answer. Every method that fetches an operand raises UnsupportedOperatorError if it isn't as needed.
    """

    operands: Sequence[Value | None]
    attributes: Mapping[str, Any]
    opset: int
    used: Sequence[bool]
    where: str
    place: Callable[[Value], str]
    nodes: list[Node] = field(default_factory=list)

    def given(self, index: int) -> bool:
        """True unless the operand is left out."""
        return index < len(self.operands) and self.operands[index] is not None

    def operand(self, index: int) -> Value:
        """An operand that has to be there."""
        value = self.operands[index] if index < len(self.operands) else None
        if value is None:
            raise UnsupportedOperatorError(f"lacks its input {index + 1}")
        return value

    @property
    def x(self) -> Value:
        """The first operand."""
        return self.operand(0)

    def array(self, index: int, role: str) -> AnyArray:
        """The entries of an operand that has to be known."""
        array = self.operand(index).array
        if array is None:
            raise UnsupportedOperatorError(
                f"computes its {role} as the network runs; {role} must be constant (export with it fixed)"
            )
        return array

    def floats(self, index: int, role: str) -> npt.NDArray[np.float64]:
        """Like `array`, as float64."""
        return np.asarray(self.array(index, role), np.float64)

    def whole(self, index: int, name: str, *, operand_from: int) -> tuple[int, ...] | None:
        """Whole numbers that are an attribute before opset `operand_from` and an operand since; None if left out."""
        if self.opset < operand_from:
            return tuple(self.attributes[name]) if name in self.attributes else None
        if not self.given(index):
            return None
        return self.numbers(index, name)

    def numbers(self, index: int, role: str) -> tuple[int, ...]:
        """An operand that is a list of whole numbers and has to be known; each with its extent, where it has one."""
        array, own = self.array(index, role), self.operand(index).numbers
        if own is not None:
            return tuple(own.reshape(-1).tolist())
        return tuple(int(number) for number in array.reshape(-1))

    def axis(self, default: int, rank: int | None = None) -> int:
        """The attribute `axis`, counted from the front."""
        return from_front(self.attributes.get("axis", default), len(self.x.shape) if rank is None else rank)

    def node(self, operator: str, inputs: Sequence[Value | None], **attributes: Any) -> Value:
        """Answer with a node of the graph. Raises GraphError if that doesn't take it."""
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        computed = any(value is not None and value.array is None for value in given)  # else it is folded
        for value in given:
            if computed and value is not None and value.array is not None and 0 in value.shape:
                raise UnsupportedOperatorError(f"reads {value.name!r}, an empty tensor of shape {value.shape}")
            if value is not None and value.array is not None and value.kind is None:
                raise UnsupportedOperatorError(
                    f"reads {value.name!r}, a constant of {value.array.dtype}; {TYPES} are what networks have"
                )
        own = OPERATORS[operator]
        given = [value if own.operand(place).constant else self._finite(value) for place, value in enumerate(given)]
        complete = own.complete(attributes)
        own.check_operands([None if value is None else value.is_weight for value in given])
        kinds = [None if value is None else value.kind for value in given]
        own.check_types(kinds)
        now = {
            name: attributes[name] if name in attributes and known != () else known for name, known in complete.items()
        }
        shape = own.shape([None if value is None else value.shape for value in given], now)
        follows = {one.name for one in own.attributes if one.follows is not None}
        told = own.complete(
            {name: extents_of(now[name]) if name in follows else known for name, known in complete.items()}
        )
        return self._answer(operator, given, told, shape, own.type(kinds, complete))

    def _finite(self, value: Value | None) -> Value | None:
        """A known operand without infinity and NaN: it becomes a quotient, for a file holds finite numbers."""
        if value is None or value.array is None or value.whole is not None or not has_no_number(value):
            return value
        array = np.asarray(value.array, np.float32)
        finite = np.isfinite(array)
        over = known(np.where(finite, array, np.nan_to_num(np.sign(array))), f"{value.name}.over")
        under = self.node("Integers", [], **integers_attributes(finite, ValueType.FLOAT32))
        return self.node("Div", [over, under])

    def as_type(self, x: Value, kind: ValueType) -> Value:
        """The value as another type, if it has another one."""
        return x if x.kind is kind else self.node("Cast", [x], type=str(kind))

    def _answer(
        self,
        operator: str,
        inputs: Sequence[Value | None],
        attributes: Mapping[str, AttributeValue],
        shape: Shape,
        kind: ValueType,
    ) -> Value:
        names = [None if value is None else self._placed(value) for value in inputs]
        output = f"\0{len(self.nodes)}"  # until the answer is settled; no model calls a value so
        self.nodes.append(Node(operator, tuple(names), output, attributes, self.where))
        return Value(output, shape, kind=kind)

    def _placed(self, value: Value) -> str:
        """The name of an operand in the graph."""
        if value.array is None:
            return value.name
        following = None if value.numbers is None or value.whole is not None else whole_numbers(value.numbers)
        if value.kind is None or value.whole is not None or (value.is_weight and following is None):
            return self.place(value)
        given = integers_attributes(value.array, value.kind)
        return self.node("Integers", [], **(given if following is None else {**given, "values": following})).name

    def reshaped(self, x: Value, shape: Sequence[int]) -> Value:
        """The value in another shape."""
        made = self.node("Reshape", [x], shape=tuple(shape))
        before, after = (tuple(map(extent_of, sizes)) for sizes in (x.shape, shape))
        step = self.nodes[-1]
        self.nodes[-1] = replace(step, attributes={**step.attributes, "shape": reshaping(before, after)})
        return made


def from_front(axis: int, rank: int) -> int:
    """An axis counted from the front. Raises UnsupportedOperatorError if there is no such axis."""
    if not -rank <= axis < rank:
        raise UnsupportedOperatorError(f"names axis {axis} of {rank}")
    return axis % rank


def kept_places(size: int, start: int, end: int, step: int) -> range:
    """The places along an axis that ONNX's Slice keeps, in its order. Raises UnsupportedOperatorError for a step of 0.

    A bound beyond an end stands for that end; going backwards, a start before the first place is the first place, where
    Python has none.
    """
    if not step:
        raise UnsupportedOperatorError("slices with a step of 0")
    first, last = (0, size) if step > 0 else (-1, size - 1)
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    return range(min(max(start, 0), last), min(max(end, first), last), step)
