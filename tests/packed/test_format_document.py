"""The worked example of docs/format.md is what the coder does, decision by decision."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from netsurgery import _native
from netsurgery.packed import format as fmt
from specification import coder as reference_coder
from specification.grids import Grid
from specification.integer_model import IntegerModel
from specification.mask_model import MaskModel

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
EXAMPLE = DOCUMENT[DOCUMENT.index("### An example") :]
INTEGER = int(re.findall(r"The integer (\d+) in context 0", EXAMPLE)[0])
MASK = [[int(bit) for bit in line.split()] for line in re.findall(r"^    ([01 ]+)$", EXAMPLE, re.MULTILINE)]
GRID = Grid(*map(int, re.findall(r"grid \((\d+), (\d+), (\d+), (\d+)\)", EXAMPLE)[0]))
STEPS = [[cell.strip() for cell in row.split("|")] for row in re.findall(r"^\| (.*0x.*) \|$", EXAMPLE, re.MULTILINE)]
NUMBER, CONTENT = re.findall(r"holds (0x[0-9a-f]+), so the stream is the two bytes `([0-9a-f ]+)`", EXAMPLE)[0]


class Recorder:
    """A coder that notes what it is asked for, as the example's first columns do."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def code(self, bit: int, p: int) -> int:
        self.asked.append((str(p), str(bit)))
        return bit

    def raw(self, value: int, count: int) -> int:
        assert count == 1
        self.asked.append(("", str(value)))
        return value


def test_the_models_ask_for_the_decisions_of_the_example() -> None:
    recorder = Recorder()
    IntegerModel(recorder).integer(0, INTEGER)
    MaskModel(recorder).code(GRID, False, [list(row) for row in MASK])
    assert recorder.asked == [(p, bit) for _, p, bit, _, _ in STEPS]


def test_the_intervals_of_the_example_follow_the_rules_of_the_document() -> None:
    low, length, shifts = 0, 2**32 - 1, 0
    for _, p, bit, said_low, said_range in STEPS:
        if p:
            bound = length * int(p) >> 16
            low, length = (low, bound) if bit == "1" else (low + bound, length - bound)
        else:
            length >>= 1
            low += int(bit) * length
        while length < 2**24:
            low, length, shifts = low << 8, length << 8, shifts + 1
        assert (f"0x{low:0{8 + 2 * shifts}x}", f"0x{length:08x}") == (said_low, said_range)
    assert low <= int(NUMBER, 16) < low + length
    assert bytes.fromhex(NUMBER[2:]).rstrip(b"\0") == bytes.fromhex(CONTENT)


@pytest.mark.parametrize("module", [_native, reference_coder])
def test_the_example_is_written_as_the_document_says(module) -> None:
    encoder = module.Encoder()
    encoder.integer(0, INTEGER)
    encoder.mask(tuple(GRID), False, np.array(MASK, np.uint8))
    assert encoder.finish() == bytes.fromhex(CONTENT)


def test_attributes_are_listed_in_the_order_of_their_contexts() -> None:
    listed = re.findall(r"numbered from 0 in this order: ([a-z_,\s]+)\.", DOCUMENT)[0]
    assert tuple(listed.replace("\n", " ").split(", ")) == fmt.ATTRIBUTES
