"""Each refusal of docs/format.md, Part III, in both readers: files written decision by decision, wrong in one place."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case
from tests.packed.graphs import numbered, whole_numbers
from tests.packed.readers import READERS, decode

from netsurgery._native import Encoder
from netsurgery.errors import FileLimitError, FileVersionError, PackedFileError
from netsurgery.graph.operators import OPERATORS
from netsurgery.packed.format import ATTRIBUTES, FOLLOWS, Context, Encoding, Limits, Mask
from netsurgery.packed.writer import encode

HIGHEST_CODE = max(one.code for one in OPERATORS.values())
Call = tuple[Any, ...]
Calls = list[Call]

NAN, INFINITY, LARGEST, ONE = 0x7FC00000, 0x7F800000, 0x7F7FFFFF, 0x3F800000


@pytest.fixture(params=READERS)
def coder(request: pytest.FixtureRequest) -> str:
    return request.param


def with_header(stream: bytes) -> bytes:
    return b"NSM\x01" + struct.pack("<I", zlib.crc32(stream)) + stream


def written(calls: Calls) -> bytes:
    """The file whose stream is made by these calls of an encoder: the method's name and its arguments."""
    encoder = Encoder()
    for method, *arguments in calls:
        getattr(encoder, method)(*arguments)
    return with_header(encoder.finish())


def flag(context: int, bit: bool) -> Call:
    return ("flag", context, bit)


def integer(context: int, value: int) -> Call:
    return ("integer", context, value)


def shape(*sizes: int) -> Calls:
    """All of a shape without its rank; each size is said."""
    calls = []
    for place, size in enumerate(sizes):
        if place:
            calls.append(flag(Context.SIZE, size != sizes[place - 1]))
        if not place or size != sizes[place - 1]:
            calls.append(integer(Context.SIZE, size - 1))
    return calls


FIXED = [flag(Context.RANK, True), flag(Context.INPUT_FORM, False)]
"""An input of float32 none of whose sizes is open."""


def told(kind: int) -> Calls:
    """An input whose type is said, and of each size whether it is open."""
    return [flag(Context.RANK, True), flag(Context.INPUT_FORM, True), integer(Context.INPUT_FORM, kind)]


def open_size(axis: int, least: int | None = None, step: int | None = None) -> Calls:
    """least: of an axis that appears for the first time, in steps of it."""
    calls = [flag(Context.OPEN_SIZE, True), integer(Context.OPEN_SIZE, axis)]
    calls += [] if step is None else [integer(Context.LEAST_SIZE, step - 1)]
    return calls if least is None else [*calls, integer(Context.LEAST_SIZE, least - 1)]


def whole_head(nodes: int = 1) -> Calls:
    """One input of int64 with an open axis of its own."""
    names = [flag(Context.NAMES, False)]
    return [*head(1)[:3], *told(2), *open_size(0, least=1), *names, integer(Context.NODE_COUNT, nodes)]


def text(letters: bytes) -> Calls:
    return [integer(Context.NAMES, len(letters) - 1), codes(*letters, width=8)]


def head(*sizes: int, nodes: int = 1, names: bool = False) -> Calls:
    """One input of a fixed shape."""
    return [
        flag(Context.NAMES, names),
        integer(Context.INPUT_COUNT, 0),
        integer(Context.RANK, len(sizes)),
        *FIXED,
        *shape(*sizes),
        integer(Context.NODE_COUNT, nodes),
    ]


def operator(name: str, after: str | None = None) -> Call:
    before = 0 if after is None else OPERATORS[after].code
    return integer(Context.OPERATOR + before, OPERATORS[name].code - 1)


def value(distance: int = 0) -> Calls:
    return [flag(Context.CONSTANT_FLAG, False), integer(Context.DISTANCE, distance)]


NEW = [flag(Context.CONSTANT_FLAG, True), flag(Context.TIED, False)]
OUTPUT = [integer(Context.OUTPUT_COUNT, 0), integer(Context.OUTPUT, 0)]


def tied(number: int) -> Calls:
    return [flag(Context.TIED, True), integer(Context.TIED, number)]


NEW_NUMBER: Calls = [flag(Context.CONSTANT_FLAG, True), flag(Context.TIED, False), integer(Context.RANK, 0)]


