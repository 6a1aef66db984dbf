"""What the codes of a codebook are predicted from, and bits that nothing predicts (docs/format.md, "Codes")."""

from __future__ import annotations

from specification.grids import Grid, Matrix, share_level
from specification.mixing import Mixer, Slots
from specification.range_coder import Coder


def code_codes(coder: Coder, grid: Grid, mask: Matrix, width: int, codes: Matrix) -> None:
    """Code a number below 2^width (0..8) for every entry whose mask is 1, its highest bit first; others become 0."""
    mixer = Mixer(inputs=5, sets=8, steady_rate=983)
    overall, left, above, density = Slots(), Slots(), Slots(), Slots()
    last = [0] * grid.columns  # of each column, in the nearest row above that has one
    for kept, entries in zip(mask, codes, strict=True):
        row = Slots()
        dense = share_level(sum(kept), grid.columns)
        before = 0
        for c in range(grid.columns):
            if not kept[c]:
                entries[c] = 0
                continue
            node = 1  # the bits so far, behind a 1
            for i in range(width):
                slots = (overall[node], row[node], left[before, node], above[last[c], node], density[dense, node])
                bit = mixer.code(coder, i, slots, entries[c] >> width - 1 - i & 1)
                node = 2 * node + bit
            entries[c] = before = last[c] = node - (1 << width)


def code_plain_bits(coder: Coder, bits: list[int]) -> None:
    """Code bits as they are, up to 16 at a time, the first one lowest."""
    for start in range(0, len(bits), 16):
        group = bits[start : start + 16]
        word = coder.raw(sum(bit << j for j, bit in enumerate(group)), len(group))
        bits[start : start + 16] = [word >> j & 1 for j in range(len(group))]
