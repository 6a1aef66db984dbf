"""What an operator is tried on: operands and attributes that are fixed, and what draws others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tests.samples.case import Case, Draw

from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.value_types import ValueType


class Value(NamedTuple):
    """An operand that is an input of the graph, of this shape behind the batch; of float32 where it may be."""

    shape: tuple[int, ...]


class Fixed(NamedTuple):
    """An input of just this shape, without a batch; of float32 where it may be."""

    shape: tuple[int, ...]


class Numbers(NamedTuple):
    """An operand that is an input of whole numbers, or of bools, of this shape behind the batch."""

    shape: tuple[int, ...]
    type: ValueType = ValueType.INT64


class Constant(NamedTuple):
    """An operand that is a constant of this shape."""

    shape: tuple[int, ...]


class Divisor(NamedTuple):
    """A constant of this shape, all of it 2 or more."""

    shape: tuple[int, ...]


class Known(NamedTuple):
    """An operand that is whole numbers of the graph itself."""

    values: tuple[int, ...]


Operand = Value | Fixed | Numbers | Constant | Divisor | Known | None

ROW, WORDS, LINE, LONG_LINE = Value((6,)), Value((5, 6)), Value((4, 9)), Value((4, 11))
WHOLE_ROW, SHORT_ROW, BOOLS = Numbers((6,)), Numbers((6,), ValueType.INT32), Numbers((6,), ValueType.BOOL)
IMAGE, PICTURE, TALL = Value((4, 7, 9)), Value((4, 7, 6)), Value((3, 9, 4))
BOX, BLOCK = Value((2, 4, 3, 5)), Value((2, 5, 4, 6))
STEPS, TWO_STEPS = Value((3, 12)), Value((2, 12))


@dataclass(frozen=True)
class Sample:
    """Operands of one node, and its attributes."""

    operands: tuple[Operand, ...]
    attributes: dict[str, Any]

    def graph(
        self, operator: str, batch: int | str, constant: Callable[[tuple[int, ...]], Array] | None = None
    ) -> Graph:
        """A graph of that node alone. Without an input among its operands it gets one beside it.

        constant: Shape -> the numbers of a constant; by default normal ones, the same every time.
        """
        constant = constant or np.random.default_rng(0).standard_normal
        builder = GraphBuilder()
        names: list[str | None] = []
        for place, operand in enumerate(self.operands):
            match operand:
                case None:
                    names.append(None)
                case Known(values):
                    names.append(builder.integers(values, ValueType.INT64))
                case Constant(shape):
                    names.append(builder.constant(constant(shape), f"w{place}"))
                case Divisor(shape):
                    names.append(builder.constant(np.abs(constant(shape)) + 2, f"w{place}"))
                case Value(shape) | Numbers(shape, _):
                    names.append(builder.input(f"x{place}", (batch, *shape), self.type(operator, place)))
                case Fixed(shape):
                    names.append(builder.input(f"x{place}", shape, self.type(operator, place)))
        if not any(isinstance(operand, Value | Fixed | Numbers) for operand in self.operands):
            builder.input("beside", (batch, 2))
        return builder.graph([builder.node(operator, names, "y", "layer", **self.attributes)])

    def type(self, operator: str, place: int) -> ValueType:
        """Of an operand that is an input: what the sample says, else float32, else the last that is allowed."""
        operand = self.operands[place]
        if isinstance(operand, Numbers):
            return operand.type
        types = OPERATORS[operator].operand(place).types
        return ValueType.FLOAT32 if ValueType.FLOAT32 in types else types[-1]


def sample(*operands: Operand, **attributes: Any) -> Sample:
    return Sample(operands, attributes)


@dataclass(frozen=True)
class Samples:
    """All that an operator is tried on.

    files: Written to files, to ONNX, and run everywhere; each is a network of the engine's tests in C++. Together they
        show every attribute. The first one shows its traits, on one image and on several.
    drawn: Draws cases for the tests of properties, most of the time ones that the shape rule allows.
    more: Written to ONNX, too.
    large: Large enough for several pieces, in each way in which the kernel cuts its work.
    """

    files: Sequence[Sample]
    drawn: Callable[[Draw], Case]
    more: Sequence[Sample] = ()
    large: Sequence[Case] = ()
