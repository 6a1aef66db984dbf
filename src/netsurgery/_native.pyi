"""The engine in C++: the coder of the .nsm file, its reader, and which kernels run.

specification/coder.py is the coder in Python; docs/format.md says what each part is. Matrices have one row for each
output; a grid (rows, columns, plane, width) says that a row is columns / plane channels of `plane` entries, in
lines of `width`; plane 1 is not a picture. All methods of the coder raise ValueError where an argument lies outside its
range. An object is for one thread at a time.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

_Grid: TypeAlias = tuple[int, int, int, int]
_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Words: TypeAlias = npt.NDArray[np.uint32]

class Encoder:
    """Writes flags, numbers and tensors, one after another."""

    def __init__(self) -> None: ...
    def flag(self, context: int, bit: bool) -> None:
        """Write a bit that is usually False. context: 0..255, what it means."""

    def integer(self, context: int, value: int) -> None:
        """Write 0 <= value <= 2^32 - 2; small ones are short. context: 0..255, what it means."""

    def raw(self, value: int, count: int) -> None:
        """Write a number of `count` (0..16) bits as it is."""

    def mask(self, grid: _Grid, live_columns: bool, mask: _Bytes) -> None:
        """Write a mask of 0 and 1. live_columns: first say which columns hold any 1, shorter where many hold none."""

    def plain_mask(self, grid: _Grid, mask: _Bytes) -> None:
        """Write a mask in a fraction of the time, somewhat longer: for large grids."""

    def floats(
        self, grid: _Grid, mask: _Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool, bits: _Words
    ) -> None:
        """Write the floats whose mask is 1; a reader knows the mask and gets +0 for the others.

        mantissa: how many of its bits are written (0..23), the others are left out. exponent: the most frequent one,
        biased (0..255). shared: a row's first mantissa is that of all its floats. mixed: predict signs and exponents
        from many sides, which takes a few times longer. bits: float32 as integers.
        """

    def codes(self, grid: _Grid, mask: _Bytes, width: int, codes: _Bytes) -> None:
        """Write the numbers below 2^width (0..8) whose mask is 1; a reader knows the mask and gets 0 for the others."""

    def plain_bits(self, bits: _Bytes) -> None:
        """Write bits (an array of 0 and 1 of any shape) as they are."""

    def take(self, least: int) -> bytes:
        """The bytes of the stream that can't change any more, if there are at least so many, else none. Not kept."""

    def finish(self) -> bytes:
        """The stream of all that was written, without what was taken. Nothing more can be written then."""

    @property
    def decisions(self) -> int:
        """How many bits were coded by their probability so far."""

class Decoder:
    """Reads what an Encoder wrote, in its order. Other bytes give other values.

    All methods raise OverflowError once the content has asked for more than `most_decisions`.
    """

    def __init__(self, content: bytes, start: int = 0, most_decisions: int = 2**62) -> None:
        """Read from byte `start` on. most_decisions: bits coded by their probability, of which a byte can hold many."""

    def flag(self, context: int) -> bool:
        """The next flag."""

    def integer(self, context: int) -> int:
        """The next integer."""

    def raw(self, count: int) -> int:
        """The next number of `count` bits."""

    def mask(self, grid: _Grid, live_columns: bool) -> _Bytes:
        """The next mask, (rows, columns)."""

    def plain_mask(self, grid: _Grid) -> _Bytes:
        """The next plain mask, (rows, columns)."""

    def floats(self, grid: _Grid, mask: _Bytes, mantissa: int, exponent: int, shared: bool, mixed: bool) -> _Words:
        """The next floats as integers, (rows, columns)."""

    def codes(self, grid: _Grid, mask: _Bytes, width: int) -> _Bytes:
        """The next codes, (rows, columns)."""

    def plain_bits(self, count: int) -> _Bytes:
        """The next bits, (1, count)."""

    @property
    def at_end(self) -> bool:
        """True once every byte has been taken."""

    @property
    def bits_read(self) -> float:
        """How much of the stream the decisions so far have cost, to a fraction of a bit."""

