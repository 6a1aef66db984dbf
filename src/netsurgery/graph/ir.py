"""The graph: float32 values, one output for each node, nodes in an order in which they can run.

    inputs ──▶ node ──▶ node ──▶ ... ──▶ outputs
                ▲        ▲
            constants (weights, biases, folded numbers)

A value has a name; names are unique over inputs, constants and nodes. A graph is immutable: a pass returns another one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import GraphError
from netsurgery.graph.operators import LARGEST_INT, OPERATORS, AttributeValue, Shape
from netsurgery.graph.weights import Array as Array
from netsurgery.graph.weights import Dense, Weights, as_weights

MOST_ENTRIES = 2**60
"""Of any value at any batch, so that 64 bits count its bytes. Sizes can grow faster than the batch."""


@dataclass(frozen=True)
class Input:
    """What a caller gives: float32 of this shape. None, allowed in the first place only, is the batch."""

    name: str
    shape: tuple[int | None, ...]

    def at(self, batch: int) -> Shape:
        """The shape with the batch filled in."""
        return tuple(batch if size is None else size for size in self.shape)


@dataclass(frozen=True)
class Node:
    """One operator at work.

    `inputs` follows the operator's operands; None leaves an optional one out. `attributes` holds every attribute of the
    operator (build nodes with `node`, which fills in defaults). `place` says where in the source model it stands.
    """

    operator: str
    inputs: tuple[str | None, ...]
    output: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    place: str = ""

    @property
    def given(self) -> tuple[str, ...]:
        """The operands that are not left out."""
        return tuple(name for name in self.inputs if name is not None)

    def __str__(self) -> str:
        return f"{self.operator} {self.output!r}" + (f" (at {self.place})" if self.place else "")


def node(operator: str, inputs: Sequence[str | None], output: str, place: str = "", **attributes: Any) -> Node:
    """A node with defaults filled in and every attribute checked. Raises GraphError."""
    if operator not in OPERATORS:
        raise GraphError(f"{output}: there is no operator {operator!r}; there are {', '.join(OPERATORS)}.")
    try:
        complete = OPERATORS[operator].complete(attributes)
    except GraphError as error:
        raise GraphError(f"{operator} {output!r}{f' (at {place})' if place else ''}: {error}") from None
    trimmed = list(inputs)
    while trimmed and trimmed[-1] is None:
        trimmed.pop()
    return Node(operator, tuple(trimmed), output, complete, place)


@dataclass(frozen=True)
class Graph:
    """A whole network. `check` (or `shapes`) proves that it is consistent; the readers call it, passes keep it so.

    constants: name -> the numbers, with their type (weights.py). Arrays that are given become Dense.
    """

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Weights]

    def __post_init__(self) -> None:
        held = {name: as_weights(given) for name, given in self.constants.items()}
        object.__setattr__(self, "constants", held)

    def replaced(self, **changes: Any) -> Graph:
        """The same graph with other fields."""
        return replace(self, **changes)

    def producers(self) -> dict[str, Node]:
        """Value name -> the node that makes it."""
        return {made.output: made for made in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """Value name -> the nodes that read it, in order; a node that reads it twice stands there once."""
        reading: dict[str, list[Node]] = {}
        for reader in self.nodes:
            for name in dict.fromkeys(reader.given):
                reading.setdefault(name, []).append(reader)
        return reading

    def uses(self) -> Counter[str]:
        """Value name -> how often it is read: by operands of nodes, and once for each time it is an output."""
        return Counter(self.outputs) + Counter(name for made in self.nodes for name in made.given)

    def names(self) -> set[str]:
        """The names of all values."""
        return {given.name for given in self.inputs} | {made.output for made in self.nodes} | set(self.constants)

    def weights(self) -> Iterator[tuple[Node, str, Weights]]:
        """Each node with a `weight` operand, that constant's name and the constant; a tied one comes once per use."""
        for reader in self.nodes:
            for operand, name in zip(OPERATORS[reader.operator].operands, reader.inputs, strict=False):
                if operand.name == "weight" and name is not None:
                    yield reader, name, self.constants[name]

    @property
    def dynamic_batch(self) -> bool:
        """True if a caller chooses the batch size."""
        return any(None in given.shape for given in self.inputs)

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes at which something about shapes has to hold to hold at all: sizes follow the batch in a line."""
        return (1, 2) if self.dynamic_batch else (1,)

    def shapes(self, batch: int = 1) -> dict[str, Shape]:
        """Value name -> shape, for inputs of this batch size. Raises GraphError where something contradicts itself."""
        if not self.inputs:
            raise GraphError("the graph has no input; a network needs at least one.")
        if not self.outputs:
            raise GraphError("the graph has no output; a network needs at least one.")
        known: dict[str, Shape] = {}
        for given in self.inputs:
            if None in given.shape[1:]:
                raise GraphError(f"input {given.name!r} has shape {given.shape}: only its first size may be open.")
            _name(known, given.name, given.at(batch))
        for name, constant in self.constants.items():
            if constant.dtype != np.float32:
                raise GraphError(f"constant {name!r} is {constant.dtype}; constants are float32.")
            _name(known, name, constant.shape)
        for made in self.nodes:
            _name(known, made.output, self._shape(made, known))
        for name in self.outputs:
            if name not in known:
                raise GraphError(f"output {name!r} is made by no node.")
        return known

    def check(self) -> None:
        """Raise GraphError unless the graph is consistent at batch sizes one and two."""
        for batch in self.batches:
            self.shapes(batch)

    def _shape(self, made: Node, known: Mapping[str, Shape]) -> Shape:
        """The shape of a node's output, all its operands checked."""
        if made.operator not in OPERATORS:
            raise GraphError(f"{made}: there is no such operator; there are {', '.join(OPERATORS)}.")
        operator = OPERATORS[made.operator]
        for name in made.inputs:
            if name is not None and name not in known:
                raise GraphError(f"{made} reads {name!r}, which nothing before it makes.")
        try:
            operator.check_operands([None if name is None else name in self.constants for name in made.inputs])
            return operator.shape([None if name is None else known[name] for name in made.inputs], made.attributes)
        except GraphError as error:
            raise GraphError(f"{made}: {error}") from None


