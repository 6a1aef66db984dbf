"""Bytes of an .nsm file -> graph. Trusts nothing: every size is checked before it is used, every claim against limits.

netsurgery/packed/writer.py puts the file together in the same order; docs/format.md says what each part means.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from netsurgery import _native
from netsurgery.errors import FileLimitError, FileVersionError, GraphError, PackedFileError
from netsurgery.graph.ir import WIDEST_STEP, Graph, Input, Node, node
from netsurgery.graph.operators import LARGEST_INT, Attribute, Operator, Shape
from netsurgery.graph.value_types import TYPE_OF_CODE, ValueType
from netsurgery.graph.weights import Weights
from netsurgery.packed import format as fmt
from netsurgery.packed.format import ATTRIBUTES, Context, Limits
from netsurgery.packed.reader import Packed
from netsurgery.packed.stored import Stored
from netsurgery.packed.structure import (
    OPERATOR_OF_CODE,
    default_of,
    expected_shape,
    made_up_axes,
    padded_entries,
    unzigzag,
)
from specification import coder as reference_coder
from specification.decoder_face import DecoderFace
from specification.extents import ExtentReader
from specification.tensors import TensorReader

CoderName = Literal["native", "reference"]


def decode(content: bytes, *, limits: Limits | None = None, coder: CoderName = "native") -> Packed:
    """Read a whole file, as `netsurgery.packed.reader.decode` does in C++.

    limits: what to grant a file that declares much; None: `Limits()`.
    coder: "native" (C++) or "reference" (Python, some hundred times slower, the same result).
    Raises PackedFileError if the file is damaged or no .nsm file, FileVersionError if it is of another version, and
    FileLimitError if it asks for more than the limits.
    """
    version = _check_header(content)
    made = _native.Decoder if coder == "native" else reference_coder.Decoder
    granted = Limits() if limits is None else limits
    decoder: DecoderFace = made(content, fmt.HEADER_BYTES, granted.decisions_for(len(content)))
    structure, tensors = StructureReader(decoder, granted, len(content)), TensorReader(decoder)
    constants: dict[str, Weights] = {}
    stored: dict[str, Stored] = {}
    with _refusing():
        structure.read()
        structure_bits = decoder.bits_read
        for name, shape in structure.constants.items():
            constants[name], stored[name] = tensors.read(shape)
    if not decoder.at_end:
        raise PackedFileError("there are bytes behind the last constant; the file is damaged.")
    graph = structure.graph(constants)
    with _refusing():
        for sizes in graph.tried_sizes():
            graph.shapes(sizes)
    return Packed(graph, stored, structure_bits, len(content), version)


@contextmanager
def _refusing() -> Iterator[None]:
    """A graph that contradicts itself is a damaged file, and one that asks for too many decisions is beyond limits."""
    try:
        yield
    except GraphError as error:
        raise PackedFileError(f"the file holds a graph that contradicts itself: {error}") from error
    except OverflowError as error:
        raise FileLimitError(
            "reading the file takes far more work than its size explains. If you trust it, raise Limits.elements."
        ) from error


def _check_header(content: bytes) -> int:
    """The version. Raises PackedFileError, FileVersionError."""
    if content[: len(fmt.MAGIC)] != fmt.MAGIC:
        begins = content[:4].hex(" ") or "nothing"
        raise PackedFileError(
            f"not an .nsm file: it begins with {begins}, an .nsm file with {fmt.MAGIC.hex(' ')} (NSM)."
        )
    if len(content) < fmt.HEADER_BYTES:
        raise PackedFileError(f"the file ends within its header: {len(content)} of {fmt.HEADER_BYTES} bytes.")
    version = content[len(fmt.MAGIC)]
    if version != fmt.VERSION:
        raise FileVersionError(
            f"the file has version {version} of the format; this release reads {fmt.VERSION}: "
            + ("install a newer netsurgery." if version > fmt.VERSION else "write it again.")
        )
    (claimed,) = struct.unpack("<I", content[4:8])
    found = zlib.crc32(memoryview(content)[fmt.HEADER_BYTES :])
    if claimed != found:
        raise PackedFileError(
            f"the file is damaged or truncated: its checksum is {found:08x}, {claimed:08x} is written."
        )
    return version


def _check_sizes(name: str, shape: Shape) -> None:
    if any(not 1 <= size <= LARGEST_INT for size in shape):
        raise FileLimitError(f"{name} has shape {shape}; sizes must be 1 to {LARGEST_INT}.")


class StructureReader:
    """Reads everything but the constants' entries, shapes worked out and checked on the way."""

    def __init__(self, coder: DecoderFace, limits: Limits, size_bytes: int) -> None:
        self._coder = coder
        self._limits = limits
        self._most_elements = limits.elements_for(size_bytes)
        self._inputs: list[Input] = []
        self._nodes: list[Node] = []
        self._outputs: list[str] = []
        self._values: list[str] = []
        self._shapes: dict[str, Shape] = {}
        self._types: dict[str, ValueType] = {}
        """Of inputs and nodes; constants are float32."""
        self._least: list[int] = []
        """Of each open axis, in order of their numbers."""
        self._steps: list[int] = []
        self._axis_names: list[str] = []
        self._extents = ExtentReader(coder, ())
        self._follows = False
        """Do numbers of the node that is being read follow open axes?"""
        self._operands = 0
        self._elements = 0
        self._made: dict[str, int] = {}
        self._constant_names: list[str] = []
        self.constants: dict[str, Shape] = {}
        """Shapes of the constants whose entries follow, in order."""

    def read(self) -> None:
        named = self._coder.flag(Context.NAMES)
        told = named
        for number in range(self._count(Context.INPUT_COUNT, fmt.MOST_INPUTS, "inputs", least=1)):
            told |= self._input("input" if number == 0 else f"input_{number + 1}")
        self._name_axes(told)
        previous_code = 0
        for _ in range(self._count(Context.NODE_COUNT, fmt.MOST_NODES, "nodes", least=0)):
            previous_code = self._node(previous_code)
        for _ in range(self._count(Context.OUTPUT_COUNT, fmt.MOST_OUTPUTS, "outputs", least=1)):
            self._outputs.append(self._value(Context.OUTPUT))
        if named:
            self._rename()

    def graph(self, constants: Mapping[str, Weights]) -> Graph:
        """The whole graph, once the constants are there."""
        least, steps = (dict(zip(self._axis_names, told, strict=True)) for told in (self._least, self._steps))
        return Graph(tuple(self._inputs), tuple(self._nodes), tuple(self._outputs), constants, least, steps)

    def _count(self, context: int, most: int, what: str, least: int) -> int:
        count = self._coder.integer(context) + least
        if count > most:
            raise FileLimitError(f"the file declares {count:,} {what}; at most {most:,} are allowed.")
        return count

    def _input(self, name: str) -> bool:
        """One input; its axes are called by their numbers for now. True if names of axes are told."""
        rank = self._count(Context.RANK, fmt.HIGHEST_RANK, "axes of an input", least=0)
        usual = not self._coder.flag(Context.RANK)
        if rank == 0 and usual:
            raise PackedFileError("an input without axes can't have an open one.")
        tells = not usual and self._coder.flag(Context.INPUT_FORM)
        code = self._coder.integer(Context.INPUT_FORM) if tells else ValueType.FLOAT32.code
        if code not in TYPE_OF_CODE:
            raise PackedFileError(f"value type {code} doesn't exist in this version of the format.")
        if usual and not self._least:
            self._least.append(1)
            self._steps.append(1)
        shape: list[int | str] = ["0"] if usual else []
        previous: int | None = None
        while len(shape) < rank:
            if tells and self._coder.flag(Context.OPEN_SIZE):
                shape.append(str(self._open_size()))
            else:
                previous = self._size(previous)
                shape.append(previous)
        given = Input(name, tuple(shape), TYPE_OF_CODE[code])
        self._inputs.append(given)
        self._add_value(name, given.at({str(number): size for number, size in enumerate(self._least)}))
        self._types[name] = given.type
        return tells and bool(given.axes)

    def _open_size(self) -> int:
        """The number of an axis. Of a new one follows which sizes it takes."""
        number, count = self._coder.integer(Context.OPEN_SIZE), len(self._least)
        if number > count + 1:
            raise PackedFileError(f"open axis {number} appears before number {count}.")
        if number < count:
            return number
        if count == fmt.MOST_AXES:
            raise FileLimitError(f"the file declares more than {fmt.MOST_AXES} open axes.")
        step = self._coder.integer(Context.LEAST_SIZE) + 1 if number > count else 1
        if (number > count and step == 1) or math.lcm(step, *self._steps) > WIDEST_STEP:
            raise PackedFileError(
                f"an open axis has a step of {step}; it is at least 2, and all of them have a common multiple of at "
                f"most {WIDEST_STEP:,}."
            )
        self._steps.append(step)
        self._least.append(step * (self._coder.integer(Context.LEAST_SIZE) + 1))
        return count

    def _name_axes(self, told: bool) -> None:
        """Replace the numbers of axes by their names."""
        names = list(made_up_axes(self._inputs))
        if told and names and self._coder.flag(Context.NAMES):
            names = self._text(len(names), "open axes")
        self._axis_names = names
        self._extents = ExtentReader(self._coder, names)
        self._inputs = [
            replace(given, shape=tuple(names[int(size)] if isinstance(size, str) else size for size in given.shape))
            for given in self._inputs
        ]

    def _size(self, previous: int | None) -> int:
        if previous is not None and not self._coder.flag(Context.SIZE):
            return previous
        return self._coder.integer(Context.SIZE) + 1

    def _value(self, context: int) -> str:
        """The name of a value, said by how many values lie between it and the newest."""
        distance = self._coder.integer(context)
        if distance >= len(self._values):
            raise PackedFileError(f"value {distance + 1} before the newest of {len(self._values)} doesn't exist.")
        return self._values[-1 - distance]

    def _add_value(self, name: str, shape: Shape) -> None:
        if len(shape) > fmt.HIGHEST_RANK:
            raise FileLimitError(f"{name} has {len(shape)} axes; at most {fmt.HIGHEST_RANK} are allowed.")
        _check_sizes(name, shape)
        self._check_entries(name, math.prod(shape))
        self._values.append(name)
        self._shapes[name] = shape

    def _check_entries(self, what: str, entries: int) -> None:
        if entries > self._limits.value_elements:
            raise FileLimitError(
                f"{what} has {entries:,} entries; {self._limits.value_elements:,} are allowed. "
                "If you trust the file, raise Limits.value_elements."
            )

    def _node(self, previous_code: int) -> int:
        code = self._coder.integer(Context.OPERATOR + previous_code) + 1
        self._follows = code == fmt.FOLLOWS
        if self._follows:
            code = self._coder.integer(Context.OPERATOR + previous_code) + 1
        if code not in OPERATOR_OF_CODE:
            raise PackedFileError(f"operator {code} doesn't exist in this version of the format.")
        operator = OPERATOR_OF_CODE[code]
        self._made[operator.name] = self._made.get(operator.name, 0) + 1
        name = f"{operator.name.lower()}_{self._made[operator.name]}"
        inputs, new = self._inputs_of(operator, name)
        x = self._shapes.get(inputs[0] or "") if inputs else None
        attributes = {
            attribute.name: self._attribute(attribute, () if x is None else x) for attribute in operator.attributes
        }
        for index in new:
            operand = operator.operand(index)
            before = [self._shapes.get(given or "") for given in inputs[: min(index, 2)]]
            shape = self._shape(expected_shape(operand, before, attributes))
            self._add_constant(inputs[index] or "", shape)
        made = node(operator.name, inputs, name, **attributes)
        operator.check_operands([None if given is None else given in self.constants for given in inputs])
        types = [None if given is None else self._types.get(given, ValueType.FLOAT32) for given in inputs]
        operator.check_types(types)
        shapes = [self._shapes.get(given or "") for given in inputs]
        now = made.at(dict(zip(self._axis_names, self._least, strict=True)))
        self._add_value(name, operator.shape(shapes, now.attributes))
        self._types[name] = operator.type(types, made.attributes)
        if x is not None:
            self._check_entries(f"{name}'s padded input", padded_entries(operator, x, now.attributes))
        self._nodes.append(made)
        return code

    def _inputs_of(self, operator: Operator, name: str) -> tuple[list[str | None], list[int]]:
        """Names of a node's operands, and which of them are constants that appear for the first time."""
        count = len(operator.operands)
        if operator.variadic:
            count = self._count(Context.OPERAND_COUNT, fmt.MOST_OPERANDS, "operands", least=1)
        self._operands += count
        if self._operands > fmt.MOST_OPERANDS:
            raise FileLimitError(f"the file declares more than {fmt.MOST_OPERANDS:,} operands.")
        inputs: list[str | None] = []
        new: list[int] = []
        for index in range(count):
            operand = operator.operand(index)
            if operand.optional and self._coder.flag(Context.LEFT_OUT_FLAG):
                inputs.append(None)
            elif not operand.constant and not self._coder.flag(Context.CONSTANT_FLAG):
                inputs.append(self._value(Context.DISTANCE))
            elif self._coder.flag(Context.TIED):
                number = self._coder.integer(Context.TIED)
                if number >= len(self.constants):
                    raise PackedFileError(f"constant {number} is used before it appears.")
                inputs.append(self._constant_names[number])
            else:
                constant = f"{name}.{operand.name}" + (f"_{index + 1}" if operand.variadic else "")
                self.constants[constant] = ()  # its number is taken; its shape comes after the attributes
                self._constant_names.append(constant)
                if len(self.constants) > fmt.MOST_CONSTANTS:
                    raise FileLimitError(f"the file declares more than {fmt.MOST_CONSTANTS:,} constants.")
                inputs.append(constant)
                new.append(index)
        return inputs, new

    def _attribute(self, attribute: Attribute, x: Shape) -> Any:
        context = Context.ATTRIBUTE + ATTRIBUTES.index(attribute.name)
        default = default_of(attribute, x, bool(self._least))
        if attribute.kind == "flag":
            return bool(default) ^ self._coder.flag(context)
        if default is not None and not self._coder.flag(context):
            return default
        if attribute.kind not in ("ints", "floats"):
            return self._number(attribute, context)
        count = attribute.length.of(len(x))
        if self._coder.flag(Context.RANK):
            count = self._count(Context.RANK, attribute.most, f"numbers of {attribute.name}", least=0)
        numbers: list[Any] = []
        for _ in range(count):
            repeated = bool(numbers) and not self._coder.flag(Context.KERNEL)
            numbers.append(numbers[-1] if repeated else self._number(attribute, context))
        return tuple(numbers)

    def _number(self, attribute: Attribute, context: int) -> Any:
        if attribute.kind in ("float", "floats"):
            bits = self._coder.raw(16) << 16 | self._coder.raw(16)
            return struct.unpack("<f", struct.pack("<I", bits))[0]
        if self._follows and attribute.follows is not None and self._coder.flag(Context.EXTENT):
            return self._extents.read()
        number = self._coder.integer(context)
        if attribute.kind == "choice":
            if number >= len(attribute.choices):
                raise PackedFileError(f"{attribute.name} has no choice {number}.")
            return attribute.choices[number]
        if attribute.low < -1:
            return unzigzag(number)
        return number + attribute.low

    def _shape(self, expected: tuple[int | None, ...] | None) -> Shape:
        if expected is None:
            sizes: list[int] = []
            for _ in range(self._count(Context.RANK, fmt.HIGHEST_RANK, "axes of a constant", least=0)):
                sizes.append(self._size(sizes[-1] if sizes else None))
            return tuple(sizes)
        result: list[int] = []
        previous: int | None = None
        for index, known in enumerate(expected):
            if known is not None:
                result.append(known)
            elif index == 0:
                result.append(self._coder.integer(Context.OUTPUTS_OF_LAYER) + 1)
            else:
                if previous is None or self._coder.flag(Context.KERNEL):
                    previous = self._coder.integer(Context.KERNEL) + 1
                result.append(previous)
        return tuple(result)

    def _add_constant(self, name: str, shape: Shape) -> None:
        _check_sizes(name, shape)
        self._elements += math.prod(shape)
        if self._elements > self._most_elements:
            raise FileLimitError(
                f"the file declares constants of more than {self._most_elements:,} entries. "
                "If you trust it, raise Limits.elements."
            )
        self.constants[name] = shape
        self._shapes[name] = shape

    def _text(self, needed: int, what: str) -> list[str]:
        """So many names."""
        count = self._count(Context.NAMES, fmt.MOST_NAME_BYTES, "bytes of names", least=1)
        letters = self._coder.codes((1, count, 1, 1), np.ones((1, count), np.uint8), 8)
        try:
            names = letters.tobytes().decode().split("\n")
        except UnicodeDecodeError as error:
            raise PackedFileError("the names in the file are not UTF-8 text.") from error
        if len(names) != needed or len(set(names)) != len(names):
            raise PackedFileError(f"the file holds {len(set(names))} different names for {needed} {what}.")
        return names

    def _rename(self) -> None:
        """Replace made-up names by those in the file."""
        made_up = [*self._values, *self.constants]
        new = dict(zip(made_up, self._text(len(made_up), "values"), strict=True))
        self._inputs = [replace(given, name=new[given.name]) for given in self._inputs]
        self._nodes = [
            Node(
                made.operator,
                tuple(None if name is None else new[name] for name in made.inputs),
                new[made.output],
                made.attributes,
            )
            for made in self._nodes
        ]
        self._outputs = [new[name] for name in self._outputs]
        self.constants = {new[name]: shape for name, shape in self.constants.items()}