def integers(count: int, *values: int) -> Calls:
    """The attributes of Integers: int64, of shape (3,), so many of them."""
    calls = [integer(attribute("type"), 2), flag(Context.RANK, False), integer(attribute("shape"), 2)]
    calls += [flag(Context.RANK, True), integer(Context.RANK, count)]
    for place, number in enumerate(values):
        calls += [flag(Context.KERNEL, True)] if place else []
        calls.append(integer(attribute("values"), 2 * number))
    return calls


def attribute(name: str) -> int:
    return Context.ATTRIBUTE + ATTRIBUTES.index(name)


def raw_float(bits: int) -> Calls:
    return [("raw", bits >> 16, 16), ("raw", bits & 0xFFFF, 16)]


def plus_constant(*sizes: int) -> Calls:
    """The input, of shape (1,), plus a constant of this shape, whose entries follow."""
    return [*head(1), operator("Add"), *value(), *NEW, integer(Context.RANK, len(sizes)), *shape(*sizes), *OUTPUT]


def row(*calls: Call) -> Calls:
    """A constant of four entries: a mask without zeros, and what follows it."""
    return [*plus_constant(4), integer(Context.MASK, Mask.DENSE), *calls]


def form(mantissa: int = 23, step: int = 0, shared: bool = False) -> Calls:
    """How floats are written; `step` of the exponent from 124."""
    return [
        flag(Context.MANTISSA, mantissa != 23),
        *([("raw", mantissa, 5)] if mantissa != 23 else []),
        integer(Context.EXPONENT, 2 * step if step >= 0 else -2 * step - 1),
        *([flag(Context.SHARED, shared)] if mantissa else []),
        flag(Context.MIXED, False),
    ]


def table(rows: int, *entries: int, exponent: int = 124) -> Call:
    bits = np.array(entries, np.uint32).reshape(rows, -1)
    return ("floats", (*bits.shape, 1, 1), np.ones(bits.shape, np.uint8), 23, exponent, False, True, bits)


def codes(*numbers: int, width: int, mask: tuple[int, ...] | None = None) -> Call:
    array = np.array([numbers], np.uint8)
    kept = np.ones_like(array) if mask is None else np.array([mask], np.uint8)
    return ("codes", (1, len(numbers), 1, 1), kept, width, array)


FLOATS, CODEBOOK, PLANES, UNIFORM = (integer(Context.ENCODING, encoding) for encoding in Encoding)


def floats(*entries: int) -> Calls:
    return row(FLOATS, *form(), table(1, *entries))


def codebook(entries: list[int], *numbers: int) -> Calls:
    width = (len(entries) - 1).bit_length()
    said = [integer(Context.CODES, len(entries) - 1), *form(), table(1, *entries), codes(*numbers, width=width)]
    return row(CODEBOOK, *said)


def counted(span: int, least: int) -> Calls:
    """least: zigzag."""
    return [integer(Context.CODES, span - 1), integer(Context.LEAST_COUNT, least)]


def planes(*scales: int) -> Calls:
    """Of one row of four; all signs are +, those of the second plane -."""
    signs = np.array([[1] * 4, [0] * 4, *[[1] * 4] * 6], np.uint8)[: len(scales)]
    return row(PLANES, integer(Context.PLANES, len(scales) - 1), *form(), table(1, *scales), ("plain_bits", signs))


def two_rows(plane: int, width: int) -> Calls:
    """A constant of (2, 6) with this picture, all zero."""
    picture = [integer(Context.PLANE, plane - 1), *([integer(Context.WIDTH, width - 1)] if plane > 1 else [])]
    return [*plus_constant(2, 6), *picture, integer(Context.MASK + 1, Mask.ZERO)]


def named(text: bytes) -> Calls:
    """An input, a Relu, and this for their names."""
    letters = codes(*text, width=8)
    return [*head(4, names=True), operator("Relu"), *value(), *OUTPUT, integer(Context.NAMES, len(text) - 1), letters]


def clip(minimum: int) -> Calls:
    given = [flag(attribute("minimum"), True), *raw_float(minimum), flag(attribute("maximum"), False)]
    return [*head(4), operator("Clip"), *value(), *given, *OUTPUT]


