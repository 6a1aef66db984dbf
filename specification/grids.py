"""A tensor as a matrix, and what a model knows of an entry from where it stands (docs/format.md, "Grids")."""

from __future__ import annotations

from typing import NamedTuple

Matrix = list[list[int]]
"""rows x columns entries. A model reads them where it encodes, and fills them in where it decodes."""

COLUMN_SLOTS = 65536
"""Further columns share slots, which bounds the memory of a wide grid."""
UNKNOWN_LEVEL = 15


class Place(NamedTuple):
    """Where a column stands in its row. The neighbours are columns before it; -1: there is none."""

    column: int
    channel: int
    position: int
    left: int
    up: int
    up_left: int
    up_right: int


class Grid(NamedTuple):
    """One row for each output; a row is `columns / plane` channels of `plane` entries, in lines of `width`."""

    rows: int
    columns: int
    plane: int
    width: int

    def places(self) -> list[Place]:
        """One for each column. plane == 1: no picture; the last two columns take the places of `left` and `up`."""
        if self.plane == 1:
            return [Place(c, c, 0, c - 1, max(c - 2, -1), -1, -1) for c in range(self.columns)]
        return [self._place(c) for c in range(self.columns)]

    def _place(self, column: int) -> Place:
        channel, position = divmod(column, self.plane)
        line, x = divmod(position, self.width)
        above = column - self.width
        return Place(
            column,
            channel,
            position,
            left=column - 1 if x > 0 else -1,
            up=above if line > 0 else -1,
            up_left=above - 1 if line > 0 and x > 0 else -1,
            up_right=above + 1 if line > 0 and x + 1 < self.width else -1,
        )


def level(p16: int) -> int:
    """A probability in 1 / 65536 as a level 0 .. 13, two levels for each doubling."""
    length = p16.bit_length()
    half = p16 >> length - 2 & 1 if length >= 2 else 0
    return min(max(2 * (length - 1) + half - 18, 0), 13)


def share_level(part: int, whole: int) -> int:
    """The level of a share."""
    return level(part * 65535 // whole)
