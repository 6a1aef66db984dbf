"""Bytes of an .nsm file -> what it holds, read by the engine's reader in C++; here it only gets Python's types.

    bytes ──▶ _native.FileReader ──▶ structure: names, types, axes, nodes, attributes, extents ──▶ Graph
                     │                                                                          ▲
                     └──▶ constants, one after another: values, codes, tables ──▶ Weights ──────┘──▶ Packed

Sessions run what the same C++ reads. specification/ has the reader that docs/format.md describes, in Python: tests and
fuzzing hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from netsurgery import _native
from netsurgery.checks import require
from netsurgery.errors import FileLimitError
from netsurgery.graph.extents import Above, Extent, Factor, Quotient
from netsurgery.graph.ir import Graph, Input, Node
from netsurgery.graph.operators import Shape
from netsurgery.graph.value_types import TYPE_OF_CODE
from netsurgery.graph.weights import Weights, matrix_shape
from netsurgery.packed import format as fmt
from netsurgery.packed import stored as decoded
from netsurgery.packed.format import Encoding, Limits
from netsurgery.packed.stored import Stored

_MOST_ELEMENTS = 2**48  # more than there can be, and what 64 bits can count


@dataclass(frozen=True)
class Packed:
    """What a file holds. stored: how each constant of the graph lies in it, by name; structure_bits: all the rest."""

    graph: Graph
    stored: dict[str, Stored]
    structure_bits: float
    size_bytes: int
    version: int


def decode(content: bytes, *, limits: Limits | None = None) -> Packed:
    """Read a whole file.

    limits: what to grant a file that declares much; None: `Limits()`.
    Raises PackedFileError if the file is damaged or no .nsm file, FileVersionError if it is of another version, and
    FileLimitError if it asks for more than the limits.
    """
    reader = PackedReader(content, limits=limits)
    constants: dict[str, Weights] = {}
    stored: dict[str, Stored] = {}
    for name, weights, how in reader.constants():
        constants[name], stored[name] = weights, how
    return Packed(reader.graph(constants), stored, reader.structure_bits, len(content), fmt.VERSION)


class PackedReader:
    """Reads a file in two steps: the structure at once, then one constant after another, so that none has to be kept.

    Arguments and errors are those of `decode`.
    """

    def __init__(self, content: bytes, *, limits: Limits | None = None) -> None:
        with in_words_of_python():
            self._reader = _native.FileReader(content, *counted(limits))
        self._structure = self._reader.structure()
        self.structure_bits = self._reader.structure_bits

    def constants(self) -> Iterator[tuple[str, Weights, Stored]]:
        """Name, weights and form of each constant, in the order of the file. Can be gone through once.

        What contradicts itself only at larger sizes of open axes is refused after the last one.
        """
        shapes = self._structure["constants"]
        for name, shape in zip(self._structure["names"][-len(shapes) :] if shapes else (), shapes, strict=True):
            with in_words_of_python():
                read = self._reader.next()
            weights, encoding = _weights(shape, read)
            yield name, weights, Stored(shape, encoding, read["kept"], read["distinct"], read["bits"])
        with in_words_of_python():
            self._reader.finish()

    def graph(self, constants: Mapping[str, Weights]) -> Graph:
        """The whole graph, given its constants by name."""
        read, names = self._structure, self._structure["names"]
        axes = [name for name, _, _ in read["axes"]]
        extents = [_extent(terms, axes) for terms in read["extents"]]
        inputs = tuple(Input(name, shape, TYPE_OF_CODE[code]) for name, shape, code in read["inputs"])
        nodes = tuple(
            Node(
                operator,
                tuple(None if place is None else names[place] for place in operands),
                names[output],
                {**attributes, **{name: _following(attributes[name], follows[name], extents) for name in follows}},
            )
            for operator, operands, output, attributes, follows in read["nodes"]
        )
        least = {name: size for name, size, _ in read["axes"]}
        steps = {name: step for name, _, step in read["axes"]}
        return Graph(inputs, nodes, tuple(names[place] for place in read["outputs"]), constants, least, steps)


def counted(limits: Limits | None) -> tuple[int, int]:
    """Limits as the engine counts, in 64 bits: elements and value_elements.

    There, 0 elements are what the size of the file grants, and nothing is granted below 0.
    """
    require(isinstance(limits, Limits | None), "limits", limits, "netsurgery.Limits, or None")
    granted = Limits() if limits is None else limits
    elements = 0 if granted.elements is None else _within_64_bits(granted.elements) or -1
    return elements, _within_64_bits(granted.value_elements)


@contextmanager
def in_words_of_python() -> Iterator[None]:
    """Errors of the engine, which speaks of the limits that C has as fields of another record."""
    try:
        yield
    except FileLimitError as error:
        raise FileLimitError(str(error).replace("the limit of ", "Limits.")) from None


def _within_64_bits(limit: int) -> int:
    return int(min(max(limit, 0), _MOST_ELEMENTS))


def _weights(shape: Shape, read: _native.StoredTensor) -> tuple[Weights, str]:
    """A constant with the type that its encoding shows, and what to call that."""
    if read["encoding"] is None:
        return decoded.zeros(shape), decoded.ZERO
    encoding, rows = Encoding(read["encoding"]), matrix_shape(shape)[0]
    if encoding is Encoding.FLOATS:
        return decoded.floats(shape, read["values"], read["mantissa"], read["shared"])
    if encoding is Encoding.CODEBOOK:
        return decoded.codebook(shape, read["table"], read["codes"], read["present"])
    scales = read["table"].view(np.float32)
    if encoding is Encoding.UNIFORM:
        return decoded.uniform(shape, scales, read["codes"], read["present"], read["least"], read["span"])
    return decoded.planes(shape, scales.reshape(rows, -1), read["signs"])


def _following(value: Any, places: Sequence[int | None], extents: Sequence[Extent]) -> Any:
    """An attribute with extents where its numbers follow open axes; places: which, None for those that don't."""
    numbers = value if isinstance(value, tuple) else (value,)
    found = tuple(one if place is None else extents[place] for one, place in zip(numbers, places, strict=True))
    return found if isinstance(value, tuple) else found[0]


def _extent(terms: _native.Terms, axes: Sequence[str]) -> Extent:
    return Extent(tuple((tuple(_factor(one, axes) for one in factors), number) for factors, number in terms))


def _factor(given: _native.Factor, axes: Sequence[str]) -> Factor:
    if isinstance(given, int):
        return axes[given]
    terms, divisor = given
    of = _extent(terms, axes)
    return Above(of) if divisor is None else Quotient(of, divisor)