def gelu(choice: int) -> Calls:
    said = [flag(attribute("approximate"), True), integer(attribute("approximate"), choice)]
    return [*head(4), operator("Gelu"), *value(), *said, *OUTPUT]


def sliced(start: int, stop: int) -> Calls:
    return [
        *(*head(4), operator("Slice"), *value(), integer(attribute("axis"), 0)),
        *(flag(attribute("start"), True), integer(attribute("start"), start)),
        *(integer(attribute("stop"), stop - 1), flag(attribute("step"), False)),
        *OUTPUT,
    ]


def cut_to(*terms: tuple[int, Calls], number: int = 0) -> Calls:
    """The first entries of an input along its only axis, which is open: so many as an extent of these terms says."""
    extent = [integer(Context.EXTENT, number), integer(Context.TERMS, len(terms) - 1)]
    for coefficient, factors in terms:
        code = 2 * coefficient if coefficient >= 0 else -2 * coefficient - 1
        extent += [integer(Context.COEFFICIENT, code), *factors, integer(Context.FACTOR, 0)]
    return [
        *(*head(1)[:3], flag(Context.RANK, False), integer(Context.NODE_COUNT, 1)),
        *(integer(Context.OPERATOR, FOLLOWS - 1), operator("Slice"), *value(), integer(attribute("axis"), 0)),
        *(flag(attribute("start"), False), flag(Context.EXTENT, True), *extent, flag(attribute("step"), False)),
        *OUTPUT,
    ]


def axis_factor(axis: int) -> Call:
    return integer(Context.FACTOR, 3 + axis)


def halves(depth: int) -> Calls:
    """floor(floor(axis 0 / 2) / 2) ..., as a factor."""
    if depth == 0:
        return [axis_factor(0)]
    inner = [integer(Context.TERMS, 0), integer(Context.COEFFICIENT, 2), *halves(depth - 1), integer(Context.FACTOR, 0)]
    return [integer(Context.FACTOR, 1), integer(Context.DIVISOR, 0), *inner]


def reshaped(*sizes: int) -> Calls:
    """An input of shape (4,) in another shape; each size is said, plus 1."""
    said = [flag(attribute("shape"), True), flag(Context.RANK, len(sizes) != 2)]
    said += [integer(Context.RANK, len(sizes))] if len(sizes) != 2 else []
    for place, size in enumerate(sizes):
        said += [flag(Context.KERNEL, True)] if place else []
        said += [integer(attribute("shape"), size + 1)]
    return [*head(4), operator("Reshape"), *value(), *said, *OUTPUT]


def average(axes: int) -> Calls:
    """The mean over so many axes, all of them the first."""
    count = [flag(Context.RANK, axes != 1), *([integer(Context.RANK, axes)] if axes != 1 else [])]
    said = [*count, integer(attribute("axes"), 0), *[flag(Context.KERNEL, False)] * (axes - 1)]
    return [*head(4), operator("Mean"), *value(), *said, flag(attribute("keepdims"), False), *OUTPUT]


def joined(*counts: int) -> Calls:
    """Nodes that join so many times the newest value, which has the shape (1,)."""
    calls = head(1, nodes=len(counts))
    for place, count in enumerate(counts):
        calls += [operator("Concat", "Concat" if place else None), integer(Context.OPERAND_COUNT, count - 1)]
        calls += value() * count + [integer(attribute("axis"), 0)]
    return [*calls, *OUTPUT]


def many_inputs(count: int) -> Calls:
    shapes = [integer(Context.RANK, 1), *FIXED, integer(Context.SIZE, 0)] * count
    return [flag(Context.NAMES, False), integer(Context.INPUT_COUNT, count - 1), *shapes]


LINEAR = [operator("Linear"), *value(), flag(Context.TIED, False)]
SPARSE_ROW = [*plus_constant(4), integer(Context.MASK, Mask.SPARSE)]
HALF = np.array([[1, 0, 1, 0]], np.uint8)

