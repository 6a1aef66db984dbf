"""The graph: one output for each node, nodes in an order in which they can run.

    inputs ──▶ node ──▶ node ──▶ ... ──▶ outputs
                ▲        ▲
            constants (weights, biases, folded numbers)

A value has a name; names are unique over inputs, constants and nodes. A graph is immutable: a pass returns another one.

Sizes of inputs may be open: the caller chooses them anew for each run. Open sizes are axes with names, such as "batch"
or "time"; where a name stands twice, the sizes are the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.checks import require
from netsurgery.errors import GraphError, TooSmallError
from netsurgery.graph.extents import Extent, Number, axis
from netsurgery.graph.operators import LARGEST_INT, OPERATORS, AttributeValue, Shape
from netsurgery.graph.operators.integers import MOST_INTEGERS
from netsurgery.graph.value_types import ValueType
from netsurgery.graph.weights import Array as Array
from netsurgery.graph.weights import Dense, Weights, as_weights

Sizes = Mapping[str, int]
"""Name of an axis -> its size."""

InputShapes = Mapping[str, Sequence[int | str]]
"""Name of an input -> its shape: sizes, and names of axes that stay open."""

OpenAxes = Mapping[str | int, Mapping[int, str]]
"""Name or place of an input -> place of a size -> name of the axis that is open there."""

MOST_ENTRIES = 2**60
"""Of any value at any sizes, so that 64 bits count its bytes. Entries can grow faster than sizes."""

HIGHEST_LEAST = 2**16
"""Axes that have to be longer than this are taken for axes that can't be open."""

WIDEST_STEP = 2**16
"""Of the sizes of an axis, and of all axes together: the least common multiple of their steps."""

_LONGEST_PERIOD = 2**10


@dataclass(frozen=True)
class Input:
    """What a caller gives: entries of a type, in a shape. A size is a number, or the name of an open axis."""

    name: str
    shape: tuple[int | str, ...]
    type: ValueType = ValueType.FLOAT32

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of its open axes, each once."""
        return tuple(dict.fromkeys(size for size in self.shape if isinstance(size, str)))

    def at(self, sizes: Sizes) -> Shape:
        """The shape with open sizes filled in. Raises GraphError if one is missing."""
        missing = [name for name in self.axes if name not in sizes]
        if missing:
            raise GraphError(f"input {self.name!r} has the open axis {missing[0]!r}, of which no size is given.")
        return tuple(sizes[size] if isinstance(size, str) else size for size in self.shape)

    def __str__(self) -> str:
        kind = "" if self.type is ValueType.FLOAT32 else f" {self.type}"
        return f"{self.name} ({', '.join(map(str, self.shape))}){kind}"


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

    @cached_property
    def extents(self) -> tuple[Extent, ...]:
        """The numbers of its attributes that follow open axes."""
        every = (value if isinstance(value, tuple) else (value,) for value in self.attributes.values())
        return tuple(number for numbers in every for number in numbers if isinstance(number, Extent))

    def at(self, sizes: Sizes) -> Node:
        """The node with numbers in the place of those that follow open axes. Raises GraphError."""
        if not self.extents:
            return self
        known = {one.name: one for one in OPERATORS[self.operator].attributes}
        return replace(self, attributes={name: known[name].at(value, sizes) for name, value in self.attributes.items()})

    def changed(self, change: Callable[[Extent], Number]) -> Node:
        """The node with other numbers in the place of those that follow open axes."""
        if not self.extents:
            return self

        def one(value: Any) -> Any:
            return change(value) if isinstance(value, Extent) else value

        attributes = {
            name: tuple(map(one, value)) if isinstance(value, tuple) else one(value)
            for name, value in self.attributes.items()
        }
        return replace(self, attributes=attributes)

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


def integers_attributes(values: npt.NDArray[Any], kind: ValueType) -> dict[str, Any]:
    """The attributes of Integers that give these whole numbers or bools. Raises GraphError if they don't fit in."""
    flat = values.reshape(-1)
    if flat.size > 1 and bool((flat == flat[0]).all()):
        flat = flat[:1]
    beyond = np.flatnonzero((flat > LARGEST_INT) | (flat < -LARGEST_INT))
    if len(flat) > MOST_INTEGERS:
        raise GraphError(
            f"a constant of {len(flat):,} whole numbers; at most {MOST_INTEGERS:,} have room in a graph: make it "
            "float32, or an input."
        )
    if len(beyond):
        raise GraphError(f"a constant holds {flat[beyond[0]]}; whole numbers lie within ± {LARGEST_INT}.")
    return {"type": str(kind), "shape": values.shape, "values": tuple(int(one) for one in flat)}


