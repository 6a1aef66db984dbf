"""Graph -> bytes of an .nsm file. docs/format.md says what they mean; reader.py takes them apart in the same order."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from netsurgery._native import Encoder
from netsurgery.errors import FileLimitError, GraphError
from netsurgery.graph.extents import Extent
from netsurgery.graph.ir import Graph, Input, Node
from netsurgery.graph.operators import OPERATORS, Attribute, Shape
from netsurgery.graph.value_types import ValueType
from netsurgery.packed import format as fmt
from netsurgery.packed.encoder_face import EncoderFace
from netsurgery.packed.extents import ExtentWriter
from netsurgery.packed.format import ATTRIBUTES, Context
from netsurgery.packed.structure import (
    default_of,
    expected_shape,
    is_usual,
    made_up_axes,
    padded_entries,
    picture_of,
    zigzag,
)
from netsurgery.packed.tensor_writer import TensorWriter

PART_BYTES = 2**20
"""From so many bytes on, what is settled of a stream is handed over."""


def encode(graph: Graph, *, names: bool = False, encoder: EncoderFace | None = None) -> bytes:
    """The whole file: the same bytes for the same graph, everywhere.

    names: also write the names of inputs, nodes and constants; without, a reader makes up its own.
    encoder: the coder to use, the one in C++ if None; the reference in Python writes the same bytes.
    Raises GraphError, NonFiniteWeightsError, and FileLimitError for a graph beyond what any reader would accept.
    """
    parts: list[bytes] = []
    header = _encode(graph, names, Encoder() if encoder is None else encoder, parts.append)
    return b"".join([header, *parts])


def encode_to(file: BinaryIO, graph: Graph, *, names: bool = False) -> None:
    """The same into a file that can be sought, bit by bit, so that the whole is never in memory."""
    file.write(bytes(fmt.HEADER_BYTES))
    header = _encode(graph, names, Encoder(), file.write)
    file.seek(0)
    file.write(header)


def _encode(graph: Graph, names: bool, coder: EncoderFace, sink: Callable[[bytes], object]) -> bytes:
    """Give the stream to `sink`, part by part; returns the header."""
    graph.check()
    shapes = graph.shapes()
    structure = _StructureWriter(coder, graph, shapes)
    structure.write(names)
    tensors = TensorWriter(coder)
    size = checksum = 0
    for name, (plane, width) in structure.constants.items():
        tensors.write(name, graph.constants[name], plane, width)
        part = coder.take(PART_BYTES)
        sink(part)
        size, checksum = size + len(part), zlib.crc32(part, checksum)
    part = coder.finish()
    sink(part)
    size, checksum = size + len(part), zlib.crc32(part, checksum)
    _check_limits(graph, structure, shapes, fmt.HEADER_BYTES + size, coder.decisions)
    return fmt.MAGIC + bytes([fmt.VERSION]) + struct.pack("<I", checksum)


def constants_in_order(graph: Graph) -> list[str]:
    """Names of the graph's constants in the order of the file: as the nodes first read them."""
    reads = (name for made in graph.nodes for name in made.inputs if name in graph.constants)
    return [name for name in dict.fromkeys(reads) if name is not None]