ACCEPTED: dict[str, Calls] = {
    "floats": floats(ONE, LARGEST, 0x80000000, 1),
    "a codebook": codebook([ONE, LARGEST, 1], 0, 1, 2, 0),
    "two planes": planes(LARGEST, LARGEST),
    "eight planes": planes(*[ONE] * 8),
    "a picture": two_rows(6, 3),
    "names": named("é\nb".encode()),
    "an infinite attribute": clip(INFINITY),
    "a choice": gelu(1),
    "a slice": sliced(1, 4),
    "an extent": cut_to((1, [axis_factor(0)])),
    "the deepest extent": cut_to((1, []), (1, halves(7))),
    "an extent of 64 parts": cut_to((1, [axis_factor(0)]), *[(0, [axis_factor(0)])] * 31),
    "eight axes": reshaped(*[1] * 7, 4),
    "one axis of a mean": average(1),
    "operands": joined(3, 2),
    "open axes": [
        *(*head(1, 1, 1)[:3], *told(0), *open_size(0, least=4), flag(Context.OPEN_SIZE, False), *shape(3)),
        *(*open_size(1, least=2), flag(Context.NAMES, True), *text(b"h\nw")),
        *(integer(Context.NODE_COUNT, 1), operator("Relu"), *value(), *OUTPUT),
    ],
    "64 inputs": [*many_inputs(64), integer(Context.NODE_COUNT, 0), *OUTPUT],
    "64 outputs": [*head(1, nodes=0), integer(Context.OUTPUT_COUNT, 63), *[integer(Context.OUTPUT, 0)] * 64],
    "a plain mask": [
        *(*plus_constant(4), integer(Context.MASK, Mask.SPARSE_PLAIN), ("plain_mask", (1, 4, 1, 1), HALF), CODEBOOK),
        *(integer(Context.CODES, 1), *form(), table(1, ONE, LARGEST), codes(0, 0, 1, 0, width=1, mask=(1, 0, 1, 0))),
    ],
}
"""Files that are right, from the same parts as those that are wrong in one place."""

BIG = [
    *(integer(Context.COEFFICIENT, 2 * (2**31 - 1)), integer(Context.FACTOR, 2)),
    *(integer(Context.TERMS, 0), integer(Context.COEFFICIENT, 2 * (2**31 - 1)), integer(Context.FACTOR, 0)),
    integer(Context.FACTOR, 0),
]
"""A term of nearly 2^62."""