@dataclass(frozen=True)
class Graph:
    """A whole network. `check` (or `shapes`) proves that it is consistent; the readers call it, passes keep it so.

    constants: name -> the numbers, with their type (weights.py). Arrays that are given become Dense.
    """

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Weights]
    known_least: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Smallest sizes of open axes, where they were found before; else they are looked for. See `least`."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """Of the open axes whose sizes are multiples of more than 1: of what."""

    def __post_init__(self) -> None:
        held = {name: as_weights(given) for name, given in self.constants.items()}
        object.__setattr__(self, "constants", held)
        said = {name: self.steps[name] for name in self.axes if self.steps.get(name, 1) != 1}
        object.__setattr__(self, "steps", said)

    def replaced(self, **changes: Any) -> Graph:
        """The same graph with other fields."""
        return replace(self, **changes)

    @cached_property
    def found(self) -> dict[str, tuple[int, str]]:
        """Output -> (axis, count): an output has as many entries along that axis as another one, the count, says."""
        outputs = set(self.outputs)
        return {
            made.output: (int(made.attributes["axis"]), str(made.inputs[1]))  # type: ignore[arg-type]
            for made in self.nodes
            if made.operator == "FirstEntries" and {made.output, made.inputs[1]} <= outputs
        }

    @property
    def shown_outputs(self) -> tuple[str, ...]:
        """The outputs without those that only say how many entries others have."""
        counts = {count for _, count in self.found.values()}
        return tuple(name for name in self.outputs if name not in counts)

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
        """Each node with a weight or a projection, that constant's name and the constant; a tied one once per use.

        Nodes that give several results of one computation are one use.
        """
        seen: set[tuple[object, ...]] = set()
        for reader in self.nodes:
            if "result" in reader.attributes:
                attributes = {name: value for name, value in reader.attributes.items() if name != "result"}
                same = (reader.operator, reader.inputs, *sorted(attributes.items()))
                if same in seen:
                    continue
                seen.add(same)
            for operand, name in zip(OPERATORS[reader.operator].operands, reader.inputs, strict=False):
                if operand.name in ("weight", "projection") and name is not None:
                    yield reader, name, self.constants[name]

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of all open axes, in order of their first appearance in the inputs."""
        return tuple(dict.fromkeys(name for given in self.inputs for name in given.axes))

    def nodes_at(self, sizes: Sizes) -> tuple[Node, ...]:
        """The nodes with numbers in the place of those that follow open axes: what runs at these sizes.

        Raises GraphError where a number is none that its attribute may be, TooSmallError where an axis is too short.
        """
        return tuple(made.at(sizes) for made in self.nodes)

    @cached_property
    def least(self) -> dict[str, int]:
        """The smallest size of each open axis that every operator takes. Raises GraphError if there are none."""
        if set(self.known_least) == set(self.axes):
            return dict(self.known_least)
        steps = {name: self.steps.get(name, 1) for name in self.axes}
        together = 1
        while not self._takes(all_alike := _at_least(together, steps)):
            together *= 2
            if together > HIGHEST_LEAST:
                self.shapes(all_alike)  # says what is too small even now
        found = dict(all_alike)
        for name, step in steps.items() if together > 1 else ():
            low, high = 1, found[name] // step
            while low < high:
                middle = (low + high) // 2
                if self._takes({**all_alike, name: middle * step}):
                    high = middle
                else:
                    low = middle + 1
            found[name] = high * step
        return found if self._takes(found) else all_alike

    @cached_property
    def most(self) -> dict[str, int]:
        """The largest size of each open axis that has one, as where positions are rows of a table; others smallest."""
        found = {}
        for name, step in ((name, self.steps.get(name, 1)) for name in self.axes if self._follows):
            low, high = self.least[name] // step, _UNLIMITED // step
            if self.takes({**self.least, name: high * step}):
                continue
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self.takes({**self.least, name: middle * step}) else (low, middle)
            found[name] = low * step
        return found

    @property
    def _follows(self) -> bool:
        """Whether numbers of its nodes follow open axes."""
        return any(made.extents for made in self.nodes)

    def takes(self, sizes: Sizes) -> bool:
        """Whether the network runs at these sizes of its open axes."""
        if any(sizes[name] < least or sizes[name] % self.steps.get(name, 1) for name, least in self.least.items()):
            return False
        with suppress(GraphError):
            self.shapes(sizes)
            return True
        return False

    def _takes(self, sizes: Sizes) -> bool:
        try:
            self.shapes(sizes)
        except TooSmallError:
            return False
        except GraphError:  # which is for `check` to say
            pass
        return True

    def tried_sizes(self) -> tuple[dict[str, int], ...]:
        """Sizes of the open axes at which something about shapes has to hold to be taken for true at all sizes.

        Sizes of values follow an axis in a line, or, behind strides, in stairs around a line: so the smallest size, the
        next one, and one more than two flights of stairs further, as far as an axis takes them: counted in its steps.
        Axes differ from each other in at least one of them, so that two are never mixed up. Where numbers of nodes
        follow axes, no larger ones than every operator takes: a table of positions ends somewhere. Lines that turn
        somewhere, as where ten entries are cut from as many as there are, are looked at behind each turn as well.
        """
        return (*self._on_lines, *self.behind_turns)

    @cached_property
    def _on_lines(self) -> tuple[dict[str, int], ...]:
        smallest = self.least
        if not smallest:
            return ({},)
        far = self._far
        places = [(place, self.steps.get(name, 1), name, size) for place, (name, size) in enumerate(smallest.items())]
        tried = (
            dict(smallest),
            {name: size + step * (1 + place) for place, step, name, size in places},
            {name: size + far + step * (1 + 3 * place) for place, step, name, size in places},
        )
        return tuple(self._within(sizes, smallest) for sizes in tried) if self._follows else tried

    @cached_property
    def behind_turns(self) -> tuple[dict[str, int], ...]:
        """Sizes at which one axis has just passed a turn of a number that follows it, and those far behind that."""
        sizes = self._on_lines[min(1, len(self._on_lines) - 1)]
        passed: dict[str, set[int]] = {name: set() for name in sizes}
        for extent in dict.fromkeys(extent for made in self.nodes for extent in made.extents):
            for name, size in extent.turns(sizes, self.steps):
                passed[name].add(size)
        found = []
        for name, turns in passed.items():
            ordered = sorted(turns)
            for size in (*ordered[:_MOST_TURNS], *ordered[_MOST_TURNS:][-1:]):
                found += [{**sizes, name: size}, {**sizes, name: size + self._far}]
        return tuple(tried for tried in found if self.takes(tried))

    @property
    def _far(self) -> int:
        """More than two flights of any stairs, in entries that every axis has whole steps of."""
        return 2 * math.lcm(self._period(), *self.steps.values())

    def _within(self, sizes: Sizes, smallest: Sizes) -> dict[str, int]:
        """Sizes as far on the way from the smallest ones to these as every operator takes."""
        reached = {}
        for name, size in sizes.items():
            step = self.steps.get(name, 1)
            low, high = smallest[name], size
            while low < high:
                middle = high - (high - low) // step // 2 * step
                if self._takes({**smallest, name: middle}):
                    low = middle
                else:
                    high = middle - step
            reached[name] = low
        return reached

    def _period(self) -> int:
        """Behind how many entries of an open axis the stairs of sizes repeat: the product of strides along a path."""
        periods: dict[str, int] = {}
        longest = 1
        for made in self.nodes:
            period = max((periods.get(name, 1) for name in made.given), default=1)
            for attribute in ("strides", "step"):
                given = made.attributes.get(attribute, ())
                period *= math.lcm(*(int(step) for step in (given if isinstance(given, tuple) else (given,))))  # type: ignore[arg-type]
            period = max(period, *(extent.period for extent in made.extents), 1)
            periods[made.output] = min(period, _LONGEST_PERIOD)
            longest = max(longest, periods[made.output])
        return longest

    def shapes(self, sizes: Sizes | None = None) -> dict[str, Shape]:
        """Value name -> shape, for inputs of these sizes (None: the smallest). Raises GraphError on a contradiction."""
        if not self.inputs:
            raise GraphError("the graph has no input; a network needs at least one.")
        if not self.outputs:
            raise GraphError("the graph has no output; a network needs at least one.")
        if sizes is None:
            sizes = self.least
        for name, step in self.steps.items():
            if sizes.get(name, 0) % step:
                raise GraphError(f"{name} is {sizes[name]}: {self.rule_of(name)}.")
        return self._shapes_and_types(sizes)[0]

    def rule_of(self, axis: str) -> str:
        """Which sizes an axis takes, in words: "it must be a multiple of 32, at least 64"."""
        return f"it must be {rule(self.least[axis], self.steps.get(axis, 1))}"

    def rules(self) -> dict[str, str]:
        """Name of each open axis -> which sizes it takes, in words."""
        least = self._least_if_any()
        return {name: rule(least[name], self.steps.get(name, 1)) for name in self.axes}

    def why_not(self, sizes: Sizes, reason: str) -> str:
        """Why a network can't run at sizes: what its axes take, as far as that says it, and then what a node says."""
        least, takes = self._least_if_any(), self.rules()
        odd = [name for name, size in sizes.items() if size % self.steps.get(name, 1)]
        rules = [
            f"{name} is {sizes[name]}: it must be {takes[name]}."
            for name in least
            if sizes[name] < least[name] or name in odd
        ]
        if not rules:
            reached = self._within(sizes, least)
            rules = [
                f"{name} is {size}: it must be at most {reached[name]}."
                for name, size in sizes.items()
                if reached[name] < size
            ]
        if not rules:
            return reason
        return " ".join(rules if odd else [*rules, f"({reason})"])  # the reason would be a rule once more

    def _least_if_any(self) -> Mapping[str, int]:
        """The smallest sizes; 1 where a graph contradicts itself at all of them."""
        try:
            return self.least
        except GraphError:
            return dict.fromkeys(self.axes, 1)

    @cached_property
    def types(self) -> dict[str, ValueType]:
        """Value name -> the type of its entries. Raises GraphError on a contradiction."""
        return self._shapes_and_types(self.least)[1]

    def _shapes_and_types(self, sizes: Sizes) -> tuple[dict[str, Shape], dict[str, ValueType]]:
        known: dict[str, Shape] = {}
        types: dict[str, ValueType] = {}
        for given in self.inputs:
            if "" in given.shape:
                raise GraphError(f"input {given.name!r} has an open axis without a name.")
            _name(known, given.name, given.at(sizes))
            types[given.name] = given.type
        for name, constant in self.constants.items():
            if constant.dtype != np.float32:
                raise GraphError(f"constant {name!r} is {constant.dtype}; constants are float32.")
            _name(known, name, constant.shape)
            types[name] = ValueType.FLOAT32
        for made in self.nodes:
            shape, kind = self._shape_and_type(made, known, types, sizes)
            _name(known, made.output, shape)
            types[made.output] = kind
        for name in self.outputs:
            if name not in known:
                raise GraphError(f"output {name!r} is made by no node.")
        return known, types

    def check(self) -> None:
        """Raise GraphError unless the graph is consistent at the smallest sizes of its open axes, and at others."""
        if any(step < 2 for step in self.steps.values()) or math.lcm(1, *self.steps.values()) > WIDEST_STEP:
            raise GraphError(
                f"axes have the steps {dict(self.steps)}; they are at least 1, their least common multiple at most "
                f"{WIDEST_STEP:,}."
            )
        for sizes in self.tried_sizes():
            self._check_at(sizes)

    def _check_at(self, sizes: Sizes) -> None:
        try:
            self.shapes(sizes)
        except GraphError as error:
            raise GraphError(f"{error}{_at(sizes, self.least)}") from None

    def _shape_and_type(
        self, made: Node, known: Mapping[str, Shape], types: Mapping[str, ValueType], sizes: Sizes
    ) -> tuple[Shape, ValueType]:
        """The shape and the type of a node's output, all its operands checked."""
        if made.operator not in OPERATORS:
            raise GraphError(f"{made}: there is no such operator; there are {', '.join(OPERATORS)}.")
        operator = OPERATORS[made.operator]
        for name in made.inputs:
            if name is not None and name not in known:
                raise GraphError(f"{made} reads {name!r}, which nothing before it makes.")
        try:
            operator.check_operands([None if name is None else name in self.constants for name in made.inputs])
            given = [None if name is None else types[name] for name in made.inputs]
            operator.check_types(given)
            attributes = made.at(sizes).attributes
            shape = operator.shape([None if name is None else known[name] for name in made.inputs], attributes)
            return shape, operator.type(given, attributes)
        except GraphError as error:
            raise type(error)(f"{made}: {error}") from None


