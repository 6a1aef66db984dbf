"""The coder in C++ and its reference in Python are one: the same bytes, the same values, the same refusals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.each_case import each_case

from netsurgery import _native
from specification import coder as reference_coder
from specification.float_model import NODES, code_exponent
from specification.grids import COLUMN_SLOTS

Bytes = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint32]
Grid = tuple[int, int, int, int]

CODERS = (_native, reference_coder)
DENSITIES = (0.0, 0.02, 0.1, 0.5, 1.0)
FREQUENT = (0, 1, 120, 127, 254, 255)
SPECIAL = (
    0x80000000,
    1,
    0x80000001,
    0x007FFFFF,
    0x7F7FFFFF,
    0xFF7FFFFF,
    0x7F800000,
    0x7FC00001,
    0x3F800000,
    0x00800000,
)
"""-0.0, subnormals, the largest finite ones, infinity, NaN, 1, the smallest normal one."""


@dataclass(frozen=True)
class Part:
    """One call: `known` is given to encoder and decoder, `written` to the encoder only, and the decoder returns it."""

    method: str
    known: tuple[Any, ...]
    written: Any


def encoded(module: ModuleType, parts: list[Part]) -> bytes:
    encoder = module.Encoder()
    for part in parts:
        if part.method in ("raw", "plain_bits"):  # the size of what is written says what is known
            encoder.raw(part.written, *part.known) if part.method == "raw" else encoder.plain_bits(part.written)
        else:
            getattr(encoder, part.method)(*part.known, part.written)
    return encoder.finish()


def decoded(module: ModuleType, content: bytes, parts: list[Part]) -> list[Any]:
    """Each part's value, and after it how much was read."""
    decoder = module.Decoder(content)
    return [(getattr(decoder, part.method)(*part.known), decoder.bits_read, decoder.at_end) for part in parts]


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


def assert_one_coder(parts: list[Part]) -> bytes:
    """Both write the same bytes, and each reads all of them back. Returns the bytes."""
    contents = [encoded(module, parts) for module in CODERS]
    assert contents[0] == contents[1]
    for module in CODERS:
        values = decoded(module, contents[0], parts)
        for (value, _, _), part in zip(values, parts, strict=True):
            assert_same(value, part.written)
        if values:
            assert values[-1][2]
    return contents[0]


def random_mask(rng: np.random.Generator, grid: Grid, density: float) -> Bytes:
    return (rng.random(grid[:2]) < density).astype(np.uint8)


