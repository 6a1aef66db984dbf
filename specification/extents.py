"""Numbers that follow open axes, as the file tells them: each once, and called by its number from then on."""

from __future__ import annotations

from collections.abc import Sequence

from netsurgery.errors import FileLimitError, PackedFileError
from netsurgery.graph.extents import Above, Extent, Factor, Quotient
from netsurgery.graph.operators import LARGEST_INT
from netsurgery.packed import format as fmt
from netsurgery.packed.extents import ABOVE, AXIS, END, QUOTIENT
from netsurgery.packed.format import Context
from netsurgery.packed.structure import unzigzag
from specification.decoder_face import DecoderFace


class ExtentReader:
    """Reads the extents of a graph, whose axes have these names."""

    def __init__(self, coder: DecoderFace, axes: Sequence[str]) -> None:
        self._coder = coder
        self._axes = axes
        self._known: list[Extent] = []
        self._parts = 0

    def read(self) -> Extent:
        """One of those that were told, or a new one. Raises PackedFileError and FileLimitError."""
        number = self._coder.integer(Context.EXTENT)
        if number > len(self._known):
            raise PackedFileError(f"extent {number} appears before number {len(self._known)}.")
        if number == len(self._known):
            if number == fmt.MOST_EXTENTS:
                raise FileLimitError(f"the file declares more than {fmt.MOST_EXTENTS:,} extents.")
            self._parts = 0
            self._known.append(self._told(1))
        return self._known[number]

    def _told(self, depth: int) -> Extent:
        if depth > fmt.DEEPEST_PART:
            raise FileLimitError(f"an extent is more than {fmt.DEEPEST_PART} quotients deep.")
        terms: list[tuple[tuple[Factor, ...], int]] = []
        for _ in range(self._coder.integer(Context.TERMS) + 1):
            self._count()
            coefficient = unzigzag(self._coder.integer(Context.COEFFICIENT))
            factors: list[Factor] = []
            while (kind := self._coder.integer(Context.FACTOR)) != END:
                self._count()
                factors.append(self._factor(kind, depth))
            terms.append((tuple(factors), coefficient))
        return Extent(tuple(terms))

    def _factor(self, kind: int, depth: int) -> Factor:
        if kind == ABOVE:
            return Above(self._told(depth + 1))
        if kind == QUOTIENT:
            divisor = self._coder.integer(Context.DIVISOR) + 2
            if divisor > LARGEST_INT:
                raise PackedFileError(f"an extent has the divisor {divisor}; it is at most {LARGEST_INT}.")
            return Quotient(self._told(depth + 1), divisor)
        if kind - AXIS >= len(self._axes):
            raise PackedFileError(f"an extent follows open axis {kind - AXIS} of {len(self._axes)}.")
        return self._axes[kind - AXIS]

    def _count(self) -> None:
        self._parts += 1
        if self._parts > fmt.MOST_PARTS:
            raise FileLimitError(f"an extent has more than {fmt.MOST_PARTS} terms and factors.")
