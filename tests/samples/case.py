"""An operator with shapes and attributes, and its plain kernel at work on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from netsurgery import _native
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.planes import sum_of_planes
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode

Shape = tuple[int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]

GATES = {"Lstm": 4, "Gru": 3, "Rnn": 1}
"""Operator -> gates."""


@dataclass(frozen=True)
class Case:
    """An operator, the shapes of its operands (None: left out) and its attributes."""

    operator: str
    shapes: tuple[Shape | None, ...]
    attributes: dict[str, Any]

    def operands(self, rng: np.random.Generator) -> list[Array | None]:
        return [
            None
            if shape is None
            else self._whole(rng, place, shape)
            if self.kind(place) is not ValueType.FLOAT32
            else np.asarray(constant(rng, shape) if place and self.takes(place) else rng.normal(size=shape), np.float32)
            for place, shape in enumerate(self.shapes)
        ]

    def _whole(self, rng: np.random.Generator, place: int, shape: Shape) -> Array:
        """Whole numbers or bools: places where they are looked up, else small ones and those at the ends."""
        kind = self.kind(place)
        if kind is ValueType.BOOL:
            return rng.integers(0, 2, shape).astype(np.bool_)
        if self.operator in GATES:
            steps = (self.shapes[0] or ())[1 if self.attributes.get("batch_first") else 0]
            return rng.integers(0, steps + 1, shape).astype(kind.dtype)
        size = self._places(place)
        if size:
            return rng.integers(-size, size, shape).astype(kind.dtype)
        ends = np.iinfo(kind.dtype)
        far = rng.choice(np.array([ends.min, ends.max, ends.min + 1, 2**24 + 1, -1, 0], kind.dtype), shape)
        return np.where(rng.random(shape) < 0.2, far, rng.integers(-9, 10, shape)).astype(kind.dtype)

    def takes(self, place: int) -> bool:
        """Has this operand to be a constant?"""
        return OPERATORS[self.operator].operand(place).constant

    def kind(self, place: int) -> ValueType:
        """The type of an operand; of several, by the number of the first one's entries, so that some are alike."""
        types = OPERATORS[self.operator].operand(place).types
        return types[math.prod(self.shapes[0] or ()) % len(types)]

    def _places(self, place: int) -> int:
        """How many there are where this operand's whole numbers are looked up; 0 if they aren't."""
        if self.operator == "Embedding":
            return (self.shapes[1] or (1,))[0]
        if place != 1 or OPERATORS[self.operator].operand(1).name != "indices":
            return 0
        x = self.shapes[0] or (1,)
        return x[self.attributes["axis"]] if "axis" in self.attributes else min(x)

    def graph(self, operands: list[Array | None]) -> Graph:
        builder = GraphBuilder()
        names = [
            None
            if array is None
            else builder.constant(array)
            if self.takes(place)
            else builder.input(f"x{place}", array.shape, self.kind(place))
            for place, array in enumerate(operands)
        ]
        if not names:
            builder.input("beside", (1,))
        return builder.graph([builder.node(self.operator, names, **self.attributes)])

    def run(self, operands: list[Array | None], **ways: Any) -> Array:
        """What the plain kernel makes of them. ways: `each`, `last_first`, `in_place`."""
        given = [array for place, array in enumerate(operands) if array is not None and not self.takes(place)]
        given = given if self.shapes else [np.zeros(1, np.float32)]
        (result,) = _native.run_plain(encode(self.graph(operands)), given, **ways)
        return result


def constant(rng: np.random.Generator, shape: Shape) -> Array:
    """A weight in one of the forms that a file keeps: dense (with some zeros, too), sparse, nothing, sums of planes."""
    density = rng.choice([1.0, 0.9, 0.8, 0.3, 0.0, -1.0])
    if density < 0 and len(shape) > 1:
        scales = rng.normal(size=(shape[0], 2)).astype(np.float32)
        bits = rng.integers(0, 2, (2, shape[0], int(np.prod(shape[1:])))).astype(np.uint8)
        return sum_of_planes(scales, bits).reshape(shape)
    return np.where(rng.random(shape) < density, rng.normal(size=shape), 0.0).astype(np.float32)
