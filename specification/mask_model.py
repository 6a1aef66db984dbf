"""What the bits of a mask are predicted from (docs/format.md, "Masks")."""

from __future__ import annotations

from specification.grids import UNKNOWN_LEVEL, Grid, Matrix, level, share_level
from specification.mixing import EVEN, Mixer, Slot, Slots, code_with
from specification.range_coder import Coder

ROW_MEMORY = 8
"""What a plain mask's row takes over from the row before, as a count."""


class MaskModel:
    """Codes masks, one after another. The rows of one are the producers of the columns of the next."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._row_levels: list[int] = []

    def code(self, grid: Grid, live_columns: bool, mask: Matrix) -> None:
        """mask: 0 or 1. live_columns: first say which columns hold any 1 at all."""
        live = self._columns(grid, mask) if live_columns else [1] * grid.columns
        sources = self._sources(grid.columns)
        mixer = Mixer(inputs=8, sets=2, steady_rate=262)
        overall = Slot()
        column, channel, position, neighbours, producer, run = (Slots() for _ in range(6))
        row_levels = []
        places = grid.places()
        above = [0] * grid.columns
        for entries in mask:
            here = [0] * (grid.columns + 1)  # the last one stands for a neighbour that doesn't exist
            row = Slot()
            ones_in_channel = zeros = 0
            for place in places:
                c = place.column
                if place.position == 0:
                    ones_in_channel = 0
                if not live[c]:
                    continue
                around = here[place.left] + 2 * here[place.up] + 4 * here[place.up_left] + 8 * here[place.up_right]
                row.begin_with(overall.p or EVEN)
                slots = (
                    overall,
                    row,
                    column[c],
                    channel[place.channel],
                    position[place.position],
                    neighbours[around, above[c]],
                    producer[sources[c], min(ones_in_channel, 7)],
                    run[level(row.p16), min(zeros, 15)],
                )
                bit = mixer.code(self._coder, int(around != 0), slots, entries[c])
                here[c] = entries[c] = bit
                ones_in_channel += bit
                zeros = 0 if bit else zeros + 1
            row_levels.append(share_level(sum(here), grid.columns))
            above = here
        if grid.rows > 1:
            self._row_levels = row_levels

    def code_plain(self, grid: Grid, mask: Matrix) -> None:
        """The same in a fraction of the time, for large grids. The producers stay as they are."""
        column, slots = Slots(), Slots()
        row = Slot()
        places = grid.places()
        for entries in mask:
            here = [0] * (grid.columns + 1)  # the last one stands for a neighbour that doesn't exist
            row.count = min(row.count, ROW_MEMORY)
            for place in places:
                c = place.column
                row.begin_with(EVEN)
                down = column[c]
                down.begin_with(row.p)
                slot = slots[level(row.p16), level(down.p16), here[place.left], here[place.up]]
                slot.begin_with(row.p)
                bit = self._coder.code(entries[c], slot.p16)
                for seen in (slot, row, down):
                    seen.learn(bit)
                here[c] = entries[c] = bit

    def _sources(self, columns: int) -> list[int]:
        """For each column, how dense the row of the last mask was that makes this column's input."""
        producers = len(self._row_levels)
        if producers == 0 or columns % producers:
            return [UNKNOWN_LEVEL] * columns
        each = columns // producers
        return [self._row_levels[c // each] for c in range(columns)]

    def _columns(self, grid: Grid, mask: Matrix) -> list[int]:
        """1 for each column that holds any 1."""
        live = [max(column) for column in zip(*mask, strict=True)]
        slots = Slots()
        for c, bit in enumerate(live):
            left, up, up_left = (live[c - back] if c >= back else 0 for back in (1, grid.width, grid.width + 1))
            live[c] = code_with(self._coder, slots[left, up, up_left], bit)
        return live