class _StructureWriter:
    """Writes everything but the constants' entries."""

    def __init__(self, coder: EncoderFace, graph: Graph, shapes: Mapping[str, Shape]) -> None:
        self._coder = coder
        self._graph = graph
        self._shapes = shapes
        self._numbers = {given.name: number for number, given in enumerate(graph.inputs)}
        self._constant_numbers: dict[str, int] = {}
        self._producers = graph.producers()
        self._extents = ExtentWriter(coder, graph.axes)
        self.constants: dict[str, tuple[int, int]] = {}
        """Constants in the order of the file, with plane and width of their pictures."""
        self.operands = 0
        self.name_bytes = 0

    def write(self, names: bool) -> None:
        self._coder.flag(Context.NAMES, names)
        self._coder.integer(Context.INPUT_COUNT, len(self._graph.inputs) - 1)
        said: list[str] = []
        told = names and bool(self._graph.axes)
        for given in self._graph.inputs:
            told |= self._input(given, said)
            said = list(dict.fromkeys((*said, *given.axes)))
        if told and said:
            self._axis_names()
        self._coder.integer(Context.NODE_COUNT, len(self._graph.nodes))
        previous_code = 0
        for node in self._graph.nodes:
            self._node(node, previous_code)
            previous_code = OPERATORS[node.operator].code
            self._numbers[node.output] = len(self._numbers)
        self._coder.integer(Context.OUTPUT_COUNT, len(self._graph.outputs) - 1)
        for name in self._graph.outputs:
            if name not in self._numbers:
                raise GraphError(
                    f"output {name!r} is a constant; outputs have to depend on an input. Leave it out of what the "
                    "model gives."
                )
            self._coder.integer(Context.OUTPUT, len(self._numbers) - 1 - self._numbers[name])
        if names:
            self._names()

    def _input(self, given: Input, before: Sequence[str]) -> bool:
        """One input; before: axes of those before it. True if it has open axes that go with their names."""
        self._coder.integer(Context.RANK, len(given.shape))
        usual = is_usual(given, before, self._graph)
        self._coder.flag(Context.RANK, not usual)
        tells = False
        if not usual:
            tells = bool(given.axes) or given.type is not ValueType.FLOAT32
            self._coder.flag(Context.INPUT_FORM, tells)
            if tells:
                self._coder.integer(Context.INPUT_FORM, given.type.code)
        known = list(before)
        previous: int | None = None
        for size in given.shape:
            if tells:
                self._coder.flag(Context.OPEN_SIZE, isinstance(size, str))
            if isinstance(size, int):
                self._size(size, previous)
                previous = size
            elif tells:
                self._open_size(size, known)
                known = list(dict.fromkeys((*known, size)))
        return bool(given.axes) and tells

    def _open_size(self, name: str, known: Sequence[str]) -> None:
        """An axis, and of a new one which sizes it takes. known: those before it."""
        if name in known:
            self._coder.integer(Context.OPEN_SIZE, known.index(name))
            return
        step, least = self._graph.steps.get(name, 1), self._graph.least[name]
        self._coder.integer(Context.OPEN_SIZE, len(known) + (step > 1))
        if step > 1:
            self._coder.integer(Context.LEAST_SIZE, step - 1)
        self._coder.integer(Context.LEAST_SIZE, least // step - 1)

    def _axis_names(self) -> None:
        """The names of the open axes, where they aren't those that a reader makes up."""
        axes = self._graph.axes
        self._coder.flag(Context.NAMES, axes != made_up_axes(self._graph.inputs))
        if axes != made_up_axes(self._graph.inputs):
            self._text(axes, "its open axes")

    def _size(self, size: int, previous: int | None) -> None:
        """One size of a shape; often it is the one before it."""
        if previous is not None:
            self._coder.flag(Context.SIZE, size != previous)
            if size == previous:
                return
        self._coder.integer(Context.SIZE, size - 1)

    def _node(self, node: Node, previous_code: int) -> None:
        operator = OPERATORS[node.operator]
        if node.extents:
            self._coder.integer(Context.OPERATOR + previous_code, fmt.FOLLOWS - 1)
        self._coder.integer(Context.OPERATOR + previous_code, operator.code - 1)
        if operator.variadic:
            self._coder.integer(Context.OPERAND_COUNT, len(node.inputs) - 1)
        new: list[int] = []
        self.operands += max(len(node.inputs), len(operator.operands))
        for index, name in enumerate(self._padded(node)):
            operand = operator.operand(index)
            if operand.optional:
                self._coder.flag(Context.LEFT_OUT_FLAG, name is None)
            if name is None:
                continue
            if not operand.constant:
                self._coder.flag(Context.CONSTANT_FLAG, name in self._graph.constants)
            if name not in self._graph.constants:
                self._coder.integer(Context.DISTANCE, len(self._numbers) - 1 - self._numbers[name])
                continue
            self._coder.flag(Context.TIED, name in self.constants)
            if name in self.constants:
                self._coder.integer(Context.TIED, self._constant_numbers[name])
            else:
                self._constant_numbers[name] = len(self.constants)
                self.constants[name] = picture_of(self._producers, node, self._shapes) if index == 1 else (1, 1)
                new.append(index)
        shapes = [None if name is None else self._shapes[name] for name in self._padded(node)]
        # A new constant in the first place has no shape yet when a reader comes to the attributes.
        x = () if 0 in new or not shapes else shapes[0] or ()
        for attribute in operator.attributes:
            self._attribute(node, attribute, x)
        for index in new:
            operand = operator.operand(index)
            expected = expected_shape(operand, shapes[: min(index, 2)], node.attributes)
            self._shape(self._shapes[node.inputs[index] or ""], expected)

    def _padded(self, node: Node) -> tuple[str | None, ...]:
        """The node's inputs with a None for each optional operand left out at the end."""
        operands = OPERATORS[node.operator].operands
        return (*node.inputs, *(None,) * (len(operands) - len(node.inputs)))

    def _attribute(self, node: Node, attribute: Attribute, x: Shape) -> None:
        value = node.attributes[attribute.name]
        context = Context.ATTRIBUTE + ATTRIBUTES.index(attribute.name)
        default = default_of(attribute, x, bool(self._graph.axes))
        if attribute.kind == "flag":
            self._coder.flag(context, value != default)
            return
        if default is not None:
            # -0.0 equals 0.0 and is another number
            differs = value != default or (attribute.kind == "float" and str(value) != str(default))
            self._coder.flag(context, differs)
            if not differs:
                return
        if isinstance(value, tuple):
            expected = attribute.length.of(len(x))
            self._coder.flag(Context.RANK, len(value) != expected)
            if len(value) != expected:
                self._coder.integer(Context.RANK, len(value))
            for previous, number in zip((None, *value), value, strict=False):
                if previous is not None:
                    self._coder.flag(Context.KERNEL, number != previous)
                if number != previous:
                    self._number(node, attribute, number, context)
        else:
            self._number(node, attribute, value, context)

    def _number(self, node: Node, attribute: Attribute, value: Any, context: int) -> None:
        if attribute.follows is not None and node.extents:
            self._coder.flag(Context.EXTENT, isinstance(value, Extent))
        if isinstance(value, Extent):
            self._extents.write(value)
        elif attribute.kind in ("float", "floats"):
            (bits,) = struct.unpack("<I", struct.pack("<f", value))
            self._coder.raw(bits >> 16, 16)
            self._coder.raw(bits & 0xFFFF, 16)
        elif attribute.kind == "choice":
            self._coder.integer(context, attribute.choices.index(value))
        elif attribute.low < -1:
            self._coder.integer(context, zigzag(value))
        else:
            self._coder.integer(context, value - attribute.low)

    def _shape(self, shape: Shape, expected: Sequence[int | None] | None) -> None:
        """A constant's shape, as far as it isn't known: all of it, or the sizes left open."""
        if expected is None:
            self._coder.integer(Context.RANK, len(shape))
            for previous, size in zip((None, *shape), shape, strict=False):
                self._size(size, previous)
            return
        previous = None
        for index, (size, known) in enumerate(zip(shape, expected, strict=True)):
            if known is not None:
                continue
            if index == 0:
                self._coder.integer(Context.OUTPUTS_OF_LAYER, size - 1)
                continue
            if previous is not None:
                self._coder.flag(Context.KERNEL, size != previous)
            if size != previous:
                self._coder.integer(Context.KERNEL, size - 1)
            previous = size

    def _names(self) -> None:
        every = [given.name for given in self._graph.inputs]
        every += [node.output for node in self._graph.nodes]
        every += list(self.constants)
        self._text(every, "them, or write the file without names")

    def _text(self, names: Sequence[str], what: str) -> None:
        """Names, one in each line."""
        text = "\n".join(name.replace("\n", " ") for name in names).encode(errors="replace")
        if len(set(text.split(b"\n"))) < len(names) or not text:
            raise GraphError(
                "the names of the graph don't differ, or are empty, once line breaks are spaces and what UTF-8 doesn't "
                f"have is '?'; rename {what}."
            )
        self.name_bytes = max(self.name_bytes, len(text))
        self._coder.integer(Context.NAMES, len(text) - 1)
        letters = np.frombuffer(text, np.uint8).reshape(1, -1)
        self._coder.codes((1, len(text), 1, 1), np.ones_like(letters), 8, letters)


def _check_limits(
    graph: Graph, structure: _StructureWriter, shapes: Mapping[str, Shape], size_bytes: int, decisions: int
) -> None:
    """Refuse what the reader would refuse."""
    limits = fmt.Limits()
    elements = sum(graph.constants[name].size for name in structure.constants)
    largest = max(
        *(math.prod(shape) for shape in shapes.values()),
        *(
            padded_entries(OPERATORS[node.operator], shapes[node.given[0]], node.attributes)
            for node in graph.nodes
            if node.given
        ),
        0,
    )
    for what, given, allowed in (
        ("inputs", len(graph.inputs), fmt.MOST_INPUTS),
        ("outputs", len(graph.outputs), fmt.MOST_OUTPUTS),
        ("open axes", len(graph.axes), fmt.MOST_AXES),
        ("nodes", len(graph.nodes), fmt.MOST_NODES),
        ("operands", structure.operands, fmt.MOST_OPERANDS),
        ("constants", len(structure.constants), fmt.MOST_CONSTANTS),
        ("bytes of names", structure.name_bytes, fmt.MOST_NAME_BYTES),
        ("axes of a value", max(len(shape) for shape in shapes.values()), fmt.HIGHEST_RANK),
        ("entries of constants", elements, limits.elements_for(size_bytes)),
        ("entries of a value", largest, limits.value_elements),
        ("decisions", decisions, limits.decisions_for(size_bytes)),
    ):
        if given > allowed:
            raise FileLimitError(f"the graph has {given:,} {what}; an .nsm file holds at most {allowed:,}.")
