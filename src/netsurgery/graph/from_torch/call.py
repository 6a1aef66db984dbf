"""One call of an ATen operator, as its translation sees it: arguments by name, and the way to answer with nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.ir import GraphBuilder


@dataclass(frozen=True)
class Open:
    """A size that follows the batch: torch's expression for it."""

    expression: str

    def __str__(self) -> str:
        return "N"


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
class Constant:
    """A value that is known now. `name`: what it is called if the graph comes to need it."""

    tensor: torch.Tensor
    name: str

    @property
    def shape(self) -> Sizes:
        return tuple(self.tensor.shape)


def memory(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Equal for tensors that are the same numbers in the same place, as long as they live."""
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())


def sizes_of(tensor: torch.Tensor) -> Sizes:
    """The shape of a tensor that torch.export traced."""
    return tuple(size if isinstance(size, int) else Open(str(size)) for size in tensor.shape)


class Constants:
    """Puts tensors into a graph as float32 constants: copies, and each only once, under however many names it goes."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._names: dict[tuple[Any, ...], str] = {}
        self._wishes: dict[tuple[Any, ...], str] = {}
        self._alive: list[torch.Tensor] = []  # so that no other tensor comes to lie at an address known here

    def register(self, constant: Constant) -> None:
        """This memory is called so, whichever way a later view came to it; the first name stays."""
        self._alive.append(constant.tensor)
        self._wishes.setdefault(memory(constant.tensor), constant.name)

    def place(self, constant: Constant) -> str:
        """The constant's name in the graph."""
        key = memory(constant.tensor)
        if key not in self._names:
            self._alive.append(constant.tensor)
            values = constant.tensor.to(torch.float32).contiguous().numpy().view()
            values.flags.writeable = False  # it may be the model's own memory
            self._names[key] = self._builder.constant(values, self._wishes.get(key, constant.name))
        return self._names[key]


@dataclass(frozen=True)
class Call:
    """A call. `arguments` are named by ATen's schema, with defaults; `shape` is the (first) output's.

    `used`: which of several outputs anything reads. `name`: the output's name. Every method that fetches an argument
    raises UnsupportedOperatorError where it is of a kind that the graph has no place for.
    """

    arguments: Mapping[str, Any]
    shape: Sizes
    used: frozenset[int]
    name: str
    place: str
    builder: GraphBuilder
    constants: Constants

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
        return value.shape if isinstance(value, Activation | Constant) else ()

    def operand(self, argument: str) -> str:
        """A tensor or number as a value of the graph."""
        return self.placed(self.arguments[argument], argument)

    def placed(self, value: Any, argument: str = "constant") -> str:
        """A value's name in the graph; what is known becomes a constant named for the argument."""
        if isinstance(value, Activation):
            return value.name
        if isinstance(value, Constant):
            return self.constants.place(value)
        if isinstance(value, Open):
            raise UnsupportedOperatorError("computes with the batch size")
        return self.constants.place(Constant(torch.as_tensor(value), f"{self.name}.{argument}"))

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
            raise UnsupportedOperatorError(f"its {argument} must be a number that doesn't depend on the input")
        return value

    def whole(self, argument: str, count: int) -> tuple[int, ...]:
        """`count` whole numbers, of which ATen lets a single one stand for all."""
        value = self.arguments[argument]
        values = tuple(value) if isinstance(value, Sequence) else (value,)
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
        """Sizes none of which may follow the batch."""
        closed = tuple(size for size in sizes if isinstance(size, int))
        if len(closed) < len(sizes):
            raise UnsupportedOperatorError("works along the batch, whose size is open")
        return closed

    def node(self, operator: str, inputs: Sequence[str | None], suffix: str = "", **attributes: Any) -> str:
        """Answer with a node of the graph. `suffix` tells the nodes before the last one apart."""
        name = f"{self.name}.{suffix}" if suffix else self.name
        return self.builder.node(operator, inputs, name, self.place, **attributes)

    def reshaped(self, x: str, before: Sizes, after: Sizes, suffix: str = "") -> str:
        """The value in another shape; the value itself if it has it already."""
        if before == after:
            return x
        if sum(isinstance(size, Open) for size in after) > 1:
            raise UnsupportedOperatorError("gives a shape with two open sizes")
        target = tuple(size if isinstance(size, int) else -1 for size in after)
        return self.node("Reshape", [x], suffix, shape=target)

    def transposed(self, x: str, order: Sequence[int], suffix: str = "") -> str:
        """The value with its axes in this order; the value itself if they are."""
        return x if list(order) == list(range(len(order))) else self.node("Transpose", [x], suffix, order=tuple(order))