def random_floats(rng: np.random.Generator, mask: Bytes, mantissa: int, exponent: int, spread: float) -> Bits:
    """Floats with so many mantissa bits, their exponents around the given one; some of them special."""
    exponents = np.clip(rng.normal(exponent, spread, mask.shape).round(), 0, 255).astype(np.uint32)
    bits = (
        rng.integers(0, 2, mask.shape, np.uint32) << 31
        | exponents << 23
        | rng.integers(0, 2**23, mask.shape, np.uint32)
    )
    bits = np.where(rng.random(mask.shape) < 0.1, rng.choice(np.array(SPECIAL, np.uint32), mask.shape), bits)
    return bits & np.uint32(0xFFFFFFFF << 23 - mantissa & 0xFFFFFFFF) * mask


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Rows and channels of any number, pictures or none, one row or one column among them."""
    width = draw(st.integers(1, 4))
    plane = width * draw(st.integers(1, 4))
    return draw(st.integers(1, 7)), plane * draw(st.integers(1, 5)), plane, width


RNGS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def masks(draw: st.DrawFn) -> Part:
    grid, density = draw(grids()), draw(st.sampled_from(DENSITIES))
    kind = draw(st.sampled_from([("mask", (grid, False)), ("mask", (grid, True)), ("plain_mask", (grid,))]))
    return Part(*kind, random_mask(draw(RNGS), grid, density))


@st.composite
def floats(draw: st.DrawFn) -> Part:
    rng, grid = draw(RNGS), draw(grids())
    mask = random_mask(rng, grid, draw(st.sampled_from(DENSITIES)))
    mantissa, exponent = draw(st.integers(0, 23)), draw(st.sampled_from(FREQUENT))
    bits = random_floats(rng, mask, mantissa, exponent, draw(st.sampled_from((0, 1.5, 100))))
    shared = draw(st.booleans())
    if shared:
        bits = (bits & np.uint32(0xFF800000) | bits.max(axis=1, keepdims=True) & np.uint32(0x7FFFFF)) * mask
    return Part("floats", (grid, mask, mantissa, exponent, shared, draw(st.booleans())), bits)


@st.composite
def codes(draw: st.DrawFn) -> Part:
    rng, grid, width = draw(RNGS), draw(grids()), draw(st.integers(0, 8))
    mask = random_mask(rng, grid, draw(st.sampled_from(DENSITIES)))
    return Part("codes", (grid, mask, width), rng.integers(0, 2**width, mask.shape).astype(np.uint8) * mask)


@st.composite
def plain_bits(draw: st.DrawFn) -> Part:
    count = draw(st.integers(1, 70))
    return Part("plain_bits", (count,), draw(RNGS).integers(0, 2, (1, count), np.uint8))


@st.composite
def numbers(draw: st.DrawFn) -> Part:
    context, count = draw(st.integers(0, 255)), draw(st.integers(0, 16))
    return draw(
        st.one_of(
            st.builds(Part, st.just("flag"), st.just((context,)), st.booleans()),
            st.builds(Part, st.just("integer"), st.just((context,)), st.integers(0, 2**32 - 2)),
            st.builds(Part, st.just("raw"), st.just((count,)), st.integers(0, 2**count - 1)),
        )
    )


def far_floats(frequent: int) -> Part:
    """Floats for which a decoder of other bytes could be led out of the exponents."""
    return Part("floats", ((2, 3, 1, 1), np.ones((2, 3), np.uint8), 3, frequent, False, True), None)


PARTS = st.one_of(masks(), floats(), codes(), plain_bits(), numbers())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(PARTS, max_size=5))
def test_both_write_the_same_bytes_and_each_reads_them_back(parts: list[Part]) -> None:
    assert_one_coder(parts)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(PARTS, min_size=1, max_size=4), st.binary(max_size=200))
@example([Part("raw", (16,), 0), Part("raw", (16,), 0)], b"\xff" * 4)
@example([Part("flag", (context,), False) for context in range(100)], b"\xff" * 4)
@example([Part("flag", (0,), 0)] * 99, b"\xff" * 20)
@example([Part("integer", (0,), 0)] * 9, b"\xff" * 40)
@example([far_floats(0), far_floats(255)], b"")
@example([far_floats(255), far_floats(0)], b"\xff\x00" * 40)
def test_any_bytes_decode_to_the_same_values_within_their_bounds(parts: list[Part], content: bytes) -> None:
    found, expected = (decoded(module, content, parts) for module in CODERS)
    for (value, *read), (reference, *reference_read), part in zip(found, expected, parts, strict=True):
        assert_same(value, reference)
        assert read == reference_read
        if part.method == "floats":
            _, mask, mantissa, *_ = part.known
            assert not (value & np.uint32((1 << 23 - mantissa) - 1)).any()
            assert not value[mask == 0].any()
        elif part.method == "codes":
            _, mask, width = part.known
            assert not (value >> width).any()
            assert not value[mask == 0].any()
        elif part.method in ("mask", "plain_bits"):
            assert int(value.max()) <= 1


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from((0, 1, 0x7F, 0x80, 0xFE, 0xFF)), max_size=12).map(bytes))
@example(b"\x13" + bytes(9) + b"\x01")  # the interval begins below 0x13 until late: a carry through many 0xFF
@example(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80")
@pytest.mark.parametrize("module", CODERS)
def test_what_any_bytes_decode_to_encodes_to_these_bytes(module: ModuleType, content: bytes) -> None:
    if content.startswith(b"\xff\xff\xff\xff"):
        content = content[1:]  # no encoder writes this
    if content.startswith(b"\xff\xff\xff\xff"):
        return
    encoder, decoder = module.Encoder(), module.Decoder(content)
    while decoder.bits_read < 8 * len(content) + 40:  # until the interval holds no other number that short
        for context in range(16):
            encoder.flag(context, decoder.flag(context))
    assert encoder.finish() == content.rstrip(b"\0")


@pytest.mark.parametrize("module", CODERS)
def test_a_stream_without_decisions_has_no_bytes_and_finishing_twice_changes_nothing(module: ModuleType) -> None:
    encoder = module.Encoder()
    assert encoder.finish() == b""
    decoder = module.Decoder(b"")
    assert decoder.at_end
    assert decoder.bits_read == pytest.approx(0, abs=1e-6)
    another = module.Encoder()
    another.integer(0, 1234567)
    assert another.finish() == another.finish() != b""


@each_case("mixed", [False, True])
@each_case("mantissa", range(24))
def test_every_mantissa_width_keeps_its_bits_and_special_values(mantissa: int, mixed: bool) -> None:
    rng = np.random.default_rng(mantissa)
    keep = np.uint32(0xFFFFFFFF << 23 - mantissa & 0xFFFFFFFF)
    bits = np.stack([np.array(SPECIAL, np.uint32), rng.integers(0, 2**32, len(SPECIAL), np.uint32)]) & keep
    grid = (2, len(SPECIAL), 1, 1)
    mask = np.ones(grid[:2], np.uint8)
    assert_one_coder(
        [Part("floats", (grid, mask, mantissa, frequent, False, mixed), bits) for frequent in FREQUENT[::2]]
    )


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("frequent", FREQUENT)
def test_every_exponent_comes_back_whatever_the_most_frequent_one(frequent: int, mixed: bool) -> None:
    bits = (np.arange(256, dtype=np.uint32) << 23).reshape(4, 64)
    bits[0, 0] |= np.uint32(0x80000000)  # +0 itself is never written
    assert_one_coder([Part("floats", ((4, 64, 16, 4), np.ones((4, 64), np.uint8), 0, frequent, False, mixed), bits)])


@pytest.mark.parametrize("frequent", FREQUENT)
def test_any_decisions_lead_to_an_exponent_and_each_exponent_to_its_own(frequent: int) -> None:
    made = set()
    for exponent in range(256):
        asked: list[tuple[int, int]] = []

        def decide(node: int, bit: int, asked: list[tuple[int, int]] = asked) -> int:
            asked.append((node, bit))
            return bit

        assert code_exponent(exponent, frequent, decide) == exponent
        assert all(0 <= node < NODES for node, _ in asked)
        made.add(tuple(bit for _, bit in asked))
    assert len(made) == 256
    assert sum(Fraction(1, 2 ** len(bits)) for bits in made) == 1  # a complete code: no decisions lead anywhere else


@pytest.mark.parametrize("mixed", [False, True])
def test_a_shared_mantissa_is_written_once_for_each_row(mixed: bool) -> None:
    rng = np.random.default_rng(1)
    mask = random_mask(rng, (6, 40, 1, 1), 0.7)
    mask[2], mask[3] = 0, np.eye(1, 40, 7)
    bits = (
        random_floats(rng, mask, 0, 120, 1) & np.uint32(0xFF800000) | rng.integers(0, 2**23, (6, 1), np.uint32)
    ) * mask
    grid = (6, 40, 1, 1)
    alone = assert_one_coder([Part("floats", (grid, mask, 23, 120, False, mixed), bits)])
    shared = assert_one_coder([Part("floats", (grid, mask, 23, 120, True, mixed), bits)])
    spared = int(mask.sum()) - 5  # rows with an entry
    assert abs(len(alone) - len(shared) - spared * 23 / 8) <= 1


@pytest.mark.parametrize("width", range(9))
def test_every_code_of_every_width_comes_back(width: int) -> None:
    rng = np.random.default_rng(width)
    values = np.concatenate([rng.permutation(2**width), rng.integers(0, 2**width, 6)]).astype(np.uint8)
    grid = (2, len(values) // 2, 1, 1) if len(values) % 2 == 0 else (1, len(values), 1, 1)
    mask = np.ones(grid[:2], np.uint8)
    assert_one_coder([Part("codes", (grid, mask, width), values.reshape(grid[:2]))] * 2)


def test_integers_of_every_length_come_back_and_small_ones_are_short() -> None:
    edges = sorted({abs((1 << k) + d) for k in range(33) for d in (-2, -1, 0)} - {2**32 - 1, 2**32})
    assert edges[0] == 0
    assert edges[-1] == 2**32 - 2
    assert_one_coder([Part("integer", (9,), value) for value in edges])
    lengths = [len(assert_one_coder([Part("integer", (0,), value)] * 40)) for value in (0, 10, 1000, 2**32 - 2)]
    assert lengths == sorted(lengths)
    assert lengths[0] <= 5  # forty times the same bit


@each_case("live_columns", [False, True])
@each_case("grid", [(1, 1, 1, 1), (1, 33, 1, 1), (33, 1, 1, 1), (5, 27, 9, 3), (3, 14, 7, 1), (3, 14, 7, 7)])
@each_case("density", DENSITIES)
def test_masks_of_every_form_come_back(grid: Grid, density: float, live_columns: bool) -> None:
    mask = random_mask(np.random.default_rng(2), grid, density)
    assert_one_coder([Part("mask", (grid, live_columns), mask)] * 2)


def test_dead_columns_cost_next_to_nothing_once_they_are_named() -> None:
    mask = random_mask(np.random.default_rng(3), (64, 64, 1, 1), 0.5)
    mask[:, 8:] = 0
    content = assert_one_coder([Part("mask", ((64, 64, 1, 1), True), mask)])
    assert len(content) * 8 <= 64 * 8 * 1.1 + 64


@pytest.mark.parametrize("each", [1, 4])
def test_the_rows_of_a_mask_foretell_the_columns_of_the_next(each: int) -> None:
    rng = np.random.default_rng(4)
    dense = rng.random(32) < 0.5
    first = (rng.random((32, 16)) < np.where(dense, 0.9, 0.05)[:, None]).astype(np.uint8)
    columns = np.repeat(dense, each)
    second = (rng.random((4, 32 * each)) < np.where(columns, 0.97, 0.03)).astype(np.uint8)
    parts = [Part("mask", ((32, 16, 1, 1), False), first), Part("mask", ((4, 32 * each, each, 1), False), second)]
    alone = [len(assert_one_coder([part])) for part in parts]
    one_row = Part("mask", ((1, 5, 1, 1), False), np.ones((1, 5), np.uint8))  # a single row foretells nothing
    together = len(assert_one_coder([parts[0], one_row, parts[1]]))
    assert together < sum(alone) - 1


@pytest.mark.parametrize("mixed", [False, True])
def test_entries_outside_the_mask_are_not_written_and_come_back_as_zeros(mixed: bool) -> None:
    rng = np.random.default_rng(5)
    grid = (4, 12, 4, 2)
    mask = random_mask(rng, grid, 0.5)
    anything = rng.integers(0, 2**32, grid[:2], np.uint32)
    for module in CODERS:
        for method, known, written in (
            ("floats", (grid, mask, 23, 127, False, mixed), anything),
            ("codes", (grid, mask, 8), anything.astype(np.uint8)),
        ):
            full, bare = Part(method, known, written), Part(method, known, (written * mask).astype(written.dtype))
            content = encoded(module, [full])
            assert content == encoded(module, [bare])
            assert_same(decoded(module, content, [full])[0][0], bare.written)


def test_long_regular_tensors_bring_learning_to_its_ends() -> None:
    ones = np.ones((4, 1000), np.uint8)
    columns = np.tile(np.arange(4, dtype=np.uint8), (4, 250))
    signs = np.uint32(127 << 23) | columns.astype(np.uint32) << 31
    squares = np.kron(random_mask(np.random.default_rng(7), (12, 20, 1, 1), 0.3), np.ones((5, 5), np.uint8))
    parts = [
        Part("mask", ((60, 100, 25, 5), False), squares),
        Part("codes", ((4, 1000, 1, 1), ones, 2), columns),
        Part("floats", ((4, 1000, 1, 1), ones, 0, 127, False, True), signs),
    ]
    lengths = [len(assert_one_coder([part])) for part in parts]
    assert lengths[0] < squares.size / 8 / 4
    assert max(lengths[1:]) < 32


def test_columns_beyond_the_table_share_slots() -> None:
    grid = (2, COLUMN_SLOTS + 40, 1, 1)
    mask = np.zeros(grid[:2], np.uint8)
    mask[:, :40] = mask[:, -40:] = 1
    bits = random_floats(np.random.default_rng(6), mask, 3, 120, 1.5)
    assert_one_coder([Part("floats", (grid, mask, 3, 120, False, True), bits)])


def golden_parts(name: str) -> list[Part]:
    """Small inputs that don't depend on a random generator."""
    index = np.arange(48, dtype=np.uint32).reshape(4, 12)
    grid, mask = (4, 12, 4, 2), (index % 5 < 2).astype(np.uint8)
    bits = (index * 0x9E3779B1 & 0x807FFFFF | (120 + index * 7 % 5) << 23).astype(np.uint32)
    ones = np.ones_like(mask)
    return {
        "flags": [Part("flag", (context,), bit) for context, bit in ((0, True), (0, True), (1, False), (0, False))],
        "integers": [Part("integer", (value % 3,), value) for value in (0, 1, 2, 100, 65535, 2**32 - 2)],
        "mask": [Part("mask", (grid, False), mask)],
        "live columns": [Part("mask", (grid, True), mask * (np.arange(12, dtype=np.uint8) > 4))],
        "two masks": [Part("mask", (grid, False), mask), Part("mask", ((2, 24, 6, 3), False), mask.reshape(2, 24))],
        "plain floats": [Part("floats", (grid, mask, 23, 122, False, False), bits * mask)],
        "mixed floats": [Part("floats", (grid, mask, 7, 122, False, True), (bits & 0xFFFF0000) * mask)] * 2,
        "powers of two": [Part("floats", (grid, ones, 0, 124, False, True), bits & 0xFF800000)],
        "shared": [Part("floats", (grid, ones, 23, 124, True, True), bits & 0xFF800000 | (index[:, :1] * 54321))],
        "codes": [Part("codes", (grid, mask, 5), (index * 11 % 32).astype(np.uint8) * mask)],
        "plain bits": [Part("plain_bits", (21,), (index.reshape(1, -1)[:, :21] ** 2 % 3 == 1).astype(np.uint8))],
    }[name]


GOLDEN = {
    "flags": "1b",
    "integers": "b4039f5c860c4f9800000361fffff3",
    "mask": "57540724e34b",
    "live columns": "cd7297c34f",
    "two masks": "57540724e34b571e113171ba",
    "plain floats": "0800000cbbcd884ab03aee192c06e9d19849caee24c1d8ff9cc13326b022"
    "904d4af2667437224a7c246405a9a4a3b046fc5dfd1e0a5040280dec08011fcf77",
    "mixed floats": "8803fbddd9fac78359a723568cec285eb7410dd678ac04db774bc14807bfff1dd376dfec469eb6c01bd008b91b5f",
    "powers of two": "823321308445f818647436f3b579fd679934",
    "shared": "81ffffff664263096d18e7cc54f0a3a353e5d5cd83e675d78ec743fa2774",
    "codes": "fb438cfdfde99e22bc49c9217d36f8",
    "plain bits": "6db66b",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_format_is_fixed_byte_for_byte(name: str) -> None:
    assert assert_one_coder(golden_parts(name)).hex() == GOLDEN[name]