_Floats: TypeAlias = npt.NDArray[np.float32]

def expand_in_place(layers: Sequence[tuple[_Floats, _Floats, _Floats, _Bytes]], refined: bool, threads: int) -> None:
    """Filters of some layers as sums of binary planes: what netsurgery.methods.expansion computes, in place.

    layers: (weights, latent, scales, codes) of each, C-contiguous, sharing no memory. weights (filters, t) become the
    sums; latent (filters, t) what the weights were; scales (filters, planes), 1..8 planes, and codes (filters, t) as
    in Expansion. A filter that isn't finite has a scale that isn't. threads: >= 1; the result doesn't depend on it.
    Raises ValueError for other shapes, TypeError for other arrays.
    """

def sum_in_place(layers: Sequence[tuple[_Floats, _Floats, _Floats, _Bytes]], threads: int) -> None:
    """Weights become the sums that their scales and codes say; all else as for expand_in_place, and stays."""

def adopt_in_place(layers: Sequence[tuple[_Floats, _Floats, _Floats, _Bytes]], threads: int) -> list[bool]:
    """Weights that aren't the sums that their scales and codes say become latent; True for layers that have any.

    Arrays as for expand_in_place; weights, scales and codes stay.
    """

Factor: TypeAlias = "int | tuple[Terms, int | None]"
"""Of a number that follows open axes: the number of an axis; terms over a divisor; terms and None, above zero."""
Terms: TypeAlias = "tuple[tuple[tuple[Factor, ...], int], ...]"
"""Each term's factors and coefficient."""

class Structure(TypedDict):
    """A graph with numbers in the place of names: values are inputs first, then nodes, then constants."""

    inputs: tuple[tuple[str, tuple[int | str, ...], int], ...]
    """Name, shape and code of the type of each; an open size is the name of its axis."""
    axes: tuple[tuple[str, int, int], ...]
    """Name of each open axis, its smallest size, and of what its sizes are multiples."""
    extents: tuple[Terms, ...]
    nodes: tuple[tuple[str, tuple[int | None, ...], int, dict[str, Any], dict[str, tuple[int | None, ...]]], ...]
    """Operator, operands (None: left out), output, attributes of each; and of attributes with numbers that follow open
    axes, which stand there at the smallest sizes, the extent of each number (None: it doesn't follow any)."""
    outputs: tuple[int, ...]

class FileStructure(Structure):
    """All of a file but the entries of its constants."""

    names: tuple[str, ...]
    """Of all values; made up where the file has none."""
    constants: tuple[tuple[int, ...], ...]
    """Their shapes."""

class StoredTensor(TypedDict):
    """A constant as a file holds it. Arrays have one axis, and no entries where they say nothing."""

    encoding: int | None
    """The code of one of packed.format.Encoding; None: all entries are +0."""
    mantissa: int
    shared: bool
    values: _Words
    """All entries; of zeros and of planes none."""
    present: _Bytes
    """Of a codebook or of whole numbers: 1 for each entry that has a code."""
    codes: _Bytes
    """Of a codebook: places in `table`. Of whole numbers: how far each lies above `least`. 0 without a code."""
    least: int
    span: int
    """Of whole numbers: how many there are from `least` on."""
    table: _Words
    """Values of a codebook; scales of rows; of planes (rows, planes)."""
    signs: _Bytes
    """(planes, rows, columns), 0 or 1."""
    kept: int
    """Entries that the file has numbers for."""
    distinct: int
    """Values other than +0; -1: more than 256."""
    bits: float

class FileReader:
    """The engine's reader, step by step; netsurgery.packed.reader is made of it. Errors are those of `load`."""

    def __init__(self, content: bytes, elements: int = 0, value_elements: int = 2**28) -> None:
        """Read everything but constants. elements, value_elements: as in Limits; elements 0: the default; -1: none."""

    def structure(self) -> FileStructure:
        """What was read."""

    @property
    def structure_bits(self) -> float:
        """What that costs in the file."""

    def next(self) -> StoredTensor:
        """The next constant; to be called once for each."""

    def finish(self) -> None:
        """After the last constant: refuse what lies behind it, and a graph that contradicts itself at larger sizes."""