DAMAGED: dict[str, tuple[Calls, str]] = {
    "operator": (
        [*head(4), integer(Context.OPERATOR, HIGHEST_CODE)],
        f"operator {HIGHEST_CODE + 1} doesn't exist in this",
    ),
    "operator of a code between others": (
        [*head(4), integer(Context.OPERATOR, OPERATORS["Integers"].code - 2)],
        f"operator {OPERATORS['Integers'].code - 1} doesn't exist in this",
    ),
    "mask kind": ([*plus_constant(4), integer(Context.MASK, 5)], "mask 5 doesn't exist in this version"),
    "encoding": (row(integer(Context.ENCODING, 4)), "encoding 4 doesn't exist in this version"),
    "choice": (gelu(2), "approximate has no choice 2"),
    "operand before the first value": (
        [*head(4), operator("Relu"), *value(1)],
        "value 2 before the newest of 1 doesn't exist",
    ),
    "output before the first value": (
        [*head(4, nodes=0), integer(Context.OUTPUT_COUNT, 0), integer(Context.OUTPUT, 1)],
        "value 2 before the newest of 1 doesn't exist",
    ),
    "constant before it appears": (
        [*head(4), operator("Add"), *value(), flag(Context.CONSTANT_FLAG, True), *tied(0)],
        "constant 0 is used before it appears",
    ),
    "plane": (two_rows(4, 1), r"a matrix of shape \(2, 6\) has planes of 4 entries in lines of 1"),
    "width": (two_rows(6, 4), r"a matrix of shape \(2, 6\) has planes of 6 entries in lines of 4"),
    "mantissa": (row(FLOATS, *form(mantissa=24)), "floats with 24 bits of mantissa around exponent 124 don't exist"),
    "exponent above": (row(FLOATS, *form(step=131)), "23 bits of mantissa around exponent 255 don't exist"),
    "exponent below": (row(FLOATS, *form(step=-125)), "23 bits of mantissa around exponent -1 don't exist"),
    "exponent far above": (row(FLOATS, *form(step=2**31 - 1)), "around exponent 2147483771 don't exist"),
    "form of a codebook": (row(CODEBOOK, integer(Context.CODES, 1), *form(mantissa=31)), "floats with 31 bits"),
    "form of scales": (row(PLANES, integer(Context.PLANES, 1), *form(step=200)), "around exponent 324 don't exist"),
    "code": (codebook([ONE, LARGEST, 1], 0, 1, 2, 3), "code 3 lies beyond a codebook of 3 values"),
    "values of a codebook": (
        [*plus_constant(300), integer(Context.MASK, Mask.DENSE), CODEBOOK, integer(Context.CODES, 256)],
        "a codebook has 257 values for 300 entries; so many, and at most 256, are allowed",
    ),
    "more values than entries": (
        row(CODEBOOK, integer(Context.CODES, 4)),
        "a codebook has 5 values for 4 entries; so many, and at most 256, are allowed",
    ),
    "counts": (row(UNIFORM, *counted(257, 0)), "a tensor has 257 counts from 0 on; at most 256"),
    "counts far below": (row(UNIFORM, *counted(2, 511)), "a tensor has 2 counts from -256 on; at most 256, from -255"),
    "counts far above": (row(UNIFORM, *counted(2, 512)), "a tensor has 2 counts from 256 on; at most 256, from -255"),
    "count": (
        row(UNIFORM, *counted(3, 0), *form(), table(1, ONE), codes(0, 1, 2, 3, width=2)),
        "code 3 lies beyond the 3 counts of a tensor",
    ),
    "planes": (row(PLANES, integer(Context.PLANES, 8)), "has 9 planes; 1 to 8, without a mask, are allowed"),
    "planes with a mask": (
        [*SPARSE_ROW, ("mask", (1, 4, 1, 1), False, HALF), PLANES, integer(Context.PLANES, 0)],
        "has 1 planes; 1 to 8, without a mask, are allowed",
    ),
    "operands": (
        [*head(4), operator("MatMul"), *value(), *NEW, integer(Context.RANK, 1), *shape(3), *OUTPUT],
        r"contradicts itself: shapes \(4,\) and \(3,\) can't be multiplied as matrices",
    ),
    "bias of another shape": (
        [
            *head(4),
            *LINEAR,
            flag(Context.LEFT_OUT_FLAG, False),
            *tied(0),
            integer(Context.OUTPUTS_OF_LAYER, 2),
            *OUTPUT,
        ],
        r"contradicts itself: bias has shape \(3, 4\), \(3,\) is needed",
    ),
    "attribute": (sliced(3, 2), r"contradicts itself: start=3, stop=2 must lie inside axis 0"),
    "attribute beyond 31 bits": (sliced(2**31, 4), "contradicts itself: .*start=2147483648 is not allowed"),
    "size of no axis": (
        reshaped(4, 0),
        r"contradicts itself: shape=\(4, 0\) has a 0 in a place that x .* doesn't have",
    ),
    "axis twice": (average(2), r"contradicts itself: axes=\(0, 0\) must name at least one axis, each once"),
    "open axis without axes": (
        [*head()[:3], flag(Context.RANK, False)],
        "an input without axes can't have an open one",
    ),
    "value type": (
        [*head()[:3], flag(Context.RANK, True), flag(Context.INPUT_FORM, True), integer(Context.INPUT_FORM, 4)],
        "value type 4 doesn't exist in this version",
    ),
    "open axis before it appears": (
        [*head(1)[:3], *told(0), *open_size(2)],
        "open axis 2 appears before number 0",
    ),
    "open axis with a step of 1": (
        [*head(1)[:3], *told(0), *open_size(1, step=1)],
        "an open axis has a step of 1; it is at least 2, and all of them have a common multiple of at most 65,536",
    ),
    "open axes whose steps have a large common multiple": (
        [*head(1, 1)[:3], *told(0), *open_size(1, 3, step=257), *open_size(2, 1, step=256)],
        "an open axis has a step of 256; it is at least 2, and all of them have a common multiple",
    ),
    "whole numbers where floats are needed": (
        [*whole_head(), operator("Relu"), *value(), *OUTPUT],
        "contradicts itself: input 'x' is int64; it must be float32",
    ),
    "operands of two types": (
        [*whole_head(), operator("Add"), *value(), *NEW_NUMBER, *OUTPUT],
        "contradicts itself: input 'b' is float32, another one is int64; they must be alike",
    ),
    "whole numbers that don't fill their shape": (
        [*head(4), operator("Integers"), *integers(2, 5, 6), *OUTPUT],
        r"contradicts itself: 2 values don't fill shape \(3,\)",
    ),
    "an axis with a name too many": (
        [*head(1)[:3], *told(0), *open_size(0, least=1), flag(Context.NAMES, True), *text(b"a\nb")],
        "the file holds 2 different names for 1 open axes",
    ),
    "NaN": (floats(ONE, NAN, ONE, ONE), r"a tensor of shape \(4,\) holds a value that isn't finite"),
    "axis of an extent": (cut_to((1, [axis_factor(1)])), "an extent follows open axis 1 of 1"),
    "extent without axes": (
        [*head(4), *cut_to((1, [axis_factor(0)]))[5:]],
        "an extent follows open axis 0 of 0",
    ),
    "extent before its time": (cut_to((1, [axis_factor(0)]), number=1), "extent 1 appears before number 0"),
    "divisor": (
        cut_to((1, [integer(Context.FACTOR, 1), integer(Context.DIVISOR, 2**31 - 2), axis_factor(0)])),
        "divisor 2147483648; it is at most 2147483647",
    ),
    "extent too small": (cut_to((1, [axis_factor(0)]), (-1, [])), "contradicts itself: .*stop"),
    "extent too large": (cut_to((2**31 - 1, []), (1, [axis_factor(0)])), "contradicts itself: .*stop=2147483648"),
    "extent beyond 64 bits": (
        cut_to((2**31 - 1, [integer(Context.FACTOR, 2), *[integer(Context.TERMS, 0)], *BIG]), (1, [axis_factor(0)])),
        "too large to be counted",
    ),
    "extent beyond its axis": (cut_to((1, [axis_factor(0)]), (1, [])), "contradicts itself: .*must lie inside axis 0"),
    "infinity": (floats(ONE, INFINITY, ONE, ONE), "holds a value that isn't finite"),
    "infinity in a codebook": (codebook([ONE, INFINITY], 0, 0, 1, 0), "holds a value that isn't finite"),
    "infinite scale": (planes(INFINITY), "holds a value that isn't finite"),
    "NaN of scales": (planes(INFINITY, INFINITY), "holds a value that isn't finite"),
    "sum of scales": (planes(LARGEST, 1, LARGEST), "holds a value that isn't finite"),
    "NaN attribute": (clip(NAN), "contradicts itself: .*minimum=nan is not allowed"),
    "names of no text": (named(b"a\n\xff"), "names in the file are not UTF-8 text"),
    "a name too few": (named(b"ab"), "the file holds 1 different names for 2 values"),
    "a name too many": (named(b"a\nb\nc"), "the file holds 3 different names for 2 values"),
    "a name twice": (named(b"a\na"), "the file holds 1 different names for 2 values"),
}
"""What is wrong -> how the file is written, what is said about it."""