def _name(known: dict[str, Shape], name: str, shape: Shape) -> None:
    if name in known:
        raise GraphError(f"two values have the name {name!r}.")
    if any(not 1 <= size <= LARGEST_INT for size in shape) or math.prod(shape) > MOST_ENTRIES:
        raise GraphError(f"value {name!r} has shape {shape}: sizes must be 1 to {LARGEST_INT}, entries at most 2^60.")
    known[name] = shape


class GraphBuilder:
    """Collects a graph node by node; what the readers of other formats use."""

    def __init__(self) -> None:
        self._inputs: list[Input] = []
        self._nodes: list[Node] = []
        self._constants: dict[str, Weights] = {}
        self._used: set[str] = set()

    def unique(self, wish: str) -> str:
        """This name, with a number appended if it is taken."""
        name, count = wish, 1
        while name in self._used:
            count += 1
            name = f"{wish}_{count}"
        self._used.add(name)
        return name

    def input(self, name: str, shape: Sequence[int | None]) -> str:
        """Add an input; returns its name."""
        name = self.unique(name)
        self._inputs.append(Input(name, tuple(shape)))
        return name

    def constant(self, value: Weights | npt.ArrayLike, name: str = "constant") -> str:
        """Add a constant: weights as they are, anything else as Dense float32; returns its name."""
        name = self.unique(name)
        self._constants[name] = value if isinstance(value, Weights) else Dense(np.asarray(value, np.float32))
        return name

    def node(
        self, operator: str, inputs: Sequence[str | None], name: str = "", place: str = "", **attributes: Any
    ) -> str:
        """Add a node; returns the name of its output."""
        output = self.unique(name or operator.lower())
        self._nodes.append(node(operator, inputs, output, place, **attributes))
        return output

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The checked graph; constants that nothing reads are left out. Raises GraphError."""
        read = {name for made in self._nodes for name in made.inputs} | set(outputs)
        constants = {name: value for name, value in self._constants.items() if name in read}
        graph = Graph(tuple(self._inputs), tuple(self._nodes), tuple(outputs), constants)
        graph.check()
        return graph
