"""Arguments out of range are refused before anything is written or read, by both coders in the same words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case

from netsurgery import _native
from specification import coder as reference_coder

ONE = np.ones((1, 2), np.uint8)
REFUSED: list[tuple[str, tuple[Any, ...]]] = [
    ("flag", (384, True)),
    ("flag", (-1, True)),
    ("integer", (384, 0)),
    ("integer", (0, -1)),
    ("integer", (0, 2**32 - 1)),
    ("raw", (0, 17)),
    ("raw", (0, -1)),
    ("raw", (4, 2)),
    ("raw", (-1, 2)),
    ("mask", ((0, 2, 1, 1), False, ONE)),
    ("mask", ((1, 0, 1, 1), False, ONE)),
    ("mask", ((1, 2, -1, 1), False, ONE)),
    ("mask", ((1, 2, 1, 0), False, ONE)),
    ("mask", ((1, 2, 3, 1), False, ONE)),
    ("mask", ((1, 2, 2, 3), False, ONE)),
    ("mask", ((2, 2, 1, 1), False, ONE)),
    ("mask", ((2**21, 2**21, 1, 1), False, ONE)),
    ("mask", ((1, 2, 1, 1), False, 2 * ONE)),
    ("floats", ((1, 2, 1, 1), ONE, 24, 0, False, True, ONE.astype(np.uint32))),
    ("floats", ((1, 2, 1, 1), ONE, -1, 0, False, True, ONE.astype(np.uint32))),
    ("floats", ((1, 2, 1, 1), ONE, 0, 256, False, True, ONE.astype(np.uint32))),
    ("floats", ((1, 2, 1, 1), ONE, 0, -1, False, True, ONE.astype(np.uint32))),
    ("floats", ((1, 2, 1, 1), 2 * ONE, 0, 0, False, True, ONE.astype(np.uint32))),
    ("floats", ((1, 2, 1, 1), ONE[:, :1], 0, 0, False, True, ONE.astype(np.uint32))),
    ("floats", ((1, 2, 1, 1), ONE, 0, 0, False, True, ONE.astype(np.uint32)[:, :1])),
    ("codes", ((1, 2, 1, 1), ONE, 9, ONE)),
    ("codes", ((1, 2, 1, 1), ONE, -1, ONE)),
    ("codes", ((1, 2, 1, 1), 2 * ONE, 1, ONE)),
    ("codes", ((1, 2, 1, 1), ONE, 1, 2 * ONE)),
    ("codes", ((1, 2, 1, 1), ONE, 1, ONE[:, :1])),
    ("plain_bits", (2 * ONE,)),
]
REFUSED_WHEN_READ: list[tuple[str, tuple[Any, ...]]] = [
    ("flag", (384,)),
    ("integer", (-1,)),
    ("raw", (17,)),
    ("raw", (-1,)),
    ("mask", ((1, 2, 2, 3), False)),
    ("floats", ((1, 2, 1, 1), 2 * ONE, 0, 0, False, True)),
    ("floats", ((1, 2, 1, 1), ONE[:, :1], 0, 0, False, True)),
    ("floats", ((1, 2, 1, 1), ONE, 24, 0, False, True)),
    ("floats", ((1, 2, 1, 1), ONE, 0, 256, False, True)),
    ("codes", ((1, 2, 1, 1), ONE, 9)),
    ("codes", ((1, 2, 1, 1), 2 * ONE, 1)),
    ("plain_bits", (0,)),
    ("plain_bits", (2**40 + 1,)),
]


@each_case(
    ("face", "method", "arguments"),
    [("Encoder", *case) for case in REFUSED] + [("Decoder", *case) for case in REFUSED_WHEN_READ],
)
def test_both_refuse_the_same_in_the_same_words(face: str, method: str, arguments: tuple[Any, ...]) -> None:
    sentences = []
    for module in (_native, reference_coder):
        coder = module.Encoder() if face == "Encoder" else module.Decoder(b"\x12\x34")
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the sentences are compared below)
            getattr(coder, method)(*arguments)
        sentences.append(str(refusal.value))
        if face == "Encoder":
            assert coder.finish() == b""
    assert sentences[0] == sentences[1]