class ReadGraph(Structure):
    """A graph as the engine keeps it."""

    output_names: tuple[str, ...]
    constants: tuple[tuple[str, tuple[int, ...], npt.NDArray[np.float32]], ...]
    """How the engine keeps each ("dense", "sparse" or "planes"), its shape, its entries (rows, columns)."""
    shapes: tuple[tuple[int, ...], ...]
    """Of every value at the sizes asked for."""

def read_graph(
    content: bytes, elements: int = 0, value_elements: int = 2**28, sizes: Sequence[int] | None = None
) -> ReadGraph:
    """What a session keeps of a file: for tests and fuzzing.

    elements, value_elements: as in FileReader. sizes: of the open axes, for `shapes`; None: the smallest.
    Raises PackedFileError, FileVersionError, FileLimitError.
    """

def instructions() -> str:
    """The instruction set in use: "avx512", "avx2", "neon" or "portable". Raises SettingError: the one forced isn't."""

def compiled_as() -> str:
    """What the kernels in use were compiled as."""

def available_instructions() -> list[str]:
    """The instruction sets of this machine that can be forced by NETSURGERY_ISA."""

def run_plain(
    content: bytes,
    inputs: Sequence[npt.NDArray[Any]],
    sizes: Sequence[int] = (),
    each: int = 0,
    last_first: bool = False,
    in_place: bool = False,
) -> list[npt.NDArray[np.float32]]:
    """The outputs of a network on plain kernels alone, node by node on the calling thread: for tests.

    inputs: C-contiguous, of the network's types and shapes at these sizes of its open axes. each: how many pieces of a
    node's work are run together; 0: all of them. last_first: in the opposite order. in_place: kernels that allow it
    write over their first operand. Memory that isn't written is NaN. Errors are those of read_graph, and ValueError for
    arrays that don't fit.
    """

class Session:
    """A network that the engine runs; netsurgery.Session is made of one. Python's threads may share it."""

    def __init__(
        self,
        content: bytes,
        threads: int = 0,
        elements: int = 0,
        value_elements: int = 2**28,
        plain_only: bool = False,
    ) -> None:
        """Read a whole file; errors are those of netsurgery.load.

        threads: 0 for one on each core. elements, value_elements: as in Limits; elements 0 is the default, -1 is none.
        plain_only: run every operator on the path that takes anything, for tests.
        """

    @property
    def inputs(self) -> tuple[tuple[str, tuple[int | str, ...], int], ...]:
        """Names, shapes with the names of open axes, codes of types."""

    @property
    def axes(self) -> tuple[tuple[str, int, int], ...]:
        """Name, smallest size and step of each open axis."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """In order."""

    @property
    def output_types(self) -> tuple[int, ...]:
        """Codes of types, in order."""

    @property
    def first_entries(self) -> list[tuple[int, int, int]]:
        """(output, axis, output that says how many entries along it there are), of those that a run decides."""

    @property
    def threads(self) -> int:
        """How many threads a run may use."""

    def profile(self, arrays: tuple[object, ...]) -> list[tuple[int, str, float, int]] | None:
        """One run on the calling thread: (node, -1 for none; kind; microseconds; useful multiply-adds) of each step.

        None as `run` says it.
        """

    def prepare(self, sizes: Sequence[int]) -> None:
        """Plan memory for sizes, one for each open axis. Raises InputError."""

    def run(self, arrays: tuple[object, ...]) -> npt.NDArray[Any] | tuple[npt.NDArray[Any], ...] | None:
        """The output, or a tuple of several: arrays of the caller's own.

        None, and nothing has been run, unless there is one array for each input, C-contiguous, of float32 and of the
        network's shape. Raises InputError if the network can't run at this batch size.
        """