SIZE = 2**31

LIMITED: dict[str, tuple[Calls, str]] = {
    "too many whole numbers": (
        [*head(4), operator("Integers"), *integers(2**16 + 1)],
        "the file declares 65,537 numbers of values; at most 65,536 are allowed",
    ),
    "inputs": (many_inputs(65), "declares 65 inputs; at most 64 are allowed"),
    "outputs": (
        [*head(1, nodes=0), integer(Context.OUTPUT_COUNT, 64)],
        "declares 65 outputs; at most 64 are allowed",
    ),
    "nodes": (head(1, nodes=65_537), "declares 65,537 nodes; at most 65,536 are allowed"),
    "most nodes": (head(1, nodes=2**32 - 2), "declares 4,294,967,294 nodes; at most 65,536 are allowed"),
    "operands of a node": (
        [*head(1), operator("Concat"), integer(Context.OPERAND_COUNT, 262_144)],
        "declares 262,145 operands; at most 262,144 are allowed",
    ),
    "operands of all nodes": (
        [*head(1, nodes=2), *joined(1)[7:-2], operator("Concat", "Concat"), integer(Context.OPERAND_COUNT, 262_143)],
        "declares more than 262,144 operands",
    ),
    "axes of an input": (head(*[1] * 9), "declares 9 axes of an input; at most 8 are allowed"),
    "axes of a constant": (plus_constant(*[1] * 9), "declares 9 axes of a constant; at most 8 are allowed"),
    "axes of a value": (reshaped(*[1] * 8, 4), "reshape_1 has 9 axes; at most 8 are allowed"),
    "numbers": (average(17), "declares 17 numbers of axes; at most 16 are allowed"),
    "bytes of names": (
        [*head(1, nodes=0, names=True), *OUTPUT, integer(Context.NAMES, 2**20)],
        "declares 1,048,577 bytes of names; at most 1,048,576 are allowed",
    ),
    "size of an input": (head(SIZE), r"input has shape \(2147483648,\); sizes must be 1 to 2147483647"),
    "size of a constant": (plus_constant(SIZE), r"add_1\.b has shape \(2147483648,\); sizes must be 1 to 2147483647"),
    "size of an open batch": (
        [*head(1, SIZE)[:3], flag(Context.RANK, False), *shape(SIZE)],
        r"input has shape \(1, 2147483648\); sizes must be 1 to 2147483647",
    ),
    "open axes": (
        [
            *(flag(Context.NAMES, False), integer(Context.INPUT_COUNT, 1), integer(Context.RANK, 8), *told(0)),
            *(call for number in range(8) for call in open_size(number, least=1)),
            *(integer(Context.RANK, 1), *told(0), *open_size(8)),
        ],
        "declares more than 8 open axes",
    ),
    "depth of an extent": (cut_to((1, halves(8))), "an extent is more than 8 quotients deep"),
    "parts of an extent": (
        cut_to((1, [axis_factor(0)] * 2), *[(0, [axis_factor(0)])] * 31),
        "an extent has more than 64 terms and factors",
    ),
    "entries of a constant": (plus_constant(2**15, 2**16), r"constants of more than 16,\d{3},\d{3} entries"),
    "entries of a value": (head(2**14, 2**15), "input has 536,870,912 entries; 268,435,456 are allowed"),
}
"""What is too much -> how the file is written, what is said about it."""


