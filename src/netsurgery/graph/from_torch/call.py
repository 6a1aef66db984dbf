"""One call of an ATen operator, as its translation sees it: arguments by name, and the way to answer with nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number
from netsurgery.graph.from_torch.extents import Symbols
from netsurgery.graph.from_torch.open_numbers import floats_of, is_whole
from netsurgery.graph.ir import GraphBuilder
from netsurgery.graph.operators.integers import MOST_INTEGERS
from netsurgery.graph.value_types import ValueType


@dataclass(frozen=True)
class Open:
    """A size that follows from open axes: torch's expression for it, in its own symbols."""

    expression: Any  # of sympy

    def __str__(self) -> str:
        return str(self.expression)


Sizes: TypeAlias = tuple[int | Open, ...]


@dataclass(frozen=True)
class Activation:
    """A value that the graph computes."""

    name: str
    shape: Sizes


@dataclass(frozen=True)
class Missing:
    """Stands where an operator that isn't supported would have given a value."""


@dataclass(frozen=True)
class Zeros:
    """Zeros in a shape that follows open axes: a state that a recurrent layer begins with, places of a first row."""

    shape: Sizes
    kind: ValueType = ValueType.FLOAT32


@dataclass(frozen=True)
class Constant:
    """A value that is known now. `name`: what it is called if the graph comes to need it."""

    tensor: torch.Tensor
    name: str

    @property
    def shape(self) -> Sizes:
        return tuple(self.tensor.shape)


@dataclass(frozen=True)
class Cut:
    """The beginning of a tensor that is known now, along axes that follow open ones: a table of positions, a mask.

    stops: axis -> how many entries there are along it. endless: the tensor holds the first of whole numbers that go on
    at even steps along its only axis longer than 1.
    """

    whole: Constant
    stops: Mapping[int, Open]
    endless: bool = False

    @property
    def shape(self) -> Sizes:
        return tuple(self.stops.get(place, size) for place, size in enumerate(self.whole.tensor.shape))


def pointwise(value: Constant | Cut, function: Callable[[torch.Tensor], torch.Tensor]) -> Constant | Cut:
    """What a function makes of each entry."""
    if isinstance(value, Constant):
        return Constant(function(value.tensor), value.name)
    return Cut(Constant(function(value.whole.tensor), value.whole.name), value.stops)