def rule(least: int, step: int) -> str:
    """Which sizes an axis takes: "a multiple of 32, at least 64"."""
    return f"{f'a multiple of {step}, ' if step > 1 else ''}at least {least}"


def with_shapes(inputs: Sequence[Input], shapes: InputShapes) -> tuple[Input, ...]:
    """Inputs with other shapes, as far as their own leave room for them. Raises SettingError."""
    known = {given.name: given for given in inputs}
    for name, shape in shapes.items():
        allowed = ", ".join(map(str, inputs))
        require(name in known, "input_shapes", name, f"of the model's inputs: {allowed}")
        fits = len(shape) == len(known[name].shape) and all(
            isinstance(old, str) or new == old for new, old in zip(shape, known[name].shape, strict=True)
        )
        sound = all((isinstance(size, str) and size != "") or (isinstance(size, int) and size >= 1) for size in shape)
        require(fits and sound, "input_shapes", f"{name}={','.join(map(str, shape))}", f"sizes that fit {known[name]}")
    return tuple(replace(given, shape=tuple(shapes[given.name])) if given.name in shapes else given for given in inputs)


def _at_least(count: int, steps: Mapping[str, int]) -> dict[str, int]:
    """Of each axis the smallest size that it takes and that is at least `count`."""
    return {name: -(-count // step) * step for name, step in steps.items()}


def with_sizes(graph: Graph, inputs: Sequence[Input]) -> Graph:
    """The graph with these inputs in the place of its own: axes that have other names, or are fixed.

    Raises SettingError for a size that an axis doesn't take, GraphError where the graph contradicts itself then.
    """
    numbers: dict[str, Number] = {}
    steps: dict[str, int] = {}
    for old, new in zip(graph.inputs, inputs, strict=True):
        for before, after in zip(old.shape, new.shape, strict=True):
            if not isinstance(before, str):
                continue
            step = graph.steps.get(before, 1)
            if isinstance(after, int):
                said = f"input_shapes[{new.name!r}]"
                require(after % step == 0, said, after, f"a multiple of {step} in the place of {before}")
                numbers[before] = after
            else:
                steps[after] = math.lcm(steps.get(after, 1), step)
                numbers[before] = axis(after)
    nodes = tuple(made.changed(lambda number: number.put(numbers)) for made in graph.nodes)
    changed = graph.replaced(inputs=tuple(inputs), nodes=nodes, steps=steps, known_least={})
    changed.check()
    return changed.replaced(known_least=changed.least)


def open_shapes(graph: Graph) -> list[tuple[int | str | None, ...]]:
    """The shapes of the outputs that are shown: a size is a number, an open axis, or None.

    None is one that follows from axes otherwise, or that a run finds.
    """
    tried = graph.tried_sizes()
    shapes = [graph.shapes(sizes) for sizes in tried]

    def said(found: tuple[int, ...]) -> int | str | None:
        if len(set(found)) == 1:
            return found[0]
        return next((axis for axis in graph.axes if tuple(sizes[axis] for sizes in tried) == found), None)

    def shape(name: str) -> tuple[int | str | None, ...]:
        sizes = map(said, zip(*(known[name] for known in shapes), strict=True))
        decided = graph.found[name][0] if name in graph.found else None
        return tuple(None if axis == decided else size for axis, size in enumerate(sizes))

    return [shape(name) for name in graph.shown_outputs]


_UNLIMITED = 2**20
"""What takes sizes up to this one takes any."""
_MOST_TURNS = 8
"""So many turns of one axis are looked at, and the last one: a loop over slices may have very many."""


def _at(sizes: Sizes, least: Sizes) -> str:
    """What to say of sizes that don't fit, if there is anything to say."""
    if all(size == 1 for size in sizes.values()):
        return ""
    said = ", ".join(f"{name} {size}" for name, size in sizes.items())
    fits = ", ".join(f"{name} {size}" for name, size in least.items())
    return f" That is so at {said}" + ("" if sizes == least else f", though not at {fits}") + "."


def named_sizes(sizes: Sizes) -> str:
    """Sizes as they stand in sentences."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items()) or "fixed sizes"


def named_axes(least: Sizes, steps: Sizes, most: Sizes) -> str:
    """Open axes with the sizes that they take, as they stand in sentences: "batch, width in multiples of 32".

    least: the smallest size of each; steps: of those whose sizes are multiples, of what; most: the largest of those
    that have one.
    """

    def limits(name: str) -> str:
        begins = "" if least[name] == steps.get(name, 1) else f" from {least[name]}"
        if name in most:
            return f"{begins} {'up ' * (not begins)}to {most[name]}"
        return f"{begins} on" if begins else ""

    return ", ".join(
        name + (f" in multiples of {steps[name]}" if name in steps else "") + limits(name) for name in least
    )


def _name(known: dict[str, Shape], name: str, shape: Shape) -> None:
    if name in known:
        raise GraphError(f"two values have the name {name!r}.")
    if any(not 1 <= size <= LARGEST_INT for size in shape) or math.prod(shape) > MOST_ENTRIES:
        raise GraphError(f"value {name!r} has shape {shape}: sizes must be 1 to {LARGEST_INT}, entries at most 2^60.")
    known[name] = shape


def unlike(wish: str, taken: set[str]) -> str:
    """This name, with a number appended if it is taken; it is taken then."""
    name, count = wish, 1
    while name in taken:
        count += 1
        name = f"{wish}_{count}"
    taken.add(name)
    return name


class GraphBuilder:
    """Collects a graph node by node; what the readers of other formats use."""

    def __init__(self) -> None:
        self._inputs: list[Input] = []
        self._nodes: list[Node] = []
        self._constants: dict[str, Weights] = {}
        self._used: set[str] = set()
        self._types: dict[str, ValueType] = {}

    def type_of(self, name: str) -> ValueType:
        """The type of a value that was added."""
        return self._types[name]

    def unique(self, wish: str) -> str:
        """This name, with a number appended if it is taken."""
        return unlike(wish, self._used)

    def maker(self, name: str) -> Node | None:
        """The node that makes a value, None for an input or a constant."""
        return next((made for made in self._nodes if made.output == name), None)

    def known(self, name: str) -> Weights | None:
        """A constant that was added; None for other values."""
        return self._constants.get(name)

    def input(self, name: str, shape: Sequence[int | str], kind: ValueType = ValueType.FLOAT32) -> str:
        """Add an input; returns its name."""
        name = self.unique(name)
        self._inputs.append(Input(name, tuple(shape), kind))
        self._types[name] = kind
        return name

    def constant(self, value: Weights | npt.ArrayLike, name: str = "constant") -> str:
        """Add a constant: weights as they are, anything else as Dense float32; returns its name."""
        name = self.unique(name)
        self._constants[name] = value if isinstance(value, Weights) else Dense(np.asarray(value, np.float32))
        self._types[name] = ValueType.FLOAT32
        return name

    def node(
        self, operator: str, inputs: Sequence[str | None], name: str = "", place: str = "", **attributes: Any
    ) -> str:
        """Add a node; returns the name of its output. Raises GraphError for attributes and types that it can't have."""
        output = self.unique(name or operator.lower())
        made = node(operator, inputs, output, place, **attributes)
        types = [None if given is None else self._types.get(given) for given in made.inputs]
        try:
            OPERATORS[operator].check_types(types)
        except GraphError as error:
            raise GraphError(f"{made}: {error}") from None
        self._types[output] = OPERATORS[operator].type(types, made.attributes)
        self._nodes.append(made)
        return output

    def integers(self, values: npt.ArrayLike, kind: ValueType, name: str = "integers", place: str = "") -> str:
        """Add whole numbers or bools as entries of a type; returns their name. Raises GraphError for too many."""
        return self.node("Integers", [], name, place, **integers_attributes(np.asarray(values), kind))

    def graph(self, outputs: Sequence[str], steps: Mapping[str, int] | None = None) -> Graph:
        """The checked graph; constants that nothing reads are left out. Raises GraphError.

        steps: of the open axes whose sizes are multiples of more than 1.
        """
        graph = self.unchecked(outputs, steps)
        graph.check()
        return graph.replaced(known_least=graph.least)

    def unchecked(self, outputs: Sequence[str], steps: Mapping[str, int] | None = None) -> Graph:
        """The graph as it is, which may contradict itself."""
        read = {name for made in self._nodes for name in made.inputs} | set(outputs)
        constants = {name: value for name, value in self._constants.items() if name in read}
        return Graph(tuple(self._inputs), tuple(self._nodes), tuple(outputs), constants, steps=steps or {})