@each_case("name", ACCEPTED)
def test_the_parts_of_the_wrong_files_make_right_ones(name: str, coder: Any) -> None:
    graph = decode(written(ACCEPTED[name]), coder=coder).graph
    assert numbered(decode(encode(graph)).graph) == numbered(graph)


@each_case("name", DAMAGED)
def test_a_file_that_means_nothing_is_refused_with_the_reason(name: str, coder: Any) -> None:
    calls, sentence = DAMAGED[name]
    with pytest.raises(PackedFileError, match=sentence) as refusal:
        decode(written(calls), coder=coder)
    assert refusal.type is PackedFileError


@each_case("name", LIMITED)
def test_a_file_beyond_the_limits_is_refused_with_what_is_allowed(name: str, coder: Any) -> None:
    calls, sentence = LIMITED[name]
    with pytest.raises(FileLimitError, match=sentence):
        decode(written(calls), coder=coder)


def test_entries_of_constants_count_over_all_nodes(coder: Any) -> None:
    pair = [*value(), *NEW, integer(Context.RANK, 2), *shape(2048, 4096)]
    both = [*head(1, nodes=3), operator("Add"), *pair, operator("Add", "Add"), *pair, operator("Add", "Add"), *pair]
    with pytest.raises(FileLimitError, match=r"more than 16,\d{3},\d{3} entries. If you trust it, raise Limits.elem"):
        decode(written(both), coder=coder)


@pytest.mark.parametrize(
    ("size_bytes", "entries"), [(0, 2**24), (2**20, 2**24 + 2**27), (2**23, 2**30), (2**40, 2**30)]
)
def test_a_file_is_granted_entries_by_its_size_up_to_a_bound(size_bytes: int, entries: int) -> None:
    """Of 1 MiB that is 600 MB once it is read, and seconds; it was seven times as much."""
    limits = Limits()
    assert limits.elements_for(size_bytes) == entries
    assert limits.decisions_for(size_bytes) == 2**24 + 4 * entries


MATRIX = [
    *(*plus_constant(2049, 2048), integer(Context.PLANE, 0)),
    integer(Context.MASK + 1, Mask.ZERO),
]


