"""The constants of the .nsm file (docs/format.md): header, contexts, kinds, limits; writer and readers share them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from numbers import Real

from netsurgery.checks import require

MAGIC = b"NSM"
VERSION = 1
HEADER_BYTES = 8
"""MAGIC, one byte of VERSION, the CRC-32 of everything after the header (little endian)."""

MOST_INPUTS = 64
MOST_AXES = 8
"""Open axes of a network."""
MOST_OUTPUTS = 64
MOST_NODES = 65_536
MOST_OPERANDS = 262_144
"""In one file, over all nodes."""
MOST_CONSTANTS = 65_536
MOST_NAME_BYTES = 2**20
HIGHEST_RANK = 8
MOST_EXTENTS = 4_096
"""Different numbers that follow open axes."""
MOST_PARTS = 64
"""Of one such number: terms and factors together."""
DEEPEST_PART = 8
"""How far quotients may lie within each other."""
FOLLOWS = 159
"""Stands in the place of an operator's code before a node of which numbers follow open axes."""
MOST_CODES = 256
"""Values in a codebook."""
LARGEST_UNIFORM = 255
"""Of the magnitudes of whole numbers that rows have scales for."""
MOST_PLANES = 8
"""Planes of a binary tensor."""
MOST_GRANTED_ENTRIES = 2**30
"""Of all constants together, unless the user grants more."""
GRANTED_ENTRIES = 2**24
GRANTED_ENTRIES_PER_BYTE = 128
"""What a file may declare, whatever its size, and for each of its bytes. A network of fewer than 2^24 entries may be as
sparse as it likes; 128 entries for a byte are one weight of three bits in 200, or one float32 in 700."""
GRANTED_DECISIONS = 2**24
GRANTED_DECISIONS_PER_ENTRY = 4
"""Bits that are coded by a probability: a bound on time."""


class Context(IntEnum):
    """What a flag or a number means: each has a context of its own, and learns there. Flags and numbers don't meet.

    So a number may have the context of a flag, and be another name of it here.
    """

    INPUT_COUNT = 0
    RANK = 1
    SIZE = 2
    NODE_COUNT = 3
    DISTANCE = 4
    LEFT_OUT_FLAG = 5
    DIVISOR = 5
    CONSTANT_FLAG = 6
    TERMS = 6
    TIED = 7
    OPERAND_COUNT = 8
    OUTPUT_COUNT = 9
    OUTPUT = 10
    NAMES = 11
    OUTPUTS_OF_LAYER = 12
    KERNEL = 13
    INPUT_FORM = 14
    OPEN_SIZE = 15
    MASK = 16
    ENCODING = 18
    MANTISSA = 20
    LEAST_COUNT = 20
    EXPONENT = 22
    SHARED = 24
    COEFFICIENT = 24
    MIXED = 26
    FACTOR = 26
    PLANE = 28
    WIDTH = 29
    CODES = 30
    PLANES = 31
    ATTRIBUTE = 32
    """The first of one context for each name in ATTRIBUTES."""
    EXTENT = 222
    LEAST_SIZE = 223
    OPERATOR = 224
    """The first of one context for each operator code that came before; this one itself for the first node."""


ATTRIBUTES = (
    "strides",
    "pads",
    "dilations",
    "groups",
    "kernel",
    "ceil_mode",
    "count_include_pad",
    "size",
    "minimum",
    "maximum",
    "alpha",
    "beta",
    "bias",
    "approximate",
    "axis",
    "shape",
    "order",
    "mode",
    "value",
    "start",
    "stop",
    "step",
    "axes",
    "keepdims",
    "epsilon",
    "scales",
    "coordinates",
    "rounding",
    "type",
    "values",
    "positive",
    "negative",
    "result",
    "batch_first",
    "reverse",
    "fixed_lengths",
    "clip",
    "gate_activation",
    "candidate_activation",
    "cell_activation",
    "alphas",
    "betas",
    "coupled",
    "reset_after",
    "blocks",
    "antialias",
    "exclude_outside",
    "roi",
    "axes_in_common",
    "reduction",
    "last",
    "count",
    "largest",
    "exclusive",
    "scale",
    "input_scale",
    "threshold",
    "repeats",
    "upper",
    "diagonal",
    "padding",
    "exponent",
    "bits",
    "signed",
    "planes",
)
"""The place of a name is its context, counted from Context.ATTRIBUTE. New names go to the end."""


class Mask(IntEnum):
    """How a tensor says which of its entries are not +0."""

    SPARSE = 0
    DENSE = 1
    SPARSE_LIVE_COLUMNS = 2
    ZERO = 3
    SPARSE_PLAIN = 4


class Encoding(IntEnum):
    """How a tensor's entries are written."""

    FLOATS = 0
    CODEBOOK = 1
    PLANES = 2
    UNIFORM = 3


@dataclass(frozen=True)
class Limits:
    """What a reader grants a file before it has proved anything. They bound reading, not running what was read.

    elements: entries of all constants together, beyond which a file is refused. Reading takes up to 20 bytes for each
        entry of the largest constant, and 4 for each that is kept. None: 2^24 and 128 for each byte of the file, which
        the sparsest networks stay below (GRANTED_ENTRIES_PER_BYTE), but never more than 2^30.
    value_elements: entries of any one value between two nodes, at the smallest sizes of open axes.

    >>> network = ns.load("model.nsm", limits=ns.Limits(elements=100))
    Traceback (most recent call last):
    netsurgery.errors.FileLimitError: model.nsm: the file declares constants of more than 100 entries...
    """

    elements: int | None = None
    value_elements: int = 2**28

    def __post_init__(self) -> None:
        for setting, value in (("elements", self.elements), ("value_elements", self.value_elements)):
            number = isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
            allowed = "a number" + ", or None" * (setting == "elements")
            require(number or (value is None and setting == "elements"), setting, value, allowed)

    def elements_for(self, size_bytes: int) -> int:
        """The bound on constants for a file of this size."""
        if self.elements is not None:
            return self.elements
        return min(GRANTED_ENTRIES + GRANTED_ENTRIES_PER_BYTE * size_bytes, MOST_GRANTED_ENTRIES)

    def decisions_for(self, size_bytes: int) -> int:
        """The bound on work: bits that are coded by a probability."""
        entries = max(self.elements_for(size_bytes), 0)
        return min(GRANTED_DECISIONS + GRANTED_DECISIONS_PER_ENTRY * entries, 2**62)