def memory(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Equal for tensors that are the same numbers in the same place, as long as they live."""
    if tensor.layout is not torch.strided:  # sparse ones have several memories
        return (id(tensor),)
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())


def sizes_of(tensor: torch.Tensor) -> Sizes:
    """The shape of a tensor that torch.export traced."""
    return tuple(size if isinstance(size, int) else Open(size.node.expr) for size in tensor.shape)


def product(sizes: Sequence[int | Open]) -> Any:
    """A number, or sympy's expression where open sizes are among them; equal products have equal expressions."""
    result: Any = 1
    for size in sizes:
        result = result * (size.expression if isinstance(size, Open) else size)
    return result if isinstance(result, int) else result.expand()


def in_a_row(sizes: Sizes) -> Sizes:
    """The shape of as many entries along one axis."""
    count = product(sizes)
    return (count if isinstance(count, int) else Open(count),)


FIX = "fix that axis by leaving it out of open_axes, or export the program without it"


def reshaping(before: Sizes, after: Sizes) -> tuple[int, ...] | None:
    """The attribute of a Reshape between these shapes: 0 where an open size stays in its place, -1 for one other.

    A single open size is -1. None if more of them can't be told.
    """
    places = [place for place, size in enumerate(after) if isinstance(size, Open)]
    if len(places) > 1:
        places = [place for place in places if after[place : place + 1] != before[place : place + 1]]
    if len(places) > 1:
        return None
    return tuple(-1 if place in places else size if isinstance(size, int) else 0 for place, size in enumerate(after))


class Constants:
    """Puts tensors into a graph: float32 as constants, others as whole numbers in a node.

    They are copies, and each is there once for each type, under however many names it goes.
    """

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._names: dict[tuple[Any, ...], str] = {}  # by memory and type
        self._wishes: dict[tuple[Any, ...], str] = {}
        self._learned: set[int] = set()
        self._alive: list[torch.Tensor] = []  # so that no other tensor comes to lie at an address known here

    def register(self, constant: Constant, *, learned: bool) -> None:
        """This memory is called so, whichever way a later view came to it; the first name stays."""
        self._alive.append(constant.tensor)
        if learned:
            self._learned.add(constant.tensor.untyped_storage().data_ptr())
        self._wishes.setdefault(memory(constant.tensor), constant.name)

    def may_be_infinite(self, constant: Constant) -> bool:
        """Whether a tensor of floats isn't finite and no parameter, which a file takes finite only."""
        tensor = constant.tensor
        if not tensor.is_floating_point() or tensor.untyped_storage().data_ptr() in self._learned:
            return False
        return not bool(tensor.isfinite().all())

    def place(self, constant: Constant, kind: ValueType = ValueType.FLOAT32) -> str:
        """The constant's name in the graph, as a value of this type. Raises GraphError for too many whole numbers."""
        memory_of = memory(constant.tensor)
        key = (*memory_of, kind)
        if key not in self._names:
            self._alive.append(constant.tensor)
            name = self._wishes.get(memory_of, constant.name)
            if kind is ValueType.FLOAT32:
                values = constant.tensor.to(torch.float32).contiguous().numpy().view()
                values.flags.writeable = False  # it may be the model's own memory
                self._names[key] = self._builder.constant(values, name)
            else:
                whole = constant.tensor.to(torch.bool if kind is ValueType.BOOL else torch.int64)
                self._names[key] = self._builder.integers(whole.numpy(), kind, name)
        return self._names[key]


@dataclass(frozen=True)
class Call:
    """A call. `arguments` are named by ATen's schema, with defaults; `shape` is the (first) output's.

    `types`: of its outputs, in the graph. `used`: which of several outputs anything reads. `name`: the output's name.
    `origins`: the name of a value whose first size is a product of several -> the same values before these were
    multiplied. `symbols`: of open axes. `cuts_whole`: a slice that torch knows the size of is as long at any size of
    the axis that it cuts, which has to have room for it. `strides`: of the first argument in torch's memory. Every
    method that fetches an argument raises UnsupportedOperatorError where it is of a kind that the graph has no place
    for.
    """

    arguments: Mapping[str, Any]
    shape: Sizes
    used: frozenset[int]
    name: str
    place: str
    builder: GraphBuilder
    constants: Constants
    origins: dict[str, Activation]
    symbols: Symbols
    types: tuple[ValueType, ...] = (ValueType.FLOAT32,)
    cuts_whole: bool = False
    strides: Sizes = ()

    @property
    def kind(self) -> ValueType:
        """The type of the (first) output."""
        return self.types[0]

    @property
    def first(self) -> str:
        """The schema's name of the first argument: `self` or `input`."""
        return next(iter(self.arguments))

    def given(self, argument: str) -> bool:
        """True unless the argument is absent or None."""
        return self.arguments.get(argument) is not None

    def sizes(self, argument: str) -> Sizes:
        """A tensor argument's shape."""
        value = self.arguments[argument]
        return value.shape if isinstance(value, Activation | Constant | Cut | Zeros) else ()

    def operand(self, argument: str) -> str:
        """A tensor or number as a value of the graph."""
        return self.placed(self.arguments[argument], argument)

    def operand_as(self, argument: str, kind: ValueType) -> str:
        """A tensor or number as a value of this type: as torch converts what its operators promote."""
        return self.placed(self.arguments[argument], argument, kind)

    def promoted(self, argument: str = "") -> str:
        """A tensor or number as a value of the output's type; the first argument if none is named."""
        return self.operand_as(argument or self.first, self.kind)

    def placed(self, value: Any, argument: str = "constant", kind: ValueType | None = None) -> str:
        """A value's name in the graph; what is known becomes a constant named for the argument.

        kind: the type that it is to have; None for its own where it is computed, and float32 where it is known.
        """
        shape = getattr(value, "shape", ())
        if 0 in shape:
            raise UnsupportedOperatorError(
                f"takes a tensor without entries, of shape ({', '.join(map(str, shape))}), which only torch.cat goes "
                "without"
            )
        if isinstance(value, Activation):
            if kind is None or self.builder.type_of(value.name) is kind:
                return value.name
            return self.node("Cast", [value.name], argument, type=str(kind))
        if isinstance(value, Cut):
            return self._cut(value, kind)
        if isinstance(value, Open):
            return self._computed(value, kind)
        if isinstance(value, Zeros):
            zero = self.constants.place(Constant(torch.zeros(()), f"{self.name}.zero"), kind or value.kind)
            return self.expanded(zero, value.shape, argument)
        if not isinstance(value, Constant):
            value = Constant(torch.as_tensor(value), f"{self.name}.{argument}")
        if kind in (None, ValueType.FLOAT32) and self.constants.may_be_infinite(value):
            return self._quotient(value)
        return self.constants.place(value, kind or ValueType.FLOAT32)

    def _quotient(self, value: Constant) -> str:
        """Known floats that aren't all finite as quotients, for a file holds finite numbers: 1 / 0, -1 / 0, 0 / 0."""
        tensor, finite = value.tensor, value.tensor.isfinite()
        signs = torch.where(tensor.isinf(), tensor.sign(), torch.zeros_like(tensor))
        over = Constant(torch.where(finite, tensor, signs).float(), value.name)
        if finite.numel() > MOST_INTEGERS:  # compared, so that nothing folds it
            marks = self.constants.place(Constant(finite.float(), f"{value.name}.finite"))
            is_finite = self.node("NotEqual", [marks, self.placed(0.0, "zero")], "finite")
            under = self.node("Cast", [is_finite], "finite", type=str(ValueType.FLOAT32))
        else:
            under = self.builder.integers(finite.numpy(), ValueType.FLOAT32, f"{value.name}.finite", self.place)
        return self.node("Div", [self.constants.place(over), under], "unbounded")

    def _cut(self, value: Cut, kind: ValueType | None) -> str:
        """The beginning of a constant, as float32 or another type."""
        if value.endless:
            start, second = value.whole.tensor.flatten()[:2].tolist()
            first = self.constants.place(Constant(torch.tensor(float(start)), f"{self.name}.first"))
            (axis, length), rank = *value.stops.items(), value.whole.tensor.ndim
            places = self.node("Range", [first], "range", count=self.extent(length), scale=float(second - start))
            if rank > 1:
                shape = tuple(-1 if place == axis else 1 for place in range(rank))
                places = self.node("Reshape", [places], "range", shape=shape)
            floats = kind is None or kind is ValueType.FLOAT32
            return places if floats else self.node("Cast", [places], "places", type=str(kind))
        whole, largest = value.whole, torch.finfo(torch.float32).max
        if whole.tensor.is_floating_point():  # a mask hides by the lowest number as well, and a file holds finite ones
            whole = Constant(whole.tensor.clamp(-largest, largest), whole.name)
        name = self.constants.place(whole, kind or ValueType.FLOAT32)
        for axis, stop in value.stops.items():
            name = self.node("Slice", [name], "cut", axis=axis, start=0, stop=self.extent(stop))
        return name

    def _computed(self, value: Open, kind: ValueType | None) -> str:
        """A number that torch computes from open sizes, without axes."""
        if is_whole(value.expression):
            return self.size_value(value, kind or ValueType.FLOAT32)
        made = floats_of(
            value.expression,
            lambda whole: self.size_value(Open(whole)),
            lambda number: self.placed(number, "number"),
            lambda operator, operands: self.node(operator, operands, "number"),
        )
        return made if kind in (None, ValueType.FLOAT32) else self.node("Cast", [made], "number", type=str(kind))

    def size_value(self, size: int | Open | Number, kind: ValueType = ValueType.FLOAT32) -> str:
        """A size as a value of the graph, without axes."""
        number = self.extent(size) if isinstance(size, Open) else size
        return self.node("Integers", [], "size", type=str(kind), shape=(), values=(number,))

    def extent(self, size: int | Open) -> Number:
        """A size as a number that the graph works out at each size of its axes."""
        return int(size) if isinstance(size, int) else self.symbols.extent(size.expression)

    def whole_number(self, argument: str) -> Number | None:
        """A whole number that may follow open axes; None if it is left out."""
        value = self.arguments[argument]
        return self.extent(value) if isinstance(value, Open) else self.number(argument)

    def optional(self, argument: str) -> str | None:
        """Like `operand`; None where it is left out."""
        return self.operand(argument) if self.given(argument) else None

    def parameter(self, argument: str) -> Constant:
        """A tensor that has to be known now."""
        value = self.arguments[argument]
        if not isinstance(value, Constant):
            raise UnsupportedOperatorError(f"its {argument} must be a parameter or a constant, not a computed value")
        return value

    def number(self, argument: str) -> Any:
        """A number that has to be known now."""
        value = self.arguments[argument]
        if isinstance(value, Constant) and value.tensor.numel() == 1:
            return value.tensor.item()
        if isinstance(value, Open | Activation | Constant):
            fix = f"; {FIX}" if isinstance(value, Open) else ""
            raise UnsupportedOperatorError(f"its {argument} must be a number that doesn't depend on the input{fix}")
        return value

    def whole(self, argument: str, count: int) -> tuple[int, ...]:
        """`count` whole numbers, of which ATen lets a single one stand for all. Raises UnsupportedOperatorError."""
        value = self.arguments[argument]
        values = tuple(value) if isinstance(value, Sequence) else (value,)
        if any(isinstance(number, Open) for number in values):
            raise UnsupportedOperatorError(f"takes {argument} that follows open axes; {FIX}")
        return values * count if len(values) == 1 else values

    def axes(self, argument: str) -> tuple[int, ...]:
        """Axes of the first argument, counted from the front; all of them where none is named."""
        rank = len(self.sizes(self.first))
        value = self.arguments.get(argument)
        named = tuple(value) if isinstance(value, Sequence) else () if value is None else (value,)
        return tuple(axis % rank for axis in named) if named else tuple(range(rank))

    def axis(self, argument: str = "dim") -> int:
        """One axis of the first argument, counted from the front."""
        return self.axes(argument)[0]

    def known(self, sizes: Sizes) -> tuple[int, ...]:
        """Sizes none of which may be open."""
        closed = tuple(size for size in sizes if isinstance(size, int))
        if len(closed) < len(sizes):
            raise UnsupportedOperatorError(f"works along an axis whose size is open; {FIX}")
        return closed

    def node(self, operator: str, inputs: Sequence[str | None], suffix: str = "", **attributes: Any) -> str:
        """Answer with a node of the graph. `suffix` tells the nodes before the last one apart."""
        name = f"{self.name}.{suffix}" if suffix else self.name
        return self.builder.node(operator, inputs, name, self.place, **attributes)

    def expanded(self, x: str, sizes: Sizes, suffix: str = "") -> str:
        """The value, broadcast to these sizes."""
        return self.node("Expand", [x], suffix, shape=tuple(map(self.extent, sizes)))

    def reshaped(self, x: str, before: Sizes, after: Sizes, suffix: str = "") -> str:
        """The value in another shape; the value itself if it has it already."""
        if before == after:
            return x
        origin = self.origins.get(x)
        target = reshaping(before, after)
        if target is None and origin is not None:
            x, before = origin.name, origin.shape
            if before == after:
                return x
            target = reshaping(before, after)
        if target is not None:
            made = self.node("Reshape", [x], suffix, shape=target)
            self._remember_origin(made, x, before, after)
            return made
        return self.node("Reshape", [x], suffix, shape=tuple(self.extent(size) for size in after))

    def _remember_origin(self, made: str, x: str, before: Sizes, after: Sizes) -> None:
        """Keep what the first axis of a value is a product of, if that is more than one open size."""
        lead = next((count for count in range(2, len(before)) if product(before[:count]) == product(after[:1])), None)
        if lead is None or sum(isinstance(size, Open) for size in before[:lead]) < 2:
            return
        apart = (*before[:lead], *after[1:])
        target = reshaping(before, apart)
        if target is not None:
            name = x if apart == before else self.node("Reshape", [x], "apart", shape=target)
            self.origins[made] = Activation(name, apart)

    def transposed(self, x: str, order: Sequence[int], suffix: str = "") -> str:
        """The value with its axes in this order; the value itself if they are."""
        return x if list(order) == list(range(len(order))) else self.node("Transpose", [x], suffix, order=tuple(order))