@pytest.mark.parametrize(
    ("calls", "limits", "sentence"),
    [
        (MATRIX, Limits(elements=2049 * 2048 - 1), "constants of more than 4,196,351 entries.*raise Limits.elements"),
        (
            [*head(2**14, 2**15, nodes=0), *OUTPUT],
            Limits(value_elements=2**29 - 1),
            "536,870,912 entries; 536,870,911 are allowed.*raise Limits.value_elements",
        ),
    ],
)
def test_a_caller_can_raise_and_lower_the_limits(calls: Calls, limits: Limits, sentence: str, coder: Any) -> None:
    content = written(calls)
    with pytest.raises(FileLimitError, match=sentence):
        decode(content, limits=limits, coder=coder)
    enough = Limits(None if limits.elements is None else limits.elements + 1, limits.value_elements + 1)
    assert decode(content, limits=enough, coder=coder).graph.outputs


@pytest.mark.parametrize("more", [bytes(4), b"\x01" * 4, b"\xff" * 20])
def test_bytes_behind_the_last_constant_are_refused(more: bytes, coder: Any) -> None:
    stream = encode(whole_numbers())[8:]
    assert decode(with_header(stream), coder=coder)
    with pytest.raises(PackedFileError, match="there are bytes behind the last constant"):
        decode(with_header(stream + more), coder=coder)


SMALL = encode(whole_numbers(), names=True)


@each_case("length", range(len(SMALL)))
def test_a_truncated_file_is_refused(length: int, coder: Any) -> None:
    sentence = "not an .nsm file" if length < 3 else "ends within its header: " if length < 8 else "checksum"
    with pytest.raises(PackedFileError, match=sentence):
        decode(SMALL[:length], coder=coder)


def test_every_flipped_bit_is_found(coder: Any) -> None:
    sentences = ["not an .nsm file"] * 3 + ["has version"] + ["damaged or truncated: its checksum"] * len(SMALL)
    for bit in range(8 * len(SMALL)):
        changed = bytearray(SMALL)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PackedFileError, match=sentences[bit // 8]):
            decode(bytes(changed), coder=coder)


@pytest.mark.parametrize("begin", [b"PK\x03\x04", b"\x08\x09ONNX!", b"nsm\x01", b"", b"NS"])
def test_another_kind_of_file_is_refused_with_what_it_begins_with(begin: bytes, coder: Any) -> None:
    with pytest.raises(PackedFileError) as refusal:
        decode(begin + bytes(100) if len(begin) > 3 else begin, coder=coder)
    begins = begin[:4].hex(" ") or "nothing"
    assert str(refusal.value) == f"not an .nsm file: it begins with {begins}, an .nsm file with 4e 53 4d (NSM)."


@pytest.mark.parametrize(("version", "advice"), [(0, "write it again"), (2, "install a newer netsurgery")])
def test_another_version_is_refused_with_what_to_do(version: int, advice: str, coder: Any) -> None:
    content = SMALL[:3] + bytes([version]) + SMALL[4:-5]  # what the rest means is not known
    sentence = f"has version {version} of the format; this release reads 1: .*{advice}"
    with pytest.raises(FileVersionError, match=sentence):
        decode(content, coder=coder)


def noise(calls: Calls) -> bytes:
    """About 100 bytes that begin as these calls do, and go on at random."""
    stream = written(calls)[8:]
    return with_header(stream + np.random.default_rng(0).bytes(92 - len(stream)))


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        (
            lambda: [*plus_constant(46_341, 46_341), *[("raw", 0, 16)] * 3],
            FileLimitError,
        ),  # so that all of it is settled
        (lambda: plus_constant(*[2**31 - 1] * 8), FileLimitError),
        (lambda: head(1, nodes=65_536), PackedFileError),
        (lambda: [*head(1), operator("Concat"), integer(Context.OPERAND_COUNT, 262_143)], PackedFileError),
        (lambda: [*head(1, nodes=0, names=True), *OUTPUT, integer(Context.NAMES, 2**20 - 1)], PackedFileError),
    ],
    ids=["entries", "entries beyond 64 bits", "nodes", "operands", "names"],
)
def test_a_hundred_bytes_that_declare_much_take_no_time_and_no_memory(
    calls: Callable[[], Calls], error: type[PackedFileError]
) -> None:
    content = noise(calls())
    tracemalloc.start()
    try:
        before = time.perf_counter()
        with pytest.raises(error):
            decode(content)
        assert time.perf_counter() - before < 2
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
